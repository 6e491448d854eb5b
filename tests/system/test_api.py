"""The conventions of the HTTP API, against the real service. Few of these need a guest that boots."""
import concurrent.futures
import json
import re

from support import Signer


def define(service, name, signer=None, **fields):
    answer = service.create(name, signer, start=False, **fields)
    assert answer.status == 201, answer
    return answer.json


def test_every_route_is_served_with_and_without_the_version(service):
    vm = define(service, "web")["id"]
    document = service.call("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1") and document["info"]["version"]
    for path, methods in document["paths"].items():
        for method in methods:
            target = path.replace("{id}", vm).replace("{op}", "op-x").replace("{address}", service.admin.address)
            target = re.sub(r"{\w+}", "x", target)
            for prefix in ("", "/v1"):
                answer = service.raw(method.upper(), prefix + target, {"Content-Type": "application/json"}, b"{}")
                public = path in ("/health", "/vm/boot_complete", "/auth/nonce", "/auth/login")
                assert answer.status == (200 if path in ("/health", "/auth/nonce") else 422 if path == "/auth/login" else 401), (method, prefix + target, answer)
                assert answer.headers["x-request-id"]
                assert public or answer.code == "signature-missing"
    for path in ("/vms", "/vms/list"):
        assert [v["id"] for v in service.call("GET", "/v1" + path).json["vms"]] == [vm]
    for path in (f"/vms/{vm}", f"/vm/{vm}", f"/vm/{vm}/info"):
        assert service.call("GET", path).json["id"] == vm
    for path in ("/healthXYZ", "/health/", "//health", "/vm/boot_complete/x", "/nothing"):
        assert service.raw("GET", path).status in (401, 404), path


def test_errors_are_problems(service):
    for answer, status, code in (
        (service.call("GET", "/vms/vm-0"), 404, "not-found"),
        (service.call("GET", "/nowhere"), 404, "no-such-route"),
        (service.call("PUT", "/vms"), 405, "method-not-allowed"),
        (service.create("web", colour="red"), 422, "unknown-field"),
        (service.call("GET", "/vms?colour=red"), 422, "unknown-parameter"),
        (service.call("GET", "/vms?limit=0"), 422, "invalid-value"),
        (service.call("GET", "/vms?cursor=x"), 422, "invalid-value"),
        (service.call("GET", "/vms?status=flying"), 422, "invalid-value"),
    ):
        assert (answer.status, answer.code) == (status, code), answer
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json
        assert problem["status"] == status and problem["title"] and problem["detail"]
        assert problem["request_id"] == answer.headers["x-request-id"]
    assert service.call("PUT", "/vms").headers["allow"] == "POST, GET"
    assert service.create("web", colour="red").json["field"] == "colour"
    assert service.create("web", imgae="x").json["hint"] == 'did you mean "image"?'


