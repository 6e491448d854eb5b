"""Inside guests: the agent (programs, files, keys), who may report a boot and who may not, the metadata service, seeds, and why a
machine is stuck. In a network namespace of this process' own."""
import netns  # first: everything below lives in its namespace

import contextlib
import json
import os
import signal
import subprocess
import threading

import corpus
import pytest
from support import BIN, Service, eventually, qemu_processes, run_in, shell_in

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeKeyOfNobodyInParticular test@example"


@pytest.fixture(scope="module")
def service():
    made = Service(default_network="net0")
    try:
        yield made.start()
    finally:
        made.close()
        for pid in netns.servers(made.config["vm_dir"]):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def vm(service):
    made = service.create("guest", ssh_keys=[KEY], user_data="#cloud-config\nruncmd: [\"true\"]\n").json
    service.wait_boot(made["id"])
    return service.vm(made["id"])


def test_programs_with_their_output_status_and_limit(service, vm):
    assert run_in(service, vm["id"], "cat", stdin="hello") == (0, "hello")
    assert run_in(service, vm["id"], "sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\nerr\n")
    assert run_in(service, vm["id"], "echo", "a b", "$HOME", "'") == (0, "a b $HOME '\n"), "words arrive as they are"
    assert run_in(service, vm["id"], "sh", "-c", "sleep 3000 & sleep 3000", timeout_s=1)[0] == 9
    assert "sleep 3000" not in shell_in(service, vm["id"], "ps")[1], "its children have gone with it"
    many = run_in(service, vm["id"], "seq", "1", "100000")[1]
    assert many.splitlines() == [str(i) for i in range(1, 100001)]
    assert eventually(lambda: "vmm-exec" not in shell_in(service, vm["id"], "ls /run | grep -v \"$(basename $0)\"; true")[1].replace(
        "vmm-exec", "", 2))
    for body, field in (({"argv": []}, "argv"), ({"argv": ["x"], "timeout_s": 0}, "timeout_s"), ({"argv": ["x"], "stdin_base64": "!"}, "stdin_base64")):
        refused = service.call("POST", f"/vms/{vm['id']}/exec", body)
        assert (refused.status, refused.json["field"]) == (422, field)


def test_output_comes_while_the_program_runs(service, vm):
    import http.client
    waits = "echo first; until [ -e /tmp/seen ]; do sleep 0.1; done; echo second"
    body = json.dumps({"argv": ["sh", "-c", waits], "timeout_s": 300}).encode()
    target = f"/vms/{vm['id']}/exec"
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=330)
    connection.request("POST", target, body, service.signed_headers("POST", target, body))
    answer = connection.getresponse()
    first = json.loads(answer.readline())
    assert first["stream"] == "stdout"
    shell_in(service, vm["id"], "touch /tmp/seen")
    rest = [json.loads(line) for line in answer.read().splitlines()]
    connection.close()
    assert rest[-1]["exit_status"] == 0


def push(service, vm, path, data):
    import hashlib
    from support import message_of, timestamp_now
    target, digest, at = f"/vms/{vm['id']}/files?path={path}", hashlib.sha256(data).hexdigest(), timestamp_now()
    signature, recovery = service.admin.sign(message_of("PUT", target, at, digest))
    headers = {"X-Signature": signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": at, "X-Content-SHA256": digest,
               "Content-Type": "application/octet-stream"}
    return service.raw("PUT", target, headers, data)


def test_files_go_in_and_out(service, vm):
    data = os.urandom(300_000)
    assert push(service, vm, "/root/data", data).status == 204
    assert service.call("GET", f"/vms/{vm['id']}/files?path=/root/data").body == data
    refused = service.call("GET", f"/vms/{vm['id']}/files?path=/nosuch/file")
    assert (refused.status, refused.code) == (503, "agent-refused") and "/nosuch/file" in refused.json["detail"]
    assert service.call("GET", f"/vms/{vm['id']}/files?path=relative").json["field"] == "path"
    assert service.call("GET", f"/vms/{vm['id']}/files").json["field"] == "path"


