#!/usr/bin/python3
"""What networks and guests cost, each beside a floor of the same run. networks.py [--quick] [--debian]: prints a table in Markdown,
which bench.py takes into docs/benchmarks.md. A program of its own, because it lives in a network namespace of its own."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
import netns  # noqa: E402  first: everything below lives in its namespace

import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from support import BIN, Service, shell_in  # noqa: E402

QUICK = "--quick" in sys.argv
ROWS = []


def record(what, ours, floor, result, goal, met):
    ROWS.append((what, ours, floor, result, goal, "yes" if met else "**no**"))
    print(f"| {what} | {ours} | {floor} | {result} | {goal} | {'yes' if met else '**no**'} |", flush=True)


def start_cost():
    """The start call of one machine in a bridge network beside one in the user network, by turns."""
    service = Service(default_network="net0", log_level="info").start()
    try:
        vms = {"net0": service.create("bridged", start=False).json["id"],
               "user": service.create("plain", start=False, networks=[{"network": "user"}]).json["id"]}
        times = {"net0": [], "user": []}
        for _ in range(4 if QUICK else 20):
            for network, vm in vms.items():
                began = time.perf_counter()
                assert service.call("POST", f"/vms/{vm}/start").status == 200
                times[network].append((time.perf_counter() - began) * 1000)
                service.call("POST", f"/vms/{vm}/stop", {"force": True})
        pairs = [a - b for a, b in zip(times["net0"], times["user"])]
        added = statistics.median(pairs)
        record("interface ready: what a bridge network adds to a start call (tap, bridge port, rules, DHCP entry, seed of names), paired",
               f"{statistics.median(times['net0']):.1f} ms", f"{statistics.median(times['user']):.1f} ms in the user network",
               f"+{added:.1f} ms", "≤ +15 ms", added <= 15)
        vm = vms["net0"]
        service.call("POST", f"/vms/{vm}/start")
        service.wait_boot(vm)
        for _ in range(10 if QUICK else 50):
            shell_in(service, vm, "printf 'GET /latest/meta-data/instance-id HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | "
                                  "timeout 5 nc 169.254.169.254 80")
        took = [int(us) / 1000 for us in re.findall(r'route="/latest/meta-data/instance-id" status=200 us=(\d+)', service.log.read_text())]
        record("metadata: from a guest's request read to its answer made (the service's own log)", f"{statistics.median(took):.2f} ms", f"n={len(took)}",
               f"p99 {sorted(took)[int(len(took) * .99) - 1]:.2f} ms", "≤ 2 ms", statistics.median(took) <= 2)
    finally:
        service.close()
        for pid in netns.servers(service.config["vm_dir"]):
            os.kill(pid, signal.SIGKILL)
        for table in netns.tables():
            netns.run("nft", "delete", *table.split())
        subprocess.run(["ip", "link", "del", "net0"], check=False)


def rules_cost():
    times = [float(line) for line in netns.run(str(BIN / "bench_rules"), "200", "apply").split()]
    text = netns.run(str(BIN / "bench_rules"), "200")
    record("the rules of 200 machines, replaced in one transaction", f"{statistics.median(times):.1f} ms",
           f"{len(text.splitlines())} lines, {text.count(' chain ') + text.count(chr(9) + 'chain ')} chains",
           f"most {max(times):.1f} ms", "≤ 50 ms", statistics.median(times) <= 50)


class Pair:
    """Two hosts that stand for guests: their taps are veth devices named as the first two machines' are."""

    def __init__(self):
        netns.run("ip", "link", "add", "bench0", "type", "bridge")
        netns.run("ip", "addr", "add", "10.66.0.1/16", "dev", "bench0")
        netns.run("ip", "link", "set", "bench0", "address", "06:00:00:00:ff:01", "up")
        for key, value in {"ipv4/ip_forward": 1, "ipv4/conf/bench0/proxy_arp_pvlan": 1, "ipv4/conf/bench0/send_redirects": 0,
                           "ipv4/neigh/bench0/proxy_delay": 0}.items():
            pathlib.Path(f"/proc/sys/net/{key}").write_text(str(value))
        self.holders = []
        for i in range(2):
            holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
            self.holders.append(holder)
            while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
                time.sleep(0.01)
            tap, inside = f"v0000000000{i}00", ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
            netns.run("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
            netns.run("ip", "link", "set", tap, "master", "bench0", "up")
            netns.run("bridge", "link", "set", "dev", tap, "isolated", "on")
            netns.run(*inside, "ip", "link", "set", "eth0", "address", f"06:00:00:00:00:{i:02x}", "up")
            netns.run(*inside, "ip", "addr", "add", f"10.66.0.{i + 2}/16", "dev", "eth0")

    def rate(self, seconds):
        """Datagrams that go there and come back in a second, one after the other."""
        echo = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('10.66.0.3',9))\n"
                "while True:\n d,a=s.recvfrom(100);s.sendto(d,a)\n")
        ask = ("import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(1);n=0;u=time.time()+%f\n"
               "while time.time()<u:\n s.sendto(b'x',('10.66.0.3',9))\n try: s.recv(100);n+=1\n except OSError: pass\nprint(n)" % seconds)
        inside = [["nsenter", f"--net=/proc/{h.pid}/ns/net", sys.executable, "-c"] for h in self.holders]
        server = subprocess.Popen(inside[1] + [echo])
        time.sleep(0.3)
        try:
            return int(netns.run(*inside[0], ask)) / seconds
        finally:
            server.kill()
            server.wait()

    def close(self):
        for holder in self.holders:
            holder.kill()
            holder.wait()
        netns.run("ip", "link", "del", "bench0")


