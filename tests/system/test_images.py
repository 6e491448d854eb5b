"""The store of images: uploads, imports, what lies in the folder, who sees what, and that each content is stored once."""
import hashlib
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import corpus
import pytest
from fileserver import certificate, serving

from support import BIN, IMAGES, Signer, message_of, timestamp_now


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def local(make_service, folder):
    """A service with an image folder of its own, which imports from this host."""
    return make_service(images_dir=folder, allow_private_image_urls="true")


def wait_image(service, name, status="ready", timeout=300):
    deadline = time.time() + timeout
    while time.time() < deadline:
        answer = service.call("GET", f"/images/{name}")
        if answer.status == 200 and answer.json["status"] == status:
            return answer.json
        time.sleep(0.02)
    raise AssertionError(f"{name} is {answer}")


def register(service):
    signer = Signer()
    assert service.call("PUT", f"/accounts/{signer.address}", {"name": "x"}).status in (200, 201)
    return signer


def test_an_upload_is_stored_and_described(local):
    data = corpus.BOOT_SECTOR + os.urandom(1 << 20)
    answer = local.upload("disk", data)
    assert answer.status == 201 and answer.headers["location"] == "/images/disk"
    image = local.image("disk")
    assert image == answer.json
    assert (image["format"], image["kind"], image["architecture"]) == ("raw", "disk", "x86_64")
    assert image["virtual_bytes"] == len(data) and image["real_bytes"] >= 1 << 20
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert image["owner"] == local.admin.address and image["visibility"] == "private" and image["source"] == "upload"
    assert image["used_by"] == [] and image["created_at"]
    vm = local.create("web", image="disk", start=False).json
    assert local.image("disk")["used_by"] == ["web"]
    refused = local.call("DELETE", "/images/disk")
    assert (refused.status, refused.code) == (409, "image-in-use") and "web" in refused.json["detail"]
    assert local.call("DELETE", f"/vms/{vm['id']}").status == 204
    assert local.call("DELETE", "/images/disk").status == 204
    assert local.call("GET", "/images/disk").status == 404
    assert local.images_left() == {"contents": [], "incoming": []}


def test_the_same_content_is_stored_once(local):
    data = corpus.BOOT_SECTOR + os.urandom(1 << 16)
    assert local.upload("one", data).status == 201
    assert local.upload("two", data).status == 201
    assert local.upload("one", data).status == 201, "again, as it is"
    assert local.upload("one", data + bytes(512)).code == "image-exists"
    assert len(local.images_left()["contents"]) == 1
    assert local.call("DELETE", "/images/one").status == 204
    assert len(local.images_left()["contents"]) == 1
    assert local.create("x", image="two", start=False).status == 201


def test_a_repeated_key_gives_the_first_answer(local):
    data = corpus.BOOT_SECTOR + os.urandom(1 << 16)
    key = {"Idempotency-Key": "once"}
    first = local.upload("one", data, headers=key)
    assert first.status == 201, first
    assert local.call("DELETE", "/images/one").status == 204
    again = local.upload("one", data, headers=key)
    assert again.status == 201 and again.body == first.body and again.headers["idempotency-replayed"] == "true", again
    assert local.upload("one", data + bytes(512), headers=key).code == "idempotency-key-reused"


def test_known_bytes_need_not_be_sent_by_those_who_may_read_them(local):
    """An announced hash is no proof of having the content: only who can read it already is spared the sending."""
    data = corpus.BOOT_SECTOR + os.urandom(1 << 16)
    sha256 = hashlib.sha256(data).hexdigest()
    assert local.upload("mine", data).status == 201
    stranger = register(local)

    def announce(name, signer):
        target, timestamp = f"/images?name={name}", timestamp_now()
        signature, recovery = signer.sign(message_of("POST", target, timestamp, sha256))
        with socket.create_connection(("127.0.0.1", local.port), timeout=10) as client:
            head = (f"POST {target} HTTP/1.1\r\nHost: x\r\nX-Signature: {signature.hex()}\r\nX-Recovery-ID: {recovery}\r\nX-Timestamp: {timestamp}\r\n"
                    f"X-Content-SHA256: {sha256}\r\nContent-Type: application/octet-stream\r\nContent-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n")
            client.sendall(head.encode())
            first = client.recv(65536)
            if first.startswith(b"HTTP/1.1 100"):
                client.sendall(data)
            return first
    assert announce("again", local.admin).startswith(b"HTTP/1.1 201")
    assert announce("stolen", stranger).startswith(b"HTTP/1.1 100")
    assert wait_image(local, "stolen")["owner"] == stranger.address
    assert len(local.images_left()["contents"]) == 1


