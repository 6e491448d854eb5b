"""Who reaches whom: two owners and three machines on a bridge, a host outside, guests that speak as somebody else, and the rules
that come back when they are taken away. In a network namespace of this process' own."""
import netns  # first: everything below lives in its namespace

import json
import os
import socket
import subprocess
import threading
import time

import pytest
from support import Service, Signer, eventually, shell_in

OUTSIDE = netns.OUTSIDE


class Stage:
    """Alice's machines a1 and a2, Bob's machine b1, and a web server in each."""

    def __init__(self, **config):
        self.outside = netns.Outside()
        self.service = Service(default_network="net0", publish_address="0.0.0.0", **config)
        self.service.folder.chmod(0o711)  # so that the DHCP server can run as its own user
        self.people, self.vms = {}, {}

    def set_up(self):
        self.service.start()
        for name in ("a1", "a2", "b1"):
            self.add(name)
        for name in self.vms:
            self.service.wait_boot(self.vms[name]["id"])
            six = self.address(name, 6)
            ready = f"until ip -6 addr show eth0 | grep {six} | grep -qv tentative; do sleep 0.2; done"
            servers = f"httpd -h /www -p 0.0.0.0:80; httpd -h /www -p 0.0.0.0:8080; httpd -h /www -p [{six}]:80"
            assert self.sh(name, f"mkdir -p /www && echo {name} >/www/index.html && {ready}; {servers}", timeout_s=60)[0] == 0
        return self

    def add(self, name, **fields):
        owner = self.people.setdefault(name[0], Signer())
        self.service.call("PUT", f"/accounts/{owner.address}", {})
        made = self.service.create(name, signer=owner, **fields)
        assert made.status == 201, made
        self.vms[name] = made.json
        return made.json

    def close(self):
        self.service.close()
        for pid in netns.servers(self.service.config["vm_dir"]):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        self.outside.close()
        for table in netns.tables():
            netns.run("nft", "delete", *table.split())
        for link in netns.links() - {"lo"}:
            subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)

    def sh(self, name, script, **kwargs):
        return shell_in(self.service, self.vms[name]["id"], script, **kwargs)

    def address(self, name, version=4):
        return self.vms[name]["interfaces"][0]["addresses"][0 if version == 4 else 1]

    def gets(self, name, url):
        """Whether a machine gets an answer over TCP."""
        host, _, port = url.rpartition(":")
        host = host.strip("[]")
        status, said = self.sh(name, f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 3 nc -w 2 {host} {port}")
        return "200 OK" in said

    def pings(self, name, address):
        return self.sh(name, f"ping -c 1 -W 2 {address} >/dev/null")[0] == 0

    def reaches(self, name, address):
        return eventually(lambda: self.pings(name, address))

    def is_served(self, name, url):
        return eventually(lambda: self.gets(name, url))

    def spoofed(self):
        table = [t for t in netns.tables() if " bridge " in t][0].split()[-1]
        found = json.loads(netns.run("nft", "-j", "list", "counter", "bridge", table, "spoofed"))
        return [c["counter"]["packets"] for c in found["nftables"] if "counter" in c][0]

    def firewall(self, name, **rules):
        answer = self.service.call("PUT", f"/vms/{self.vms[name]['id']}/firewall", rules, self.people[name[0]])
        assert answer.status == 200, answer


@pytest.fixture(scope="module")
def stage():
    made = Stage()
    try:
        yield made.set_up()
    finally:
        # However far it came: what a test leaves running is a defect.
        made.close()


def test_the_dhcp_servers_do_not_run_as_root(stage):
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in netns.servers(stage.service.config["vm_dir"])}
    assert owners and 0 not in owners


def test_machines_of_one_owner_reach_each_other_by_address_and_name(stage):
    assert stage.reaches("a1", stage.address("a2")) and stage.is_served("a1", stage.address("a2") + ":80")
    assert stage.is_served("a1", f"[{stage.address('a2', 6)}]:80"), "over IPv6"
    status, said = stage.sh("a1", "nslookup a2.vm.internal")
    assert stage.address("a2") in said and stage.address("a2", 6) in said, said
    assert "a2.vm.internal" in stage.sh("a1", f"nslookup {stage.address('a2')}")[1]


