"""Formfiles in real guests: each instruction in the tiny guest, and all of them with cloud-init in Debian, whose service answers
on its published port. In a network namespace of this process' own."""
import netns  # first: everything below lives in its namespace

import contextlib
import io
import json
import os
import signal
import subprocess
import tarfile

import pytest
from mesh import ADDRESS, Mesh
from support import BIN, ROOT, Service, eventually, shell_in


def clean(service):
    service.close()
    for pid in netns.servers(service.config["vm_dir"]):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    # Debian beside the tiny guest: a folder of links serves as images_dir.
    images = tmp_path_factory.mktemp("images")
    os.symlink(ROOT / "build/guest-images/tiny", images / "tiny")
    os.link(ROOT / "build/images/debian-12.qcow2", images / "debian-12.qcow2") if os.stat(images).st_dev == os.stat(
        ROOT / "build/images").st_dev else subprocess.run(["cp", str(ROOT / "build/images/debian-12.qcow2"), str(images)], check=True)
    outside = netns.Outside()
    mesh = Mesh(outside)
    made = Service(default_network="net0", images_dir=images, vm_boot_timeout=1000, formnet_endpoint=mesh.endpoint)
    made.outside, made.mesh = outside, mesh
    try:
        yield made.start()
    finally:
        clean(made)
        mesh.close()
        outside.close()


def vmctl(service, *arguments, **kwargs):
    environment = {**os.environ, "VMM_URL": f"http://127.0.0.1:{service.port}", "VMM_KEY": "0x" + service.admin.key.hex(), "NO_COLOR": "1"}
    return subprocess.run([str(BIN / "vmctl"), *arguments], capture_output=True, text=True, env=environment, timeout=1100, **kwargs)