def test_a_body_that_is_not_what_was_announced(local):
    answer = local.upload("x", corpus.BOOT_SECTOR, announced="0" * 64)
    assert (answer.status, answer.code) == (400, "content-hash-mismatch")
    assert local.call("GET", "/images/x").status == 404
    assert local.images_left() == {"contents": [], "incoming": []}
    answer = local.upload("x", corpus.BOOT_SECTOR, announced="nonsense")
    assert (answer.status, answer.json["field"]) == (400, "X-Content-SHA256")
    headers = local.signed_headers("POST", "/images?name=x")
    answer = local.raw("POST", "/images?name=x", {**headers, "Content-Type": "application/octet-stream"}, b"x" * 512)
    assert (answer.status, answer.code) == (400, "content-hash-missing")


def test_an_upload_in_parts(local):
    data = corpus.BOOT_SECTOR + os.urandom(300_000 - 300_000 % 512)
    whole, total = hashlib.sha256(data).hexdigest(), len(data)
    first, rest = data[:100_000], data[100_000:]
    answer = local.upload("parts", first, whole=whole, headers={"Content-Range": f"bytes 0-99999/{total}"})
    assert answer.status == 202 and answer.json["status"] == "uploading" and answer.json["received_bytes"] == 100_000
    assert answer.json["total_bytes"] == total
    wrong = local.upload("parts", rest, whole=whole, headers={"Content-Range": f"bytes 5-{5 + len(rest) - 1}/{total}"})
    assert (wrong.status, wrong.code, wrong.json["field"]) == (409, "upload-offset", "Content-Range")
    assert f"bytes 100000-{total - 1}/{total}" in wrong.json["hint"]
    local.restart()
    assert local.call("GET", "/images/parts").json["status"] == "uploading", "also after kill -9"
    done = local.upload("parts", rest, whole=whole, headers={"Content-Range": f"bytes 100000-{total - 1}/{total}"})
    assert done.status == 201 and done.json["sha256"] == whole, done
    false = local.upload("false", first, whole=whole[::-1], announced="0" * 64, headers={"Content-Range": f"bytes 0-99999/{total}"})
    assert (false.status, false.code) == (400, "content-hash-mismatch") and local.call("GET", "/images/false").status == 404
    for value in ("bytes 0-9/5", "bytes 9-0/10", "items 0-1/2", "bytes 0-1"):
        bad = local.upload("bad", b"xx", whole=whole, headers={"Content-Range": value})
        assert (bad.status, bad.json["field"]) == (400, "Content-Range"), bad


def test_an_upload_that_breaks_off_goes_on(local):
    data = corpus.BOOT_SECTOR + os.urandom(4 << 20)
    whole = hashlib.sha256(data).hexdigest()
    target, timestamp = "/images?name=broken", timestamp_now()
    signature, recovery = local.admin.sign(message_of("POST", target, timestamp, whole))
    client = http.client.HTTPConnection("127.0.0.1", local.port)
    client.putrequest("POST", target)
    for name, value in {"X-Signature": signature.hex(), "X-Recovery-ID": recovery, "X-Timestamp": timestamp, "X-Content-SHA256": whole,
                        "Content-Type": "application/octet-stream", "Content-Length": len(data)}.items():
        client.putheader(name, str(value))
    client.endheaders(data[: 3 << 20])
    time.sleep(0.3)
    client.close()
    deadline = time.time() + 300
    while True:
        image = local.call("GET", "/images/broken").json
        # Received in blocks; the last that was not full is sent again.
        if image.get("received_bytes") and local.upload("broken", b"x", whole=whole, headers={"Content-Range": f"bytes 0-0/{len(data)}"}).code == "upload-offset":
            break
        assert time.time() < deadline, image
        time.sleep(0.05)
    have = image["received_bytes"]
    assert 0 < have <= 3 << 20
    done = local.upload("broken", data[have:], whole=whole, headers={"Content-Range": f"bytes {have}-{len(data) - 1}/{len(data)}"})
    assert done.status == 201 and done.json["sha256"] == whole, done


