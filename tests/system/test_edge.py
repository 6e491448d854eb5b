"""What stands before every route: rate limits, TLS, proxies, origins, headers."""
import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
from support import BIN, IMAGES, Signer, eventually, own_port


def register(service, name="dev"):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": name}).status == 200
    return signer


def until_refused(call):
    """Answers up to the first that is refused for its rate."""
    answers = []
    while not answers or answers[-1].status != 429:
        answers.append(call())
        assert len(answers) < 200
    return answers


def test_an_account_has_its_rate(make_service):
    service = make_service(rate_limit_address=5)
    ada, bob = register(service), register(service)
    answers = until_refused(lambda: service.call("GET", "/vms", signer=ada))
    assert len(answers) > 10 and {a.status for a in answers[:-1]} == {200}
    last = answers[-1]
    assert last.code == "too-many-requests" and int(last.headers["retry-after"]) >= 1
    assert last.headers["ratelimit-policy"] == '"address";q=10;w=2' and last.headers["ratelimit"].startswith('"address";r=0;t=')
    assert answers[0].headers["ratelimit"].startswith('"address";r=9;')
    assert service.call("GET", "/vms", signer=bob).status == 200, "another account"
    time.sleep(1.1)
    assert service.call("GET", "/vms", signer=ada).status == 200
    # What is refused for its rate is not used up: the same signature may come again.
    body = b'{"name": "web", "start": false}'
    sent = []

    def ask():
        sent.append(service.signed_headers("POST", "/vms", body, ada))
        return service.raw("POST", "/vms", sent[-1], body)

    until_refused(ask)
    time.sleep(1.1)
    assert service.raw("POST", "/vms", sent[-1], body).code in (None, "name-taken")


def test_a_source_has_its_rate_whoever_it_says_it_is(make_service):
    service = make_service(rate_limit_source=5)
    answers = until_refused(lambda: service.raw("GET", "/nothing"))
    assert len(answers) > 10 and {a.status for a in answers[:-1]} == {404}
    assert answers[-1].headers["ratelimit-policy"].startswith('"source"') and answers[-1].headers["connection"] == "close"


def test_failures_of_a_source_are_answered_late_and_cost_nothing(make_service):
    service = make_service(rate_limit_failures=3, trusted_proxies="127.0.0.1")
    nobody, source = Signer(), {"X-Forwarded-For": "203.0.113.9"}
    took = []

    def ask():
        began = time.time()
        took.append(service.call("GET", "/vms", signer=nobody, headers=source))
        took.append(time.time() - began)
        return took[-2]

    answers = until_refused(ask)
    assert len(answers) > 6 and {a.code for a in answers[:-1]} == {"unknown-signer"}
    answer = answers[-1]
    assert answer.code == "too-many-failures" and took[-1] > 0.9
    assert answer.headers["connection"] == "close" and int(answer.headers["retry-after"]) >= 1
    # Held back for all of its source, until the time is up; others are not.
    assert service.call("GET", "/vms", headers=source).status in (200, 429)
    assert service.call("GET", "/vms", headers={"X-Forwarded-For": "203.0.113.10"}).status == 200
    time.sleep(3)
    assert service.call("GET", "/vms", headers=source).status == 200


def test_a_guest_cannot_lock_the_host_out(make_service):
    """Guests on the user network come from the loopback address, like whoever works on the host."""
    service = make_service(rate_limit_failures=3, rate_limit_source=20)
    for _ in range(60):
        service.raw("POST", "/vm/boot_complete", {"Content-Type": "application/json"}, b'{"token": "guessed"}')
    for _ in range(10):
        assert service.raw("GET", "/vms").status == 401
    assert service.call("GET", "/vms").status == 200


def test_connections_of_a_source_are_counted(make_service):
    service = make_service(api_max_connections_per_source=5)
    held = [http.client.HTTPConnection("127.0.0.1", service.port) for _ in range(5)]
    for connection in held:
        connection.request("GET", "/health")
        assert connection.getresponse().read()

    def answered():
        try:
            return service.raw("GET", "/health").status == 200
        except (ConnectionError, http.client.HTTPException):
            return False

    assert not answered()
    for connection in held:
        connection.close()
    assert eventually(answered)


