"""What the system tests stand on: an independent signer, the service's real binary, and a look at what is left behind."""
import ctypes
import ctypes.util
import base64
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from Cryptodome.Hash import keccak

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VMM_BIN", ROOT / "build/release/bin"))
IMAGES = ROOT / "build/guest-images"
WINDOW = 300

_secp = ctypes.CDLL(ctypes.util.find_library("secp256k1") or "libsecp256k1.so.1")
_secp.secp256k1_context_create.restype = ctypes.c_void_p
_context = ctypes.c_void_p(_secp.secp256k1_context_create(513))


def keccak256(data):
    return keccak.new(digest_bits=256, data=data).digest()


class Signer:
    """A key that signs EIP-191 messages; written independently of the service, on the C library's own interface."""

    def __init__(self, key=None):
        self.key = key or secrets.token_bytes(32)
        public = ctypes.create_string_buffer(64)
        assert _secp.secp256k1_ec_pubkey_create(_context, public, self.key)
        out, size = ctypes.create_string_buffer(65), ctypes.c_size_t(65)
        _secp.secp256k1_ec_pubkey_serialize(_context, out, ctypes.byref(size), public, 2)
        digits = keccak256(out.raw[1:])[12:].hex()
        check = keccak256(digits.encode()).hex()
        self.address = "0x" + "".join(c.upper() if int(check[i], 16) >= 8 else c for i, c in enumerate(digits))

    def sign(self, message):
        text = message.encode()
        digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text)
        recoverable = ctypes.create_string_buffer(65)
        assert _secp.secp256k1_ecdsa_sign_recoverable(_context, recoverable, digest, self.key, None, None)
        out, recovery = ctypes.create_string_buffer(64), ctypes.c_int()
        _secp.secp256k1_ecdsa_recoverable_signature_serialize_compact(_context, out, ctypes.byref(recovery), recoverable)
        return out.raw, recovery.value


def message_of(method, target, timestamp, data):
    prefix = "" if method in ("GET", "HEAD", "POST") else method + " "
    return f"{prefix}{target}:{timestamp}:{data}"


def timestamp_now(offset=0.0):
    now = time.time_ns() + int(offset * 1e9)
    return f"{now // 10**9}.{now % 10**9:09d}"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, {k.lower(): v for k, v in headers}, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("code")

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


_claims = []


