"""Signing in with Ethereum, sessions, and capabilities: with the siwe and viem packages, and all that must be refused."""
import base64
import json
import subprocess
import time

import pytest
from support import BIN, ROOT, Signer, eventually


def register(service, name="dev"):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": name}).status == 200
    return signer


def refused(answer, status, code, field=None):
    assert (answer.status, answer.code) == (status, code), answer
    if field:
        assert answer.json["field"] == field, answer


def sign_in(service, signer, **fields):
    """A message as the siwe package makes it, signed by viem."""
    host = f"127.0.0.1:{service.port}"
    nonce = fields.pop("nonce", None) or service.raw("GET", "/auth/nonce").json["nonce"]
    wanted = {"domain": host, "uri": f"http://{host}", "chainId": 1, "nonce": nonce, "statement": "Drive my machines.", **fields}
    out = subprocess.run(
        ["node", ROOT / "tests/js/siwe.mjs", "0x" + signer.key.hex(), json.dumps(wanted)], capture_output=True, text=True, check=True
    )
    return json.loads(out.stdout)


def by_hand(service, signer, nonce=None, address=None, **changes):
    """The same message without a library, so that it can be wrong."""
    host = f"127.0.0.1:{service.port}"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    part = {"domain": host, "uri": f"http://{host}", "version": "1", "chain": "1", "at": at, "more": "", **changes}
    part["nonce"] = nonce or service.raw("GET", "/auth/nonce").json["nonce"]
    message = (f"{part['domain']} wants you to sign in with your Ethereum account:\n{address or signer.address}\n\n\nURI: {part['uri']}\n"
               f"Version: {part['version']}\nChain ID: {part['chain']}\nNonce: {part['nonce']}\nIssued At: {part['at']}{part['more']}")
    signature, recovery = signer.sign(message)
    return {"message": message, "signature": f"0x{signature.hex()}{27 + recovery:02x}"}


def post(service, target, body, **headers):
    return service.raw("POST", target, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())


def login(service, signer):
    answer = post(service, "/auth/login", by_hand(service, signer))
    assert answer.status == 201, answer
    return answer.json["token"]


def bearer(token, **more):
    return {"Authorization": f"Bearer {token}", **more}


def test_a_message_of_the_siwe_package_signed_by_viem_logs_in(service):
    ada = register(service, "ada")
    opened = post(service, "/auth/login", sign_in(service, ada))
    assert opened.status == 201 and opened.json["address"] == ada.address, opened
    token = opened.json["token"]
    me = service.raw("GET", "/auth/whoami", bearer(token)).json
    assert (me["address"], me["name"], me["auth"], me["session"]["current"]) == (ada.address, "ada", "session", True)
    made = post(service, "/vms", {"name": "web", "start": False}, **bearer(token))
    assert made.status == 201 and made.json["owner"] == ada.address
    service.restart()
    assert service.raw("GET", "/vms", bearer(token)).json["vms"][0]["name"] == "web", "it survives the service"
    assert (service.folder / "state.db").read_bytes().find(token.encode()) == -1, "only its hash is stored"
    # Requests in a session carry nothing that could be used twice.
    for _ in range(2):
        assert service.raw("PATCH", f"/vms/{made.json['id']}", bearer(token, **{"Content-Type": "application/json"}), b'{"labels": {}}').status == 200


def test_sessions_are_listed_and_ended(service):
    ada, eve = register(service), register(service)
    first, second = login(service, ada), login(service, ada)
    listed = service.raw("GET", "/auth/sessions", bearer(second)).json["sessions"]
    assert len(listed) == 2 and [s["current"] for s in listed].count(True) == 1
    assert service.call("GET", "/auth/sessions", signer=eve).json["sessions"] == []
    other = next(s["id"] for s in listed if not s["current"])
    refused(service.call("DELETE", f"/auth/sessions/{other}", signer=eve), 404, "not-found")
    assert service.raw("DELETE", f"/auth/sessions/{other}", bearer(second)).status == 204
    refused(service.raw("GET", "/vms", bearer(first)), 401, "session-ended")
    assert post(service, "/auth/logout", {}, **bearer(second)).status == 204
    refused(service.raw("GET", "/vms", bearer(second)), 401, "session-ended")
    refused(service.call("POST", "/auth/logout", {}, ada), 422, "no-session")
    third = login(service, ada)
    assert service.call("DELETE", "/auth/sessions", signer=ada).status == 204
    refused(service.raw("GET", "/vms", bearer(third)), 401, "session-ended")
    for wrong in ("", "vmms_", third[:-1], third + "0", "x" * 5000):
        assert service.raw("GET", "/vms", bearer(wrong)).status == 401


