"""Sharing machines: roles given and ended, teams, transfers, accounts and their quotas; and what bad input is told."""
import json
import threading
import time

import pytest
from support import Signer, timestamp_now


@pytest.fixture
def people(service):
    return {name: register(service, name) for name in ("ada", "bob", "eve")}


def register(service, name):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": name}).status == 200
    return signer


def make(service, signer, name="web", **fields):
    answer = service.create(name, signer=signer, start=False, **fields)
    assert answer.status == 201, answer
    return answer.json["id"]


def share(service, by, vm, to, role="Operator", **more):
    return service.call("PUT", f"/vms/{vm}/collaborators/{to.address}", {"role": role, **more}, by)


def refused(answer, status, code, field=None):
    assert (answer.status, answer.code) == (status, code), answer
    if field:
        assert answer.json["field"] == field, answer


def test_a_role_acts_at_once_and_ends_at_once(service, people):
    ada, bob = people["ada"], people["bob"]
    vm = make(service, ada)
    refused(service.call("POST", f"/vms/{vm}/start", {}, bob), 404, "not-found")
    given = share(service, ada, vm, bob).json
    assert (given["address"], given["role"], given["given_by"], given["expires_at"]) == (bob.address, "Operator", ada.address, None)
    assert service.call("POST", f"/vms/{vm}/start", {}, bob).status == 200
    refused(service.call("PATCH", f"/vms/{vm}", {"name": "mine"}, bob), 403, "role-too-low")
    assert service.call("DELETE", f"/vms/{vm}/collaborators/{bob.address}", signer=ada).status == 204
    refused(service.call("POST", f"/vms/{vm}/stop", {"force": True}, bob), 404, "not-found")
    assert service.call("GET", "/vms", signer=bob).json["vms"] == []
    refused(service.call("DELETE", f"/vms/{vm}/collaborators/{bob.address}", signer=ada), 404, "not-found")


def test_a_role_survives_the_service(service, people):
    vm = make(service, people["ada"])
    share(service, people["ada"], vm, people["bob"], "Manager")
    service.restart()
    assert service.call("PATCH", f"/vms/{vm}", {"labels": {"a": "b"}}, people["bob"]).status == 200


def test_a_role_ends_when_its_time_is_up(service, people):
    ada, bob = people["ada"], people["bob"]
    vm = make(service, ada)
    past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    refused(share(service, ada, vm, bob, expires_at=past), 422, "invalid-value", "expires_at")
    refused(share(service, ada, vm, bob, expires_at="tomorrow"), 422, "invalid-value", "expires_at")
    soon = time.time() + 10
    assert share(service, ada, vm, bob, expires_at=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(soon)) + "+00:00").status == 200
    assert service.call("GET", f"/vms/{vm}", signer=bob).status == 200
    time.sleep(max(0, soon - time.time()) + 0.1)
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 404, "not-found")
    assert service.call("GET", f"/vms/{vm}/collaborators", signer=ada).json["collaborators"][0]["expired"] is True


def test_bad_input_names_its_field(service, people):
    ada, bob = people["ada"], people["bob"]
    vm = make(service, ada)
    refused(share(service, ada, vm, bob, "Boss"), 422, "invalid-value", "role")
    refused(share(service, ada, vm, bob, "none"), 422, "invalid-value", "role")
    refused(service.call("PUT", f"/vms/{vm}/collaborators/{bob.address}", {}, ada), 422, "invalid-value", "role")
    refused(service.call("PUT", f"/vms/{vm}/collaborators/{bob.address}", {"role": "Owner", "x": 1}, ada), 422, "unknown-field", "x")
    wrong = bob.address[:-1] + (bob.address[-1].swapcase() if bob.address[-1].isalpha() else "zz")
    refused(service.call("PUT", f"/vms/{vm}/collaborators/0x1234", {"role": "Owner"}, ada), 422, "invalid-value", "address")
    flipped = next(bob.address[:i] + c.swapcase() + bob.address[i + 1:] for i, c in enumerate(bob.address) if i > 1 and c.isalpha())
    answer = service.call("PUT", f"/vms/{vm}/collaborators/{flipped}", {"role": "Owner"}, ada)
    refused(answer, 422, "invalid-value", "address")
    assert "checksum" in answer.json["detail"], answer
    refused(share(service, ada, vm, ada, "ReadOnly"), 422, "owner-is-no-collaborator", "address")
    refused(service.call("POST", f"/vms/{vm}/transfer", {"to": wrong + "00"}, ada), 422, "invalid-value", "to")
    refused(service.call("POST", f"/vms/{vm}/transfer", {"to": ada.address}, ada), 422, "invalid-value", "to")
    refused(service.call("POST", f"/vms/{vm}/transfer", {"to": "team-00000000000000000000000000"}, ada), 422, "invalid-value", "to")
    refused(service.call("POST", f"/vms/{vm}/transfer", {"to": bob.address, "acceptance": "soon"}, ada), 422, "invalid-value", "acceptance")
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, ada), 403, "not-offered")
    refused(service.call("POST", "/teams", {"name": ""}, ada), 422, "invalid-value", "name")
    refused(service.create("t", signer=ada, team="team-00000000000000000000000000", start=False), 422, "invalid-value", "team")


