"""vmctl as its user sees it."""
import json
import os
import pty
import subprocess

import pytest

from support import BIN, ROOT, Signer


class Vmctl:
    def __init__(self, service, folder):
        self.service, self.folder = service, folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("VMM_")}
        self.environment.update(XDG_CONFIG_HOME=str(folder), VMM_URL=f"http://127.0.0.1:{service.port}" if service else "")

    def run(self, *arguments, stdin="", code=0, **environment):
        out = subprocess.run([BIN / "vmctl", *map(str, arguments)], input=stdin, capture_output=True, text=True,
                             env={**self.environment, **environment}, timeout=300)
        assert out.returncode == code, (arguments, out)
        return out

    def json(self, *arguments, **kw):
        return json.loads(self.run("-o", "json", *arguments, **kw).stdout)


@pytest.fixture
def vmctl(service, tmp_path):
    tool = Vmctl(service, tmp_path)
    tool.run("keys", "import", "-", "--plain", stdin=service.admin.key.hex())
    return tool


def test_a_machines_life_by_name(vmctl, service):
    made = vmctl.json("create", "web", "--label", "a=b", "--label", "c=d", "--memory", "128", "--wait")
    assert made["boot_completed_at"] and made["labels"] == {"a": "b", "c": "d"}
    table = vmctl.run("ls").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "ID", "STATUS"] and table[1].split()[:3] == ["web", made["id"], "running"]
    assert "\x1b" not in "".join(table), "no colours where there is no terminal"
    assert vmctl.run("pause", "web").stdout == "web paused\n"
    assert vmctl.run("resume", made["id"]).stdout.split()[1] == "running"
    assert vmctl.json("set", "web", "--name", "www", "--label", "x=y")["labels"] == {"x": "y"}
    assert vmctl.run("restart", "www", "--grace", "20").stdout == "www running\n"
    vmctl.run("wait", "www", "--for", "boot")
    assert vmctl.run("stop", "www", "--grace", "20").stdout == "www stopped\n"
    assert vmctl.json("show", "www")["status"] == "stopped"
    assert vmctl.run("ls", "-q", "--status", "stopped").stdout == "www\n"
    assert vmctl.run("start", "www").stdout == "www running\n"
    refused = vmctl.run("rm", "www", code=5)
    assert "the machine is running" in refused.stderr and "hint: stop it first" in refused.stderr
    vmctl.run("rm", "-f", "www")
    vmctl.run("wait", made["id"], "--for", "deleted", code=0)
    operations = vmctl.json("ops")["operations"]
    assert [o["kind"] for o in operations][:2] == ["delete", "start"] and {o["status"] for o in operations} == {"succeeded"}
    assert vmctl.json("ops", operations[0]["id"], "--wait", "5")["status"] == "succeeded"


def test_exit_codes_and_hints(vmctl, service, tmp_path):
    assert "hint: `vmctl ls`" in vmctl.run("show", "nope", code=3).stderr
    vmctl.run("frobnicate", code=2)
    vmctl.run("create", code=2)
    assert "images here:" in vmctl.run("create", "x", "--image", "nope", code=1).stderr
    assert "vcpus: " in vmctl.run("create", "x", "--vcpus", "0", code=1).stderr
    unknown = vmctl.run("ls", code=4, VMM_KEY="0x" + Signer().key.hex()).stderr
    assert "which is not registered" in unknown and "verified this text" in unknown
    assert "vmctl keys new" in vmctl.run("ls", "--key", "missing", code=3).stderr
    assert "is vmm-service running there?" in vmctl.run("ls", "--url", "http://127.0.0.1:1", code=6).stderr
    assert "expected http://" in vmctl.run("ls", "--url", "localhost", code=1).stderr
    vmctl.run("create", "x", "--no-start")
    assert "name: you have a machine" in vmctl.run("create", "x", code=5).stderr
    vmctl.run("wait", "x", "--for", "running", "--timeout", "1", code=7)


def test_configuration_file(vmctl, service, tmp_path):
    (tmp_path / "vmm/vmctl.toml").write_text(f'url = "http://127.0.0.1:{service.port}"\noutput = "json"\n')
    assert json.loads(vmctl.run("ls", VMM_URL="").stdout) == {"vms": []}
    (tmp_path / "vmm/vmctl.toml").write_text('ulr = "x"\n')
    assert 'vmctl.toml:1: unknown key "ulr", did you mean "url"?' in vmctl.run("ls", code=1).stderr