def test_a_session_ends_with_its_message(service):
    ada = register(service)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 10))
    token = post(service, "/auth/login", by_hand(service, ada, more=f"\nExpiration Time: {soon}")).json["token"]
    assert service.raw("GET", "/vms", bearer(token)).status == 200
    eventually(lambda: service.raw("GET", "/vms", bearer(token)).status == 401)
    refused(service.raw("GET", "/vms", bearer(token)), 401, "session-ended")


def test_a_nonce_is_good_once_also_after_a_restart(service):
    ada = register(service)
    message = by_hand(service, ada)
    assert post(service, "/auth/login", message).status == 201
    refused(post(service, "/auth/login", message), 409, "nonce-used", "message")
    service.restart()
    refused(post(service, "/auth/login", message), 409, "nonce-used", "message")
    again = by_hand(service, ada, nonce=message["message"].split("Nonce: ")[1].split("\n")[0])
    refused(post(service, "/auth/login", again), 409, "nonce-used", "message")


def test_what_does_not_log_in(service):
    ada, eve = register(service), register(service)
    wrong = [
        (by_hand(service, ada, domain="evil.example"), 401, "wrong-domain", "message"),
        (by_hand(service, ada, uri="https://evil.example"), 401, "wrong-domain", "message"),
        (by_hand(service, ada, chain="5"), 401, "wrong-chain", "message"),
        (by_hand(service, ada, nonce="12345678"), 401, "bad-nonce", "message"),
        (by_hand(service, ada, at="2020-01-01T00:00:00Z"), 401, "message-expired", "message"),
        (by_hand(service, ada, at="2099-01-01T00:00:00Z"), 401, "message-not-yet-valid", "message"),
        (by_hand(service, ada, more="\nExpiration Time: 2020-01-01T00:00:00Z"), 401, "message-expired", "message"),
        (by_hand(service, ada, address=ada.address.lower()), 422, "bad-sign-in-message", "message"),
        (by_hand(service, ada, address=eve.address), 401, "address-mismatch", "signature"),
        (by_hand(service, ada, version="2"), 422, "bad-sign-in-message", "message"),
        ({**by_hand(service, ada), "signature": "0x00"}, 422, "invalid-value", "signature"),
        ({"message": "x"}, 422, "invalid-value", "signature"),
        (by_hand(service, Signer()), 401, "unknown-signer", None),
    ]
    for body, status, code, field in wrong:
        refused(post(service, "/auth/login", body), status, code, field)
    service.call("PUT", f"/accounts/{ada.address}", {"status": "suspended"})
    refused(post(service, "/auth/login", by_hand(service, ada)), 403, "account-suspended")


def test_signing_in_opens_an_account_where_registration_is_open(make_service):
    service = make_service(registration="open", siwe_domains="vmm.example,127.0.0.1", siwe_chain_id=10)
    nobody = Signer()
    nonce = service.raw("GET", "/auth/nonce").json
    assert (nonce["domains"], nonce["chain_id"]) == (["vmm.example", "127.0.0.1"], 10)
    opened = post(service, "/auth/login", by_hand(service, nobody, domain="vmm.example", uri="https://vmm.example/login", chain="10"))
    assert opened.status == 201, opened
    assert service.call("GET", f"/accounts/{nobody.address}").status == 200


def test_a_cookie_changes_nothing_for_other_sites(service):
    ada = register(service)
    opened = post(service, "/auth/login", {**by_hand(service, ada), "cookie": True})
    assert opened.status == 201 and opened.json["token"] is None
    cookie = opened.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/")), cookie
    carried = {"Cookie": "theme=dark; " + cookie.split(";")[0]}
    assert service.raw("GET", "/auth/whoami", carried).json["address"] == ada.address
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        refused(post(service, "/vms", {"name": "web", "start": False}, **carried, **origin), 403, "wrong-origin", "Origin")
    ours = {"Origin": f"http://127.0.0.1:{service.port}"}
    assert post(service, "/vms", {"name": "web", "start": False}, **carried, **ours).status == 201


def test_a_suspended_account_loses_its_sessions_use_at_once(service):
    ada = register(service)
    token = login(service, ada)
    service.call("PUT", f"/accounts/{ada.address}", {"status": "suspended"})
    refused(service.raw("GET", "/vms", bearer(token)), 403, "account-suspended")


