"""Images are untrusted: each bad one is refused for its own reason, nothing of it stays, and what reads it is walled in."""
import os
import shutil
import struct
import subprocess
import time

import corpus
import pytest

from support import BIN, Signer


def test_each_hostile_image_is_refused_for_its_own_reason(make_service, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "made").mkdir()
    service = make_service(images_dir=tmp_path / "images")
    for name, (data, code) in corpus.hostile(tmp_path / "made").items():
        answer = service.upload(name, data)
        assert answer.status in (400, 413, 422) and answer.code == code, (name, code, answer)
        assert answer.json["detail"] and "/" + "tmp" not in answer.json["detail"].replace("/tmp/x", ""), (name, answer)
    assert service.call("GET", "/images").json["images"] == []
    assert service.images_left() == {"contents": [], "incoming": []}
    assert service.raw("GET", "/health").status == 200


def test_hostile_files_in_the_folder_are_listed_with_the_reason(make_service, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "made").mkdir()
    bad = {name: data for name, (data, _) in corpus.hostile(tmp_path / "made").items() if data}
    for name, data in bad.items():
        # The ending says one thing and the content another; only the content counts.
        (tmp_path / "images" / f"{name}.img").write_bytes(data)
    (tmp_path / "images" / "with space.img").write_bytes(corpus.BOOT_SECTOR)
    os.mkfifo(tmp_path / "images" / "pipe.img")
    service = make_service(images_dir=tmp_path / "images", registration="open")
    deadline = time.time() + 300
    while True:
        images = {i["name"]: i for i in service.call("GET", "/images?limit=1000").json["images"]}
        if all(i["status"] != "importing" for i in images.values()):
            break
        assert time.time() < deadline, [i for i in images.values() if i["status"] == "importing"]
        time.sleep(0.1)
    for name in [*bad, "with space", "pipe"]:
        assert images[name]["status"] == "refused" and images[name]["reason"], images.get(name)
    answer = service.create("x", image="qcow2-backing")
    assert answer.status == 422 and "backing file" in answer.json["detail"]
    assert service.call("GET", "/images", signer=Signer(), headers={"X-Address": ""}).status in (200, 400, 401)


def test_names_with_separators(service):
    for name in ("../x", "a/b", ".hidden", "a%2Fb", "x" * 129, ""):
        answer = service.upload(name, corpus.BOOT_SECTOR)
        assert (answer.status, answer.json.get("field")) == (422, "name"), (name, answer)


def test_an_archive_that_unpacks_to_more_than_the_quota(make_service, tmp_path):
    """A small file whose content is large: refused while it unpacks, and nothing of it stays."""
    raw = tmp_path / "zeros.raw"
    with open(raw, "wb") as file:
        for i in range(64):
            file.write(bytes([65 + i % 26]) * (1 << 20))
    packed = corpus.converted(raw, tmp_path / "bomb.vmdk", "vmdk", subformat="streamOptimized")
    form = tmp_path / "bomb.form"
    subprocess.run([BIN / "vmctl", "image", "pack", form, "--name", "bomb", "--disk", raw], check=True, capture_output=True)
    (tmp_path / "images").mkdir()
    assert packed.stat().st_size < 4 << 20 and form.stat().st_size < 4 << 20
    service = make_service(images_dir=tmp_path / "images", account_storage_gb=1)
    # What is left of the quota is made small by a disk that takes nearly all of it.
    filler = tmp_path / "filler.raw"
    with open(filler, "wb") as file:
        for _ in range(1000):
            file.write(os.urandom(1 << 20))
    assert service.call("POST", "/images", {"name": "filler", "path": str(filler)}).status == 201
    for name, file in (("vmdk-bomb", packed), ("form-bomb", form)):
        answer = service.upload(name, file.read_bytes())
        assert (answer.status, answer.code) == (413, "image-over-quota"), answer
    answer = service.upload("plain", os.urandom(30 << 20))
    assert (answer.status, answer.code) == (409, "quota-exceeded"), answer
    assert "MiB" in answer.json["detail"]
    left = service.images_left()
    assert len(left["contents"]) == 1 and left["incoming"] == [], left
    account = service.call("GET", f"/accounts/{service.admin.address}").json
    assert account["quotas"]["disk_bytes"] == 1 << 30 and account["usage"]["disk_bytes"] > 1000 << 20
    assert service.call("DELETE", "/images/filler").status == 204
    assert service.upload("plain", os.urandom(30 << 20)).status == 201