def test_a_sane_request_id_is_kept(service):
    assert service.raw("GET", "/health", {"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert service.raw("GET", "/health", {"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"
    assert "request_id=abc-1" in service.log.read_text() and 'route="/health" status=200' in service.log.read_text()


def test_head_is_get_without_a_body(service):
    vm = define(service, "web")["id"]
    answer = service.call("HEAD", f"/vms/{vm}")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["content-length"]) > 100 and answer.headers["etag"]


def test_etags_guard_writers(service):
    vm = define(service, "web")
    path = f"/vms/{vm['id']}"
    etag = service.call("GET", path).headers["etag"]
    assert service.call("GET", path, headers={"If-None-Match": etag}).status == 304
    changed = service.call("PATCH", path, {"labels": {"a": "1"}}, headers={"If-Match": etag})
    assert changed.status == 200 and changed.json["labels"] == {"a": "1"}
    late = service.call("PATCH", path, {"labels": {}}, headers={"If-Match": etag})
    assert (late.status, late.code) == (412, "revision-mismatch")
    assert service.call("DELETE", path, headers={"If-Match": etag}).status == 412
    assert service.call("PATCH", path, {}, headers={"If-Match": "7"}).status == 400
    assert service.call("DELETE", path, headers={"If-Match": changed.headers["etag"]}).status == 204


def test_patch_renames_and_keeps_names_unique(service):
    one, two = define(service, "one")["id"], define(service, "two")["id"]
    taken = service.call("PATCH", f"/vms/{one}", {"name": "two"})
    assert (taken.status, taken.code, taken.json["field"]) == (409, "name-taken", "name")
    assert service.call("PATCH", f"/vms/{one}", {"name": "three"}).json["name"] == "three"
    assert service.call("POST", f"/vm/{two}/update", {"name": "one"}).json["name"] == "one"
    assert service.create("three", start=False).code == "name-taken"


def test_lists_are_paged_and_filtered(service):
    for i in range(7):
        define(service, f"vm{i}", labels={"even": str(i % 2 == 0), f"n{i}": ""})
    first = service.call("GET", "/vms?limit=3").json
    assert [v["name"] for v in first["vms"]] == ["vm0", "vm1", "vm2"]
    second = service.call("GET", f"/vms?limit=3&cursor={first['next_cursor']}").json
    third = service.call("GET", f"/vms?limit=3&cursor={second['next_cursor']}").json
    assert [v["name"] for v in third["vms"]] == ["vm6"] and third["next_cursor"] is None
    names = lambda query: [v["name"] for v in service.call("GET", "/vms?" + query).json["vms"]]
    assert names("name=vm3") == ["vm3"]
    assert names("label=even=True&limit=2") == ["vm0", "vm2"]
    assert names("label=n5") == ["vm5"]
    assert names("status=stopped") == [f"vm{i}" for i in range(7)] and names("status=running") == []
    assert len(names("owner=" + service.admin.address.lower())) == 7


def test_a_repeated_idempotency_key_gives_the_first_answer(service):
    key = {"Idempotency-Key": "order 66".replace(" ", "-")}
    first = service.create("web", headers=key, start=False)
    service.call("PATCH", f"/vms/{first.json['id']}", {"labels": {"changed": "since"}})
    again = service.create("web", headers=key, start=False)
    assert again.status == 201 and again.body == first.body and again.headers["idempotency-replayed"] == "true"
    other = service.create("other", headers=key, start=False)
    assert (other.status, other.code) == (422, "idempotency-key-reused")
    # Another caller's equal key is another key.
    guest = Signer()
    service.call("PUT", f"/accounts/{guest.address}", {})
    assert service.create("web", guest, headers=key, start=False).status == 201
    # After a restart too.
    service.restart()
    assert service.create("web", headers=key, start=False).body == first.body


def test_equal_requests_at_once_with_one_key_make_one_machine(service):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.create("web", headers={"Idempotency-Key": "k"}, start=False), range(8)))
    assert {a.status for a in answers} == {201} and len({a.json["id"] for a in answers}) == 1
    assert len(service.call("GET", "/vms").json["vms"]) == 1


def test_equal_names_at_once_make_one_machine(service):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.create("web", start=False), range(8)))
    assert sorted(a.status for a in answers) == [201] + [409] * 7


def test_an_action_may_be_answered_at_once(service):
    accepted = service.create("web", headers={"Prefer": "respond-async"})
    assert accepted.status == 202, accepted
    operation = accepted.json
    assert accepted.headers["location"] == f"/operations/{operation['id']}"
    assert operation["kind"] == "create" and operation["requested_by"] == service.admin.address
    done = service.call("GET", f"/operations/{operation['id']}?wait=60").json
    assert (done["status"], done["progress"], done["error"]) == ("succeeded", 100, None)
    assert service.vm(done["target"])["status"] == "running"
    assert [o["id"] for o in service.call("GET", f"/operations?target={done['target']}").json["operations"]] == [operation["id"]]
    assert service.call("GET", f"/operations/{operation['id']}", signer=Signer()).status == 401


def test_a_slow_action_goes_on_as_an_operation(make_service):
    service = make_service(api_request_timeout=1)
    vm = service.create().json["id"]  # the guest is still booting and does not hear the power button
    slow = service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 3})
    assert slow.status == 202, slow
    busy = service.call("POST", f"/vms/{vm}/start")
    assert (busy.status, busy.code) == (409, "machine-busy") and slow.json["id"] in busy.json["detail"]
    assert service.call("GET", slow.headers["location"] + "?wait=30").json["status"] == "succeeded"
    assert service.vm(vm)["status"] == "stopped"