# Capabilities.


class Chain:
    """A capability made by hand, link by link, with viem's EIP-712 as the signer."""

    def __init__(self, vm):
        self.vm, self.links, self.parent = vm, [], "0x" + "00" * 32

    def add(self, signer, to, actions, expires=None, vm=None):
        until = self.links[-1]["expires"] if self.links else int(time.time()) + 600
        link = {"vm": vm or self.vm, "to": to.address, "actions": actions, "expires": expires or until,
                "nonce": f"{len(self.links):032x}"}
        out = subprocess.run(["node", ROOT / "tests/js/capability.mjs", "0x" + signer.key.hex(), json.dumps({**link, "parent": self.parent})],
                             capture_output=True, text=True, check=True)
        signed = json.loads(out.stdout)
        self.links.append({**link, "signature": signed["signature"]})
        self.parent = signed["digest"]
        return self

    @property
    def token(self):
        return "cap1." + base64.urlsafe_b64encode(json.dumps(self.links).encode()).decode().rstrip("=")


@pytest.fixture
def shop(service):
    ada, bob, eve = (register(service, name) for name in ("ada", "bob", "eve"))
    vm = service.create("web", signer=ada, start=False).json["id"]
    return service, ada, bob, eve, vm


def by(service, signer, token, method, target, body=None):
    return service.call(method, target, body, signer, headers={"X-Capability": token})


def test_a_capability_gives_its_actions_and_no_more(shop):
    service, ada, bob, eve, vm = shop
    token = Chain(vm).add(ada, bob, ["view", "operate"]).token
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 404, "not-found")
    assert by(service, bob, token, "GET", f"/vms/{vm}").status == 200
    assert by(service, bob, token, "POST", f"/vms/{vm}/start", {}).status == 200
    refused(by(service, bob, token, "PATCH", f"/vms/{vm}", {"labels": {}}), 403, "role-too-low")
    refused(by(service, bob, token, "DELETE", f"/vms/{vm}?force=true"), 403, "role-too-low")
    refused(by(service, eve, token, "GET", f"/vms/{vm}"), 401, "capability-not-yours", "X-Capability")
    assert [v["id"] for v in by(service, bob, token, "GET", "/vms").json["vms"]] == [vm]
    me = by(service, bob, token, "GET", "/auth/whoami").json["capability"]
    assert (me["given_by"], me["holder"], me["vm"], me["actions"]) == (ada.address, bob.address, vm, ["view", "operate"])


def test_a_capability_never_gives_the_right_to_share(shop):
    service, ada, bob, eve, vm = shop
    refused(by(service, bob, Chain(vm).add(ada, bob, ["share"]).token, "GET", f"/vms/{vm}"), 400, "bad-capability", "X-Capability")
    token = Chain(vm).add(ada, bob, ["view", "operate", "configure", "own"]).token
    refused(by(service, bob, token, "PUT", f"/vms/{vm}/collaborators/{bob.address}", {"role": "Owner"}), 403, "not-delegable")
    refused(by(service, bob, token, "POST", f"/vms/{vm}/transfer", {"to": bob.address}), 403, "not-delegable")
    assert by(service, bob, token, "DELETE", f"/vms/{vm}").status == 204


def test_a_capability_can_be_passed_on_with_less_and_never_with_more(shop):
    service, ada, bob, eve, vm = shop
    soon = int(time.time()) + 300
    passed = Chain(vm).add(ada, bob, ["view", "operate"], soon).add(bob, eve, ["view"], soon - 10)
    assert by(service, eve, passed.token, "GET", f"/vms/{vm}").status == 200
    refused(by(service, eve, passed.token, "POST", f"/vms/{vm}/start", {}), 403, "role-too-low")
    refused(by(service, bob, passed.token, "GET", f"/vms/{vm}"), 401, "capability-not-yours")
    wider = [
        Chain(vm).add(ada, bob, ["view"], soon).add(bob, eve, ["view", "operate"], soon),
        Chain(vm).add(ada, bob, ["view"], soon).add(bob, eve, ["view"], soon + 1),
        Chain(vm).add(ada, bob, ["view"], soon).add(eve, eve, ["view"], soon),
    ]
    other = service.create("other", signer=ada, start=False).json["id"]
    wider.append(Chain(vm).add(ada, bob, ["view"], soon).add(bob, eve, ["view"], soon, vm=other))
    for chain in wider:
        refused(by(service, eve, chain.token, "GET", f"/vms/{vm}"), 401, "capability-widened", "X-Capability")


