"""Networks as administrators make them and machines use them: kinds, addresses for life, hot-plug, what is refused, and what is
left behind. In a network namespace of this process' own."""
import netns  # first: everything below lives in its namespace

import json
import os
import signal
import subprocess
import time

import pytest
from mesh import Mesh
from support import Service, Signer, eventually, shell_in


def clean(service):
    service.close()
    for pid in netns.servers(service.config["vm_dir"]):
        os.kill(pid, signal.SIGKILL)
    for table in netns.tables():
        netns.run("nft", "delete", *table.split())
    for link in netns.links() - {"lo", netns.UPLINK}:
        subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)


@pytest.fixture
def service():
    made = Service()
    try:
        yield made.start()
    finally:
        clean(made)


def network(service, **fields):
    made = service.call("POST", "/networks", fields)
    assert made.status == 201, made
    return made.json


def test_without_networks_the_host_is_left_alone(service):
    service.create("plain")
    assert netns.links() == {"lo"} and not netns.tables() and not netns.servers(service.config["vm_dir"])
    assert [n["name"] for n in service.call("GET", "/networks").json["networks"]] == ["user"]


def test_a_network_is_made_used_and_removed(service):
    made = network(service, name="lab", ipv4="10.77.0.0/28", ipv6="fd77:1:2:3::/64", mtu=1400)
    assert made["gateway"] == "10.77.0.1" and made["pool"] == "10.77.0.2-10.77.0.14" and made["status"] == "ready"
    assert "lab" in netns.links() and len(netns.servers(service.config["vm_dir"])) == 2
    vm = service.create("one", networks=[{"network": "lab", "address": "10.77.0.9"}]).json
    assert vm["interfaces"][0]["addresses"][0] == "10.77.0.9"
    service.wait_boot(vm["id"])
    said = shell_in(service, vm["id"], "ip addr show eth0; cat /sys/class/net/eth0/mtu; hostname")[1]
    assert "10.77.0.9/28" in said and "1400" in said and "one" in said
    in_use = service.call("DELETE", "/networks/lab")
    assert (in_use.status, in_use.code) == (409, "network-in-use")
    servers = netns.servers(service.config["vm_dir"])
    assert service.call("DELETE", f"/vms/{vm['id']}?force=true").status == 204
    time.sleep(0.2)
    assert netns.servers(service.config["vm_dir"]) == servers, "they outlive the machines that they have served"
    assert service.call("DELETE", "/networks/lab").status == 204
    assert eventually(lambda: netns.links() == {"lo"} and not netns.tables() and not netns.servers(service.config["vm_dir"]))
    assert service.call("GET", "/networks/lab").status == 404


def test_an_address_for_life(service):
    network(service, name="lab")
    vm = service.create("one", networks=[{"network": "lab"}]).json
    service.wait_boot(vm["id"])
    life = vm["interfaces"]
    assert service.vm(vm["id"])["addresses"] == life[0]["addresses"]
    for again in ("restart", "stop"):
        assert service.call("POST", f"/vms/{vm['id']}/{again}", {"force": True}).status == 200
        assert service.vm(vm["id"])["interfaces"] == life
    service.restart()
    assert service.call("POST", f"/vms/{vm['id']}/start").status == 200
    assert service.wait_boot(vm["id"])["interfaces"] == life
    assert life[0]["addresses"][0] in shell_in(service, vm["id"], "ip -4 addr show eth0")[1]


def test_isolated_networks_have_no_way_out(service):
    outside = netns.Outside()
    try:
        network(service, name="closed", kind="isolated")
        network(service, name="open")
        made = [service.create(f"m{i}", networks=[{"network": "closed"}]).json for i in range(2)]
        other = service.create("other", networks=[{"network": "open"}]).json
        for vm in (*made, other):
            service.wait_boot(vm["id"])
        reach = lambda vm, address: shell_in(service, vm["id"], f"ping -c 1 -W 2 {address}")[0] == 0  # noqa: E731
        assert reach(made[0], made[1]["interfaces"][0]["addresses"][0])
        assert reach(other, netns.OUTSIDE) and not reach(made[0], netns.OUTSIDE)
        assert not reach(made[0], other["interfaces"][0]["addresses"][0]) and not reach(other, made[0]["interfaces"][0]["addresses"][0])
        assert made[1]["interfaces"][0]["addresses"][0] in shell_in(service, made[0]["id"], "nslookup m1.vm.internal")[1]
    finally:
        outside.close()