def test_machines_of_different_owners_do_not(stage):
    for version in (4, 6):
        assert not stage.pings("a1", stage.address("b1", version)) and not stage.pings("b1", stage.address("a2", version))
    assert not stage.gets("a1", stage.address("b1") + ":80")
    assert stage.address("a2") not in stage.sh("b1", "nslookup a2.vm.internal")[1]
    assert "a2.vm.internal" not in stage.sh("b1", f"nslookup {stage.address('a2')}")[1]
    # Nor do they hear each other's broadcasts: the neighbour that a guest sees is the host, whatever it asks for.
    stage.sh("b1", f"ping -c 1 -W 1 {stage.address('a1')}")
    neighbours = stage.sh("b1", "ip neigh")[1]
    for line in neighbours.splitlines():
        if stage.address("a1") in line and "lladdr" in line:
            assert stage.vms["a1"]["interfaces"][0]["mac"] not in line


def test_machines_reach_outside_and_outside_does_not_reach_them(stage):
    assert stage.reaches("a1", OUTSIDE) and stage.reaches("b1", "2001:db8::2")
    server = stage.outside.serve("python3", "-m", "http.server", "8000", "--bind", OUTSIDE)
    try:
        assert stage.is_served("a1", f"{OUTSIDE}:8000")
    finally:
        server.kill()
        server.wait()
    stage.outside.run("ip", "route", "replace", "10.201.0.0/16", "via", netns.HOST)
    assert stage.outside.run("sh", "-c", f"ping -c 1 -W 1 {stage.address('a1')} >/dev/null && echo yes || echo no").strip() == "no"


def test_a_guest_cannot_speak_as_another(stage):
    other, own = stage.address("a2"), stage.address("b1")
    before = stage.spoofed()
    stage.sh("b1", f"ip addr add {other}/24 dev eth0; ping -c 2 -W 1 -I {other} {OUTSIDE}; ip addr del {other}/24 dev eth0")
    after_ip = stage.spoofed()
    assert after_ip > before, "packets with another's IP address"
    stage.sh("b1", f"arping -c 2 -w 2 -U -s {other} -I eth0 {other}; ip addr add {other}/24 dev eth0; "
                   f"arping -c 2 -w 2 -U -s {other} -I eth0 {other}; ip addr del {other}/24 dev eth0")
    after_arp = stage.spoofed()
    assert after_arp > after_ip, "ARP for another's IP address"
    stage.sh("b1", "ip addr add fe80::bad/64 dev eth0 nodad; ping -6 -c 2 -W 1 -I fe80::bad%eth0 fe80::1%eth0; "
                   "ping -6 -c 2 -W 1 -I eth0 -S fe80::bad fe80::1; ip addr del fe80::bad/64 dev eth0")
    # With another's MAC nothing gets out, and the host's view of the other stays.
    mac = stage.vms["a2"]["interfaces"][0]["mac"]
    stage.sh("b1", f"ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; ip addr add {own}/24 dev eth0; "
                   f"ip route add default via 10.201.0.1; ping -c 2 -W 1 {OUTSIDE}; ip link set eth0 down; "
                   f"ip link set eth0 address {stage.vms['b1']['interfaces'][0]['mac']}; ip link set eth0 up; "
                   "ip addr flush dev eth0; udhcpc -i eth0 -n -q -s /etc/udhcpc.sh")
    assert stage.spoofed() > after_arp, "frames with another's MAC"
    assert stage.is_served("a1", other + ":80"), "the machine that was impersonated is reached all the same"
    assert stage.reaches("b1", OUTSIDE), "as itself the guest speaks again"


def test_dhcp_gives_each_its_own_and_cannot_be_exhausted(stage):
    own = stage.address("b1")
    # Requests for fifty other clients, as a starving guest sends them: the client's address stands in the message, too.
    stage.sh("b1", "for i in $(seq 10 29); do udhcpc -i eth0 -n -q -t 1 -T 1 -x 0x3d:01aabbccdd00$i -s /bin/true & done; wait", timeout_s=60)
    leases = (stage.service.vm_folder("").parent / "vm/networks/net0/leases").read_text()
    assert len([line for line in leases.splitlines() if line.split()[2:3] and line.split()[2].startswith("10.")]) <= 3, leases
    assert own in stage.sh("b1", "udhcpc -i eth0 -n -q -s /etc/udhcpc.sh; ip -4 addr show eth0")[1]
    assert stage.reaches("a1", stage.address("a2"))