def own_port():
    """A port of 127.0.0.1 that stays this process' own, also while nobody listens there: below those that the kernel hands out
    by itself, and claimed by name among the tests that run side by side."""
    while True:
        port = random.randrange(10000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0vmm-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port


class Service:
    """One vmm-service with a folder of its own."""

    def __init__(self, folder=None, **config):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="vmm-"))
        self.admin = Signer()
        self.config = {
            "api_host": "127.0.0.1", "api_port": str(own_port()), "api_workers": "2", "state_url": f"sqlite://{self.folder}/state.db",
            "vm_dir": str(self.folder / "vm"), "images_dir": str(IMAGES), "default_image": "tiny",
            "admin_addresses": self.admin.address, "default_disk_size_gb": "1", "log_level": "debug",
            # Tests come from one address, many at once, and often with bad signatures; the limits have tests of their own.
            "rate_limit_source": "0", "rate_limit_failures": "0", "rate_limit_address": "0", "api_max_connections_per_source": "0",
        }
        self.config.update({k: str(v) for k, v in config.items()})
        self.process = None
        self.command_path = BIN / "vmm-service"
        self.port = None
        self.log = self.folder / "service.log"

    def command(self):
        return [str(self.command_path)] + [f"--{k.replace('_', '-')}={v}" for k, v in self.config.items()]

    def environment(self, extra=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VMM_") and k != "WAIT_FOR"}
        return {**clean, **(extra or {})}

    def start(self, fault=None, wait=True):
        began = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stderr=log, stdout=log, env=self.environment({"VMM_FAULT_POINT": fault} if fault else None)
            )
        deadline = time.time() + 60
        while wait and time.time() < deadline:
            text = self.log.read_bytes()[began:].decode(errors="replace")
            found = re.search(r"listening host=\S+ port=(\d+)", text)
            if found:
                self.port = int(found[1])
                return self
            if self.process.poll() is not None:
                if fault and self.process.returncode == -signal.SIGKILL:
                    return self
                raise AssertionError(f"the service ended with {self.process.returncode}: {text}")
            time.sleep(0.005)
        if wait:
            raise AssertionError("the service did not start: " + self.log.read_text())
        return self

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(300) == 0

    def restart(self, fault=None):
        self.kill()
        return self.start(fault)

    def raw(self, method, target, headers=None, body=None, timeout=300):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def signed_headers(self, method, target, body=None, signer=None, timestamp=None, headers=None):
        timestamp = timestamp or timestamp_now()
        data = "" if body is None else json.dumps(json.loads(body), sort_keys=True)
        signature, recovery = (signer or self.admin).sign(message_of(method, target, timestamp, data))
        out = {"X-Signature": "0x" + signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": timestamp}
        if body is not None:
            out["Content-Type"] = "application/json"
        out.update(headers or {})
        return out

    def call(self, method, target, body=None, signer=None, headers=None, timeout=300):
        text = None if body is None else json.dumps(body).encode()
        return self.raw(method, target, self.signed_headers(method, target, text, signer, headers=headers), text, timeout)

    def upload(self, name, data, signer=None, headers=None, query="", announced=None, whole=None):
        """POST /images with these bytes; `whole` is the SHA-256 of an image of which they are a part."""
        sha256 = announced or hashlib.sha256(data).hexdigest()
        target = f"/images?name={name}" + (f"&sha256={whole}" if whole else "") + query
        timestamp = timestamp_now()
        signature, recovery = (signer or self.admin).sign(message_of("POST", target, timestamp, sha256))
        signed = {"X-Signature": signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": timestamp,
                  "X-Content-SHA256": sha256, "Content-Type": "application/octet-stream", **(headers or {})}
        return self.raw("POST", target, signed, data, timeout=300)

    def image(self, name):
        return self.call("GET", f"/images/{name}").json

    def store_of_images(self):
        mark = (pathlib.Path(self.config["vm_dir"]) / ".vmm-store").read_text().strip()
        return pathlib.Path(self.config["images_dir"]) / ".images" / mark

    def images_left(self):
        """What is on the host of brought images: stored contents, and what is on its way."""
        store = self.store_of_images()
        return {kind: sorted(p.name for p in (store / kind).iterdir()) for kind in ("contents", "incoming")}

    def create(self, name="web", signer=None, headers=None, **fields):
        return self.call("POST", "/vms", {"name": name, **fields}, signer, headers)

    def vm(self, vm_id):
        return self.call("GET", f"/vms/{vm_id}").json

    def wait_for(self, vm_id, what, timeout=300):
        """Until what(machine) holds; guests are slow when many run."""
        deadline = time.time() + timeout
        while time.time() < deadline:
            vm = self.vm(vm_id)
            if what(vm):
                return vm
            time.sleep(0.02)
        explained = self.call("GET", f"/vms/{vm_id}/explain").json
        said = self.vm_folder(vm_id) / "console.log"
        raise AssertionError(f"still {vm}; {explained}; its console: {said.read_bytes()[-2000:] if said.exists() else None}")

    def wait_boot(self, vm_id, timeout=300):
        return self.wait_for(vm_id, lambda vm: vm["boot_completed_at"], timeout)

    def settled_operations(self, timeout=300):
        """All operations once none is open."""
        deadline = time.time() + timeout
        while time.time() < deadline:
            operations = self.call("GET", "/operations?limit=1000").json["operations"]
            if all(o["status"] in ("succeeded", "failed", "cancelled") for o in operations):
                return operations
            time.sleep(0.02)
        raise AssertionError(f"still open: {operations}")

    def vm_folder(self, vm_id):
        return pathlib.Path(self.config["vm_dir"]) / vm_id

    def disks(self):
        store = (pathlib.Path(self.config["vm_dir"]) / ".vmm-store").read_text().strip()
        folder = pathlib.Path(self.config["images_dir"]) / ".machines" / store
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    def leftovers(self):
        """What is on the host of machines: processes of this service's, folders, disks."""
        folders = [p.name for p in pathlib.Path(self.config["vm_dir"]).iterdir() if p.name.startswith("vm-")]
        return {"processes": sorted(qemu_processes(self.config["vm_dir"])), "folders": sorted(folders), "disks": self.disks()}

    def close(self):
        """Ends everything and removes the folder; used when a test is over, however it went."""
        self.kill()
        for pid in qemu_processes(self.config["vm_dir"]).values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        mark = pathlib.Path(self.config["vm_dir"]) / ".vmm-store"
        if mark.exists():
            for kind in (".machines", ".images"):
                shutil.rmtree(pathlib.Path(self.config["images_dir"]) / kind / mark.read_text().strip(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def qemu_processes(vm_dir):
    """Machines' processes by id, of the service whose run folder this is; zombies do not count."""
    out = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            log = os.readlink(entry / "fd/1") if b"-name" in arguments else ""
        except OSError:
            continue
        if log.startswith(str(vm_dir) + "/"):
            out[arguments[arguments.index(b"-name") + 1].decode().removeprefix("guest=")] = int(entry.name)
    return out


def console(service, vm_id, command=None, expect=b"", timeout=300):
    """Talks to a guest's shell; returns what it said up to `expect`."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(service.vm_folder(vm_id) / "console.sock"))
    client.settimeout(0.2)
    if command:
        client.sendall(command.encode() + b"\n")
    said, deadline = b"", time.time() + timeout
    while time.time() < deadline and (not expect or expect not in said):
        try:
            part = client.recv(65536)
        except socket.timeout:
            continue
        if not part:
            break
        said += part
    client.close()
    assert expect in said, said[-300:]
    return said


def run_state(service, vm_id):
    """What QEMU says of a machine, over the monitor that the service has when it runs."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(service.vm_folder(vm_id) / "qmp.sock"))
        lines = monitor.makefile("rw")
        for command in ("qmp_capabilities", "query-status"):
            lines.write(json.dumps({"execute": command}) + "\n")
            lines.flush()
            while "return" not in (answer := json.loads(lines.readline())):
                pass
        return answer["return"]["status"]


class WebSocket:
    """A client of RFC 6455, as far as a console needs one."""

    def __init__(self, service, target, headers):
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=300)
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{service.port}", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self.buffer, self.closed = b"", None
        while b"\r\n\r\n" not in self.buffer:
            part = self.socket.recv(65536)
            assert part, self.buffer
            self.buffer += part
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        if self.status != 101:
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            while len(self.buffer) < length:
                self.buffer += self.socket.recv(65536)
            self.problem = json.loads(self.buffer)

    def send(self, data):
        mask = os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
        self.socket.sendall(b"\x82" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def _take(self, count):
        while len(self.buffer) < count:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("closed")
            self.buffer += part
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def receive(self, timeout=300):
        """The next message; None once it is closed, with the code and the reason in `closed`."""
        self.socket.settimeout(timeout)
        try:
            kind, length = self._take(2)
            length = int.from_bytes(self._take(2), "big") if length == 126 else int.from_bytes(self._take(8), "big") if length == 127 else length
            data = self._take(length)
        except ConnectionError:
            self.closed = self.closed or (1006, "")
            return None
        if kind & 15 == 8:
            self.closed = (int.from_bytes(data[:2], "big"), data[2:].decode())
            return None
        return data if kind & 15 in (1, 2) else self.receive(timeout)

    def until(self, expected, timeout=300):
        said, deadline = b"", time.time() + timeout
        while expected not in said:
            assert time.time() < deadline, said[-300:]
            part = self.receive(timeout)
            assert part is not None, (self.closed, said[-300:])
            said += part
        return said

    def close(self):
        self.socket.close()


def eventually(check, limit=300):
    """Waits for it to come true: long, since a busy host is no fault of what is tested."""
    deadline = time.time() + limit
    while not (found := check()):
        assert time.time() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return found


def run_in(service, vm_id, *argv, stdin=None, timeout_s=30, signer=None):
    """Runs a program in a guest; its exit status and what it wrote."""
    body = {"argv": list(argv), "timeout_s": timeout_s, **({"stdin": stdin} if stdin is not None else {})}
    answer = service.call("POST", f"/vms/{vm_id}/exec", body, signer, timeout=timeout_s + 30)
    assert answer.status == 200, answer
    out, status = {"stdout": b"", "stderr": b""}, None
    for line in map(json.loads, answer.body.splitlines()):
        if "stream" in line:
            out[line["stream"]] += base64.b64decode(line["data_base64"])
        else:
            status = line.get("exit_status", line.get("signal", line.get("error")))
    return status, (out["stdout"] + out["stderr"]).decode(errors="replace")


def shell_in(service, vm_id, script, **kwargs):
    return run_in(service, vm_id, "sh", "-c", script, **kwargs)