def test_keys_after_boot(service, vm):
    assert service.call("POST", f"/vms/{vm['id']}/ssh-keys", {"keys": [KEY]}).status == 204
    assert KEY in shell_in(service, vm["id"], "cat /root/.ssh/authorized_keys")[1]
    refused = service.call("POST", f"/vms/{vm['id']}/ssh-keys", {"keys": ["not a key"]})
    assert (refused.status, refused.json["field"]) == (422, "keys[0]")
    assert service.call("POST", f"/vms/{vm['id']}/ssh-keys", {"keys": [KEY], "user": "nobody-here"}).code == "agent-refused"


def test_what_the_agent_knows(service, vm):
    def eth0():
        return [i for i in service.call("GET", f"/vms/{vm['id']}/guest").json["interfaces"] if i["name"] == "eth0"][0]

    assert eventually(lambda: len(eth0()["addresses"]) == 2), "the guest forms its IPv6 address in its own time"
    facts, eth0 = service.call("GET", f"/vms/{vm['id']}/guest").json, eth0()
    assert eth0["mac"] == vm["interfaces"][0]["mac"] and set(eth0["addresses"]) == set(vm["addresses"])
    assert facts["hostname"] == "guest" and facts["kernel"]


def test_stages_lead_to_ready(service, vm):
    events = [e["what"] for e in service.call("GET", f"/vms/{vm['id']}/events").json["events"]]
    order = [e for e in events if e.startswith("boot-")]
    assert order[-1] == "boot-ready" and order == sorted(
        order, key=["boot-firmware", "boot-kernel", "boot-network", "boot-cloud-init", "boot-ready"].index)
    told = service.call("GET", f"/vms/{vm['id']}/explain").json
    assert (told["status"], told["stage"], told["agent"], told["waiting_for"]) == ("running", "ready", "answers", None)


def metadata(service, vm, path, method="GET", headers="", body=""):
    request = f"{method} {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n{headers}Content-Length: {len(body)}\\r\\n\\r\\n{body}"
    said = shell_in(service, vm["id"], f"printf '%b' '{request}' | timeout 5 nc 169.254.169.254 80")[1]
    head, _, rest = said.partition("\r\n\r\n")
    return int(head.split()[1]), rest


def test_the_metadata_service_tells_each_its_own(service, vm):
    other = service.create("other").json
    service.wait_boot(other["id"])
    assert json.loads(metadata(service, vm, "/meta-data")[1])["instance-id"] == vm["id"]
    assert metadata(service, vm, "/latest/meta-data/instance-id") == (200, vm["id"])
    assert metadata(service, other, "/latest/meta-data/instance-id") == (200, other["id"])
    assert metadata(service, vm, "/latest/meta-data/local-ipv4") == (200, vm["interfaces"][0]["addresses"][0])
    assert metadata(service, vm, "/2009-04-04/meta-data/hostname") == (200, "guest")
    assert metadata(service, vm, "/latest/meta-data/public-keys/0/openssh-key") == (200, KEY)
    mac = vm["interfaces"][0]["mac"]
    assert metadata(service, vm, f"/latest/meta-data/network/interfaces/macs/{mac}/local-ipv4s")[1] == vm["interfaces"][0]["addresses"][0]
    assert "runcmd" in metadata(service, vm, "/latest/user-data")[1] and "runcmd" in metadata(service, vm, "/user-data")[1]
    assert "runcmd" not in metadata(service, other, "/user-data")[1]
    assert mac in metadata(service, vm, "/network-config")[1]
    assert metadata(service, vm, "/latest/api/token", "PUT", "X-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n")[0] == 200
    assert metadata(service, vm, "/latest/api/token", "PUT")[0] == 400
    assert metadata(service, vm, "/nosuch")[0] == 404 and metadata(service, vm, "/vms")[0] == 404
    assert metadata(service, vm, "/", "DELETE")[0] == 405