def test_nobody_promotes_themselves(service, people):
    ada, bob = people["ada"], people["bob"]
    vm = make(service, ada)
    for role in ("ReadOnly", "Operator", "Manager"):
        share(service, ada, vm, bob, role)
        refused(share(service, bob, vm, bob, "Owner"), 403, "role-too-low")
    for field, value in (("administrator", True), ("status", "active"), ("quotas", {"machines": 99})):
        refused(service.call("PUT", f"/accounts/{bob.address}", {field: value}, bob), 403, "not-yours-to-change", field)
    team = service.call("POST", "/teams", {"name": "core"}, ada).json["id"]
    service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Manager"}, ada)
    refused(service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Owner"}, bob), 403, "role-too-low")


def test_a_role_removed_during_an_operation_does_not_break_it(service, people):
    """The start that bob began goes on; bob cannot follow it any more."""
    ada, bob = people["ada"], people["bob"]
    vm = make(service, ada)
    share(service, ada, vm, bob)
    operation = service.call("POST", f"/vms/{vm}/start", {}, bob, headers={"Prefer": "respond-async"}).json["id"]
    assert service.call("DELETE", f"/vms/{vm}/collaborators/{bob.address}", signer=ada).status == 204
    refused(service.call("GET", f"/operations/{operation}?wait=30", signer=bob), 404, "not-found")
    ended = service.call("GET", f"/operations/{operation}?wait=30", signer=ada).json
    assert ended["status"] == "succeeded" and ended["requested_by"] == bob.address
    assert service.call("GET", f"/vms/{vm}", signer=ada).json["status"] == "running"


def test_the_last_owner_of_a_team_stays(service, people):
    ada, bob = people["ada"], people["bob"]
    team = service.call("POST", "/teams", {"name": "core"}, ada).json["id"]
    refused(service.call("DELETE", f"/teams/{team}/members/{ada.address}", signer=ada), 409, "last-owner")
    refused(service.call("DELETE", f"/accounts/{ada.address}", signer=ada), 409, "last-owner")
    service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Owner"}, ada)
    assert service.call("DELETE", f"/teams/{team}/members/{ada.address}", signer=ada).status == 204
    assert service.call("GET", f"/teams/{team}", signer=bob).json["charged_to"] == bob.address
    refused(service.call("GET", f"/teams/{team}", signer=ada), 404, "not-found")
    service.restart()
    assert service.call("GET", f"/teams/{team}", signer=bob).json["members"] == 1


def test_a_team_of_ten_thousand(service, people):
    """Taken, paged and looked up; the members come in over one connection, as a script would send them."""
    import http.client
    ada, bob = people["ada"], people["bob"]
    team = service.call("POST", "/teams", {"name": "all"}, ada).json["id"]
    body = b'{"role": "ReadOnly"}'
    count = 1500  # the limit itself, 10,000, is tested beside the code; here it is the way through the API
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    for n in range(count):
        target = f"/teams/{team}/members/0x{n:040x}"
        connection.request("PUT", target, body, service.signed_headers("PUT", target, body, ada))
        answer = connection.getresponse()
        assert answer.read() and answer.status == 200
    connection.close()
    service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Operator"}, ada)
    seen, cursor = set(), ""
    while cursor is not None:
        page = service.call("GET", f"/teams/{team}/members?limit=1000" + (f"&cursor={cursor}" if cursor else ""), signer=bob).json
        seen |= {m["address"] for m in page["members"]}
        cursor = page["next_cursor"]
    assert len(seen) == count + 2
    vm = make(service, ada, team=team)
    assert service.call("GET", f"/vms/{vm}", signer=bob).json["team"] == team
    assert service.call("GET", f"/teams/{team}", signer=bob).json["machines"] == 1
    refused(service.call("DELETE", f"/teams/{team}", signer=ada), 409, "team-owns-machines")


def test_transfer_in_two_steps(service, people):
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    vm = make(service, ada)
    share(service, ada, vm, eve)
    volume = service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1}, ada).json["id"]
    assert service.call("POST", f"/vms/{vm}/transfer", {"to": bob.address}, ada).status == 200
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 404, "not-found")
    offer = service.call("GET", "/transfers", signer=bob).json["transfers"]
    assert [(o["vm"], o["owner"], o["to"]) for o in offer] == [(vm, ada.address, bob.address)]
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, eve), 403, "not-offered")
    make(service, bob)
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, bob), 409, "name-taken", "name")
    service.restart()
    taken = service.call("POST", f"/vms/{vm}/transfer/accept", {"name": "web-2"}, bob)
    assert taken.status == 200 and (taken.json["owner"], taken.json["name"]) == (bob.address, "web-2")
    for signer in (ada, eve):
        refused(service.call("GET", f"/vms/{vm}", signer=signer), 404, "not-found")
    assert service.call("GET", "/transfers", signer=bob).json["transfers"] == []
    disks = service.call("GET", f"/vms/{vm}/disks", signer=bob).json["disks"]
    assert [d["owner"] for d in disks if d["id"] == volume] == [bob.address]
    make(service, ada)  # the name is free again
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, bob), 403, "not-offered")