def test_a_machines_own_rules(stage):
    target = stage.address("a2")
    stage.firewall("a2", inbound=[{"action": "allow", "protocol": "tcp", "ports": "80"}], inbound_default="deny")
    assert stage.is_served("a1", target + ":80") and not stage.gets("a1", target + ":8080") and not stage.pings("a1", target)
    stage.firewall("a2", inbound=[{"action": "deny", "protocol": "tcp", "ports": "80-90", "peer": stage.address("a1") + "/32"}])
    assert not stage.gets("a1", target + ":80") and stage.is_served("a1", target + ":8080") and stage.reaches("a1", target)
    stage.firewall("a2")
    stage.firewall("a1", outbound=[{"action": "deny", "protocol": "icmp"}])
    assert not stage.pings("a1", OUTSIDE) and stage.is_served("a1", target + ":80")
    # What an owner allows does not open what the host forbids.
    stage.firewall("a1", inbound=[{"action": "allow"}])
    assert not stage.pings("b1", stage.address("a1"))
    stage.firewall("a1")
    assert stage.reaches("a1", OUTSIDE)


def fetch(host, port, limit=60):
    with socket.create_connection((host, port), timeout=limit) as connection:
        connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        said = b""
        while part := connection.recv(4096):
            said += part
    return said.decode()


def test_published_ports(stage):
    service, vm, owner = stage.service, stage.vms["a1"]["id"], stage.people["a"]
    made = service.call("POST", f"/vms/{vm}/ports", {"host_port": 18080, "guest_port": 80}, owner)
    assert made.status == 201 and made.json["host_address"] == "0.0.0.0", made
    assert fetch("127.0.0.1", 18080).endswith("a1\n") and fetch(netns.HOST, 18080).endswith("a1\n"), "from the host itself"
    assert stage.outside.run("curl", "-s", "-m", "60", f"http://{netns.HOST}:18080/index.html") == "a1\n"
    assert stage.is_served("b1", f"{netns.HOST}:18080"), "published is published to all"
    refused = service.call("POST", f"/vms/{stage.vms['b1']['id']}/ports", {"host_port": 18080, "guest_port": 80}, stage.people["b"])
    assert (refused.status, refused.code, refused.json["field"]) == (409, "port-taken", "host_port")
    with socket.create_server(("0.0.0.0", 18081)):
        refused = service.call("POST", f"/vms/{vm}/ports", {"host_port": 18081, "guest_port": 80}, owner)
        assert (refused.status, refused.code) == (409, "port-taken"), "a program of the host's has it"
    # Under a deny by default it stays open: who publishes means it.
    stage.firewall("a1", inbound_default="deny")
    assert fetch("127.0.0.1", 18080).endswith("a1\n")
    stage.firewall("a1")
    assert service.call("DELETE", f"/vms/{vm}/ports/18080", None, owner).status == 204
    with pytest.raises(OSError):
        fetch("127.0.0.1", 18080, 2)
    assert service.call("DELETE", f"/vms/{vm}/ports/18080", None, owner).status == 404