def test_only_trusted_proxies_say_who_the_client_is(make_service):
    def peers(service, *forwarded):
        for one in forwarded:
            service.raw("GET", "/health", {"X-Forwarded-For": one})
        log = service.log.read_text()
        return [line.split(" peer=")[1].split()[0] for line in log.splitlines() if 'route="/health"' in line]

    distrusting = make_service()
    assert peers(distrusting, "203.0.113.9") == ["127.0.0.1"]
    trusting = make_service(trusted_proxies="127.0.0.1,10.0.0.0/8")
    said = peers(trusting, "203.0.113.9", "198.51.100.1, 203.0.113.9, 10.1.1.1", "spoofed, 203.0.113.7", "nonsense", "10.0.0.1")
    assert said == ["203.0.113.9", "203.0.113.9", "203.0.113.7", "127.0.0.1", "10.0.0.1"]


def test_every_answer_has_the_headers_that_keep_browsers_safe(service):
    for answer in (service.raw("GET", "/health"), service.call("GET", "/vms"), service.raw("GET", "/nothing"), service.raw("GET", "/vms")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers and "strict-transport-security" not in answer.headers


def test_pages_of_other_origins_may_not_ask_unless_listed(make_service):
    question = {"Origin": "https://console.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-signature"}
    closed = make_service()
    assert closed.raw("OPTIONS", "/vms", question).status == 405
    service = make_service(cors_origins="https://console.example,http://localhost:5173")
    answer = service.raw("OPTIONS", "/vms", question)
    assert answer.status == 204 and answer.headers["access-control-allow-origin"] == "https://console.example"
    assert "X-Signature" in answer.headers["access-control-allow-headers"] and "DELETE" in answer.headers["access-control-allow-methods"]
    read = service.raw("GET", "/health", {"Origin": "https://console.example"})
    assert read.headers["access-control-allow-origin"] == "https://console.example" and read.headers["vary"] == "Origin"
    for origin in ("https://evil.example", "https://console.example.evil.example", "http://console.example", "null"):
        assert "access-control-allow-origin" not in service.raw("GET", "/health", {"Origin": origin}).headers, origin
        assert service.raw("OPTIONS", "/vms", {**question, "Origin": origin}).status == 405


@pytest.mark.parametrize("config, field", [
    ({"cors_origins": "console.example"}, "cors_origins"), ({"cors_origins": "https://console.example/"}, "cors_origins"),
    ({"trusted_proxies": "10.0.0.0/99"}, "trusted_proxies"), ({"tls_cert": "/tmp/x.pem"}, "tls_key"), ({"tls_client_ca": "/tmp/x.pem"}, "tls_client_ca"),
    ({"tls_cert": "/nonexistent/c.pem", "tls_key": "/nonexistent/k.pem"}, "tls_cert"),
])
def test_what_is_wrongly_configured_is_named(make_service, config, field):
    service = make_service(start=False, **config)
    out = subprocess.run(service.command(), capture_output=True, text=True, env=service.environment(), timeout=300)
    assert out.returncode in (1, 2) and field in out.stderr, out


# TLS.


def certificate(folder, name, ca=None, ip="127.0.0.1"):
    """A key and a certificate of its own, or signed by ca."""
    folder = pathlib.Path(folder)
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
               "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{ip},DNS:localhost"]
    if ca:
        command += ["-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def over_tls(service, method, target, ca, headers=None, body=None, client=None):
    context = ssl.create_default_context(cafile=str(ca))
    if client:
        context.load_cert_chain(*client)
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, context=context, timeout=300)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read(), connection.sock.getpeercert()
    finally:
        connection.close()