def test_flooding_the_metadata_service_hurts_the_flooder_alone(service, vm):
    others = [v for v in service.call("GET", "/vms").json["vms"] if v["name"] == "other"]
    flood = ("for n in $(seq 12); do (i=0; while [ $i -lt 40 ]; do printf 'GET /meta-data HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; i=$((i+1)); done | "
             "timeout 10 nc -w 3 169.254.169.254 80) & done | grep -c 'HTTP/1.1 429'")
    assert int(shell_in(service, vm["id"], flood, timeout_s=60)[1].split()[0]) > 3
    assert metadata(service, others[0], "/latest/meta-data/instance-id")[0] == 200
    assert eventually(lambda: metadata(service, vm, "/latest/meta-data/instance-id")[0] == 200)


def test_a_guest_reports_for_itself_alone(service):
    first, second = (service.create(f"r{i}", start=False).json for i in range(2))
    # Its kernel hangs before it reports: no callback, so that the test can speak for it.
    for vm in (first, second):
        assert service.call("POST", f"/vms/{vm['id']}/start").status == 200
        service.wait_boot(vm["id"])
    body = json.dumps({"name": "r1"})
    status, said = metadata(service, first, "/vm/boot_complete", "POST", "Content-Type: application/json\\r\\n", body)
    assert status == 401 and json.loads(said)["code"] == "bad-boot-token", "a claim to be another is no proof"
    status, _ = metadata(service, first, "/vm/boot_complete", "POST", "Content-Type: application/json\\r\\n", json.dumps({"name": "r0"}))
    assert status == 200, "as itself it may say so again"
    assert service.raw("POST", "/vm/boot_complete", {"Content-Type": "application/json"}, b'{"name":"r0"}').status == 401


def test_secrets_leave_the_seed_when_the_guest_has_booted(service, vm):
    assert not (service.vm_folder(vm["id"]) / "seed.iso").exists()
    said = shell_in(service, vm["id"], "mkdir -p /mnt; mount -t iso9660 -o ro /dev/sr0 /mnt 2>&1; ls /mnt")[1]
    assert "user-data" not in said, "the medium is out of the drive"


@pytest.mark.parametrize("point", ["start.seeded", "boot.reported"])
def test_seeds_survive_kill_and_are_wiped_then(service, point):
    service.restart(fault=point)
    try:
        service.create(point, ssh_keys=[KEY])
    except OSError:
        pass
    assert eventually(lambda: service.process.poll() is not None, 60)
    service.restart()
    vm = [v for v in service.call("GET", "/vms").json["vms"] if v["name"] == point][0]
    service.wait_boot(vm["id"])
    assert service.vm(vm["id"])["boot_completed_at"]
    assert eventually(lambda: not (service.vm_folder(vm["id"]) / "seed.iso").exists())


def test_a_guest_that_never_reports(service, tmp_path):
    service.stop()
    service.config["vm_boot_timeout"] = "3"
    service.start()
    # A boot sector that says a word and halts.
    assert service.upload("halts", corpus.boot_disk(tmp_path / "boot.raw").read_bytes()).status in (200, 201)
    vm = service.create("silent", image="halts").json["id"]
    assert service.call("POST", f"/vms/{vm}/pause").status == 200
    assert service.call("GET", f"/vms/{vm}/explain").json["waiting_for"] == "somebody to resume it"
    assert service.call("POST", f"/vms/{vm}/resume").status == 200
    eventually(lambda: "boot-timeout" in [e["what"] for e in service.call("GET", f"/vms/{vm}/events").json["events"]])
    assert service.vm(vm)["boot_completed_at"] is None
    service.stop()
    service.config["vm_boot_timeout"] = "120"
    service.start()


def test_what_is_refused(service):
    def refused(field, status=422, **body):
        answer = service.create("x", start=False, **body)
        assert answer.status == status and answer.json.get("field") == field, answer
        return answer

    assert "line 3" in refused("user_data", user_data="#cloud-config\nusers:\n  - name: [unclosed\n").json["detail"]
    refused("user_data", user_data="no first line")
    refused("user_data", user_data="#cloud-config\n" + "a: b\n" * 20000)
    refused("ssh_keys[0]", ssh_keys=["rsa AAAA"])
    answer = service.raw("POST", "/vms", service.signed_headers("POST", "/vms", b"{}"), b'{"user_data":"' + b"x" * (10 << 20) + b'"}')
    assert answer.status == 413, "10 MiB of user data"
    assert service.call("GET", "/vms?name=x").json["vms"] == []


