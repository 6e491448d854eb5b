"""Images and disks against floors in the same run; part of bench.py."""
import hashlib
import os
import pathlib
import socket
import statistics
import subprocess
import time

from support import BIN, IMAGES, console, message_of, timestamp_now

DEBIAN = pathlib.Path(IMAGES).parent / "images" / "debian-12.qcow2"


def timed(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def shell(command):
    subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def mib_s(size, seconds):
    return f"{size / seconds / (1 << 20):.0f} MiB/s"


def root_disks(folder, record, spread, quick):
    base = folder / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "2G"], check=True)
    out = subprocess.run([BIN / "bench_disk", folder, base, "20" if quick else "300"], check=True, capture_output=True, text=True).stdout
    ours = [float(line) for line in out.split()]
    floor = []
    for i in range(5 if quick else 30):
        floor.append(timed(lambda: subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", folder / f"o{i}.qcow2", "10G"], check=True)) * 1000)
    record("a machine's root disk, durable / qemu-img create", spread(ours), spread(floor), f"{statistics.median(ours):.2f} ms, no process", "≤ 1 ms", statistics.median(ours) <= 1)


def upload_head(service, name, sha256, size, expect=False):
    target, timestamp = f"/images?name={name}", timestamp_now()
    signature, recovery = service.admin.sign(message_of("POST", target, timestamp, sha256))
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"X-Signature: {signature.hex()}", f"X-Recovery-ID: {recovery}", f"X-Timestamp: {timestamp}",
             f"X-Content-SHA256: {sha256}", "Content-Type: application/octet-stream", f"Content-Length: {size}"]
    return ("\r\n".join(lines + (["Expect: 100-continue"] if expect else [])) + "\r\n\r\n").encode()


def send(service, head, file=None):
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(head)
        if file:
            client.sendfile(file)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 201"), answer[:300]


def peak_kib(pid):
    return int([line for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM")][0].split()[1])


def uploads(service, folder, record, quick):
    size = (128 if quick else 1024) << 20
    ours, floors, growth = [], [], []
    file, copy = folder / "upload.raw", folder / "copy.raw"
    for i in range(2 if quick else 5):
        hasher = hashlib.sha256()
        with open(file, "wb") as out:
            for _ in range(size >> 20):
                block = os.urandom(1 << 20)
                hasher.update(block)
                out.write(block)
        sha256 = hasher.hexdigest()
        os.sync()
        floors.append(timed(lambda: shell(f"cat {file} | tee {copy} | sha256sum && sync {copy}")))
        copy.unlink()
        os.sync()
        open(f"/proc/{service.process.pid}/clear_refs", "w").write("5")
        before = peak_kib(service.process.pid)
        head = upload_head(service, f"upload-{i}", sha256, size)
        with open(file, "rb") as source:
            ours.append(timed(lambda: send(service, head, source)))
        growth.append((peak_kib(service.process.pid) - before) / 1024)
        known = [timed(lambda n=n: send(service, upload_head(service, f"known-{i}-{n}", sha256, size, expect=True))) * 1000 for n in range(10)]
        for n in range(10):
            service.call("DELETE", f"/images/known-{i}-{n}")
        service.call("DELETE", f"/images/upload-{i}")
    file.unlink()
    best, floor = statistics.median(ours), statistics.median(floors)
    record(f"upload of {size >> 20} MiB, durable / cat, SHA-256 and sync to the same disk", mib_s(size, best), mib_s(size, floor), f"{100 * floor / best:.0f} %", "≥ 80 %", floor / best >= 0.8)
    record("growth of the service's memory during it", f"{max(growth):.1f} MiB at the most", "–", f"{max(growth):.1f} MiB", "≤ 8 MiB", max(growth) <= 8)
    record("import of an image that is here", f"{statistics.median(known):.2f} ms, n=10", "–", f"{statistics.median(known):.2f} ms", "≤ 5 ms", statistics.median(known) <= 5)


def forms(folder, record, quick):
    raw = folder / "debian.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", DEBIAN, raw], check=True)
    # Both sides know of its holes.
    whole = folder / "whole.raw"
    subprocess.run(["cp", "--sparse=always", raw, whole], check=True)
    size = whole.stat().st_blocks * 512
    form, tar = folder / "debian.form", folder / "debian.tar.zst"
    out = folder / "out"
    out.mkdir()
    pack, unpack, floor_pack, floor_unpack = [], [], [], []
    for _ in range(2 if quick else 5):
        floor_pack.append(timed(lambda: shell(f"tar -C {folder} -cSf - whole.raw | zstd -q -f -T0 -o {tar} && sync {tar}")))
        pack.append(timed(lambda: subprocess.run([BIN / "vmctl", "image", "pack", form, "--name", "debian", "--disk", whole], check=True, capture_output=True)))
        floor_unpack.append(timed(lambda: shell(f"zstd -q -dc {tar} | tar -C {out} -xSf - && sync {out}/whole.raw")))
        (out / "whole.raw").unlink()
        unpack.append(timed(lambda: subprocess.run([BIN / "vmctl", "image", "unpack", form, out], check=True, capture_output=True)))
        (out / "disk").unlink()
    for what, ours, floor in (("pack", pack, floor_pack), ("unpack, every chunk verified", unpack, floor_unpack)):
        ratio = statistics.median(ours) / statistics.median(floor)
        record(f".form {what} / tar -S and zstd -T0 of the same {size >> 20} MiB", mib_s(size, statistics.median(ours)), mib_s(size, statistics.median(floor)), f"{ratio:.2f}×", "≤ 1.2×", ratio <= 1.2)
    say_sizes = f"{form.stat().st_size >> 20} MiB", f"{tar.stat().st_size >> 20} MiB"
    record("size of that .form / of that archive", *say_sizes, f"{form.stat().st_size / tar.stat().st_size:.2f}×", "–", True)


class Hand:
    """The tiny guest on a disk that qemu-img made, started as one would by hand."""

    def __init__(self, folder, command_line):
        self.disk = folder / "hand.qcow2"
        self.disk.unlink(missing_ok=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.disk, "10G"], check=True)
        self.socket = folder / "hand.sock"
        self.process = subprocess.Popen(list(map(str, [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "microvm,acpi=on,pcie=on", "-accel", "tcg", "-m", "128",
            "-kernel", IMAGES / "tiny/vmlinux", "-initrd", IMAGES / "tiny/initrd", "-append", command_line,
            "-chardev", f"socket,id=c,path={self.socket},server=on,wait=off,logfile={folder}/hand.log", "-serial", "chardev:c",
            "-drive", f"file={self.disk},if=none,id=d,cache=writeback,discard=unmap", "-device", "virtio-blk-pci,drive=d", "-device", "virtio-rng-pci"])))
        self.log = folder / "hand.log"

    def vm_folder(self, _):
        return self

    def __truediv__(self, name):
        return self.socket

    def close(self):
        self.process.kill()
        self.process.wait()