def packet_cost():
    pair = Pair()
    try:
        rates = {2: [], 1000: []}
        for _ in range(2 if QUICK else 7):
            for count, got in rates.items():
                subprocess.run(["nft", "-f", "-"], input=netns.run(str(BIN / "bench_rules"), str(count)), text=True, check=True)
                got.append(pair.rate(0.5 if QUICK else 1.5))
        assert min(rates[2]) > 100, rates
        ratio = statistics.median(rates[2]) / statistics.median(rates[1000])
        record("a datagram from one machine to another and back, among 1,000 machines", f"{statistics.median(rates[1000]):.0f} a second",
               f"{statistics.median(rates[2]):.0f} a second among 2", f"{ratio:.2f}×", "≤ 1.1× the time", ratio <= 1.1)
    finally:
        pair.close()
        for table in netns.tables():
            netns.run("nft", "delete", *table.split())


def first_post(listener, result):
    """Answers what comes, and says when the first report did."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            if b"POST" in connection.recv(4096):
                result.append(time.perf_counter())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def debian():
    """The Debian image from its start to its report, by the service and by hand: same QEMU, same arguments, same seed."""
    with tempfile.TemporaryDirectory() as folder:
        images = pathlib.Path(folder)
        os.symlink(ROOT / "build/guest-images/tiny", images / "tiny")
        subprocess.run(["cp", "--reflink=auto", str(ROOT / "build/images/debian-12.qcow2"), str(images)], check=True)
        service = Service(images_dir=images, log_level="info").start()
        try:
            ours, bare = [], []
            for turn in range(1 if QUICK else 3):
                vm = service.create(f"debian{turn}", image="debian-12", memory_mib=512, start=False).json["id"]
                disk = images / ".machines"
                fresh = [p for p in disk.rglob(f"{vm}*") if p.is_file()][0]
                copy = images / f"hand{turn}.qcow2"
                subprocess.run(["cp", str(fresh), str(copy)], check=True)
                began = time.perf_counter()
                service.call("POST", f"/vms/{vm}/start")
                seed = (service.vm_folder(vm) / "seed.iso").read_bytes()
                pid = next(p for i, p in __import__("support").qemu_processes(service.config["vm_dir"]).items() if i == vm)
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
                service.wait_boot(vm, 300)
                ours.append(time.perf_counter() - began)
                service.call("DELETE", f"/vms/{vm}?force=true")
                bare.append(by_hand(images, argv, seed, str(service.port), str(fresh), str(copy)))
            ratio = statistics.median(ours) / statistics.median(bare)
            record("Debian 12 from start to its report", f"{statistics.median(ours):.1f} s", f"{statistics.median(bare):.1f} s started by hand with the same seed",
                   f"{ratio:.2f}×", "≤ 1.1×", ratio <= 1.1)
        finally:
            service.close()


def by_hand(folder, argv, seed, port, disk, copy):
    listener = socket.create_server(("127.0.0.1", 0))
    while len(str(listener.getsockname()[1])) != len(port):
        listener = socket.create_server(("127.0.0.1", 0))
    theirs = str(listener.getsockname()[1])
    medium = folder / "hand.iso"
    medium.write_bytes(seed.replace(f":{port}/".encode(), f":{theirs}/".encode()))
    drop, words = {"-S", "-sandbox"}, []
    skip = False
    for word in argv[1:]:
        if skip or word in drop:
            skip = word == "-sandbox"
            continue
        word = re.sub(r"fd=\d+,server=on", f"path={folder}/hand.%d.sock,server=on" % len(words), word)
        words.append(word.replace(disk, copy).replace(str(pathlib.Path(argv[argv.index("-name") + 1])), "hand"))
    words = [re.sub(r'"filename":"[^"]*seed.iso"', f'"filename":"{medium}"', word) for word in words]
    result = []
    threading.Thread(target=first_post, args=(listener, result), daemon=True).start()
    began = time.perf_counter()
    process = subprocess.Popen([argv[0], *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not result and time.perf_counter() - began < 300 and process.poll() is None:
            time.sleep(0.01)
        assert result, "the machine by hand did not report"
        return result[0] - began
    finally:
        process.kill()
        process.wait()
        listener.close()


if __name__ == "__main__":
    rules_cost()
    packet_cost()
    start_cost()
    debian()
    print(json.dumps(ROWS))