def test_who_sees_what(local):
    data = corpus.BOOT_SECTOR + os.urandom(4096)
    ann, bob = register(local), register(local)
    assert local.upload("anns", data, signer=ann).status == 201
    assert local.upload("for-all", data + bytes(512), query="&visibility=public").status == 201
    refused = local.upload("bobs", data, signer=bob, query="&visibility=public")
    assert (refused.status, refused.json["field"]) == (403, "public")
    assert [i["name"] for i in local.call("GET", "/images", signer=ann).json["images"]] == ["anns", "for-all"]
    assert [i["name"] for i in local.call("GET", "/images", signer=bob).json["images"]] == ["for-all"]
    for method, path in (("GET", "/images/anns"), ("DELETE", "/images/anns"), ("GET", "/images/anns/content")):
        assert local.call(method, path, signer=bob).status == 404
    assert local.create("x", bob, image="anns", start=False).code == "unknown-image"
    assert local.create("x", ann, image="anns", start=False).status == 201
    assert local.call("DELETE", "/images/for-all", signer=bob).status == 403
    assert local.call("POST", "/images", {"name": "p", "path": "/etc/hostname"}, signer=bob).status == 403
    shown = local.image("anns")
    assert shown["owner"] == ann.address and shown["used_by"] == ["x"]
    pages = local.call("GET", "/images?limit=1").json
    assert pages["next_cursor"] == "anns"
    assert [i["name"] for i in local.call("GET", "/images?cursor=anns").json["images"]] == ["for-all"]


def test_a_download_gives_the_bytes_back(local):
    data = corpus.BOOT_SECTOR + os.urandom(1 << 20)
    local.upload("disk", data)
    whole = local.call("GET", "/images/disk/content")
    assert whole.body == data and whole.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"' and whole.headers["accept-ranges"] == "bytes"
    part = local.call("GET", "/images/disk/content", headers={"Range": "bytes=1000-1999"})
    assert part.status == 206 and part.body == data[1000:2000] and part.headers["content-range"] == f"bytes 1000-1999/{len(data)}"
    assert local.call("GET", "/images/disk/content", headers={"Range": f"bytes={len(data) - 3}-"}).body == data[-3:]
    beyond = local.call("GET", "/images/disk/content", headers={"Range": f"bytes={len(data)}-"})
    assert beyond.status == 416 and beyond.headers["content-range"] == f"bytes */{len(data)}"
    head = local.call("HEAD", "/images/disk/content")
    assert head.body == b"" and head.headers["content-length"] == str(len(data))


