"""docs/access.md as two people live it: share, act, be refused, pass on, transfer, audit; all with vmctl."""
import json
import subprocess

from support import BIN, Signer


def test_two_people_and_a_machine(service, tmp_path):
    class Person:
        def __init__(self, name):
            self.home = tmp_path / name
            self.home.mkdir()
            self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "VMM_URL": f"http://127.0.0.1:{service.port}"}
            self.address = self("keys", "new", "--plain").split()[1]

        def __call__(self, *arguments, expect=0, capability=""):
            out = subprocess.run([BIN / "vmctl", *arguments], capture_output=True, text=True,
                                 env={**self.environment, **({"VMM_CAPABILITY": capability} if capability else {})})
            assert out.returncode == expect, (arguments, out)
            return out.stdout if expect == 0 else out.stderr

    class Admin(Person):
        def __init__(self):
            self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VMM_URL": f"http://127.0.0.1:{service.port}",
                                "VMM_KEY": "0x" + service.admin.key.hex()}

    admin, ada, bob = Admin(), Person("ada"), Person("bob")
    assert "is not registered" in ada("ls", expect=4)
    for person, name in ((ada, "Ada"), (bob, "Bob")):
        admin("account", "put", person.address, "--name", name, "--quota", "machines=5")

    # Share, act, be refused.
    ada("create", "web", "--memory", "128", "--wait")
    assert bob("ls", "-q") == "" and "no machine named" in bob("show", "web", expect=3)
    assert "Operator" in ada("share", "web", bob.address, "Operator", "--until", "1h")
    assert bob("ls", "-q") == "web\n"
    bob("pause", "web"), bob("resume", "web")
    assert "needs the role Manager; you have Operator" in bob("set", "web", "--label", "mine=yes", expect=4)
    assert "needs the role Owner" in bob("share", "web", bob.address, "Owner", expect=4)
    assert "needs the role Owner" in bob("rm", "web", "--force", expect=4)
    assert bob.address in ada("shares", "web")
    ada("unshare", "web", bob.address)
    assert "no machine named" in bob("stop", "web", expect=3)

    # A capability, signed offline.
    vm = json.loads(ada("show", "web", "-o", "json"))["id"]
    token = ada("grant", vm, bob.address, "--actions", "operate", "--until", "10m").strip()
    bob("pause", vm, capability=token)
    ada("revoke", token)
    assert "called back" in bob("resume", vm, expect=4, capability=token)
    ada("resume", "web")

    # A team.
    ada("team", "new", "core")
    ada("team", "add", "core", bob.address, "Manager")
    bob("create", "shared", "--team", "core", "--no-start")
    assert "shared" in ada("ls", "--team", "core", "-q")
    assert "needs the role Owner" in bob("rm", "shared", expect=4)
    assert "last one" in ada("team", "drop", "core", expect=5)

    # Transfer in two steps, and at once.
    assert "vmctl accept" in ada("transfer", "web", bob.address)
    assert "web" in bob("transfers") and "no machine named" in bob("show", "web", expect=3)
    bob("accept", "web", "--name", "web-of-ada")
    assert "no machine named" in ada("show", "web-of-ada", expect=3) and "web-of-ada" in bob("ls", "-q")
    word = ada("acceptance", vm, "--until", "10m").strip()
    bob("transfer", "web-of-ada", ada.address, "--acceptance", word)
    assert "web-of-ada" in ada("ls", "-q") and "no machine named" in bob("stop", "web-of-ada", expect=3)

    # Quotas and suspension.
    assert '"machines": 2' in ada("account", "show", "-o", "json")
    admin("account", "put", bob.address, "--status", "suspended")
    assert "suspended" in bob("ls", expect=4)

    # The ledger tells all of it, and proves it.
    denied = json.loads(bob_records(admin, bob.address))
    assert {r["outcome"] for r in denied} >= {"allowed", "denied"}
    export = tmp_path / "ledger.jsonl"
    head = admin("audit", "head").split()[0]
    admin("audit", "export", str(export))
    assert "signatures checked" in ada("audit", "verify", str(export), "--head", head)
    text = export.read_text()
    export.write_text(text.replace('"status":403', '"status":200', 1))
    assert "was changed" in ada("audit", "verify", str(export), expect=5)
    assert "administrators" in ada("audit", "export", str(export), expect=4)
    ada("rm", "web-of-ada", "--force")
    assert service.leftovers()["processes"] == []


def bob_records(admin, address):
    return json.dumps(json.loads(admin("audit", "ls", "--address", address, "--limit", "1000", "-o", "json"))["records"])


def test_what_a_stranger_reads(service, tmp_path):
    """Messages say what to do, and nothing about what they may not know."""
    stranger = Signer()
    out = subprocess.run([BIN / "vmctl", "ls"], capture_output=True, text=True, env={
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VMM_URL": f"http://127.0.0.1:{service.port}", "VMM_KEY": "0x" + stranger.key.hex()})
    assert out.returncode == 4 and stranger.address in out.stderr and "ask an administrator" in out.stderr, out
