"""vmctl's image, disk, volume, clone and publish commands, as a user types them."""
import hashlib
import os
import subprocess
import time

import corpus
from fileserver import serving
from test_vmctl import vmctl  # noqa: F401

from support import BIN


def test_from_a_qcow2_to_a_running_machine(vmctl, service, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    qcow2 = corpus.converted(raw, tmp_path / "mine.qcow2", "qcow2")
    pushed = vmctl.run("image", "push", qcow2)
    assert "ready" in pushed.stdout and "MiB/s" in pushed.stderr and "\x1b" not in pushed.stdout
    vmctl.run("create", "web", "--image", "mine", "--memory", "128")
    table = vmctl.run("image", "ls").stdout.splitlines()
    assert table[0].split()[:4] == ["NAME", "STATUS", "FORMAT", "VIRTUAL"]
    assert [line.split()[:3] for line in table[1:] if line.startswith("mine")] == [["mine", "ready", "qcow2"]]
    assert vmctl.json("image", "show", "mine")["used_by"] == ["web"]
    assert "used by the machine web" in vmctl.run("image", "rm", "mine", code=5).stderr
    assert vmctl.run("image", "show", "nothing", code=3).stderr.startswith("vmctl: ")
    out = tmp_path / "back.qcow2"
    pulled = vmctl.run("image", "pull", "mine", out)
    assert "SHA-256 as the service says" in pulled.stdout and out.read_bytes() == qcow2.read_bytes()
    assert not (tmp_path / "back.qcow2.part").exists()
    again = vmctl.json("image", "push", qcow2)
    assert again["name"] == "mine", "nothing is sent twice"
    vmctl.run("rm", "-f", "web")
    assert vmctl.run("image", "rm", "mine").stdout == "mine deleted\n"


def test_a_pull_and_a_push_go_on_where_they_were(vmctl, service, tmp_path):
    data = corpus.BOOT_SECTOR + os.urandom(3 << 20)
    file = tmp_path / "disk.raw"
    file.write_bytes(data)
    whole = hashlib.sha256(data).hexdigest()
    first = service.upload("disk", data[: 1 << 20], whole=whole, headers={"Content-Range": f"bytes 0-{(1 << 20) - 1}/{len(data)}"})
    assert first.status == 202
    assert vmctl.json("image", "push", file)["sha256"] == whole
    (tmp_path / "out.part").write_bytes(data[: 2 << 20])
    vmctl.run("image", "pull", "disk", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    (tmp_path / "bad.part").write_bytes(b"x" * 1000)
    refused = vmctl.run("image", "pull", "disk", tmp_path / "bad", code=5)
    assert "another SHA-256" in refused.stderr and not (tmp_path / "bad").exists() and not (tmp_path / "bad.part").exists()
    vmctl.run("image", "rm", "disk")


def test_a_vmdk_in_parts_is_pushed_by_its_descriptor(vmctl, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    disk = corpus.converted(raw, tmp_path / "parts.vmdk", "vmdk", subformat="twoGbMaxExtentSparse")
    assert vmctl.json("image", "push", disk)["status"] == "ready"
    flat = corpus.converted(raw, tmp_path / "flat.vmdk", "vmdk", subformat="monolithicFlat")
    assert vmctl.json("image", "push", flat, "--name", "level")["virtual_bytes"] == 4 << 20
    vmctl.run("image", "rm", "parts", "level")


def test_forms_are_made_looked_into_and_verified(vmctl, service, tmp_path):
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    form = tmp_path / "boot.form"
    packed = vmctl.run("image", "pack", form, "--name", "boot", "--image-version", "7", "--disk", raw, "--memory", "128", "--sign")
    assert f"signed by {service.admin.address}" in packed.stdout
    one = form.read_bytes()
    vmctl.run("image", "pack", form, "--name", "boot", "--image-version", "7", "--disk", raw, "--memory", "128", "--sign")
    assert form.read_bytes() == one, "the same input gives the same bytes"
    shown = vmctl.json("image", "inspect", form)
    assert shown["name"] == "boot" and shown["version"] == "7" and shown["publisher"] == service.admin.address
    assert shown["signature"] == f"valid, of {service.admin.address}" and shown["root"].startswith("0x")
    assert "is whole" in vmctl.run("image", "verify", form, "--publisher", service.admin.address).stdout
    assert "not by 0x" in vmctl.run("image", "verify", form, "--publisher", "0x" + "1" * 40, code=5).stderr
    bad = bytearray(one)
    bad[-5] ^= 1
    (tmp_path / "bad.form").write_bytes(bad)
    refused = vmctl.run("image", "verify", tmp_path / "bad.form", code=1)
    assert "chunk 0 (disk" in refused.stderr
    assert "no raw disk" in vmctl.run("image", "pack", tmp_path / "x", "--name", "x", "--disk", corpus.converted(raw, tmp_path / "q", "qcow2"), code=1).stderr
    vmctl.run("image", "unpack", form, tmp_path / "", code=0)
    assert (tmp_path / "disk").read_bytes() == raw.read_bytes()
    assert vmctl.json("image", "push", form)["publisher"] == service.admin.address
    out = tmp_path / "pulled.form"
    vmctl.run("image", "pull", "boot", out)
    assert out.read_bytes() == one, "signature and all"
    vmctl.run("image", "rm", "boot")


def test_imports_by_url_and_path(make_service, tmp_path):
    from test_vmctl import Vmctl
    (tmp_path / "images").mkdir()
    service = make_service(images_dir=tmp_path / "images", allow_private_image_urls="true")
    tool = Vmctl(service, tmp_path)
    tool.run("keys", "import", "-", "--plain", stdin=service.admin.key.hex())
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    assert tool.json("image", "import", raw, "--name", "by-path")["source"] == "path"
    with serving(tmp_path) as server:
        assert tool.json("image", "import", f"{server.url}/boot.raw")["name"] == "boot"
        failed = tool.run("image", "import", f"{server.url}/nothing", code=5)
        assert "404" in failed.stderr


def test_disks_clones_and_publishing(vmctl, service):
    vmctl.run("create", "web", "--wait")
    volume = vmctl.json("disk", "add", "web", "--size", "1", "--name", "data")["id"]
    assert vmctl.json("disk", "set", "web", volume, "--size", "2", "--iops", "100")["iops"] == 100
    table = vmctl.run("disk", "ls", "web").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["ID", "root", volume]
    assert "detached from web" in vmctl.run("disk", "rm", "web", volume).stdout
    assert volume in vmctl.run("volume", "ls").stdout
    assert vmctl.run("volume", "rm", volume).stdout == f"{volume} deleted\n"
    assert vmctl.json("set", "web", "--disk", "2")["disk_gib"] == 2
    assert vmctl.json("clone", "web", "twin", "--start")["status"] == "running"
    assert vmctl.json("publish", "web", "made", "--form", "--image-version", "3")["version"] == "3"
    assert "TIME" not in vmctl.run("events", "web").stdout
    vmctl.run("rm", "-f", "web", "twin")
    vmctl.run("image", "rm", "made")
    assert "no machine named" in vmctl.run("disk", "ls", "nothing", code=3).stderr


def test_a_bar_where_there_is_a_terminal(vmctl, tmp_path):
    """Progress with a rate while an image is sent."""
    import pty
    file = tmp_path / "big.raw"
    with open(file, "wb") as out:
        out.write(corpus.BOOT_SECTOR + os.urandom((96 << 20) - 512))
    master, slave = pty.openpty()
    process = subprocess.Popen([BIN / "vmctl", "image", "push", file], stdout=subprocess.DEVNULL, stderr=slave, env=vmctl.environment)
    os.close(slave)
    said, deadline = b"", time.time() + 60
    while process.poll() is None and time.time() < deadline:
        try:
            said += os.read(master, 65536)
        except OSError:
            break
    process.wait(300)
    assert b"sending" in said and b"%" in said and b"MiB/s" in said and b"[=" in said, said[-500:]
    vmctl.run("image", "rm", "big")