def guest_writes(service, folder, record, command_line, quick):
    count = 64 if quick else 512
    command = f"dd if=/dev/zero of=/dev/vda bs=1048576 count={count} conv=fsync 2>/dev/null; echo do''ne"

    def once(host, vm):
        return timed(lambda: console(host, vm, command, b"done", timeout=120))
    vm = service.create("writer", disk_gib=10).json["id"]
    service.wait_boot(vm)
    hand = Hand(folder, command_line)
    try:
        while not (hand.log.exists() and b"BOOTED" in hand.log.read_bytes()):
            time.sleep(0.05)
        time.sleep(1)
        ours, floor = [], []
        for _ in range(2 if quick else 9):
            floor.append(once(hand, vm))
            ours.append(once(service, vm))
    finally:
        hand.close()
        service.call("DELETE", f"/vms/{vm}?force=true")
    ratio = statistics.median(floor) / statistics.median(ours)
    record(f"guest writes {count} MiB in sequence and syncs / on a disk of qemu-img's, QEMU started by hand", mib_s(count << 20, statistics.median(ours)),
           mib_s(count << 20, statistics.median(floor)), f"{100 * ratio:.0f} %", "≥ 90 %", ratio >= 0.9)


def run(service, folder, record, spread, command_line, quick):
    root_disks(folder, record, spread, quick)
    uploads(service, folder, record, quick)
    forms(folder, record, quick)
    guest_writes(service, folder, record, command_line, quick)
