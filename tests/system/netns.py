"""A network namespace of this process' own, and a host outside of it, for tests of networks. Import it before anything starts:
the service, its guests' taps and every program run from here live in it, and all of it goes with the last process."""
import ctypes
import os
import pathlib
import subprocess
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() == 0 and _libc.unshare(CLONE_NEWNET) != 0:
    raise OSError(ctypes.get_errno(), "unshare")

UPLINK, HOST, OUTSIDE = "up0", "203.0.113.1", "203.0.113.2"


def run(*command, check=True, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


run("ip", "link", "set", "lo", "up")
# As on a host without br_netfilter: with it, what bridges carry is filtered twice (docs/networking.md).
for key in ("iptables", "ip6tables"):
    if (switch := pathlib.Path(f"/proc/sys/net/bridge/bridge-nf-call-{key}")).exists():
        switch.write_text("0")


class Outside:
    """Another host, reached over the interface up0."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        mine = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino == mine:
            time.sleep(0.01)
        run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "addr", "add", f"{HOST}/24", "dev", UPLINK)
        run("ip", "addr", "add", "2001:db8::1/64", "dev", UPLINK, "nodad")
        run("ip", "link", "set", UPLINK, "up")
        run("ip", "route", "add", "default", "via", OUTSIDE)
        run("ip", "-6", "route", "add", "default", "via", "2001:db8::2")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")
        self.run("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")

    def command(self, *command):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *command]

    def run(self, *command, **kwargs):
        return run(*self.command(*command), **kwargs)

    def serve(self, *command):
        return subprocess.Popen(self.command(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.holder.kill()
        self.holder.wait()


def links():
    return {line.split(":")[1].strip().split("@")[0] for line in run("ip", "-o", "link").splitlines()}


def tables():
    return run("nft", "list", "tables").split("\n")[:-1]


def servers(vm_dir):
    """The dnsmasq processes of the service with this vm_dir."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"dnsmasq\0") and f"{vm_dir}/networks/".encode() in line:
                found.append(int(entry.name))
    return found
