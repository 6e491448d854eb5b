"""What must never crash, hang, leak or end in a 500: hostile clients, missing programs, full disks, broken databases."""
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import socket
import sqlite3
import subprocess
import time

import pytest

from support import IMAGES, Signer


def connect(service, timeout=300):
    client = socket.create_connection(("127.0.0.1", service.port), timeout=timeout)
    return client


def talk(service, data, timeout=300):
    """Sends bytes and returns all that comes back until the service closes."""
    client = connect(service, timeout)
    said = b""
    try:
        client.sendall(data)
    except OSError:
        pass
    try:
        while part := client.recv(65536):
            said += part
    except (ConnectionError, socket.timeout):
        pass
    client.close()
    return said


def status(said):
    return int(said.split(b" ", 2)[1]) if said else None


def alive(service):
    assert service.process.poll() is None
    assert service.raw("GET", "/health").status == 200


def test_bodies_and_headers_that_are_too_large(make_service):
    service = make_service(api_max_body_size=4096)
    big = json.dumps({"name": "x" * 5000}).encode()
    answer = service.raw("POST", "/vms", service.signed_headers("POST", "/vms", big), big)
    assert (answer.status, answer.code) == (413, "body-too-large")
    assert status(talk(service, b"POST /vms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")) == 413
    assert status(talk(service, b"POST /vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2000\r\n" + b"x" * 8192 + b"\r\n0\r\n\r\n")) == 413
    assert status(talk(service, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 17000 + b"\r\n\r\n")) == 431
    assert status(talk(service, b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")) == 431
    assert status(talk(service, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Fits: " + b"a" * 15000 + b"\r\n\r\n")) == 200
    alive(service)


def test_what_is_no_http(service):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100, b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n",
                 b"POST /vms HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"POST /vms HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                 b"\r\n\r\n\r\n", b"\0" * 1000):
        assert status(talk(service, data, timeout=15)) in (400, 401, None), data
    for target in (b"/vms/%00", b"/vms/%zz", b"/vms/..%2f..%2fetc", b"//", b"*", b"http://x/vms", b"/vms?a=%ff"):
        said = talk(service, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status(said) in (400, 401, 404), (target, said)
    alive(service)


def test_malformed_and_mistyped_bodies(service):
    for body in (b"{", b"[]", b"null", b'"x"', b"1", b'{"name": null}', b'{"name": {"a": 1}}', b'{"name": "a", "labels": [1]}', b"\xff\xfe", b'{"name": "a"} x',
                 b'{"name": "a", "vcpus": 1e3}', b'{"name": "a", "vcpus": 99999999999999999999999999}', b"[" * 100000):
        try:
            headers = service.signed_headers("POST", "/vms", body)
        except (ValueError, UnicodeDecodeError, RecursionError):
            headers = service.signed_headers("POST", "/vms", b"{}")
        answer = service.raw("POST", "/vms", headers, body)
        assert answer.status in (400, 422) and answer.json["detail"], (body[:50], answer)
    alive(service)


def test_pipelined_requests_are_answered_in_order(service):
    one = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: r%d\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: r9\r\nConnection: close\r\n\r\n"
    said = talk(service, b"".join(one % i for i in range(9)) + last)
    ids = [line.split(b": ")[1] for line in said.split(b"\r\n") if line.lower().startswith(b"x-request-id")]
    assert ids == [b"r%d" % i for i in range(10)]


def test_expect_continue_is_honoured(service):
    client = connect(service)
    client.sendall(b"POST /vm/boot_complete HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
    assert b"100 Continue" in client.recv(1000)
    client.sendall(b"{}")
    assert b"401" in client.recv(4000)
    client.close()


def test_slow_clients_are_cut_off_and_hold_nobody_up(service):
    slow = [connect(service) for _ in range(50)]
    for client in slow:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    began = time.time()
    deadline = began + 300
    open_still = set(slow)
    while open_still and time.time() < deadline:
        for client in list(open_still):
            try:
                client.sendall(b"a")
                client.setblocking(False)
                if client.recv(10) == b"":
                    open_still.discard(client)
            except BlockingIOError:
                pass
            except OSError:
                open_still.discard(client)
            finally:
                client.setblocking(True)
        alive(service)
        time.sleep(0.5)
    for client in slow:
        client.close()
    assert not open_still, "a request that trickles in has ten seconds"


def test_ten_thousand_idle_connections(service):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(10000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = int([l for l in open(f"/proc/{service.process.pid}/status") if l.startswith("VmRSS")][0].split()[1])
    clients = []
    try:
        for _ in range(wanted):
            clients.append(connect(service))
        for client in clients[:: wanted // 100]:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        alive(service)
        after = int([l for l in open(f"/proc/{service.process.pid}/status") if l.startswith("VmRSS")][0].split()[1])
        assert (after - before) / wanted < 16, f"{(after - before) / wanted:.1f} KiB for each idle connection"
    finally:
        for client in clients:
            client.close()
    alive(service)


def test_qemu_that_cannot_run(make_service, tmp_path):
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\necho 'cannot do that' >&2\nexit 3\n")
    service = make_service(qemu_binary=broken)
    refused = service.create()
    assert (refused.status, refused.code) == (503, "qemu-missing"), "it is not executable"
    broken.chmod(0o755)
    refused = service.create()
    assert refused.status == 503 and refused.code == "qemu-failed" and "cannot do that" in refused.json["detail"], refused
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    other = make_service(qemu_binary=silent)
    assert other.create().status == 503
    for one in (service, other):
        assert one.leftovers() == {"processes": [], "folders": [], "disks": []}
        assert one.call("GET", "/vms").json["vms"] == []
    zombies = [p for p in pathlib.Path("/proc").glob("[0-9]*/stat") if f") Z {service.process.pid} " in _read(p)]
    assert not zombies, "a QEMU that died at once is reaped"


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def refused_start(service):
    """How a service that cannot start says so."""
    out = subprocess.run(service.command(), capture_output=True, text=True, env=service.environment(), timeout=60)
    assert out.returncode in (1, 2) and out.stderr.startswith("vmm-service: "), out
    return out.stderr


def test_starts_that_cannot_succeed(make_service):
    running = make_service()
    said = refused_start(make_service(start=False, api_port=running.port))
    assert "cannot listen" in said and "choose another api_port" in said
    said = refused_start(make_service(start=False, state_url=running.config["state_url"]))
    assert "in use by another process" in said
    said = refused_start(make_service(start=False, vm_dir=running.config["vm_dir"]))
    assert "belongs to another state store" in said
    assert "cannot be written" in refused_start(make_service(start=False, vm_dir="/proc/vm"))
    assert "cannot be written" in refused_start(make_service(start=False, images_dir="/proc/images"))
    assert "form-state" in refused_start(make_service(start=False, state_url="http://form-state:3004"))
    assert "admin_addresses" in refused_start(make_service(start=False, admin_addresses="0x12"))
    alive(running)


def test_databases_that_cannot_be_used(make_service):
    service = make_service()
    vm = service.create("web", start=False).json["id"]
    service.stop()
    database = service.folder / "state.db"
    shutil.copy(database, service.folder / "good.db")
    db = sqlite3.connect(database)
    db.execute("PRAGMA user_version=99")
    db.commit()
    db.close()
    assert "newer" in refused_start(service) or "layout 99" in refused_start(service)
    shutil.copy(service.folder / "good.db", database)
    db = sqlite3.connect(database)
    changed = db.execute("UPDATE kv SET value = json_set(value, '$.v', 99) WHERE key LIKE '/vms/%'").rowcount
    assert changed == 1
    db.commit()
    db.close()
    assert "schema version 99" in refused_start(service)
    for damage in (lambda raw: b"x" * len(raw), lambda raw: raw[: len(raw) // 2], lambda raw: raw[:4096] + os.urandom(len(raw) - 4096)):
        raw = (service.folder / "good.db").read_bytes()
        database.write_bytes(damage(raw))
        for other in ("-wal", "-shm"):
            pathlib.Path(str(database) + other).unlink(missing_ok=True)
        assert "vmm-service: " in refused_start(service)
    shutil.copy(service.folder / "good.db", database)
    service.start()
    assert service.vm(vm)["name"] == "web"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few MiB. To be named before make_service, so that it outlives the services that use it."""
    mounted = []

    def make(size):
        folder = tmp_path / f"small{len(mounted)}"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode != 0:
            pytest.skip("tmpfs cannot be mounted here")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 4096, 1):
            try:
                while os.write(filler, b"x" * size):
                    pass
            except OSError:
                pass
    finally:
        os.close(filler)


def test_a_full_disk_under_the_images(small_disk, make_service):
    images = small_disk("72m")
    os.symlink(IMAGES / "tiny", images / "tiny")
    service = make_service(images_dir=images)
    assert service.create("fits", start=False).status == 201
    fill(images)
    full = service.create("full", start=False)
    assert (full.status, full.code) == (503, "no-space") and full.headers["retry-after"], full
    assert "MiB" in full.json["detail"]
    report = service.raw("GET", "/health").json
    assert report["status"] in ("degraded", "unhealthy") and report["checks"]["images_dir"]["status"] != "healthy"
    os.unlink(images / "filler")
    # The service may just be reading the file, which is one in the folder of images, and let go of it a moment later.
    deadline = time.time() + 300
    while shutil.disk_usage(images).free < 65 << 20 and time.time() < deadline:
        time.sleep(0.01)
    assert service.create("again", start=False).status == 201
    assert len(service.disks()) == 2


def test_a_full_disk_under_the_state(small_disk, make_service):
    state = small_disk("2m")
    service = make_service(state_url=f"sqlite://{state}/state.db")
    vm = service.create("web", start=False).json["id"]
    fill(state)
    answers = [service.create(f"full-{i}", start=False, labels={f"l{j}": "x" * 200 for j in range(60)}) for i in range(20)]
    refused = [a for a in answers if a.status != 201]
    assert refused and all(a.status == 503 for a in refused), answers
    assert service.vm(vm)["status"] == "stopped", "reading goes on"
    assert service.process.poll() is None
    time.sleep(1.1)
    assert service.raw("GET", "/health").status == 503
    os.unlink(state / "filler")
    assert service.create("after").status == 201
    kept = {v["name"] for v in service.call("GET", "/vms").json["vms"]}
    service.restart()
    assert {v["name"] for v in service.call("GET", "/vms").json["vms"]} == kept


def test_a_full_disk_under_the_run_folder(small_disk, make_service):
    run = small_disk("256k")
    service = make_service(vm_dir=run / "vm")
    fill(run)
    answer = service.create()
    assert answer.status == 503, answer
    assert service.leftovers()["disks"] == [] and service.call("GET", "/vms").json["vms"] == []
    os.unlink(run / "filler")


def test_a_full_disk_under_the_seed(small_disk, make_service):
    run = small_disk("256k")
    service = make_service(vm_dir=run / "vm")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeKeyOfNobodyInParticular test@example"
    full = service.create("seeded", ssh_keys=[key])
    assert (full.status, full.code) == (503, "no-space") and "seed" in full.json["detail"], full
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []} and service.call("GET", "/vms").json["vms"] == []
    assert service.create("plain").status == 201, "what needs no seed starts"


def test_a_folder_that_stops_being_writable(small_disk, make_service):
    run = small_disk("16m")
    service = make_service(vm_dir=run)
    subprocess.run(["mount", "-o", "remount,ro", run], check=True)
    try:
        answer = service.create()
        assert answer.status == 503, answer
        report = service.raw("GET", "/health")
        assert report.status == 503 and report.json["checks"]["vm_dir"]["status"] == "unhealthy"
    finally:
        subprocess.run(["mount", "-o", "remount,rw", run], check=True)
    assert service.create().status == 201


def test_a_run_folder_with_a_long_path(make_service, tmp_path):
    service = make_service(vm_dir=tmp_path / ("x" * 120) / "vm")
    vm = service.create().json["id"]
    service.restart()
    assert service.call("POST", f"/vms/{vm}/pause").json["status"] == "paused"


def test_a_storm_of_everything_at_once(service):
    """Many callers, right and wrong, while a machine is started and stopped: no 500, and the record is true."""
    vm = service.create("web", start=False).json["id"]
    guest = Signer()

    def one(i):
        return [
            lambda: service.call("POST", f"/vms/{vm}/start"),
            lambda: service.call("POST", f"/vms/{vm}/stop", {"force": True}),
            lambda: service.call("POST", f"/vms/{vm}/pause"),
            lambda: service.call("POST", f"/vms/{vm}/resume"),
            lambda: service.call("GET", "/vms"),
            lambda: service.call("GET", "/vms", signer=guest),
            lambda: service.call("PATCH", f"/vms/{vm}", {"labels": {"i": str(i)}}),
            lambda: service.create(f"x{i}", vcpus=0),
        ][i % 8]()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(400)))
    assert not [a for a in answers if a.status >= 500], [a for a in answers if a.status >= 500][:3]
    service.settled_operations()
    record = service.vm(vm)["status"]
    assert (record in ("running", "paused")) == bool(service.leftovers()["processes"])