def test_imports_from_urls(local, tmp_path):
    data = corpus.BOOT_SECTOR + os.urandom(2 << 20)
    (tmp_path / "disk.raw").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    with serving(tmp_path) as server:
        answer = local.call("POST", "/images", {"name": "plain", "url": f"{server.url}/disk.raw"})
        assert answer.status == 201 and answer.json["sha256"] == sha256, answer
        answer = local.call("POST", "/images", {"name": "checked", "url": f"{server.url}/to/to/disk.raw"})
        assert answer.status == 201, answer
        asked = len(server.requests)
        answer = local.call("POST", "/images", {"name": "known", "url": f"{server.url}/disk.raw", "sha256": sha256})
        assert answer.status == 201 and len(server.requests) == asked, "what is here is not fetched again"
        answer = local.call("POST", "/images", {"name": "other", "url": f"{server.url}/disk.raw", "sha256": "0" * 64})
        assert (answer.status, answer.code, answer.json["field"]) == (422, "content-hash-mismatch", "sha256"), answer
        answer = local.call("POST", "/images", {"name": "gone", "url": f"{server.url}/nothing"})
        assert (answer.status, answer.json["field"]) == (422, "url") and "404" in answer.json["detail"], answer
        loop = local.call("POST", "/images", {"name": "loop", "url": f"{server.url}" + "/to" * 9 + "/disk.raw"})
        assert (loop.status, loop.json["field"]) == (422, "url") and "redirects" in loop.json["detail"], loop
        for broken_off in (True, False):
            name = f"broken-{broken_off}"
            server.ranges, server.break_after, server.sent = broken_off, 1 << 20, 0
            answer = local.call("POST", "/images", {"name": name, "url": f"{server.url}/disk.raw", "sha256": "1" * 64})
            assert answer.code == "content-hash-mismatch", "it came whole, with and without ranges"
        assert any(wanted for path, wanted in server.requests if wanted), "it went on where it broke off"
    assert {i["name"] for i in local.call("GET", "/images").json["images"]} == {"plain", "checked", "known"}
    left = local.images_left()
    assert len(left["contents"]) == 1 and left["incoming"] == []


def test_https_is_verified(make_service, folder, tmp_path):
    (tmp_path / "disk.raw").write_bytes(corpus.BOOT_SECTOR)
    cert, key = certificate(tmp_path)
    with serving(tmp_path, tls=(cert, key)) as server:
        strict = make_service(images_dir=folder, allow_private_image_urls="true")
        answer = strict.call("POST", "/images", {"name": "x", "url": f"{server.url}/disk.raw"}, timeout=300)
        assert answer.status == 503 and "cannot be trusted" in answer.json["detail"], answer
        trusting = make_service(images_dir=folder, allow_private_image_urls="true", image_ca_file=cert)
        assert trusting.call("POST", "/images", {"name": "x", "url": f"{server.url}/disk.raw"}).status == 201


def test_urls_do_not_reach_into_the_host(make_service, folder, tmp_path):
    (tmp_path / "disk.raw").write_bytes(corpus.BOOT_SECTOR)
    service = make_service(images_dir=folder)
    with serving(tmp_path) as server:
        port = server.http.server_port
        for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]", "2130706433"):
            answer = service.call("POST", "/images", {"name": "x", "url": f"http://{host}:{port}/disk.raw"}, timeout=60)
            assert answer.status in (422, 503) and answer.code in ("url-not-public", "download-failed"), (host, answer)
        assert server.requests == []
    for url in ("ftp://x/y", "file:///etc/passwd", "http://", "x", "http://user:password@host/x"):
        answer = service.call("POST", "/images", {"name": "x", "url": url})
        assert (answer.status, answer.json.get("field")) == (422, "url"), (url, answer)
    assert service.call("POST", "/images", {"name": "x"}).json["field"] == "url"
    assert service.call("POST", "/images", {"name": "x", "url": "http://a/", "path": "/b"}).json["field"] == "url"
    assert service.call("POST", "/images", {"name": "x", "path": "relative"}).json["field"] == "path"
    assert service.call("POST", "/images", {"name": "x", "path": "/nowhere/at/all"}).json["field"] == "path"
    assert service.call("POST", "/images", {"name": "x", "path": "/dev/zero"}).json["field"] == "path"
    assert service.images_left() == {"contents": [], "incoming": []}