def test_a_capability_is_worth_what_its_giver_has(shop):
    service, ada, bob, eve, vm = shop
    made_up = Chain(vm).add(bob, eve, ["view"]).token
    refused(by(service, eve, made_up, "GET", f"/vms/{vm}"), 404, "not-found")
    service.call("PUT", f"/vms/{vm}/collaborators/{bob.address}", {"role": "ReadOnly"}, ada)
    token = Chain(vm).add(bob, eve, ["view", "operate"]).token
    assert by(service, eve, token, "GET", f"/vms/{vm}").status == 200
    refused(by(service, eve, token, "POST", f"/vms/{vm}/start", {}), 403, "role-too-low")
    service.call("DELETE", f"/vms/{vm}/collaborators/{bob.address}", signer=ada)
    refused(by(service, eve, token, "GET", f"/vms/{vm}"), 404, "not-found")
    given = Chain(vm).add(ada, eve, ["view"]).token
    service.call("PUT", f"/accounts/{ada.address}", {"status": "suspended"})
    refused(by(service, eve, given, "GET", f"/vms/{vm}"), 404, "not-found")


def test_a_capability_ends_and_can_be_called_back(shop):
    service, ada, bob, eve, vm = shop
    over = Chain(vm).add(ada, bob, ["view"], int(time.time()) - 1).token
    refused(by(service, bob, over, "GET", f"/vms/{vm}"), 401, "capability-expired", "X-Capability")
    long = Chain(vm).add(ada, bob, ["view"], int(time.time()) + 400 * 86400).token
    refused(by(service, bob, long, "GET", f"/vms/{vm}"), 401, "capability-too-long", "X-Capability")
    chain = Chain(vm).add(ada, bob, ["view", "operate"])
    first = chain.token
    passed = chain.add(bob, eve, ["view"]).token
    refused(service.call("POST", "/capabilities/revoke", {"capability": first}, eve), 403, "capability-not-yours")
    # Bob calls back what he passed on; his own stays.
    assert service.call("POST", "/capabilities/revoke", {"capability": passed}, bob).status == 200
    refused(by(service, eve, passed, "GET", f"/vms/{vm}"), 401, "capability-revoked", "X-Capability")
    assert by(service, bob, first, "GET", f"/vms/{vm}").status == 200
    # The owner calls back all of it.
    assert service.call("POST", "/capabilities/revoke", {"capability": passed}, ada).status == 200
    service.restart()
    refused(by(service, bob, first, "GET", f"/vms/{vm}"), 401, "capability-revoked", "X-Capability")
    assert len(service.call("GET", f"/vms/{vm}/revocations", signer=ada).json["revocations"]) == 2
    refused(service.call("POST", "/capabilities/revoke", {"capability": "nonsense"}, ada), 400, "bad-capability", "capability")


def test_vmctl_grants_attenuates_and_revokes(shop, tmp_path):
    service, ada, bob, eve, vm = shop

    def vmctl(signer, *arguments, token=""):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VMM_URL": f"http://127.0.0.1:{service.port}",
                       "VMM_KEY": "0x" + signer.key.hex(), "VMM_CAPABILITY": token}
        return subprocess.run([BIN / "vmctl", *arguments], capture_output=True, text=True, env=environment)

    token = vmctl(ada, "grant", "web", bob.address, "--actions", "view,operate", "--until", "1h").stdout.strip()
    assert token.startswith("cap1."), token
    (tmp_path / "token").write_text(token + "\n")
    assert vmctl(bob, "start", vm, token=str(tmp_path / "token")).returncode == 0
    passed = vmctl(bob, "grant", vm, eve.address, "--actions", "view", "--until", "30m", token=token).stdout.strip()
    assert vm in vmctl(eve, "show", vm, "-o", "json", token=passed).stdout
    assert vmctl(eve, "stop", vm, token=passed).returncode == 4
    wider = vmctl(bob, "grant", vm, eve.address, "--actions", "own", token=token)
    assert wider.returncode != 0 and "more than the one before" in wider.stderr, wider
    assert "given_by" in vmctl(eve, "whoami", token=passed).stdout
    assert vmctl(ada, "revoke", token).returncode == 0
    gone = vmctl(bob, "show", vm, token=token)
    assert gone.returncode == 4 and "called back" in gone.stderr, gone
