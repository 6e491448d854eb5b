"""Who signed a request: every spelling that is accepted, and everything that is not."""
import hashlib
import importlib.util
import json
import subprocess
import sys
import time

import pytest

from support import ROOT, WINDOW, Signer, message_of, timestamp_now


def send(service, method, target, body=None, **change):
    """A signed request with parts of its headers changed; a header of None is left out."""
    headers = service.signed_headers(method, target, body, timestamp=change.pop("timestamp", None), signer=change.pop("signer", None))
    for name, value in change.items():
        name = name.replace("_", "-")
        if value is None:
            headers.pop(name, None)
        else:
            headers[name] = value(headers) if callable(value) else value
    return service.raw(method, target, headers, body)


@pytest.mark.parametrize("library", ["ethers", "viem"])
def test_independent_signers_are_understood(service, library):
    signer = Signer()
    body = json.dumps({"name": f"by-{library}", "start": False, "labels": {"z": "käse ☃ 😀", "a": "1"}}).encode()
    service.call("PUT", f"/accounts/{signer.address}", {})
    for method, target, content in (("POST", "/vms", body), ("GET", "/vms?limit=10", None), ("PUT", f"/accounts/{signer.address}", b'{"name": "x"}')):
        timestamp = timestamp_now()
        data = json.dumps(json.loads(content), sort_keys=True) if content else ""
        out = subprocess.run(
            ["node", ROOT / "tests/js/sign.mjs", library, "0x" + signer.key.hex(), message_of(method, target, timestamp, data)],
            capture_output=True, text=True, check=True,
        )
        signed = json.loads(out.stdout)
        assert signed["address"] == signer.address
        recovery = int(signed["signature"][-2:], 16) - 27
        headers = {"X-Signature": signed["signature"], "X-Recovery-ID": str(recovery), "X-Timestamp": timestamp}
        if content:
            headers["Content-Type"] = "application/json"
        answer = service.raw(method, target, headers, content)
        assert answer.status in (200, 201), answer