def test_health_and_accounts(vmctl, service):
    assert vmctl.run("health").stdout.startswith("healthy, version ")
    guest = Signer()
    assert vmctl.json("account", "put", guest.address, "--name", "Ada")["name"] == "Ada"
    assert vmctl.json("account", "show", guest.address)["usage"]["machines"] == 0
    assert vmctl.json("account", "show")["administrator"] is True
    assert vmctl.json("ls", VMM_KEY="0x" + guest.key.hex()) == {"vms": []}
    vmctl.run("account", "rm", guest.address)
    vmctl.run("account", "show", guest.address, code=3)


def test_keys_are_encrypted_and_readable_by_others(tmp_path):
    tool = Vmctl(None, tmp_path)
    secret = {"VMM_KEY_PASSWORD": "correct horse"}
    made = tool.json("keys", "new", "mine", **secret)
    stored = json.loads(open(made["file"]).read())
    assert stored["version"] == 3 and stored["crypto"]["kdf"] == "scrypt" and os.stat(made["file"]).st_mode & 0o777 == 0o600
    read = subprocess.run(["node", ROOT / "tests/js/keystore.mjs", "read", made["file"], "correct horse"], capture_output=True, text=True, check=True)
    revealed = tool.run("keys", "show", "mine", "--reveal", **secret).stdout.split()
    assert revealed == [made["address"], read.stdout.strip()]
    assert "password is wrong" in tool.run("keys", "show", "mine", "--reveal", code=4, VMM_KEY_PASSWORD="wrong").stderr
    assert "a password is needed" in tool.run("keys", "new", "other", code=1).stderr
    assert "already" in tool.run("keys", "new", "mine", code=5, **secret).stderr
    tool.run("keys", "new", "../x", code=1, **secret)

    theirs = Signer()
    written = subprocess.run(["node", ROOT / "tests/js/keystore.mjs", "write", "0x" + theirs.key.hex(), "correct horse"], capture_output=True, text=True, check=True)
    (tmp_path / "theirs.json").write_text(written.stdout)
    (tmp_path / "password").write_text("correct horse\n")
    taken = tool.json("keys", "import", tmp_path / "theirs.json", "--name", "theirs", "--password-file", tmp_path / "password")
    assert taken["address"] == theirs.address
    plain = tool.json("keys", "import", "-", "--name", "plain", "--plain", stdin="0x" + theirs.key.hex() + "\n")
    assert plain["address"] == theirs.address
    listed = tool.json("keys", "list")
    assert [(k["name"], k["plain"]) for k in listed] == [("mine", False), ("plain", True), ("theirs", False)]
    tool.run("keys", "import", "-", "--name", "bad", stdin="not a key", code=1)


def test_a_terminal_gets_colours(vmctl, service):
    service.create("web", start=False)
    parent, child = pty.openpty()
    subprocess.run([BIN / "vmctl", "ls"], stdout=child, stderr=child, env=vmctl.environment, check=True)
    os.close(child)
    shown = b""
    try:
        while part := os.read(parent, 4096):
            shown += part
    except OSError:
        pass
    assert b"\x1b[2mstopped\x1b[0m" in shown
    assert b"\x1b[" not in subprocess.run([BIN / "vmctl", "ls"], capture_output=True, env=vmctl.environment, check=True).stdout


def test_completion_and_manual(vmctl, service):
    service.create("webby", start=False)
    script = vmctl.run("completion", "bash").stdout
    def complete(*words):
        line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _vmctl; echo ${{COMPREPLY[@]}}"
        path = f"{BIN}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-c", script + line], capture_output=True, text=True, check=True,
                              env={**vmctl.environment, "PATH": path}).stdout.split()
    assert complete("vmctl", "cre") == ["create"]
    assert complete("vmctl", "keys", "im") == ["import"]
    assert complete("vmctl", "stop", "web") == ["webby"]
    assert "--force" in complete("vmctl", "stop", "--f")
    assert "bashcompinit" in vmctl.run("completion", "zsh").stdout
    page = subprocess.run(["man", "-l", "-"], input=vmctl.run("man").stdout, capture_output=True, text=True, check=True,
                          env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "100"})
    assert "vmctl create" in page.stdout and page.stderr == ""