def test_transfer_can_be_declined_and_taken_back(service, people):
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    vm = make(service, ada)
    for by in (bob, ada):
        assert service.call("POST", f"/vms/{vm}/transfer", {"to": bob.address, "keep_collaborators": True}, ada).status == 200
        refused(service.call("DELETE", f"/vms/{vm}/transfer", signer=eve), 404, "not-found")
        assert service.call("DELETE", f"/vms/{vm}/transfer", signer=by).status == 204
        assert service.call("GET", "/transfers", signer=bob).json["transfers"] == []
    refused(service.call("DELETE", f"/vms/{vm}/transfer", signer=ada), 409, "no-offer")


def acceptance(signer, vm, to, until):
    signature, recovery = signer.sign(f"vmm-service: take over machine {vm} for {to} until {until}")
    return f"{until}:0x{signature.hex()}{27 + recovery:02x}"


def test_transfer_at_once_with_the_receivers_signature(service, people):
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    vm = make(service, ada)
    share(service, ada, vm, eve, "ReadOnly")
    share(service, ada, vm, bob, "ReadOnly")
    soon = int(time.time()) + 60

    def give(word, to=bob.address):
        return service.call("POST", f"/vms/{vm}/transfer", {"to": to, "acceptance": word, "keep_collaborators": True}, ada)

    refused(give(acceptance(eve, vm, bob.address, soon)), 422, "bad-acceptance", "acceptance")
    refused(give(acceptance(bob, "vm-another", bob.address, soon)), 422, "bad-acceptance", "acceptance")
    refused(give(acceptance(bob, vm, bob.address, soon - 120)), 422, "bad-acceptance", "acceptance")
    refused(give(acceptance(bob, vm, bob.address, soon + 30 * 86400)), 422, "bad-acceptance", "acceptance")
    word = acceptance(bob, vm, bob.address, soon)
    assert give(word).json["owner"] == bob.address
    left = service.call("GET", f"/vms/{vm}/collaborators", signer=bob).json["collaborators"]
    assert [c["address"] for c in left] == [eve.address], "kept, but for the new owner"
    refused(service.call("GET", f"/vms/{vm}", signer=ada), 404, "not-found")
    # Back, and the same word does not do it again.
    assert service.call("POST", f"/vms/{vm}/transfer", {"to": ada.address, "acceptance": acceptance(ada, vm, ada.address, soon)}, bob).status == 200
    refused(give(word), 409, "acceptance-used", "acceptance")


def test_transfer_to_a_team_needs_one_of_its_owners(service, people):
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    team = service.call("POST", "/teams", {"name": "core"}, bob).json["id"]
    service.call("PUT", f"/teams/{team}/members/{eve.address}", {"role": "Manager"}, bob)
    vm = make(service, ada)
    assert service.call("POST", f"/vms/{vm}/transfer", {"to": team}, ada).status == 200
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, eve), 404, "not-found")
    taken = service.call("POST", f"/vms/{vm}/transfer/accept", {}, bob).json
    assert (taken["owner"], taken["team"]) == (None, team)
    assert service.call("PATCH", f"/vms/{vm}", {"labels": {}}, eve).status == 200
    refused(service.call("DELETE", f"/vms/{vm}", signer=eve), 403, "role-too-low")
    refused(service.call("GET", f"/vms/{vm}", signer=ada), 404, "not-found")


