"""The console over a WebSocket, and that it ends with the right to it: looked at four times a second, with room here for a busy machine."""
import time

import pytest
from support import Signer, WebSocket, eventually
from test_sessions import Chain, bearer, by_hand, login, post


def register(service, name="dev"):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": name}).status == 200
    return signer


@pytest.fixture(scope="module")
def shop():
    from support import Service
    service = Service().start()
    ada = register(service, "ada")
    vm = service.create("web", signer=ada, memory_mib=128).json["id"]
    service.wait_boot(vm)
    yield service, ada, vm
    service.close()


def console(service, vm, signer=None, headers=None):
    target = f"/vms/{vm}/console"
    return WebSocket(service, target, headers or service.signed_headers("GET", target, signer=signer))


def says(stream, word):
    stream.send(f"echo {word[:2]}''{word[2:]}\n".encode())
    return stream.until(word.encode())


def ended(stream):
    """How it was closed."""
    while stream.receive() is not None:
        pass
    return stream.closed


def test_the_guest_is_talked_to(shop):
    service, ada, vm = shop
    first, second = console(service, vm, ada), console(service, vm, ada)
    assert first.status == second.status == 101
    says(first, "marco")
    second.until(b"marco")
    first.close()
    says(second, "polo")
    second.close()
    eventually(lambda: service.call("GET", f"/audit?about={vm}", signer=ada).json["records"][0]["action"].endswith("/console"))
    record = service.call("GET", f"/audit?about={vm}", signer=ada).json["records"][0]
    assert (record["outcome"], record["status"]) == ("allowed", 101)


def test_who_gets_none(shop):
    service, ada, vm = shop
    eve, reader = register(service), register(service)
    service.call("PUT", f"/vms/{vm}/collaborators/{reader.address}", {"role": "ReadOnly"}, ada)
    refused = console(service, vm, eve)
    assert (refused.status, refused.problem["code"]) == (404, "not-found")
    refused = console(service, vm, reader)
    assert (refused.status, refused.problem["code"]) == (403, "role-too-low")
    target = f"/vms/{vm}/console"
    headers = service.signed_headers("GET", target, signer=ada)
    used = WebSocket(service, target, headers)
    assert used.status == 101
    again = WebSocket(service, target, headers)
    assert (again.status, again.problem["code"]) == (409, "replayed-request"), "a signature opens one console"
    plain = service.call("GET", target, signer=ada)
    assert (plain.status, plain.code) == (400, "websocket-required")
    stopped = service.create("off", signer=ada, start=False).json["id"]
    refused = console(service, stopped, ada)
    assert (refused.status, refused.problem["code"]) == (409, "not-running")


def test_a_page_needs_its_session_and_its_own_origin(shop):
    service, ada, vm = shop
    opened = post(service, "/auth/login", {**by_hand(service, ada), "cookie": True})
    cookie = {"Cookie": opened.headers["set-cookie"].split(";")[0]}
    for origin in ({}, {"Origin": "https://evil.example"}):
        refused = console(service, vm, headers={**cookie, **origin})
        assert (refused.status, refused.problem["code"]) == (403, "wrong-origin")
    stream = console(service, vm, headers={**cookie, "Origin": f"http://127.0.0.1:{service.port}"})
    assert stream.status == 101
    says(stream, "cookie")
    stream.close()


def give(service, ada, vm, who):
    service.call("PUT", f"/vms/{vm}/collaborators/{who.address}", {"role": "Operator"}, ada)


def test_it_ends_with_the_role(shop):
    service, ada, vm = shop
    bob = register(service)
    give(service, ada, vm, bob)
    stream = console(service, vm, bob)
    says(stream, "hello")
    service.call("PUT", f"/vms/{vm}/collaborators/{bob.address}", {"role": "ReadOnly"}, ada)
    closed = ended(stream)
    assert closed == (1008, "the role that this needs has ended"), closed


def test_it_ends_with_the_membership(shop):
    service, ada, vm = shop
    bob = register(service)
    team = service.call("POST", "/teams", {"name": "core"}, ada).json["id"]
    service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Operator"}, ada)
    machine = service.create("ours", signer=ada, team=team, memory_mib=128).json["id"]
    stream = console(service, machine, bob)
    assert stream.status == 101
    service.call("DELETE", f"/teams/{team}/members/{bob.address}", signer=ada)
    closed = ended(stream)
    assert closed[0] == 1008, closed
    service.call("DELETE", f"/vms/{machine}?force=true", signer=ada)


def test_it_ends_with_the_account(shop):
    service, ada, vm = shop
    bob = register(service)
    give(service, ada, vm, bob)
    stream = console(service, vm, bob)
    says(stream, "hello")
    service.call("PUT", f"/accounts/{bob.address}", {"status": "suspended"})
    closed = ended(stream)
    assert closed == (1008, "the account is suspended or gone"), closed
    refused = console(service, vm, bob)
    assert (refused.status, refused.problem["code"]) == (403, "account-suspended")


def test_it_ends_with_the_session(shop):
    service, ada, vm = shop
    token = login(service, ada)
    stream = console(service, vm, headers=bearer(token))
    says(stream, "hello")
    assert post(service, "/auth/logout", {}, **bearer(token)).status == 204
    closed = ended(stream)
    assert closed == (1008, "the session has ended"), closed


def test_it_ends_with_the_capability(shop):
    service, ada, vm = shop
    bob = register(service)
    chain = Chain(vm).add(ada, bob, ["operate"], int(time.time()) + 8)
    target = f"/vms/{vm}/console"
    stream = WebSocket(service, target, {**service.signed_headers("GET", target, signer=bob), "X-Capability": chain.token})
    assert stream.status == 101
    closed = ended(stream)
    assert closed == (1008, "the capability has ended"), closed
    again = Chain(vm).add(ada, bob, ["operate"])
    stream = WebSocket(service, target, {**service.signed_headers("GET", target, signer=bob), "X-Capability": again.token})
    assert stream.status == 101
    service.call("POST", "/capabilities/revoke", {"capability": again.token}, ada)
    closed = ended(stream)
    assert closed == (1008, "the capability has ended"), closed


def test_one_who_does_not_read_is_let_go_of(shop):
    """The guest writes more than any buffer holds; the right ends; nothing is left waiting."""
    service, ada, vm = shop
    bob = register(service)
    give(service, ada, vm, bob)
    stream = console(service, vm, bob)
    stream.send(b"i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; i=$((i+1)); done\n")
    time.sleep(2)
    began = service.log.stat().st_size
    service.call("DELETE", f"/vms/{vm}/collaborators/{bob.address}", signer=ada)
    eventually(lambda: b"a console is closed" in service.log.read_bytes()[began:])
    stream.close()
    other = console(service, vm, ada)
    other.send(b"\x03\n")
    says(other, "alive")
    other.close()


def test_it_ends_with_the_machine_and_with_the_service(shop):
    service, ada, _ = shop
    vm = service.create("short", signer=ada, memory_mib=128).json["id"]
    stream = console(service, vm, ada)
    assert stream.status == 101
    service.call("POST", f"/vms/{vm}/stop", {"force": True}, ada)
    closed = ended(stream)
    assert closed[0] == 1000, closed
    service.call("POST", f"/vms/{vm}/start", {}, ada)
    stream = console(service, vm, ada)
    assert stream.status == 101
    service.stop()
    assert ended(stream), "it does not outlive the service"
    service.start()
    assert service.call("GET", f"/vms/{vm}", signer=ada).json["status"] == "running"