def test_the_documented_example_runs(make_service):
    python = next((p for p in (sys.executable, "python3") if subprocess.run([p, "-c", "import eth_account, requests"], capture_output=True).returncode == 0), None)
    if python is None:
        pytest.skip("eth-account is not importable here")
    service = make_service(registration="open")
    out = subprocess.run([python, ROOT / "docs/examples/create_vm.py", f"http://127.0.0.1:{service.port}"], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr


def test_every_spelling_of_signature_and_recovery_id(service):
    def v(headers):
        return 27 + int(headers["X-Recovery-ID"])
    for signature in (
        lambda h: h["X-Signature"], lambda h: h["X-Signature"][2:], lambda h: h["X-Signature"].upper().replace("0X", "0x"),
        lambda h: h["X-Signature"] + f"{v(h):02x}", lambda h: h["X-Signature"] + f"{v(h) - 27:02x}",
    ):
        assert send(service, "GET", "/vms", X_Signature=signature).status == 200
    for spell in (lambda h: f"0x{h['X-Recovery-ID']}", lambda h: f"0{h['X-Recovery-ID']}", lambda h: str(27 + int(h["X-Recovery-ID"]))):
        assert send(service, "GET", "/vms", X_Recovery_ID=spell).status == 200
    for name in ("X_Signature", "X_Recovery_ID", "X_Timestamp"):
        answer = send(service, "GET", "/vms", **{name: None})
        assert (answer.status, answer.code) == (401, "signature-missing") and answer.headers["www-authenticate"]
    assert send(service, "GET", "/vms", X_Recovery_ID="2").code == "bad-signature"
    assert send(service, "GET", "/vms", X_Signature="zz").code == "bad-signature"
    assert send(service, "GET", "/vms", X_Timestamp="now").code == "bad-timestamp"


def test_the_address_header_must_agree(service):
    address = service.admin.address
    assert send(service, "GET", "/vms", X_Address=address).status == 200
    assert send(service, "GET", "/vms", X_Address=address.lower()).status == 200
    wrong_case = address[:-1] + (address[-1].swapcase() if address[-1].isalpha() else address[-1])
    swapped = "0x" + address[2:].swapcase()
    assert send(service, "GET", "/vms", X_Address=swapped).code == "bad-address", wrong_case
    other = send(service, "GET", "/vms", X_Address=Signer().address)
    assert (other.status, other.code) == (401, "address-mismatch")
    assert other.json["recovered_address"] == address and other.json["expected_message"].startswith("/vms:")


def test_a_wrongly_built_message_is_explained(service):
    timestamp = timestamp_now()
    signature, recovery = service.admin.sign(f"GET /vms:{timestamp}:")
    answer = service.raw("GET", "/vms", {"X-Signature": signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": timestamp})
    assert (answer.status, answer.code) == (401, "unknown-signer")
    assert answer.json["expected_message"] == f"/vms:{timestamp}:" and answer.json["recovered_address"].startswith("0x")


def test_the_window_has_two_edges(service):
    for offset, good in ((0, True), (-WINDOW + 2, True), (WINDOW - 2, True), (-WINDOW - 1, False), (WINDOW + 1, False)):
        answer = send(service, "GET", "/vms", timestamp=timestamp_now(offset))
        assert answer.status == (200 if good else 401), offset
        assert good or answer.code == "timestamp-outside-window"
    assert send(service, "GET", "/vms", timestamp=str(int(time.time()))).status == 200


def test_the_target_is_signed_whole(service):
    headers = service.signed_headers("GET", "/vms")
    assert service.raw("GET", "/vms?limit=1", headers).status == 401
    assert service.raw("GET", "/v1/vms", headers).status == 401
    headers = service.signed_headers("GET", "/vms/vm-x")
    assert service.raw("DELETE", "/vms/vm-x", headers).status == 401, "a captured GET must not do for a DELETE"


def test_a_request_is_good_once(service):
    body = json.dumps({"name": "web", "start": False}).encode()
    headers = service.signed_headers("POST", "/vms", body)
    assert service.raw("POST", "/vms", headers, body).status == 201
    again = service.raw("POST", "/vms", headers, body)
    assert (again.status, again.code) == (409, "replayed-request")
    # One that was refused is used as well.
    headers = service.signed_headers("POST", "/vms", body)
    assert service.raw("POST", "/vms", headers, body).code == "name-taken"
    assert service.raw("POST", "/vms", headers, body).code == "replayed-request"
    service.restart()
    assert service.raw("POST", "/vms", headers, body).code == "replayed-request", "the memory survives kill -9"
    read = service.signed_headers("GET", "/vms")
    assert [service.raw("GET", "/vms", read).status for _ in range(2)] == [200, 200], "reading may be repeated"


def test_every_flipped_bit_of_a_signature_is_refused(service):
    headers = service.signed_headers("GET", "/vms")
    good = bytes.fromhex(headers["X-Signature"][2:])
    for bit in range(512):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        answer = service.raw("GET", "/vms", {**headers, "X-Signature": bad.hex()})
        assert answer.status in (400, 401) and answer.code in ("bad-signature", "unknown-signer"), (bit, answer)
    assert service.raw("GET", "/vms", headers).status == 200


def test_the_malleable_twin_is_refused(service):
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    def twin(headers):
        raw = bytes.fromhex(headers["X-Signature"][2:])
        return (raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")).hex()
    answer = send(service, "GET", "/vms", X_Signature=twin, X_Recovery_ID=lambda h: str(1 - int(h["X-Recovery-ID"])))
    assert (answer.status, answer.code) == (400, "bad-signature")


def test_a_body_by_its_hash(service):
    body = b'{"start": false,   "name": "hashed"}'
    digest = hashlib.sha256(body).hexdigest()
    def post(data, sent=body, **headers):
        timestamp = timestamp_now()
        signature, recovery = service.admin.sign(message_of("POST", "/vms", timestamp, data))
        return service.raw("POST", "/vms", {
            "X-Signature": signature.hex(), "X-Recovery-ID": str(recovery), "X-Timestamp": timestamp, "X-Content-SHA256": data,
            "Content-Type": "application/json", **headers}, sent)
    assert post(digest).status == 201
    assert post(digest, sent=body + b" ").code == "content-hash-mismatch"
    assert post(digest.upper()).code == "content-hash-mismatch"
    assert post(digest, **{"Content-Type": "text/plain"}).status == 415
    unhashed = service.raw("POST", "/vms", {**service.signed_headers("POST", "/vms", body), "Content-Type": "text/plain"}, body)
    assert (unhashed.status, unhashed.code) == (400, "content-type")


def test_the_body_is_signed_by_its_meaning(service):
    body = '{"labels": {"b": "1", "a": "\\u00e9 ☃ 😀"},\n "start":false, "name" : "meaning"}'.encode()
    assert send(service, "POST", "/vms", body).status == 201
    headers = service.signed_headers("POST", "/vms", body)
    assert service.raw("POST", "/vms", headers, body.replace(b"meaning", b"changed")).status == 401
    for bad in (b'{"name":"a","name":"b"}', b'{"name": "\\ud800"}', b'{"name": NaN}', b"[" * 65 + b"]" * 65, b'{"name": "a"'):
        answer = service.raw("POST", "/vms", {**service.signed_headers("POST", "/vms", b"{}")}, bad)
        assert answer.status == 400, (bad, answer)


def test_a_post_to_a_path_that_serves_get_needs_a_body(service):
    answer = service.raw("POST", "/vms", service.signed_headers("POST", "/vms"), b"")
    assert (answer.status, answer.code) == (400, "body-missing"), answer


# What earlier clients did: a signature in the body, over a text without a time.


def legacy_sign(signer, message, twice):
    """By the written rule: SHA3-256 (FIPS 202) of the text, as it is or hashed once more with SHA-256."""
    import ctypes
    from support import _context, _secp
    digest = hashlib.sha3_256(message.encode()).digest()
    digest = hashlib.sha256(digest).digest() if twice else digest
    recoverable = ctypes.create_string_buffer(65)
    assert _secp.secp256k1_ecdsa_sign_recoverable(_context, recoverable, digest, signer.key, None, None)
    out, recovery = ctypes.create_string_buffer(64), ctypes.c_int()
    _secp.secp256k1_ecdsa_recoverable_signature_serialize_compact(_context, out, ctypes.byref(recovery), recoverable)
    return {"signature": out.raw.hex(), "recovery_id": recovery.value}


def legacy_call(service, method, target, body):
    return service.raw(method, target, {"Content-Type": "application/json"}, json.dumps(body).encode())


def test_legacy_signatures_are_off_unless_turned_on(service):
    body = {"name": "web", "formfile": "", **legacy_sign(service.admin, "CreateVmRequest:web:", False)}
    answer = legacy_call(service, "POST", "/vm/create", body)
    assert (answer.status, answer.code) == (401, "legacy-auth-disabled") and "VMM_LEGACY_AUTH" in answer.json["hint"], answer
    assert "deprecation" not in answer.headers


@pytest.mark.parametrize("twice", [False, True])
def test_legacy_signatures_work_where_they_did(make_service, twice):
    service = make_service(legacy_auth="true")
    admin = service.admin
    formfile = "NAME web\nMEM 512\nVCPU 1\nDISK 5\n"
    message = f"CreateVmRequest:web:{formfile.encode()[:32].hex()}"
    body = {"name": "web", "formfile": formfile, **legacy_sign(admin, message, twice)}
    made = legacy_call(service, "POST", "/vm/create", body)
    assert made.status == 201 and made.json["owner"] == admin.address, made
    assert made.headers["deprecation"].startswith("@") and made.headers["sunset"].endswith("GMT")
    assert f"address={admin.address}" in [line for line in service.log.read_text().splitlines() if "signed in its body" in line][-1]
    vm = made.json["id"]
    again = legacy_call(service, "POST", "/vm/create", body)
    assert (again.status, again.code) == (409, "replayed-request")

    def signed(operation, **more):
        return {"id": vm, "name": "web", **legacy_sign(admin, f"{operation}VmRequest:{vm}", twice), **more}

    assert legacy_call(service, "GET", f"/vm/{vm}", signed("Get")).json["id"] == vm
    for _ in range(2):  # may be repeated, which is why this way ends
        assert legacy_call(service, "POST", f"/vm/{vm}/stop", signed("Stop", timeout_s=0)).status == 200
        assert legacy_call(service, "POST", f"/vm/{vm}/start", signed("Start")).status == 200
    wrong = [
        (f"/vm/{vm}/stop", signed("Start"), 401), (f"/vm/{vm}/stop", signed("Stop", recovery_id=2), 400), (f"/vm/{vm}/stop", signed("Stop", signature="00"), 400),
        (f"/vm/{vm}/stop", signed("Stop", id="vm-other"), 422), (f"/vms/{vm}/stop", signed("Stop"), 401), (f"/vm/{vm}/pause", signed("Stop"), 401),
    ]
    for target, body, status in wrong:
        assert legacy_call(service, "POST", target, body).status == status, (target, body)
    gone = signed("Delete")
    assert legacy_call(service, "POST", f"/vm/{vm}/stop", signed("Stop", timeout_s=0)).status == 200
    assert legacy_call(service, "POST", f"/vm/{vm}/delete", gone).status == 204
    service.restart()
    assert legacy_call(service, "POST", f"/vm/{vm}/delete", gone).code == "replayed-request"
    stranger = {"name": "x", "formfile": "", **legacy_sign(Signer(), "CreateVmRequest:x:", twice)}
    assert legacy_call(service, "POST", "/vm/create", stranger).code == "unknown-signer"
    # In the ledger they stand with the text that was signed, and check out.
    from test_ledger import exported, verify
    assert verify(exported(service)).returncode == 0
