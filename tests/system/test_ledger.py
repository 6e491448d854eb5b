"""The ledger: every request that would change something is in it, and whoever touches it is found out."""
import hashlib
import json
import re
import sqlite3
import subprocess
import threading
import time

import pytest
from support import BIN, Signer, timestamp_now


def register(service, name="dev"):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": name}).status == 200
    return signer


def records(service, signer=None, query=""):
    """All of them, oldest first, once what was asked for last has arrived."""
    out, cursor = [], ""
    while cursor is not None:
        page = service.call("GET", f"/audit?limit=1000{query}" + (f"&cursor={cursor}" if cursor else ""), signer=signer).json
        out += page["records"]
        cursor = page["next_cursor"]
    return out[::-1]


def settled(service, count, **more):
    deadline = time.time() + 300
    while time.time() < deadline:
        found = records(service, **more)
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def exported(service):
    answer = service.call("GET", "/audit/export")
    assert answer.status == 200 and answer.headers["content-type"] == "application/jsonl", answer
    return answer.body.decode()


def vmctl(*arguments, text=None, url="", key=""):
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "VMM_URL": url, "VMM_KEY": key}
    return subprocess.run([BIN / "vmctl", *arguments], capture_output=True, text=True, input=text, env=environment)


def verify(text, *more):
    return vmctl("audit", "verify", "-", *more, text=text)


