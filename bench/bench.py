#!/usr/bin/env python3
"""Measures the service against floors and bare QEMU in one run, and writes docs/benchmarks.md. bench.py [--quick] [--storage | --access]"""
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
sys.path.insert(0, str(ROOT / "bench"))
import access  # noqa: E402
import storage  # noqa: E402
from support import BIN, IMAGES, Service, qemu_processes  # noqa: E402

QUICK = "--quick" in sys.argv
ONLY_STORAGE = "--storage" in sys.argv
ONLY_ACCESS = "--access" in sys.argv
MANIFEST = json.loads((IMAGES / "tiny/image.json").read_text())
rows = []


def say(text):
    print(text, flush=True)


def spread(values, unit="ms", digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f}) {unit}, n={len(values)}"


def record(what, ours, floor, result, goal, met):
    rows.append((what, ours, floor, result, goal, "yes" if met else "**no**"))
    say(f"{what}: {ours} | {floor} | {result} (goal {goal}) {'met' if met else 'NOT MET'}")


class Wire:
    """One kept-alive connection; requests are signed before the clock runs."""

    def __init__(self, service):
        self.service = service
        self.socket = socket.create_connection(("127.0.0.1", service.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def prepared(self, method, target, body=None):
        text = None if body is None else json.dumps(body).encode()
        headers = self.service.signed_headers(method, target, text)
        lines = [f"{method} {target} HTTP/1.1", "Host: x"] + [f"{k}: {v}" for k, v in headers.items()]
        if method != "GET":
            lines.append(f"Content-Length: {len(text or b'')}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + (text or b"")

    def send(self, raw):
        self.socket.sendall(raw)
        said = b""
        while b"\r\n\r\n" not in said:
            said += self.socket.recv(1 << 20)
        head, _, body = said.partition(b"\r\n\r\n")
        length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while length and len(body) < length[0]:
            body += self.socket.recv(1 << 20)
        return int(head.split(b" ")[1]), body

    def timed(self, raw, expect=(200, 201, 204)):
        began = time.perf_counter()
        status, body = self.send(raw)
        took = (time.perf_counter() - began) * 1000
        assert status in expect, (status, body[:300])
        return took, body


class BareQemu:
    """QEMU as one would start it by hand, for the same guest."""

    def __init__(self, paused):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bare-"))
        line = MANIFEST["command_line"] + f" tsc_early_khz={tsc_khz()}"
        arguments = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "microvm,acpi=on,pcie=on", "-accel", "tcg",
                     "-m", "128", "-kernel", IMAGES / "tiny/vmlinux", "-initrd", IMAGES / "tiny/initrd", "-append", line,
                     "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off", "-serial", f"file:{self.folder}/serial",
                     "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile=", "-device", "virtio-rng-pci"] + (["-S"] if paused else [])
        self.began = time.perf_counter()
        self.process = subprocess.Popen(list(map(str, arguments)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def until_qmp(self):
        while True:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(f"{self.folder}/qmp")
                break
            except OSError:
                client.close()
                time.sleep(0.0005)
        client.recv(4096)
        client.sendall(b'{"execute":"qmp_capabilities"}\n')
        client.recv(4096)
        took = (time.perf_counter() - self.began) * 1000
        client.close()
        return took

    def until_line(self):
        return wait_for_line(self.folder / "serial", self.began)

    def close(self):
        self.process.kill()
        self.process.wait()
        subprocess.run(["rm", "-rf", self.folder], check=True)


def wait_for_line(file, began, skip=0):
    while True:
        try:
            if b"BOOTED" in file.read_bytes()[skip:]:
                return (time.perf_counter() - began) * 1000
        except OSError:
            pass
        time.sleep(0.001)


_khz = None


def tsc_khz():
    global _khz
    if _khz is None:
        for line in open("/proc/cpuinfo"):
            if line.startswith("cpu MHz"):
                _khz = round(float(line.split(":")[1]) * 1000)
    return _khz


def start_and_boot(service):
    wire = Wire(service)
    vm = json.loads(wire.timed(wire.prepared("POST", "/vms", {"name": "bench", "start": False}))[1])["id"]
    calls, bare_calls, stops = [], [], []
    for _ in range(5 if QUICK else 15):
        bare = BareQemu(paused=True)
        bare_calls.append(bare.until_qmp())
        bare.close()
        start = wire.prepared("POST", f"/vms/{vm}/start", {})
        stop = wire.prepared("POST", f"/vms/{vm}/stop", {"force": True})
        calls.append(wire.timed(start)[0])
        stops.append(wire.timed(stop)[0])
        assert qemu_processes(service.config["vm_dir"]) == {}
    ratio = statistics.median(calls) / statistics.median(bare_calls)
    record("start call / bare QEMU spawn → QMP ready", spread(calls), spread(bare_calls), f"{ratio:.2f}×", "≤ 1.5×", ratio <= 1.5)
    record("forced stop, until QEMU is reaped", spread(stops), "–", f"{statistics.median(stops):.1f} ms", "≤ 20 ms", statistics.median(stops) <= 20)

    gaps, ours, floor = [], [], []
    log = service.vm_folder(vm) / "console.log"
    for _ in range(3 if QUICK else 15):
        bare = BareQemu(paused=False)
        floor.append(bare.until_line())
        bare.close()
        skip = log.stat().st_size if log.exists() else 0
        raw = wire.prepared("POST", f"/vms/{vm}/start", {})
        began = time.perf_counter()
        wire.timed(raw)
        ours.append(wait_for_line(log, began, skip))
        gaps.append(ours[-1] - floor[-1])
        wire.timed(wire.prepared("POST", f"/vms/{vm}/stop", {"force": True}))
    gap = statistics.median(gaps)
    record("cold first guest line over bare QEMU, paired", spread(ours, digits=0), spread(floor, digits=0), f"{gap:+.0f} ms", "≤ +60 ms", gap <= 60)

    wire.timed(wire.prepared("POST", f"/vms/{vm}/start", {}))
    service.wait_boot(vm)
    time.sleep(2)  # the guest comes to rest
    times = {"pause": [], "resume": []}
    count = 20 if QUICK else 100
    prepared = [(verb, wire.prepared("POST", f"/vms/{vm}/{verb}", {})) for _ in range(count) for verb in ("pause", "resume")]
    for verb, raw in prepared:
        times[verb].append(wire.timed(raw)[0])
    for verb, values in times.items():
        record(f"{verb} call", spread(values), "–", f"{statistics.median(values):.2f} ms", "≤ 1.0 ms", statistics.median(values) <= 1.0)
    wire.timed(wire.prepared("DELETE", f"/vms/{vm}?force=true"))


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_per_request(pid, port, raw, count):
    """Server CPU in microseconds a request, over two kept-alive connections in turn."""
    links = []
    for _ in range(2):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        links.append(link)
    size = None
    before = cpu_s(pid)
    for i in range(count):
        link = links[i % 2]
        link.sendall(raw)
        got = 0
        while size is None or got < size:
            part = link.recv(65536)
            got += len(part)
            if size is None and b"\r\n\r\n" in part:
                head = part.split(b"\r\n\r\n")[0]
                assert b" 200 " in head.split(b"\r\n")[0], part
                size = len(head) + 4 + int([l for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0].split(b":")[1])
    used = (cpu_s(pid) - before) * 1e6 / count
    for link in links:
        link.close()
    return used


def signed_get(service):
    vm = service.create("get", start=False).json["id"]
    raw = Wire(service).prepared("GET", f"/vms/{vm}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    floor = subprocess.Popen([BIN / "bench_floor", str(port)])
    time.sleep(0.3)
    count, rounds = (2000, 3) if QUICK else (8000, 7)
    ours, bare = [], []
    try:
        cpu_per_request(floor.pid, port, raw, 500)
        cpu_per_request(service.process.pid, service.port, raw, 500)
        for _ in range(rounds):
            bare.append(cpu_per_request(floor.pid, port, raw, count))
            ours.append(cpu_per_request(service.process.pid, service.port, raw, count))
    finally:
        floor.kill()
        floor.wait()
    ratio = statistics.median(ours) / statistics.median(bare)
    record("signed GET /vms/{id}, server CPU / bare Beast with one recovery", spread(ours, "µs", 1), spread(bare, "µs", 1), f"{ratio:.2f}×", "≤ 1.25×", ratio <= 1.25)
    service.call("DELETE", f"/vms/{vm}")


def a_thousand(service):
    wire = Wire(service)
    count = 200 if QUICK else 1000
    forks = lambda: int([l for l in open("/proc/stat") if l.startswith("processes")][0].split()[1])
    prepared = [wire.prepared("POST", "/vms", {"name": f"vm-{i}x", "start": False, "labels": {"n": str(i)}}) for i in range(100)]
    before = forks()
    creates = [wire.timed(raw)[0] for raw in prepared]
    spawned = forks() - before
    record("create, durable, without boot", spread(creates), "–", f"{statistics.median(creates):.2f} ms, {spawned} processes", "≤ 5 ms, none", statistics.median(creates) <= 5 and spawned == 0)
    for i in range(100, count):
        wire.timed(wire.prepared("POST", "/vms", {"name": f"vm-{i}x", "start": False, "labels": {"n": str(i)}}))
    lists = []
    for _ in range(15):
        took, body = wire.timed(wire.prepared("GET", "/vms?limit=1000"))
        lists.append(took)
    assert len(json.loads(body)["vms"]) == count
    record(f"one list of {count} machines with their state", spread(lists), "–", f"{statistics.median(lists):.2f} ms, {len(body) >> 10} KiB", "≤ 4 ms", statistics.median(lists) <= 4)
    rss = lambda: int([l for l in open(f"/proc/{service.process.pid}/status") if l.startswith("VmRSS")][0].split()[1]) / 1024
    after_work = rss()
    service.restart()
    Wire(service).timed(Wire(service).prepared("GET", "/vms?limit=1000"))
    value = max(after_work, rss())
    record(f"service memory with {count} defined machines", f"{after_work:.1f} MiB after defining them, {rss():.1f} MiB after a restart", "–", f"{value:.1f} MiB", "≤ 25 MiB", value <= 25)


def comeback(service):
    vms = [service.create(f"back-{i}").json["id"] for i in range(10)]
    for vm in vms:
        service.wait_boot(vm)
    times = []
    for round_number in range(3 if QUICK else 9):
        verb = "pause" if round_number % 2 == 0 else "resume"
        service.kill()
        requests = []
        fake = Wire.__new__(Wire)
        fake.service = service
        requests = [fake.prepared("POST", f"/vms/{vm}/{verb}", {}) for vm in vms]
        began = time.perf_counter()
        with open(service.log, "ab") as log:
            service.process = subprocess.Popen(service.command(), stderr=log, stdout=log, env=service.environment())
        while True:
            try:
                wire = Wire(service)
                break
            except OSError:
                time.sleep(0.0005)
        for raw in requests:
            wire.timed(raw)
        times.append((time.perf_counter() - began) * 1000)
    assert set(qemu_processes(service.config["vm_dir"])) == set(vms)
    record("kill -9 with 10 running machines, from spawn until all have taken a command", spread(times, digits=1), "–", f"{statistics.median(times):.0f} ms", "≤ 80 ms", statistics.median(times) <= 80)
    for vm in vms:
        service.call("DELETE", f"/vms/{vm}?force=true")


def write_report():
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    libvirt = subprocess.run(["which", "libvirtd"], capture_output=True).returncode == 0
    lines = [
        "# Benchmarks", "",
        "Written by `make bench`. Medians with (least–most); ratios are taken inside this one run. Clients are Python on the same cores, which is "
        "part of every time below.", "",
        f"Commit {commit}; {os.cpu_count()} cores ({platform.processor() or platform.machine()}), Linux {platform.release()}, {version}, accelerator tcg, "
        f"load at the end {os.getloadavg()[0]:.1f}.", "",
        "| what | this service | floor in the same run | result | goal | met |", "|---|---|---|---|---|---|",
        *["| " + " | ".join(row) + " |" for row in rows], "",
        "A side-by-side with libvirt is not part of this run" + (" although it is installed" if libvirt else ": it is not installed") +
        "; the goals above were set from measurements of libvirt 9.0 on a machine of the same kind.", "",
    ]
    (ROOT / "docs/benchmarks.md").write_text("\n".join(lines))


def networks():
    """In a process of its own, which lives in a network namespace of its own."""
    out = subprocess.run([sys.executable, str(ROOT / "bench/networks.py"), *(["--quick"] if QUICK else [])], stdout=subprocess.PIPE, text=True, check=True)
    for row in json.loads(out.stdout.splitlines()[-1]):
        record(*row[:5], row[5] == "yes")


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vmm-bench-"))
    service = Service(folder, max_vms=2000, log_level="info", api_workers=2)
    service.config["log_file"] = str(folder / "own.log")
    os.environ.pop("VMM_BIN", None)
    original = service.start

    def start(*arguments, **keywords):
        # The log goes to a file of its own, as in production.
        original(*arguments, **{**keywords, "wait": False})
        service.port = int(service.config["api_port"])
        deadline = time.time() + 30
        while time.time() < deadline:
            try:
                if service.raw("GET", "/health").status == 200:
                    return service
            except OSError:
                time.sleep(0.005)
        raise SystemExit("the service did not start: " + service.log.read_text())

    service.start = start
    try:
        service.start()
        if not ONLY_ACCESS:
            storage.run(service, folder, record, spread, MANIFEST["command_line"] + f" tsc_early_khz={tsc_khz()}", QUICK)
        if not ONLY_STORAGE:
            access.ledger(service, Wire(service), folder, record, QUICK)
            access.flood(folder, record, QUICK)
        if not ONLY_STORAGE and not ONLY_ACCESS:
            networks()
        if not ONLY_STORAGE and not ONLY_ACCESS:
            start_and_boot(service)
            signed_get(service)
            comeback(service)
            a_thousand(service)
    finally:
        service.close()
    if not QUICK and not ONLY_STORAGE and not ONLY_ACCESS:
        write_report()
        say("written: docs/benchmarks.md")


main()