def package(folder):
    """A Debian package of our own, from nothing but files."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: greeter\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: says hello\n")
    (tree / "usr/bin/greeter").write_text("#!/bin/sh\necho \"hello from a package, $GREETED\"\n")
    (tree / "usr/bin/greeter").chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(folder / "greeter.deb")], check=True, capture_output=True)
    subprocess.run(["rm", "-r", str(tree)], check=True)


def fetch(port, path="/", limit=60):
    return netns.run("curl", "-s", "-m", str(limit), f"http://127.0.0.1:{port}{path}", check=False)


FORMFILE = r"""# A web server, built in the guest.
NAME web
DESCRIPTION answers on port 8080
FROM debian:12
VCPU 1
MEMORY 640
DISK 5
USER username:dev passwd:"it's $word" sudo:true groups:adm,www-data ssh_authorized_keys:"@KEY@"
ENV GREETED=world
ENV --scope=user:dev EDITOR=vi
ENV --scope=service:form-app ONLY="for $the 'service'"
WORKDIR /srv/app
COPY site /srv/app/site
INSTALL ./greeter.deb
RUN greeter > "/srv/app/site/greeting.txt"
RUN id -un > /srv/app/site/user.txt
HEALTHCHECK --interval=1s --retries=1 CMD test -e /srv/app/site/index.html
EXPOSE 8080
ENTRYPOINT ["/usr/bin/python3", "/srv/app/site/serve.py", "a b", "100%", "$HOME"]
"""

SERVER = """import functools, http.server, json, os, sys
open("/srv/app/site/arguments.json", "w").write(json.dumps([sys.argv[1:], os.environ.get("GREETED"), os.environ.get("ONLY"), os.getcwd()]))
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/srv/app/site")
http.server.ThreadingHTTPServer(("", 8080), handler).serve_forever()
"""


def test_a_formfile_becomes_a_debian_machine_that_serves(service, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("copied in\n")
    (tmp_path / "site/serve.py").write_text(SERVER)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "dev@example", "-f", str(tmp_path / "key")], check=True)
    key = (tmp_path / "key.pub").read_text().strip()
    (tmp_path / "Formfile").write_text(FORMFILE.replace("@KEY@", key))
    package(tmp_path)
    made = vmctl(service, "--timeout", "1000", "create", "-f", "Formfile", ".", "--wait", "-o", "json", cwd=tmp_path)
    assert made.returncode == 0, (made.stderr, service.call("GET", "/vms").json)
    vm = json.loads(made.stdout)
    port = vm["ports"][0]["host_port"]
    assert vm["name"] == "web" and vm["image"] == "debian-12" and vm["memory_mib"] == 640 and vm["ports"][0]["guest_port"] == 8080
    assert "$word" not in json.dumps(vm) and "$6$" in vm["formfile"], "no password stays, its hash does"
    eventually(lambda: fetch(port) == "copied in\n")
    assert fetch(port, "/greeting.txt") == "hello from a package, world\n", "INSTALL, ENV and RUN"
    assert fetch(port, "/user.txt") == "root\n"
    assert json.loads(fetch(port, "/arguments.json")) == [["a b", "100%", "$HOME"], "world", "for $the 'service'", "/srv/app"]

    def said(script):
        return shell_in(service, vm["id"], script, timeout_s=300)[1]

    assert said("hostname").strip() == "web"
    assert said("id dev").count("adm") and "www-data" in said("id dev") and "NOPASSWD" in said("cat /etc/sudoers.d/*")
    assert key in said("cat /home/dev/.ssh/authorized_keys") and "EDITOR" in said("cat /home/dev/.profile")
    login = vmctl(service, "ssh", "web", "--user", "dev", "--", "-i", str(tmp_path / "key"), "-o", "UserKnownHostsFile=/dev/null", "id", "-un")
    assert login.stdout == "dev\n", login
    entry = said("getent shadow dev").split(":")[1]
    assert entry.startswith("$6$") and said(f"python3 -c 'import crypt; print(crypt.crypt(\"it\\x27s $word\", \"{entry}\"))'").strip() == entry or (
        entry in vm["formfile"])
    assert int(said("df --output=size -m / | tail -n 1")) > 4000, "the root file system has grown with its disk"
    assert service.vm(vm["id"])["health"] == "healthy"
    said("rm /srv/app/site/index.html")
    eventually(lambda: service.vm(vm["id"])["health"].startswith("unhealthy"))
    # The supervised service comes back.
    said("systemctl kill -s KILL form-app.service")
    eventually(lambda: "404" in fetch(port, "/nosuch"))
    # It has joined the mesh: another host and it reach each other through WireGuard, its report has said its address.
    address = service.mesh.places[vm["id"]][1]
    assert service.vm(vm["id"])["formnet_ip"] == address
    beyond = service.outside.serve("python3", "-m", "http.server", "8000", "--bind", ADDRESS)
    try:
        assert "200" in said(f"curl -sI --retry 5 --retry-connrefused -m 120 http://{ADDRESS}:8000")
    finally:
        beyond.kill()
        beyond.wait()
    assert service.outside.run("curl", "-s", "-m", "120", f"http://{address}:8080/user.txt") == "root\n"
    assert int(service.outside.run("wg", "show", service.mesh.interface, "transfer").split()[1]) > 0
    # Its secrets are off the medium, and the agent of Debian froze nothing for good.
    assert not (service.vm_folder(vm["id"]) / "seed.iso").exists()
    clone = service.call("POST", f"/vms/{vm['id']}/clone", {"name": "twin"})
    assert clone.status == 201, clone
    twin = clone.json["id"]
    assert service.call("POST", f"/vms/{twin}/start").status == 200
    assert said("touch /root/thawed && echo written").strip() == "written"
    explained = service.call("GET", f"/vms/{vm['id']}/explain").json
    assert explained["stage"] == "ready" and any("HEALTHCHECK" in p for p in explained["problems"])
    assert [e["what"] for e in service.call("GET", f"/vms/{vm['id']}/events").json["events"] if e["what"] == "boot-cloud-init"]
    # Killed while its file systems are frozen for a copy: the next service thaws them.
    service.restart(fault="copy.frozen")
    with contextlib.suppress(OSError):
        service.call("POST", f"/vms/{vm['id']}/clone", {"name": "triplet"})
    assert service.process.wait(300) == -signal.SIGKILL
    service.restart()
    assert said("touch /root/thawed-again && sync -f /root/thawed-again && echo written").strip() == "written"
    # The clone is a member of the mesh of its own, not its origin once more.
    eventually(lambda: service.vm(twin).get("formnet_ip"), 1000)
    assert service.vm(twin)["formnet_ip"] == service.mesh.places[twin][1] != address


def context(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def create(service, order, archive=None, boundary="xyz"):
    """POST /vms as a form, as curl -F would send it."""
    import hashlib
    from support import message_of, timestamp_now
    parts = [("request", "application/json", json.dumps(order).encode())]
    if archive is not None:
        parts.append(("context", "application/x-tar", archive))
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\nContent-Type: {t}\r\n\r\n'.encode() + c + b"\r\n"
                    for n, t, c in parts) + f"--{boundary}--\r\n".encode()
    digest, at = hashlib.sha256(body).hexdigest(), timestamp_now()
    signature, recovery = service.admin.sign(message_of("POST", "/vms", at, digest))
    headers = {"X-Signature": signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": at, "X-Content-SHA256": digest,
               "Content-Type": f"multipart/form-data; boundary={boundary}"}
    return service.raw("POST", "/vms", headers, body)


def test_instructions_in_a_guest_without_systemd(service):
    formfile = ("ENV A=\"it's $HOME `x` \\\"q\\\"\"\nWORKDIR /work\nCOPY . /work/all\nCOPY hello.txt /work/\n"
                "RUN echo \"$A\" > a.txt; pwd >> a.txt\nENTRYPOINT sh -c 'echo run >> /work/runs; sleep 1'\n")
    made = create(service, {"name": "small", "image": "tiny", "formfile": formfile}, context({"hello.txt": b"hi\n", "sub/x": b"1"}))
    assert made.status == 201, made
    vm = made.json["id"]
    service.wait_boot(vm)
    assert shell_in(service, vm, "cat /work/a.txt")[1] == "it's $HOME `x` \\\"q\\\"\n/work\n"
    assert shell_in(service, vm, "cat /work/hello.txt /work/all/sub/x")[1] == "hi\n1"
    assert eventually(lambda: shell_in(service, vm, "cat /work/runs")[1].count("run") >= 2), "it is started again when it ends"


def test_without_copy_the_context_goes_to_the_workdir_and_the_json_form_is_read(service):
    formfile = json.dumps({"name": "x", "workdir": "/data", "build_instructions": [
        {"Run": "ls > listing"}, {"Env": {"key": "B", "value": "2", "scope": "System"}}, {"Expose": [7777]}],
        "system_config": [{"Memory": 512}, {"Cpu": 1}], "users": []})
    made = create(service, {"name": "json", "image": "tiny", "formfile": formfile}, context({"one": b"1", "two": b"2"}))
    assert made.status == 201 and made.json["memory_mib"] == 512 and made.json["ports"][0]["guest_port"] == 7777, made
    service.wait_boot(made.json["id"])
    assert shell_in(service, made.json["id"], "cat /data/listing")[1].split() == ["listing", "one", "two"]


def test_a_step_that_fails_is_named(service):
    made = service.create("broken", image="tiny", formfile="RUN true\nRUN exit 3\n").json["id"]
    told = {}

    def named():
        told.update(service.call("GET", f"/vms/{made}/explain").json)
        return "line 2" in (told["last_console_line"] or "")

    eventually(named)
    assert "line 2: RUN exit 3" in told["last_console_line"] and told["stage"] != "ready", told


WRONG = [
    ("RUM true", "line 1, column 1: unknown instruction \"RUM\"; did you mean RUN?"),
    ("FROM tiny\n\nCPUS 4", "line 3, column 1: unknown instruction \"CPUS\"; did you mean CPU?"),
    ("VCPU zero", "line 1, column 6: expected a number of vCPUs from 1 to 128"),
    ("MEM 100", "line 1, column 5: expected MiB of memory from 512"),
    ("  COPY a", "line 1, column 8: expected COPY FROM TO"),
    ("USER username:dev shel:/bin/sh", "column 19: a user has no \"shel\"; did you mean shell?"),
    ("USER passwd:x", "a user needs username:NAME"),
    ("USER username:\"dev", "a quote \" is not closed"),
    ("ENV 1A=b", "expected KEY=VALUE"),
    ("ENV --scope=team:x A=b", "line 1, column 5: expected --scope=system"),
    ("WORKDIR here", "expected an absolute path"),
    ("WORKDIR /a\nWORKDIR /b", "line 2, column 1: there is a WORKDIR already"),
    ("ENTRYPOINT [\"a\", b]", "line 1, column 18: expected a word in double quotes"),
    ("EXPOSE 80 http", "line 1, column 11: expected a port"),
    ("RUN", "has no argument"),
    ("RUN a \\\n b", "an instruction stands on one line"),
    ("COPY ../up /x", "COPY takes what is in the build context"),
    ("INSTALL --allow-unauthenticated", "is no name of a package"),
    ("GPU H1000", "expected RTX5090, H100, H200 or B200"),
    ("HEALTHCHECK --interval=never CMD true", "expected a time"),
    ("MODEL maybe:x", "expected required:MODEL or preferred:MODEL"),
    ("{\"build_instructions\": [{\"Rum\": \"x\"}]}", "build_instructions[0]: expected Run"),
]


@pytest.mark.parametrize("text, why", WRONG)
def test_wrong_formfiles_are_told_where(service, text, why):
    answer = service.create("wrong", formfile=text, image="tiny")
    assert answer.status == 422 and answer.json["field"] == "formfile" and why in answer.json["detail"], answer.json


def test_what_a_formfile_cannot_have(service):
    gpu = service.create("gpu", image="tiny", formfile="GPU H100:2")
    assert (gpu.status, gpu.code, gpu.json["field"]) == (422, "gpu-unavailable", "formfile") and "H100" in gpu.json["detail"]
    asked = service.create("gpu", image="tiny", gpus=[{"model": "B200", "count": 8}])
    assert (asked.status, asked.code, asked.json["field"]) == (422, "gpu-unavailable", "gpus") and "8 B200" in asked.json["detail"], asked.json
    for wish, field, why in (({"model": "H1000"}, "gpus[0]", "H1000"), ({"model": "H100", "count": 9}, "gpus[0]", "1 to 8"), ({"count": 1}, "gpus[0].model", "")):
        wrong = service.create("gpu", image="tiny", gpus=[wish])
        assert (wrong.status, wrong.json["field"]) == (422, field) and why in wrong.json["detail"], wrong.json
    told = vmctl(service, "create", "gpu", "--gpu", "H100:2")
    assert told.returncode != 0 and "the host cannot pass through 2 H100" in told.stderr, told
    assert "--gpu" in vmctl(service, "create", "gpu", "--gpu", "H100:two").stderr
    missing = service.create("copies", image="tiny", formfile="COPY a /a")
    assert (missing.status, missing.code, missing.json["field"]) == (422, "context-missing", "context") and missing.json["hint"]
    for archive in (b"no tar at all" * 100, context({"../up": b"x"}), context({"/abs": b"x"})):
        bad = create(service, {"name": "bad", "image": "tiny", "formfile": "COPY a /a"}, archive)
        assert (bad.status, bad.json["field"]) == (422, "context"), bad
    assert create(service, {"name": "bad"}, None, boundary="").status in (400, 422)
    assert service.call("GET", "/vms?name=bad").json["vms"] == [] and service.call("GET", "/vms?name=copies").json["vms"] == []