def python_hash(record):
    """The rule of docs/ledger.md in the words of Python."""
    body = {k: v for k, v in record.items() if k != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def test_what_is_asked_for_is_recorded_allowed_and_denied(service):
    ada, eve = register(service, "ada"), register(service, "eve")
    vm = service.create("web", signer=ada, start=False).json["id"]
    service.call("PATCH", f"/vms/{vm}", {"labels": {"a": "b"}}, ada)
    service.call("DELETE", f"/vms/{vm}", signer=eve)
    service.call("PATCH", f"/vms/{vm}", {"labels": 7}, ada)
    service.call("GET", f"/vms/{vm}", signer=ada)
    found = settled(service, 6)
    told = [(r["address"], r["action"], r["about"], r["outcome"], r["status"], r["code"]) for r in found]
    assert told == [
        (service.admin.address, "PUT /accounts/{address}", ada.address, "allowed", 200, ""),
        (service.admin.address, "PUT /accounts/{address}", eve.address, "allowed", 200, ""),
        (ada.address, "POST /vms", vm, "allowed", 201, ""),
        (ada.address, "PATCH /vms/{id}", vm, "allowed", 200, ""),
        (eve.address, "DELETE /vms/{id}", vm, "denied", 404, "not-found"),
        (ada.address, "PATCH /vms/{id}", vm, "refused", 422, "invalid-value"),
    ]
    assert [r["seq"] for r in found] == [1, 2, 3, 4, 5, 6] and found[2]["operation"].startswith("op-")
    for before, record in zip([{"hash": "0" * 64}, *found], found):
        assert record["prev"] == before["hash"] and record["hash"] == python_hash(record)
        assert record["message"].startswith(record["target"] if record["method"] == "POST" else f"{record['method']} {record['target']}:")
    # Everybody sees their own; administrators see all, and may ask for one's.
    assert {r["address"] for r in records(service, ada)} == {ada.address} and len(records(service, ada)) == 3
    assert len(records(service, query=f"&address={eve.address}")) == 1
    assert [r["outcome"] for r in records(service, query="&outcome=denied")] == ["denied"]
    assert len(records(service, query=f"&about={vm}")) == 4
    answer = service.call("GET", f"/audit?address={ada.address}", signer=eve)
    assert (answer.status, answer.code, answer.json["field"]) == (403, "not-administrator", "address")
    for query, field in (("outcome=maybe", "outcome"), ("cursor=x", "cursor"), ("address=0x1", "address")):
        assert service.call("GET", f"/audit?{query}").json["field"] == field
    two = service.call("GET", "/audit?limit=2").json
    assert [r["seq"] for r in two["records"]] == [6, 5] and service.call("GET", f"/audit?limit=2&cursor={two['next_cursor']}").json["records"][0]["seq"] == 4


def test_an_export_verifies_offline_and_no_change_goes_unnoticed(service):
    ada = register(service, "ada")
    vm = service.create("web", signer=ada, start=False).json["id"]
    for n in range(5):
        service.call("PATCH", f"/vms/{vm}", {"labels": {"n": str(n)}}, ada)
    settled(service, 7)
    text = exported(service)
    good = verify(text)
    assert good.returncode == 0 and "7 records, 8 signatures" in good.stdout, good
    head = json.loads(text.splitlines()[-1])["head"]
    assert verify(text, "--signer", head["signer"], "--head", f"{head['seq']}:{head['hash']}").returncode == 0
    lines = text.splitlines()

    def broken(changed, *more):
        said = verify("\n".join(changed) + "\n", *more)
        assert said.returncode == 5 and "not whole" in said.stderr, said
        return said.stderr

    assert "was changed" in broken([line.replace(ada.address, service.admin.address) if i == 3 else line for i, line in enumerate(lines)])
    assert "something was cut" in broken(lines[:3] + lines[4:])
    assert "the order is another" in broken(lines[:3] + [lines[4], lines[3]] + lines[5:])
    assert "the end was cut off" in broken(lines[:-2] + lines[-1:])
    assert "the head is missing" in broken(lines[:-1])
    assert "the base is missing" in broken(lines[1:])
    assert "signed by" in broken(lines, "--signer", ada.address)
    assert "was seen earlier" in broken(lines, "--head", f"3:{'0' * 64}")
    # A forger who knows how hashes are made, but has no key of ada's.
    forged, before = [], "0" * 64
    for line in lines[1:-1]:
        record = json.loads(line)
        if record["seq"] == 5:
            record["message"] = record["message"].replace('"2"', '"9"')
        record["prev"] = before
        before = record["hash"] = python_hash(record)
        forged.append(json.dumps(record))
    assert f"is not signed by {ada.address}" in broken([lines[0], *forged, lines[-1]])


def test_a_ledger_changed_in_the_store_is_found(service):
    ada = register(service)
    service.create("web", signer=ada, start=False)
    settled(service, 2)
    service.stop()
    store = sqlite3.connect(service.folder / "state.db")
    store.execute("UPDATE kv SET value = replace(value, '\"status\":201', '\"status\":403') WHERE key LIKE '/ledger/%'")
    store.commit()
    store.close()
    service.start()
    said = verify(exported(service))
    assert said.returncode == 5 and "was changed" in said.stderr, said


def test_vmctl_reads_exports_and_verifies(service, tmp_path):
    service.create("web", start=False)
    settled(service, 1)
    how = {"url": f"http://127.0.0.1:{service.port}", "key": "0x" + service.admin.key.hex()}
    assert "POST /vms" in vmctl("audit", "ls", **how).stdout
    head = vmctl("audit", "head", **how).stdout.split()[0]
    assert re.fullmatch(r"1:[0-9a-f]{64}", head)
    assert vmctl("audit", "export", str(tmp_path / "ledger"), **how).returncode == 0
    assert vmctl("audit", "verify", str(tmp_path / "ledger"), "--head", head).returncode == 0
    assert vmctl("audit", "verify", **how).returncode == 0
    own = vmctl("audit", "ls", "-o", "json", **how).stdout
    lines = "\n".join(json.dumps(r) for r in reversed(json.loads(own)["records"]))
    assert verify(lines, "--own").returncode == 0
    assert verify(lines.replace("web", "wab"), "--own").returncode == 5
    assert vmctl("audit", "verify", "/nonexistent/ledger").returncode == 3
    assert vmctl("audit", "verify", str(tmp_path / "ledger"), "--head", "x").returncode != 0
    stranger = {**how, "key": "0x" + register(service).key.hex()}
    refused = vmctl("audit", "verify", **stranger)
    assert refused.returncode == 4 and "administrators" in refused.stderr, refused


def test_sessions_capabilities_and_long_messages_verify_too(service):
    from test_sessions import Chain, bearer, login
    ada, bob = register(service, "ada"), register(service, "bob")
    token = login(service, ada)
    answer = service.raw("POST", "/vms", {**bearer(token), "Content-Type": "application/json"}, b'{"name": "web", "start": false}')
    vm = answer.json["id"]
    service.call("POST", f"/vms/{vm}/start", {}, bob, headers={"X-Capability": Chain(vm).add(ada, bob, ["operate"]).token})
    service.create("long", signer=ada, start=False, labels={f"k{i}": "x" * 200 for i in range(60)})
    found = settled(service, 6)
    assert [r["auth"] for r in found] == ["signature", "signature", "login", "session", "signature", "signature"]
    assert found[3]["session"] == found[2]["session"] and found[4]["capability"].startswith("cap1.") and found[5]["digest"] and not found[5]["message"]
    said = verify(exported(service))
    assert said.returncode == 0, said
    # Another's name on what was done in a session does not pass, though the hashes are made anew.
    lines, before = exported(service).splitlines(), "0" * 64
    forged = []
    for line in lines[1:-1]:
        record = json.loads(line)
        if record["auth"] == "session":
            record["address"] = bob.address
        record["prev"] = before
        before = record["hash"] = python_hash(record)
        forged.append(json.dumps(record))
    assert "did not open" in verify("\n".join([lines[0], *forged, lines[-1]])).stderr


def test_what_a_killed_service_had_begun_is_in_the_ledger(make_service):
    """kill -9 between the intent and the answer, and between the answer and the seal."""
    service = make_service()
    for point, outcome in (("create.after-intent", "interrupted"), ("ledger.before-seal", "interrupted"), ("create.after-fact", "interrupted")):
        service.restart(point)
        body = json.dumps({"name": point.replace(".", "-"), "start": False}).encode()
        try:
            service.raw("POST", "/vms", service.signed_headers("POST", "/vms", body, service.admin, timestamp_now()), body)
        except Exception:
            pass
        service.process.wait(300)
        service.restart()
        last = records(service)[-1]
        assert (last["action"], last["outcome"]) == ("POST /vms", outcome) and last["operation"].startswith("op-"), (point, last)
        assert service.call("GET", f"/operations/{last['operation']}").status == 200
    assert verify(exported(service)).returncode == 0
    # Denied requests have no intent; their record is there before their answer.
    vm = service.create("web", start=False).json["id"]
    answer = service.call("DELETE", f"/vms/{vm}", signer=register(service))
    assert answer.status == 404
    service.kill()
    service.start()
    assert records(service, query="&outcome=denied")[-1]["about"] == vm


def test_many_at_once_make_one_chain(service):
    signers = [register(service) for _ in range(4)]

    def work(signer, n):
        for i in range(25):
            service.create(f"m{n}-{i}", signer=signer, start=False) if i % 5 == 0 else service.call("DELETE", "/vms/vm-00000000000000000000000000", signer=signer)

    threads = [threading.Thread(target=work, args=(s, n)) for n, s in enumerate(signers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(settled(service, 104)) == 104
    assert verify(exported(service)).returncode == 0


def test_rotation_keeps_a_base_and_an_archive_that_verify(make_service, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    service = make_service(audit_max_records=5, audit_archive_dir=archive)
    for n in range(12):
        service.call("DELETE", f"/vms/vm-{n}")
    settled(service, 12)
    service.restart()
    left = records(service)
    assert [r["seq"] for r in left] == [8, 9, 10, 11, 12]
    text = exported(service)
    assert verify(text).returncode == 0 and json.loads(text.splitlines()[0])["base"] == {"seq": 7, "hash": left[0]["prev"]}
    files = list(archive.iterdir())
    assert [f.name for f in files] == ["ledger-1-7.jsonl"]
    old = files[0].read_text()
    assert verify(old).returncode == 0
    # Both together are one chain.
    whole = old.splitlines()[:-1] + text.splitlines()[1:]
    assert verify("\n".join(whole)).returncode == 0
    service.call("DELETE", "/vms/vm-more")
    assert settled(service, 6)[-1]["seq"] == 13


@pytest.mark.parametrize("what", ["unsigned", "stranger", "replay"])
def test_who_cannot_be_named_leaves_no_record(service, what):
    body = b'{"name": "web", "start": false}'
    headers = service.signed_headers("POST", "/vms", body, Signer() if what == "stranger" else service.admin)
    if what == "unsigned":
        headers = {"Content-Type": "application/json"}
    for _ in range(2):
        service.raw("POST", "/vms", headers, body)
    time.sleep(0.2)
    assert len(records(service)) == (1 if what == "replay" else 0)