def test_quotas_hold_and_tell_what_is_used(service, people):
    ada, bob = people["ada"], people["bob"]
    most = {"machines": 2, "vcpus": 3, "memory_mib": 1000}
    assert service.call("PUT", f"/accounts/{ada.address}", {"quotas": most}).json["quotas"]["vcpus"] == 3
    make(service, ada, "a", vcpus=2, memory_mib=256)
    refused(service.create("b", signer=ada, start=False, vcpus=2), 409, "quota-exceeded", "vcpus")
    refused(service.create("b", signer=ada, start=False, memory_mib=800), 409, "quota-exceeded", "memory_mib")
    team = service.call("POST", "/teams", {"name": "core"}, ada).json["id"]
    make(service, ada, "b", vcpus=1, memory_mib=256, team=team)
    refused(service.create("c", signer=ada, start=False, memory_mib=64), 409, "quota-exceeded", "machines")
    account = service.call("GET", f"/accounts/{ada.address}", signer=ada).json
    used = account["usage"]
    assert (used["machines"], used["vcpus"], used["memory_mib"]) == (2, 3, 512) and used["disk_bytes"] > 0
    vm = make(service, bob, "d", memory_mib=64)
    service.call("POST", f"/vms/{vm}/transfer", {"to": ada.address}, bob)
    refused(service.call("POST", f"/vms/{vm}/transfer/accept", {}, ada), 409, "quota-exceeded", "machines")
    assert service.call("GET", f"/vms/{vm}", signer=bob).status == 200, "it stays where it was"
    assert service.call("PUT", f"/accounts/{ada.address}", {"quotas": {}}).json["quotas"]["machines"] == 0
    assert service.call("POST", f"/vms/{vm}/transfer/accept", {}, ada).status == 200


def test_image_quota(make_service):
    service = make_service(account_images=1)
    content = bytes(510) + b"\x55\xaa" + bytes(512 * 7)
    assert service.upload("one", content).status == 201
    refused(service.upload("two", content + bytes(512)), 409, "quota-exceeded", "images")


def test_quotas_hold_for_creates_at_the_same_moment(service, people):
    ada = people["ada"]
    service.call("PUT", f"/accounts/{ada.address}", {"quotas": {"machines": 3}})
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(service.create(f"m{n}", signer=ada, start=False).status)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] * 3 + [409] * 5


def test_administrators_by_grant(service, people):
    ada, bob = people["ada"], people["bob"]
    vm = make(service, bob)
    assert service.call("PUT", f"/accounts/{ada.address}", {"administrator": True}).json["administrator"] is True
    assert service.call("GET", f"/vms/{vm}", signer=ada).status == 200
    assert service.call("PUT", f"/accounts/{bob.address}", {"status": "suspended"}, ada).json["status"] == "suspended"
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 403, "account-suspended")
    refused(service.call("PUT", f"/accounts/{service.admin.address}", {"status": "suspended"}, ada), 409, "account-configured", "status")
    service.restart()
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 403, "account-suspended")
    service.call("PUT", f"/accounts/{bob.address}", {"status": "active"}, ada)
    assert service.call("GET", f"/vms/{vm}", signer=bob).status == 200
    service.call("PUT", f"/accounts/{ada.address}", {"administrator": False})
    refused(service.call("GET", f"/vms/{vm}", signer=ada), 404, "not-found")


def test_an_account_that_goes_leaves_no_role_behind(service, people):
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    vm = make(service, ada)
    share(service, ada, vm, bob, "Owner")
    team = service.call("POST", "/teams", {"name": "core"}, ada).json["id"]
    service.call("PUT", f"/teams/{team}/members/{bob.address}", {"role": "Owner"}, ada)
    assert service.call("DELETE", f"/accounts/{bob.address}", signer=bob).status == 204
    assert service.call("GET", f"/vms/{vm}/collaborators", signer=ada).json["collaborators"] == []
    assert [m["address"] for m in service.call("GET", f"/teams/{team}/members", signer=ada).json["members"]] == [ada.address]
    service.call("PUT", f"/accounts/{bob.address}", {"name": "again"})
    refused(service.call("GET", f"/vms/{vm}", signer=bob), 404, "not-found")


def test_a_change_of_hands_is_whole_or_not_at_all(make_service):
    """kill -9 before and after the one commit that hands a machine over."""
    service = make_service()
    ada, bob = register(service, "ada"), register(service, "bob")
    vm = make(service, ada)
    assert service.call("POST", f"/vms/{vm}/transfer", {"to": bob.address}, ada).status == 200
    for point, owner in (("transfer.before-fact", ada), ("transfer.after-fact", bob)):
        service.restart(point)
        target, body = f"/vms/{vm}/transfer/accept", json.dumps({}).encode()
        with pytest.raises(Exception):
            service.raw("POST", target, service.signed_headers("POST", target, body, bob, timestamp_now()), body)
        service.restart()
        assert service.vm(vm)["owner"] == owner.address, point
        # Whoever owns it has the name, and nobody else.
        other = bob if owner is ada else ada
        assert service.create("web", signer=owner, start=False).status == 409
        free = service.create("web", signer=other, start=False)
        assert free.status == 201
        assert service.call("DELETE", f"/vms/{free.json['id']}", signer=other).status == 204