def test_a_lan_bridge_of_the_hosts(service):
    netns.run("ip", "link", "add", "lan0", "type", "bridge")
    netns.run("ip", "addr", "add", "10.88.0.1/24", "dev", "lan0")
    netns.run("ip", "link", "set", "lan0", "up")
    made = network(service, name="office", bridge="lan0")
    assert (made["kind"], made["bridge"], made["ipv4"]) == ("lan", "lan0", None)
    owners = [Signer(), Signer()]
    for owner in owners:
        service.call("PUT", f"/accounts/{owner.address}", {})
    vms = [service.create(f"m{i}", signer=owners[i // 2], networks=[{"network": "office"}]).json for i in range(3)]
    for i, vm in enumerate(vms):
        assert eventually(lambda v=vm: service.call("GET", f"/vms/{v['id']}/explain").json["agent"] == "answers")
        shell_in(service, vm["id"], f"ip addr add 10.88.0.{10 + i}/24 dev eth0; ip link set eth0 up")
    reach = lambda a, b: shell_in(service, vms[a]["id"], f"ping -c 1 -W 2 10.88.0.{b}")[0] == 0  # noqa: E731
    assert reach(0, 1) and reach(0, 11) and not reach(0, 12) and not reach(2, 10), "owners are apart in a lan, too"
    refused = service.call("PUT", f"/vms/{vms[0]['id']}/firewall", {"inbound_default": "deny"})
    assert (refused.status, refused.code) == (409, "no-firewall")
    assert service.call("POST", "/networks", {"name": "none", "bridge": "nosuch0"}).json["field"] == "bridge"


def test_interfaces_come_and_go_while_the_machine_runs(service):
    network(service, name="first")
    network(service, name="second")
    # A q35 machine: a microvm's guest sees new interfaces with its next start.
    service.stop()
    service.config["machine"] = "q35"
    service.start()
    vm = service.create("one", networks=[{"network": "first"}]).json["id"]
    service.wait_boot(vm)
    added = service.call("POST", f"/vms/{vm}/interfaces", {"network": "second", "down_mbps": 50})
    assert added.status == 201 and added.json["id"] == "nic1", added
    assert eventually(lambda: "eth1" in shell_in(service, vm, "ls /sys/class/net")[1])
    said = shell_in(service, vm, "ip link set eth1 up; udhcpc -i eth1 -n -q -s /etc/udhcpc.sh; ip addr show eth1")[1]
    assert added.json["addresses"][0] in said and added.json["mac"] in said
    again = service.call("POST", f"/vms/{vm}/interfaces", {"network": "second"})
    assert (again.status, again.code) == (409, "already-attached")
    held = service.call("DELETE", f"/vms/{vm}/interfaces/nic0")
    assert (held.status, held.code) == (409, "not-unpluggable"), "what it was started with stays until it stops"
    service.restart()
    assert "eth1" in shell_in(service, vm, "ls /sys/class/net")[1]
    assert service.call("DELETE", f"/vms/{vm}/interfaces/nic1").status == 204
    assert "eth1" not in shell_in(service, vm, "ls /sys/class/net")[1]
    assert [i["id"] for i in service.vm(vm)["interfaces"]] == ["nic0"]
    assert eventually(lambda: f"{vm[-12:]}1" not in netns.run("nft", "list", "ruleset"))
    # Killed between the guest's loss of it and the record's: the record rules, and what it has is plugged in again.
    assert service.call("POST", f"/vms/{vm}/interfaces", {"network": "second"}).status == 201
    assert eventually(lambda: "eth1" in shell_in(service, vm, "ls /sys/class/net")[1])
    service.restart(fault="interface.unplugged")
    try:
        service.call("DELETE", f"/vms/{vm}/interfaces/nic1")
    except OSError:
        pass
    assert eventually(lambda: service.process.poll() is not None)
    service.restart()
    assert [i["id"] for i in service.vm(vm)["interfaces"]] == ["nic0", "nic1"]
    assert eventually(lambda: "eth1" in shell_in(service, vm, "ls /sys/class/net")[1])
    assert eventually(lambda: len({n for n in netns.links() if n.startswith("v" + vm[-12:])}) == 2)
    assert service.call("DELETE", f"/vms/{vm}/interfaces/nic1").status == 204
    assert [i["id"] for i in service.vm(vm)["interfaces"]] == ["nic0"]


def test_what_is_refused(service):
    network(service, name="lab", ipv4="10.77.0.0/29")
    netns.run("ip", "link", "add", "taken0", "type", "bridge")

    def refused(status, code, field, target="/networks", method="POST", **body):
        answer = service.call(method, target, body)
        assert (answer.status, answer.code, answer.json.get("field")) == (status, code, field), answer

    refused(409, "range-overlaps", "ipv4", name="b", ipv4="10.77.0.0/24")
    netns.run("ip", "addr", "add", "10.99.0.1/24", "dev", "lo")
    refused(409, "range-overlaps", "ipv4", name="b", ipv4="10.99.0.0/25")
    refused(409, "name-taken", "name", name="lab", ipv4="10.78.0.0/24")
    refused(409, "bridge-taken", "name", name="taken0")
    refused(422, "invalid-value", "name", name="Big Name")
    refused(422, "invalid-value", "name", name="user")
    refused(422, "invalid-value", "ipv4", name="b", ipv4="10.77.0.1/24")
    refused(422, "invalid-value", "ipv4", name="b", ipv4="10.78.0.0/31")
    refused(422, "invalid-value", "ipv6", name="b", ipv6="fe80::/64")
    refused(422, "invalid-value", "pool", name="b", ipv4="10.78.0.0/24", pool="10.79.0.2-10.79.0.9")
    refused(422, "invalid-value", "mtu", name="b", mtu=100)
    refused(422, "invalid-value", "external_interface", name="b", external_interface="nosuch0")
    refused(422, "invalid-value", "kind", name="b", kind="vpn")
    refused(422, "unknown-field", "vlan", name="b", vlan=7)
    assert [n["name"] for n in service.call("GET", "/networks").json["networks"]] == ["user", "lab"] and "taken0" in netns.links()
    assert service.call("POST", "/networks", {"name": "b"}, Signer()).status in (401, 403)

    def no_machine(status, code, field, *networks):
        refused(status, code, field, "/vms", name="x", networks=list(networks), start=False)

    no_machine(422, "unknown-network", "networks[0].network", {"network": "nosuch"})
    no_machine(422, "invalid-value", "networks[0].address", {"network": "lab", "address": "10.77.0.1"})
    no_machine(422, "invalid-value", "networks[0].address", {"network": "lab", "address": "10.77.1.3"})
    no_machine(422, "invalid-value", "networks[1].network", {"network": "lab"}, {"network": "lab"})
    no_machine(422, "invalid-value", "networks[0].up_mbps", {"network": "lab", "up_mbps": 99999})
    # A /29 has five addresses to give.
    for i in range(5):
        assert service.create(f"m{i}", networks=[{"network": "lab"}], start=False).status == 201
    no_machine(409, "pool-exhausted", "networks", {"network": "lab"})
    addresses = {vm["interfaces"][0]["addresses"][0] for vm in service.call("GET", "/vms").json["vms"]}
    assert len(addresses) == 5
    no_machine(409, "address-taken", "networks[0].address", {"network": "lab", "address": addresses.pop()})
    netns.run("ip", "addr", "del", "10.99.0.1/24", "dev", "lo")


def test_without_dnsmasq_nothing_is_made_and_machines_in_user_networks_run(service):
    service.stop()
    service.config["dnsmasq_binary"] = "/nonexistent/dnsmasq"
    service.start()
    answer = service.call("POST", "/networks", {"name": "lab"})
    assert (answer.status, answer.code) == (503, "dnsmasq-missing") and answer.json["hint"]
    assert netns.links() == {"lo"} and not netns.tables()
    assert service.create("plain").status == 201


def test_a_dead_dnsmasq_is_started_again_with_its_leases(service):
    network(service, name="lab")
    vm = service.create("one", networks=[{"network": "lab"}]).json
    service.wait_boot(vm["id"])
    before = netns.servers(service.config["vm_dir"])
    leases = (service.vm_folder("networks/lab") / "leases").read_text()
    assert vm["interfaces"][0]["mac"] in leases
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: len(set(netns.servers(service.config["vm_dir"])) - set(before)) == 2)
    assert not set(before) & set(netns.servers(service.config["vm_dir"]))
    assert vm["interfaces"][0]["mac"] in (service.vm_folder("networks/lab") / "leases").read_text()
    said = shell_in(service, vm["id"], "udhcpc -i eth0 -n -q -s /etc/udhcpc.sh; ip -4 addr show eth0; nslookup one.vm.internal")[1]
    assert said.count(vm["interfaces"][0]["addresses"][0]) >= 2, said
    assert eventually(lambda: service.call("GET", "/health").json["checks"]["networks"]["status"] == "healthy")


def test_ports_of_machines_in_the_user_network(service):
    vm = service.create("one").json
    service.wait_boot(vm["id"])
    shell_in(service, vm["id"], "mkdir -p /www; echo hello >/www/index.html; httpd -h /www -p 80")
    wanted = {"host_port": 18090, "guest_port": 80, "host_address": "127.0.0.1"}
    assert service.call("POST", f"/vms/{vm['id']}/ports", wanted).status == 201
    assert netns.run("curl", "-s", "-m", "5", "http://127.0.0.1:18090/") == "hello\n"
    assert service.call("POST", f"/vms/{vm['id']}/restart", {"force": True}).status == 200
    service.wait_boot(vm["id"])
    shell_in(service, vm["id"], "mkdir -p /www; echo again >/www/index.html; httpd -h /www -p 80")
    assert netns.run("curl", "-s", "-m", "5", "http://127.0.0.1:18090/") == "again\n", "published again with the next start"
    assert service.call("DELETE", f"/vms/{vm['id']}/ports/18090").status == 204
    assert netns.run("sh", "-c", "curl -s -m 2 http://127.0.0.1:18090/ || echo gone") == "gone\n"


def test_a_dnsmasq_that_does_not_run_is_tried_again_until_it_does(service, tmp_path):
    broken, program = tmp_path / "broken", tmp_path / "dnsmasq"
    program.write_text(f"#!/bin/sh\n[ -e {broken} ] && echo it is broken && exit 2\nexec dnsmasq \"$@\"\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    service.stop()
    service.config["dnsmasq_binary"] = program
    service.start()

    def networks():
        return service.call("GET", "/health").json["checks"]["networks"]

    broken.touch()
    refused = service.call("POST", "/networks", {"name": "lab"})
    assert (refused.status, refused.code) == (503, "network-failed") and "it is broken" in refused.json["detail"], refused
    assert "lab" not in netns.links() and not (service.vm_folder("networks") / "lab").exists()
    broken.unlink()
    network(service, name="lab")
    before = netns.servers(service.config["vm_dir"])
    broken.touch()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: networks()["detail"].count("it is broken") == 2)
    service.restart()
    assert networks()["status"] == "degraded" and networks()["detail"].count("it is broken") == 2, networks()
    assert "it is broken" in json.dumps(service.call("GET", "/networks/lab").json)
    broken.unlink()
    eventually(lambda: networks()["status"] == "healthy")
    assert len(netns.servers(service.config["vm_dir"])) == 2
    broken.touch()
    assert service.call("DELETE", "/networks/lab").status == 204
    eventually(lambda: not netns.servers(service.config["vm_dir"]) and not (service.vm_folder("networks") / "lab").exists())


CRASHES = ["network.before-intent", "network.after-intent", "network.removed", "dnsmasq.spawned", "interface.plugged", "network-change.before-intent",
           "network-change.after-intent"]


@pytest.mark.parametrize("point", CRASHES)
def test_kill_at_each_step_leaves_a_host_that_fits_the_record(service, point):
    vm = None
    if not point.startswith(("network.", "dnsmasq.")):
        network(service, name="lab")
        vm = service.create("one", networks=[{"network": "lab"}], start=point == "interface.plugged").json["id"]
        network(service, name="second")
    elif point == "network.removed":
        network(service, name="doomed")
    service.restart(fault=point)
    try:
        if point == "network.removed":
            service.call("DELETE", "/networks/doomed")
        elif vm is None:
            service.call("POST", "/networks", {"name": "fresh"})
        elif point == "interface.plugged":
            service.call("POST", f"/vms/{vm}/interfaces", {"network": "second"})
        else:
            service.call("POST", f"/vms/{vm}/ports", {"host_port": 18100, "guest_port": 80})
    except OSError:
        pass
    assert eventually(lambda: service.process.poll() is not None), "the fault point was passed"
    service.restart()
    names = {n["name"] for n in service.call("GET", "/networks").json["networks"]} - {"user"}
    assert eventually(lambda: {n for n in netns.links() if n in ("lab", "second", "doomed", "fresh")} == names)
    folders = {p.name for p in service.vm_folder("networks").iterdir()} - {"+resolver"} if names else set()
    assert folders == names
    assert eventually(lambda: len(netns.servers(service.config["vm_dir"])) == (len(names) + 1 if names else 0)), "each once"
    if vm:
        record = service.vm(vm)
        plugged = {name for name in netns.links() if name.startswith("v" + vm[-12:])}
        live = len(record["interfaces"]) if record["status"] == "running" else 0
        assert eventually(lambda: len({n for n in netns.links() if n.startswith("v" + vm[-12:])}) == live), (plugged, record)
        assert len(record["ports"]) == (1 if point == "network-change.after-intent" else 0)


def test_machines_join_the_mesh(service):
    mesh = Mesh()
    try:
        service.stop()
        service.config["formnet_endpoint"] = mesh.endpoint
        service.start()
        network(service, name="lab")
        vm = service.create("one", networks=[{"network": "lab"}]).json
        assert mesh.joined == [vm["id"]]
        service.wait_boot(vm["id"])
        ask = "printf 'GET /meta-data HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | timeout 5 nc 169.254.169.254 80"
        told = json.loads(shell_in(service, vm["id"], ask)[1].split("\r\n\r\n")[1])
        assert json.loads(told["formnet-invitation"])["interface"]["address"] == "10.42.0.7/16"
        body = '{"formnet_ip":"10.42.0.7"}'
        report = (f"printf '%b' 'POST /vm/boot_complete HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\n"
                  f"Content-Length: {len(body)}\\r\\n\\r\\n{body}' | timeout 5 nc 169.254.169.254 80")
        assert " 200 " in shell_in(service, vm["id"], report)[1]
        assert service.vm(vm["id"])["formnet_ip"] == "10.42.0.7"
        assert "formnet-invitation" not in shell_in(service, vm["id"], ask)[1], "its key is shown until it has joined"
        assert service.call("DELETE", f"/vms/{vm['id']}?force=true").status == 204 and eventually(lambda: mesh.left[-1:] == [vm["id"]])
        mesh.refuse = True
        refused = service.create("two", networks=[{"network": "lab"}])
        assert (refused.status, refused.code) == (503, "formnet-refused") and "full" in refused.json["detail"]
    finally:
        mesh.close()
    gone = service.create("three", networks=[{"network": "lab"}])
    assert (gone.status, gone.code) == (503, "formnet-unreachable") and gone.json["hint"]
    assert [v["name"] for v in service.call("GET", "/vms").json["vms"]] == []