def test_only_one_of_many_simultaneous_actions_wins(service):
    vm = define(service, "web")["id"]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: service.call("POST", f"/vms/{vm}/start"), range(6)))
    assert sorted(a.status for a in answers) == [200] + [409] * 5, answers


def test_strangers_see_nothing(service):
    vm = define(service, "web")["id"]
    guest = Signer()
    assert service.call("PUT", f"/accounts/{guest.address}", {"name": "guest"}).status == 200
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop"), ("POST", "/pause")):
        answer = service.call(method, f"/vms/{vm}{path}", {} if method != "GET" else None, signer=guest)
        assert (answer.status, answer.code) == (404, "not-found"), (method, path, answer)
    assert service.call("GET", "/vms", signer=guest).json["vms"] == []
    own = define(service, "web", guest)
    assert own["owner"] == guest.address and service.vm(own["id"])["name"] == "web", "an administrator sees it"
    operations = service.call("GET", "/operations", signer=guest).json["operations"]
    assert {o["target"] for o in operations} == {own["id"]}
    stranger = Signer()
    unknown = service.call("GET", "/vms", signer=stranger)
    assert (unknown.status, unknown.code) == (401, "unknown-signer") and unknown.json["recovered_address"] == stranger.address


def test_accounts_by_administrators(service):
    guest, other = Signer(), Signer()
    assert service.call("GET", f"/accounts/{guest.address}").status == 404
    made = service.call("PUT", f"/accounts/{guest.address.lower()}", {"name": "Ada"})
    assert made.status == 200 and made.json["name"] == "Ada" and made.json["address"] == guest.address
    service.call("PUT", f"/accounts/{other.address}", {})
    assert service.call("GET", f"/accounts/{guest.address}", signer=guest).json["usage"]["machines"] == 0
    assert service.call("GET", f"/accounts/{guest.address}", signer=other).status == 404
    assert service.call("PUT", f"/accounts/{guest.address}", {"name": "x"}, signer=other).status == 404
    assert service.call("PUT", f"/accounts/{guest.address}", {"name": "Eve"}, signer=guest).json["revision"] == 2
    assert service.call("PUT", "/accounts/0x12", {}).status == 422
    define(service, "web", guest)
    owns = service.call("DELETE", f"/accounts/{guest.address}")
    assert (owns.status, owns.code) == (409, "account-owns-machines")
    assert service.call("DELETE", f"/accounts/{other.address}", signer=other).status == 204
    assert service.call("GET", "/vms", signer=other).status == 401
    assert service.call("DELETE", f"/accounts/{service.admin.address}").code == "account-configured"
    service.restart()
    assert service.call("GET", f"/accounts/{guest.address}", signer=guest).json["name"] == "Eve"


def test_open_registration_needs_the_address(make_service):
    service = make_service(registration="open")
    guest = Signer()
    refused = service.call("GET", "/vms", signer=guest)
    assert (refused.status, refused.code) == (401, "unknown-signer")
    assert service.call("GET", "/vms", signer=guest, headers={"X-Address": guest.address}).status == 200
    assert service.call("GET", "/vms", signer=guest).status == 200, "the account is there from now on"
    wrong = service.call("GET", "/vms", signer=Signer(), headers={"X-Address": guest.address})
    assert (wrong.status, wrong.code) == (401, "address-mismatch")