def test_bandwidth_limits(stage):
    vm, owner = stage.vms["a1"]["id"], stage.people["a"]
    stage.sh("a1", "dd if=/dev/urandom of=/www/big bs=1k count=1500 2>/dev/null")

    def seconds(direction):
        began = time.time()
        if direction == "up":
            stage.outside.run("ip", "route", "replace", "10.201.0.0/16", "via", netns.HOST)
            with socket.create_connection((stage.address("a1"), 80), timeout=60) as connection:
                connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
                got = 0
                while part := connection.recv(65536):
                    got += len(part)
            assert got > 1500 * 1024
        else:
            with socket.create_server((gateway(stage), 18099)) as listener:
                thread = threading.Thread(
                    target=lambda: stage.sh("a1", f"nc {gateway(stage)} 18099 </dev/null >/dev/null", timeout_s=60))
                thread.start()
                connection, _ = listener.accept()
                began = time.time()
                with connection:
                    connection.sendall(b"\0" * 1500 * 1024)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(60)
                    connection.recv(1)
                thread.join()
        return time.time() - began

    changed = stage.service.call("PATCH", f"/vms/{vm}/interfaces/nic0", {"up_mbps": 4, "down_mbps": 4}, owner)
    assert changed.status == 200 and changed.json["up_mbps"] == 4, changed
    limited = {d: seconds(d) for d in ("up", "down")}
    # 1.5 MB at 4 Mbit/s take three seconds; a burst of 50 ms comes on top of the rate.
    assert min(limited.values()) > 2, limited
    assert stage.service.call("PATCH", f"/vms/{vm}/interfaces/nic0", {"up_mbps": 0, "down_mbps": 0}, owner).status == 200
    for direction in ("up", "down"):
        assert eventually(lambda: 2 * seconds(direction) < limited[direction])


def gateway(stage):
    return stage.service.call("GET", "/networks/net0").json["gateway"]


def rules():
    """All rules, but for counts and the order in which sets list their elements."""
    found = json.loads(netns.run("nft", "-j", "list", "ruleset"))["nftables"]
    return sum("rule" in item for item in found), sum(len(item["map"].get("elem", [])) for item in found if "map" in item)


def test_rules_come_back_when_somebody_removes_them_and_others_stay(stage):
    netns.run("nft", "add", "table", "inet", "others")
    netns.run("nft", "add", "chain", "inet", "others", "mine")
    before = rules()
    for table in [t for t in netns.tables() if "vmm_" in t]:
        netns.run("nft", "delete", *table.split())
    eventually(lambda: rules() == before)
    assert not stage.pings("a1", stage.address("b1")) and stage.reaches("a1", stage.address("a2"))
    assert "table inet others" in netns.tables()
    # The bridge, too, with the machines that hang on it.
    netns.run("ip", "link", "del", "net0")
    assert eventually(lambda: stage.pings("a1", stage.address("a2")) and stage.pings("a1", OUTSIDE))
    netns.run("nft", "delete", "table", "inet", "others")


def test_an_owner_change_moves_the_walls(stage):
    vm, alice, bob = stage.vms["a2"]["id"], stage.people["a"], stage.people["b"]
    assert stage.service.call("POST", f"/vms/{vm}/transfer", {"to": bob.address}, alice).status == 200
    assert stage.service.call("POST", f"/vms/{vm}/transfer/accept", {}, bob).status == 200
    eventually(lambda: not stage.pings("a1", stage.address("a2")))
    assert stage.reaches("b1", stage.address("a2"))
    assert stage.service.call("POST", f"/vms/{vm}/transfer", {"to": alice.address}, bob).status == 200
    assert stage.service.call("POST", f"/vms/{vm}/transfer/accept", {}, alice).status == 200


def test_the_service_comes_back_and_nothing_was_interrupted(stage):
    stage.service.restart()
    assert stage.reaches("a1", stage.address("a2")) and not stage.pings("a1", stage.address("b1"))
    assert len(netns.servers(stage.service.config["vm_dir"])) == 2, "one DHCP server and one resolver, not the ones of before"
    for name in ("a1", "b1"):
        assert stage.service.vm(stage.vms[name]["id"])["interfaces"] == stage.vms[name]["interfaces"]


def test_everything_goes_with_the_machine(stage):
    tap = stage.vms["b1"]["id"][-12:]
    assert any(tap in name for name in netns.links())
    assert stage.service.call("DELETE", f"/vms/{stage.vms['b1']['id']}?force=true", None, stage.people["b"]).status == 204
    deadline = time.time() + 300
    while tap in netns.run("nft", "list", "ruleset") and time.time() < deadline:
        time.sleep(0.05)
    assert tap not in netns.run("nft", "list", "ruleset") and not any(tap in name for name in netns.links())
    assert stage.address("b1") not in netns.run("ip", "neigh"), "nor is its address pinned any more"