def test_without_an_agent_or_a_machine(service):
    vm = service.create("off", start=False).json["id"]
    answer = service.call("POST", f"/vms/{vm}/exec", {"argv": ["true"]})
    assert (answer.status, answer.code) == (409, "machine-not-running")
    assert service.call("GET", f"/vms/{vm}/explain").json["advice"] == [f"POST /vms/{vm}/start starts it"]
    assert service.call("POST", f"/vms/{vm}/start").status == 200
    service.wait_boot(vm)
    shell_in(service, vm, "(sleep 0.5; killall vmm-guest-agent) >/dev/null 2>&1 &")
    eventually(lambda: service.call("POST", f"/vms/{vm}/exec", {"argv": ["true"]}).status == 503)
    answer = service.call("POST", f"/vms/{vm}/exec", {"argv": ["true"]})
    assert (answer.status, answer.code) == (503, "no-agent") and answer.json["hint"]
    assert service.call("GET", f"/vms/{vm}/explain").json["agent"] == "silent"


def test_a_guest_deaf_to_its_button_is_asked_by_its_agent(service):
    vm = service.create("deaf").json["id"]
    service.wait_boot(vm)
    shell_in(service, vm, "killall dd")  # what listens to the power button
    stopped = service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 120})
    assert stopped.status == 200 and "by force" not in stopped.json["status_reason"], stopped


def test_a_copy_of_its_disk_holds_a_guest_up_but_refuses_nothing(service, vm):
    """Between freeze and thaw the guest's agent refuses programs and files; who asks for them waits instead."""
    said, failed, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                said.append(shell_in(service, vm["id"], "echo ok")[1])
            except AssertionError as wrong:
                failed.append(wrong)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for one in asking:
        one.start()
    try:
        for number in range(6):
            made = service.call("POST", f"/vms/{vm['id']}/clone", {"name": f"copy-{number}"})
            assert made.status == 201, made
            assert service.call("DELETE", f"/vms/{made.json['id']}").status in (200, 204)
    finally:
        stop.set()
        for one in asking:
            one.join()
    assert not failed and set(said) == {"ok\n"}


def test_a_service_killed_while_a_guest_is_frozen_thaws_it(service, vm):
    """The next service takes the clone up again, so it thaws, freezes and thaws."""
    mark = service.vm_folder(vm["id"]) / "frozen"
    for number in range(2):
        service.restart(fault="copy.frozen")
        with contextlib.suppress(OSError):
            service.call("POST", f"/vms/{vm['id']}/clone", {"name": f"torn-{number}"})
        assert service.process.wait(300) == -signal.SIGKILL
        assert mark.exists()
        service.restart()
        assert run_in(service, vm["id"], "echo", "thawed") == (0, "thawed\n"), "at once"
        eventually(lambda: not mark.exists())
        eventually(lambda: service.call("GET", f"/vms/{vm['id']}/explain").json["agent"] == "answers")
        torn = eventually(lambda: service.call("GET", f"/vms?name=torn-{number}").json["vms"])
        eventually(lambda: service.call("DELETE", f"/vms/{torn[0]['id']}").status in (200, 204))


def test_a_machine_that_ends_while_it_is_frozen(service):
    vm = service.create("fragile").json["id"]
    service.wait_boot(vm)
    mark = service.vm_folder(vm) / "frozen"
    for number in range(4):
        running = threading.Event()

        def kill_when_frozen(pid=qemu_processes(service.config["vm_dir"])[vm]):
            running.set()
            while not mark.exists() and not over.is_set():
                pass
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        over, killer = threading.Event(), threading.Thread(target=kill_when_frozen)
        killer.start()
        running.wait()
        made = service.call("POST", f"/vms/{vm}/clone", {"name": f"of-fragile-{number}"})
        over.set()
        killer.join()
        assert made.status == 201 or made.code, made
        eventually(lambda: service.vm(vm)["status"] == "failed")
        assert service.call("POST", f"/vms/{vm}/start").status == 200
        service.wait_boot(vm)
        assert shell_in(service, vm, "echo well") == (0, "well\n") and not mark.exists()