def test_an_import_shows_its_progress_and_can_be_cancelled(local, tmp_path):
    (tmp_path / "disk.raw").write_bytes(corpus.BOOT_SECTOR + os.urandom(8 << 20))
    with serving(tmp_path) as server:
        server.slow, server.pause = threading.Event(), 0.05
        begun = local.call("POST", "/images", {"name": "slow", "url": f"{server.url}/disk.raw"}, headers={"Prefer": "respond-async"})
        assert begun.status == 202 and begun.json["kind"] == "import" and begun.json["target"] == "slow"
        seen = set()
        deadline = time.time() + 300
        while len(seen) < 3 and time.time() < deadline:
            seen.add(local.call("GET", f"/operations/{begun.json['id']}").json["progress"])
            time.sleep(0.1)
        assert len(seen) >= 3 and max(seen) < 100, seen
        assert local.image("slow")["status"] == "importing"
        assert local.create("x", image="slow", start=False).status == 422
        assert local.call("DELETE", "/images/slow").status == 204
        assert local.call("GET", f"/operations/{begun.json['id']}").json["status"] == "cancelled"
    assert local.images_left() == {"contents": [], "incoming": []}


def test_an_import_goes_on_after_kill_9(local, tmp_path):
    data = corpus.BOOT_SECTOR + os.urandom(6 << 20)
    (tmp_path / "disk.raw").write_bytes(data)
    with serving(tmp_path) as server:
        server.slow, server.pause = threading.Event(), 0.03
        begun = local.call("POST", "/images", {"name": "cut", "url": f"{server.url}/disk.raw"}, headers={"Prefer": "respond-async"})
        time.sleep(0.8)
        local.kill()
        server.slow.set()
        local.start()
        assert wait_image(local, "cut")["sha256"] == hashlib.sha256(data).hexdigest()
        assert local.call("GET", f"/operations/{begun.json['id']}").json["status"] == "succeeded"
        assert [wanted for _, wanted in server.requests if wanted], "from where it was"