def test_the_api_speaks_tls_and_the_guest_still_reports(make_service, tmp_path):
    cert, key = certificate(tmp_path, "one")
    service = make_service(tls_cert=cert, tls_key=key, guest_port=own_port())
    assert over_tls(service, "GET", "/health", cert)[0] == 200
    body = b'{"name": "web"}'
    status, headers, text, _ = over_tls(service, "POST", "/vms", cert, service.signed_headers("POST", "/vms", body), body)
    assert status == 201 and headers["Strict-Transport-Security"], text
    vm = json.loads(text)["id"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VMM_URL": f"https://127.0.0.1:{service.port}", "VMM_KEY": "0x" + service.admin.key.hex(),
                   "VMM_CA_FILE": str(cert)}

    def vmctl(*arguments, **more):
        return subprocess.run([BIN / "vmctl", *arguments], capture_output=True, text=True, env={**environment, **more})

    eventually(lambda: '"boot_completed_at": "20' in vmctl("show", vm, "-o", "json").stdout)
    distrusted = vmctl("ls", VMM_CA_FILE="")
    assert distrusted.returncode == 6 and "certificate" in distrusted.stderr, distrusted
    # A file goes out and comes in whole, too.
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(510) + b"\x55\xaa" + bytes(range(256)) * 40_000)
    assert vmctl("push", str(disk), "--name", "disk").returncode == 0 or vmctl("image", "push", str(disk), "--name", "disk").returncode == 0
    assert vmctl("image", "pull", "disk", str(tmp_path / "back.raw")).returncode == 0
    assert (tmp_path / "back.raw").read_bytes() == disk.read_bytes()
    # Guests report on a port of their own, where there is nothing else.
    guests = http.client.HTTPConnection("127.0.0.1", int(service.config["guest_port"]), timeout=60)
    guests.request("GET", "/vms")
    assert guests.getresponse().status == 404
    # Plain words to the encrypted port are no reason to stop.
    with socket.create_connection(("127.0.0.1", service.port)) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.settimeout(60)
        assert not plain.recv(100).startswith(b"HTTP/1.1 200")
    assert over_tls(service, "GET", "/health", cert)[0] == 200


def test_a_new_certificate_is_taken_over_while_running(make_service, tmp_path):
    cert, key = certificate(tmp_path, "one")
    service = make_service(tls_cert=cert, tls_key=key, guest_port=own_port())
    context = ssl.create_default_context(cafile=str(cert))
    old = http.client.HTTPSConnection("127.0.0.1", service.port, context=context, timeout=300)
    old.request("GET", "/health")
    assert old.getresponse().read()
    fresh, fresh_key = certificate(tmp_path, "two")
    cert.write_bytes(fresh.read_bytes())
    service.process.send_signal(1)  # the key is still the old one: nothing changes
    eventually(lambda: "the certificate stays as it was" in service.log.read_text())
    with pytest.raises(ssl.SSLError):
        over_tls(service, "GET", "/health", fresh)
    key.write_bytes(fresh_key.read_bytes())
    service.process.send_signal(1)

    def renewed():
        try:
            return over_tls(service, "GET", "/health", fresh)[0] == 200
        except ssl.SSLError:
            return False

    eventually(renewed)
    old.request("GET", "/health")
    assert old.getresponse().status == 200, "connections that stand go on"


def test_clients_may_have_to_show_a_certificate(make_service, tmp_path):
    cert, key = certificate(tmp_path, "server")
    certificate(tmp_path, "ca")
    good, bad = certificate(tmp_path, "good", ca="ca"), certificate(tmp_path, "bad")
    service = make_service(tls_cert=cert, tls_key=key, guest_port=own_port(), tls_client_ca=tmp_path / "ca.pem")
    assert over_tls(service, "GET", "/health", cert, client=good)[0] == 200
    for client in (None, bad):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            over_tls(service, "GET", "/health", cert, client=client)


def test_a_flood_of_bad_signatures_does_not_lock_others_out(make_service):
    """Good callers of another address are answered while the flood is held back."""
    service = make_service(trusted_proxies="127.0.0.1", rate_limit_failures=20, api_max_connections_per_source=0)
    stop = threading.Event()
    held = []

    def flood():
        nobody = Signer()
        headers = {**service.signed_headers("GET", "/vms", signer=nobody), "X-Forwarded-For": "203.0.113.66"}
        while not stop.is_set():
            held.append(service.raw("GET", "/vms", headers).status)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    headers = {**service.signed_headers("GET", "/vms"), "X-Forwarded-For": "198.51.100.1"}
    assert all(service.raw("GET", "/vms", headers).status == 200 for _ in range(50))
    stop.set()
    for thread in threads:
        thread.join()
    assert 429 in held and held.count(401) < 100, "most were held back"
    assert IMAGES.exists()