def vmctl(service, *arguments, stdin=None, code=0, cwd=None):
    environment = {**os.environ, "VMM_URL": f"http://127.0.0.1:{service.port}", "VMM_KEY": "0x" + service.admin.key.hex(), "NO_COLOR": "1"}
    done = subprocess.run([str(BIN / "vmctl"), *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=300, cwd=cwd)
    assert done.returncode == code, (arguments, done)
    return done.stdout


def test_vmctl_works_inside_guests(service, vm, tmp_path):
    assert vmctl(service, "exec", "guest", "--", "echo", "a b") == "a b\n"
    assert vmctl(service, "exec", "guest", "-i", "--", "tr", "a-z", "A-Z", stdin="shout") == "SHOUT"
    vmctl(service, "exec", "guest", "--", "sh", "-c", "exit 9", code=9)
    vmctl(service, "exec", "guest", "--limit", "1", "--", "sleep", "60", code=7)
    (tmp_path / "in").write_bytes(os.urandom(100_000))
    vmctl(service, "cp", str(tmp_path / "in"), "guest:/root/copied")
    vmctl(service, "cp", "guest:/root/copied", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    vmctl(service, "cp", "guest:/nosuch", str(tmp_path / "none"), code=6)
    vmctl(service, "cp", str(tmp_path / "in"), str(tmp_path / "out"), code=1)
    (tmp_path / "keys").write_text("# mine\n" + KEY + "2\n")
    assert "may log in" in vmctl(service, "ssh-keys", "guest", str(tmp_path / "keys"))
    assert "ready" in vmctl(service, "explain", "guest") and "tiny guest" in vmctl(service, "guest", "guest")


def test_vmctl_ssh_goes_where_the_machine_is(service, vm, tmp_path):
    # A stand-in for ssh says how it was called; the tiny guest has no sshd.
    (tmp_path / "ssh").write_text("#!/bin/sh\necho \"$@\"\n")
    (tmp_path / "ssh").chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{before}"
    try:
        assert vmctl(service, "ssh", "guest", "--user", "dev", "--", "uptime").split()[-2:] == [f"dev@{vm['addresses'][0]}", "uptime"]
        assert "leads to port 22" in vmctl(service, "ports", "add", "guest", "127.0.0.1:2222:22")
        assert vmctl(service, "ssh", "guest").split()[:2] == ["-p", "2222"] and "root@127.0.0.1" in vmctl(service, "ssh", "guest")
    finally:
        os.environ["PATH"] = before
    assert "127.0.0.1:2222" in vmctl(service, "ports", "ls", "guest")
    assert "no more" in vmctl(service, "ports", "rm", "guest", "2222")
    vmctl(service, "ports", "add", "guest", "nonsense", code=1)


def test_vmctl_and_networks(service, vm, tmp_path):
    assert "10.33.0.0/24" in vmctl(service, "net", "create", "extra", "--ipv4", "10.33.0.0/24", "--no-dhcp")
    assert "extra" in vmctl(service, "net", "ls") and "10.33.0.1" in vmctl(service, "net", "show", "extra")
    assert vm["interfaces"][0]["mac"] in vmctl(service, "net", "interfaces", "guest")
    vmctl(service, "create", "later", "--network", "extra", "--address", "10.33.0.9", "--no-start")
    assert "10.33.0.9" in vmctl(service, "net", "interfaces", "later")
    assert "20" in vmctl(service, "net", "limit", "later", "nic0", "--down", "20")
    assert "nic1" in vmctl(service, "net", "attach", "later", "net0") and "detached" in vmctl(service, "net", "detach", "later", "nic1")
    (tmp_path / "rules").write_text(json.dumps({"inbound_default": "deny"}))
    assert "deny" in vmctl(service, "firewall", "later", "--set", str(tmp_path / "rules")) and "deny" in vmctl(service, "firewall", "later")
    vmctl(service, "net", "rm", "extra", code=5)
    vmctl(service, "rm", "later")
    assert "removed" in vmctl(service, "net", "rm", "extra")