def test_what_is_dropped_into_the_folder_is_found(local, folder, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    assert local.call("GET", "/images").json["images"] == []
    shutil.copy(raw, folder / "plain.raw")
    corpus.converted(raw, folder / "copied.qcow2", "qcow2")
    corpus.converted(raw, folder / "sparse.vmdk", "vmdk")
    corpus.converted(raw, folder / "split.vmdk", "vmdk", subformat="twoGbMaxExtentSparse")
    corpus.converted(raw, folder / "flat.vmdk", "vmdk", subformat="monolithicFlat")
    (folder / "set").mkdir()
    corpus.converted(raw, folder / "set" / "disk.vmdk", "vmdk", subformat="twoGbMaxExtentFlat")
    corpus.converted(raw, folder / "box.vdi", "vdi")
    corpus.converted(raw, folder / "hyper.vhdx", "vhdx")
    subprocess.run([BIN / "vmctl", "image", "pack", folder / "form.form", "--name", "form", "--disk", raw], check=True, capture_output=True)
    (folder / "readme.txt").write_text("not an image")
    formats = {"plain": "raw", "copied": "qcow2", "sparse": "vmdk", "split": "vmdk", "flat": "vmdk", "set": "vmdk", "box": "vdi", "hyper": "vhdx", "form": "form"}
    for name, format in formats.items():
        image = wait_image(local, name)
        assert (image["format"], image["owner"], image["visibility"], image["source"]) == (format, None, "public", "folder"), image
        assert local.create(name, image=name, start=False, disk_gib=1).status == 201
    assert {i["name"] for i in local.call("GET", "/images").json["images"]} == {*formats, "readme.txt"}
    assert local.image("readme.txt")["status"] == "refused"
    # A folder whose files come when it has been looked at already.
    (folder / "late").mkdir()
    wait_image(local, "late", "refused")
    corpus.converted(raw, folder / "late" / "disk.vmdk", "vmdk", subformat="twoGbMaxExtentFlat")
    assert wait_image(local, "late")["format"] == "vmdk"
    # A conversion is not made again after a restart; one of a file that was still being written may be gone.
    before = local.images_left()["contents"]
    local.restart()
    for name in formats:
        wait_image(local, name)
    after = local.images_left()
    assert set(after["contents"]) <= set(before) and after["incoming"] == [], (before, after)
    assert local.upload("plain", corpus.BOOT_SECTOR).code == "image-exists"
    (folder / "plain.raw").unlink()
    deadline = time.time() + 300
    while local.call("GET", "/images/plain").status != 404:
        assert time.time() < deadline
        time.sleep(0.05)
    vm = local.call("GET", "/vms?name=flat").json["vms"][0]["id"]
    assert local.call("DELETE", f"/vms/{vm}").status == 204
    assert local.call("DELETE", "/images/flat").status == 204
    assert not list(folder.glob("flat*"))


def test_a_vmdk_is_its_extents_as_much_as_its_descriptor(local, folder, tmp_path):
    """The same descriptor over other data is another image."""
    disk = corpus.converted(corpus.boot_disk(tmp_path / "boot.raw"), tmp_path / "disk.vmdk", "vmdk", subformat="monolithicFlat")
    extent = tmp_path / "disk-flat.vmdk"
    first = local.call("POST", "/images", {"name": "first", "path": str(disk)}).json["sha256"]
    assert first == hashlib.sha256(disk.read_bytes() + extent.read_bytes()).hexdigest()
    shutil.copy(disk, folder)
    shutil.copy(extent, folder)
    assert wait_image(local, "disk")["sha256"] == first
    vm = local.create("old", image="disk", start=False, memory_mib=128).json["id"]
    for changed in (extent, folder / extent.name):
        with open(changed, "r+b") as file:
            file.seek(2 << 20)
            file.write(b"other data")
    second = local.call("POST", "/images", {"name": "second", "path": str(disk)}).json["sha256"]
    assert second != first and len(local.images_left()["contents"]) == 2
    deadline = time.time() + 300
    while local.image("disk")["sha256"] != second:
        assert time.time() < deadline, local.image("disk")
        time.sleep(0.05)
    assert local.call("GET", "/images/second/content").body.count(b"other data") == 1
    # A machine that was made before stands on what it was made on, also when nothing else does any more.
    assert local.call("DELETE", "/images/first").status == 204
    local.restart()
    assert len(local.images_left()["contents"]) == 2
    assert local.call("POST", f"/vms/{vm}/start").status == 200
    assert local.call("DELETE", f"/vms/{vm}?force=true").status == 204
    local.restart()
    assert local.images_left()["contents"] == [second]


def test_a_form_tampered_with_is_refused_at_its_chunk(local, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    form = tmp_path / "boot.form"
    subprocess.run([BIN / "vmctl", "image", "pack", form, "--name", "boot", "--disk", raw, "--chunk-bytes", "65536"], check=True, capture_output=True)
    data = bytearray(form.read_bytes())
    data[-10] ^= 1
    answer = local.upload("bad", bytes(data))
    assert (answer.status, answer.code) == (422, "image-corrupt") and "chunk 4 (disk, bytes 262144 to 327679)" in answer.json["detail"], answer
    assert local.images_left() == {"contents": [], "incoming": []}


def pack(tmp_path, name, raw, signer=None, **options):
    """A .form, signed by this key."""
    out = tmp_path / f"{name}.form"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    extra = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
    if signer:
        key = tmp_path / f"{name}.key"
        key.write_text(signer.key.hex())
        extra += ["--sign", "--key", key]
    subprocess.run([BIN / "vmctl", "image", "pack", out, "--name", name, "--disk", raw, *extra], check=True, capture_output=True, env=environment)
    return out


def test_trust_in_publishers(make_service, folder, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    known, stranger = Signer(), Signer()
    forms = {"trusted": pack(tmp_path, "a", raw, known), "unknown-publisher": pack(tmp_path, "b", raw, stranger), "unsigned": pack(tmp_path, "c", raw)}
    marking = make_service(images_dir=folder, trusted_publishers=known.address)
    for trust, form in forms.items():
        answer = marking.upload(trust, form.read_bytes())
        assert answer.status == 201 and answer.json["trust"] == trust, answer
    assert marking.image("trusted")["publisher"] == known.address
    refusing = make_service(images_dir=folder, trusted_publishers=known.address, image_trust="refuse")
    assert refusing.upload("a", forms["trusted"].read_bytes()).status == 201
    for trust in ("unknown-publisher", "unsigned"):
        answer = refusing.upload("b", forms[trust].read_bytes())
        assert (answer.status, answer.code) == (422, "image-untrusted"), answer
    # The signature of one image does not make another.
    forged = bytearray(forms["unknown-publisher"].read_bytes())
    forged[24:90] = forms["trusted"].read_bytes()[24:90]
    answer = refusing.upload("c", bytes(forged))
    assert (answer.status, answer.code) == (422, "image-bad-signature"), answer


def test_a_form_is_pulled_by_what_is_missing(local, tmp_path):
    """The second version of an image differs in one chunk of many: only that one crosses the wire."""
    first = bytearray(corpus.BOOT_SECTOR + os.urandom((8 << 20) - 512))
    raw = tmp_path / "v1.raw"
    raw.write_bytes(first)
    one = pack(tmp_path, "v1", raw, chunk_bytes=65536)
    first[1 << 20] ^= 1
    raw.write_bytes(first)
    two = pack(tmp_path, "v2", raw, chunk_bytes=65536)
    assert local.upload("v1", one.read_bytes()).status == 201
    root = subprocess.run([BIN / "vmctl", "-o", "json", "image", "inspect", two], check=True, capture_output=True, text=True).stdout
    root = root.split('"root": "0x')[1][:64]
    with serving(tmp_path) as server:
        answer = local.call("POST", "/images", {"name": "v2", "url": f"{server.url}/v2.form", "root": root})
        assert answer.status == 201 and answer.json["root"] == root, answer
        assert server.sent < 700_000, "8 MiB, less what was here"
        wrong = local.call("POST", "/images", {"name": "v3", "url": f"{server.url}/v2.form", "root": "0" * 64})
        assert (wrong.status, wrong.code) == (422, "root-mismatch"), wrong
        server.ranges = False
        assert local.call("DELETE", "/images/v2").status == 204
        assert local.call("POST", "/images", {"name": "v2", "url": f"{server.url}/v2.form"}).status == 201, "also without ranges"
        damaged = bytearray(one.read_bytes())
        damaged[-100] ^= 1
        (tmp_path / "bad.form").write_bytes(damaged)
        assert local.call("DELETE", "/images/v1").status == 204
        assert local.call("DELETE", "/images/v2").status == 204
        answer = local.call("POST", "/images", {"name": "bad", "url": f"{server.url}/bad.form"})
        assert answer.code == "image-corrupt" and "chunk 127" in answer.json["detail"], answer
    # What was put together here is the image as its publisher made it.
    assert local.images_left() == {"contents": [], "incoming": []}


def test_memory_stays_flat_while_an_image_comes_in(local):
    def resident():
        for line in open(f"/proc/{local.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    local.upload("warm", os.urandom(1 << 20))
    before = resident()
    assert local.upload("big", corpus.BOOT_SECTOR + os.urandom((200 << 20) - 512)).status == 201
    assert resident() - before < 40, "MiB more than before: far from the 200 that came; the benchmark has the exact number"


def test_many_images_at_once(local):
    import concurrent.futures
    blobs = [corpus.BOOT_SECTOR + os.urandom(1 << 20) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: local.upload(f"image-{i % 12}", blobs[i % 8]), range(48)))
    assert all(a.status == 201 or a.code in ("image-exists", "upload-busy", "upload-offset") for a in answers), [a for a in answers if a.status >= 500]
    contents = {hashlib.sha256(b).hexdigest() for b in blobs}
    left = local.images_left()
    assert set(left["contents"]) <= contents and left["incoming"] == []
    assert len(local.call("GET", "/images").json["images"]) == 12


def test_the_tiny_form_boots(make_service, folder):
    shutil.copy(pathlib.Path(IMAGES).parent / "images" / "tiny.form", folder)
    service = make_service(images_dir=folder)
    image = wait_image(service, "tiny")
    assert (image["kind"], image["format"], image["memory_mib"]) == ("kernel", "form", 128)
    vm = service.create("web").json["id"]
    service.wait_boot(vm)