def test_admission_names_the_number(make_service):
    service = make_service(max_vms=2)
    for fields, field in (
        ({"vcpus": 0}, "vcpus"), ({"vcpus": 256}, "vcpus"), ({"vcpus": -1}, "vcpus"), ({"vcpus": 1.5}, "vcpus"), ({"vcpus": "1"}, "vcpus"),
        ({"memory_mib": 1}, "memory_mib"), ({"memory_mib": 10**7}, "memory_mib"), ({"memory_mib": 10**12}, "memory_mib"),
        ({"disk_gib": 0}, "disk_gib"), ({"disk_gib": 65536}, "disk_gib"), ({"image": "nope"}, "image"), ({"image": "../etc"}, "image"),
        ({"name": "../x"}, "name"), ({"name": "a\nb"}, "name"), ({"name": ""}, "name"), ({"name": "x" * 64}, "name"), ({"name": 7}, "name"),
        ({"labels": {"a b": ""}}, "labels"), ({"labels": {"a": "x\n"}}, "labels.a"), ({"formfile": "RUM true"}, "formfile"),
        ({"formfile": "NAME x\nVCPU 500"}, "formfile"), ({"start": "yes"}, "start"),
    ):
        answer = service.create(**{"name": "web", "start": False, **fields})
        assert answer.status == 422 and answer.json["field"] == field, (fields, answer)
    assert "256 MiB for itself" in service.create("web", memory_mib=10**7).json["detail"]
    assert service.call("POST", "/vms", {}).json["field"] == "name"
    define(service, "one")
    define(service, "two")
    full = service.create("three", start=False)
    assert (full.status, full.code) == (409, "max-vms-reached") and "max_vms is 2" in full.json["detail"]


def test_host_memory_is_not_promised_twice(service):
    import os
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    available = int([l for l in open("/proc/meminfo") if l.startswith("MemAvailable")][0].split()[1]) >> 10
    define(service, "one", memory_mib=min(total - 300, available + 1000))
    refused = service.call("POST", f"/vms/{service.call('GET', '/vms').json['vms'][0]['id']}/start")
    assert (refused.status, refused.code) == (503, "host-memory-exhausted") and refused.headers["retry-after"]


def test_limits_hold_for_simultaneous_requests(make_service):
    service = make_service(max_vms=3)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: service.create(f"vm{i}", start=False), range(8)))
    assert sorted(a.status for a in answers) == [201] * 3 + [409] * 5, answers
    assert len(service.call("GET", "/vms").json["vms"]) == 3


def test_a_formfile_shapes_the_machine(service):
    vm = service.call("POST", "/vm/create", {"name": "web", "formfile": "NAME my-vm\nVCPU 2\nMEM 512\nDISK 5\n", "start": False}).json
    assert (vm["vcpus"], vm["memory_mib"], vm["disk_gib"], vm["formfile"][:4]) == (2, 512, 5, "NAME")


def test_boot_complete_takes_the_token_once_and_nothing_else(service):
    vm = service.create().json["id"]
    for body in ({}, {"token": "x"}, {"name": "web"}, {"build_id": service.vm(vm)["build_id"], "formnet_ip": "10.0.0.1"}):
        answer = service.raw("POST", "/vm/boot_complete", {"Content-Type": "application/json"}, json.dumps(body).encode())
        assert (answer.status, answer.code) == (401, "bad-boot-token"), answer
    assert service.vm(vm)["boot_completed_at"] is None
    service.wait_boot(vm)


def test_the_derived_ids_follow_the_platforms_rule(service):
    import hashlib
    vm = define(service, "web")
    expected = hashlib.sha3_256(bytes.fromhex(service.admin.address[2:]) + b"web").hexdigest()
    assert vm["build_id"] == expected and len(vm["instance_id"]) == 40
    again = define(service, "other")
    node = bytes(a ^ b for a, b in zip(bytes.fromhex(vm["instance_id"]), bytes.fromhex(vm["build_id"][:40])))
    assert bytes(a ^ b for a, b in zip(bytes.fromhex(again["instance_id"]), bytes.fromhex(again["build_id"][:40]))) == node


def test_health_says_what_is_wrong(make_service):
    service = make_service(qemu_binary="/nonexistent/qemu")
    answer = service.raw("GET", "/v1/health")
    assert answer.status == 200 and answer.json["status"] == "degraded"
    assert "missing" in answer.json["checks"]["qemu"]["detail"]
    assert answer.json["checks"]["store"]["status"] == "healthy"
    refused = service.create()
    assert (refused.status, refused.code) == (503, "qemu-missing") and refused.json["hint"]
    assert service.call("GET", "/vms").json["vms"] == [] and service.leftovers() == {"processes": [], "folders": [], "disks": []}
    assert service.settled_operations()[0]["error"]["code"] == "qemu-missing"