def test_the_sandbox_holds(tmp_path):
    """What runs where qemu-img runs sees no file, no network and no other process, and is nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs root, as the service does")
    work = tmp_path / "work"
    work.mkdir()
    os.chown(work, 60903, 60903)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)

    def jailed(*program, cpu=20):
        return subprocess.run([BIN / "vmm-jail", "--input", f"{secret}=image", "--user", "60903", "--folder", work, "--file-bytes", "65536",
                               "--memory-bytes", str(2 << 30), "--cpu-s", str(cpu), "--", *program], capture_output=True, text=True, timeout=60)

    shell = "/usr/bin/dash"
    assert jailed("/usr/bin/cat", "/in/image").stdout == "secret"
    assert "No such file" in jailed("/usr/bin/cat", str(secret)).stderr
    assert "No such file" in jailed("/usr/bin/cat", "/etc/passwd").stderr
    assert "Read-only" in jailed(shell, "-c", "echo x > /in/image").stderr
    assert "Read-only" in jailed(shell, "-c", "echo x > /usr/x").stderr
    assert "Read-only" in jailed(shell, "-c", "echo x > /x").stderr
    assert jailed("/usr/bin/id", "-u").stdout == "60903\n"
    script = "import socket\ntry:\n socket.socket()\nexcept OSError as e:\n print(e.errno)"
    assert jailed("/usr/bin/python3", "-c", script).stdout == "1\n"
    script = "import os\ntry:\n os.kill(1, 0)\nexcept OSError as e:\n print(e.errno)"
    assert jailed("/usr/bin/python3", "-c", script).stdout == "1\n"
    script = "import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\nprint(l.unshare(0x10000000), ctypes.get_errno())"
    assert jailed("/usr/bin/python3", "-c", script).stdout == "-1 1\n"
    assert jailed("/usr/bin/dd", "if=/dev/urandom", "of=/out/big", "bs=1024", "count=1000").returncode != 0
    assert (work / "big").stat().st_size <= 65536
    assert jailed("/usr/bin/python3", "-c", "x = bytearray(3 << 30)").returncode != 0
    began = time.time()
    assert jailed("/usr/bin/python3", "-c", "while True: pass", cpu=1).returncode != 0
    assert time.time() - began < 30


def test_without_qemu_img_or_its_sandbox(make_service, tmp_path):
    """What needs no conversion still works; what does says what is missing."""
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    vmdk = corpus.converted(raw, tmp_path / "boot.vmdk", "vmdk").read_bytes()
    (tmp_path / "images").mkdir()
    service = make_service(images_dir=tmp_path / "images", qemu_img_binary="/usr/bin/not-here")
    answer = service.upload("v", vmdk)
    assert (answer.status, answer.code) == (503, "qemu-img-missing") and "qemu-utils" in answer.json["hint"], answer
    assert service.upload("raw", raw.read_bytes()).status == 201
    # A copy of the service without the jail beside it.
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(BIN / "vmm-service", alone)
    other = make_service(start=False, images_dir=tmp_path / "images")
    other.command_path = alone / "vmm-service"
    other.start()
    answer = other.upload("v", vmdk)
    assert (answer.status, answer.code) == (503, "sandbox-failed"), answer
    assert other.images_left() == {"contents": [], "incoming": []}


def test_struct_is_what_the_corpus_believes(tmp_path):
    """The corpus patches the places that it means to: the sound image is sound."""
    sound = corpus.qcow2(tmp_path)
    assert sound[:4] == b"QFI\xfb" and struct.unpack_from(">I", sound, 4)[0] == 3
