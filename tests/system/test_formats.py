"""Every format boots a machine: the small ones from a boot sector, those of the product page from a whole Debian."""
import concurrent.futures
import os
import pathlib
import subprocess
import time

import corpus
import pytest

from support import BIN, IMAGES, console

DEBIAN = pathlib.Path(IMAGES).parent / "images" / "debian-12.qcow2"


def said(service, vm, what, timeout):
    log = service.vm_folder(vm) / "console.log"
    deadline = time.time() + timeout
    while not (log.exists() and what in log.read_bytes()):
        assert time.time() < deadline, (service.vm(vm), log.read_bytes()[-500:] if log.exists() else None)
        time.sleep(0.05)


def test_every_format_that_qemu_img_writes_boots(make_service, tmp_path):
    """Uploaded, converted where needed, and booted by firmware; what the guest reads is what was sent."""
    (tmp_path / "images").mkdir()
    service = make_service(images_dir=tmp_path / "images")
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    files = {"raw": raw, "qcow2": corpus.converted(raw, tmp_path / "boot.qcow2", "qcow2")}
    files["qcow2-v2"] = corpus.converted(raw, tmp_path / "v2.qcow2", "qcow2", compat="0.10")
    files["qcow2-extended"] = corpus.converted(raw, tmp_path / "extended.qcow2", "qcow2", extended_l2="on", cluster_size=131072)
    corpus.qemu_img("convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, tmp_path / "zstd.qcow2")
    files["qcow2-zstd"] = tmp_path / "zstd.qcow2"
    for subformat in ("monolithicSparse", "streamOptimized"):
        files[subformat] = corpus.converted(raw, tmp_path / f"{subformat}.vmdk", "vmdk", subformat=subformat)
    for subformat in ("monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"):
        folder = tmp_path / subformat
        folder.mkdir()
        corpus.converted(raw, folder / "disk.vmdk", "vmdk", subformat=subformat)
        files[subformat] = corpus.as_tar(tmp_path / f"{subformat}.tar", folder / "disk.vmdk", *sorted(folder.glob("disk-*")))
    files["vdi"] = corpus.converted(raw, tmp_path / "boot.vdi", "vdi")
    files["vhdx"] = corpus.converted(raw, tmp_path / "boot.vhdx", "vhdx")
    files["vhd"] = corpus.converted(raw, tmp_path / "boot.vhd", "vpc")
    (tmp_path / "box.ovf").write_text("<Envelope/>")
    files["ova"] = corpus.as_tar(tmp_path / "box.ova", tmp_path / "box.ovf", files["streamOptimized"])
    files["form"] = tmp_path / "boot.form"
    subprocess.run([BIN / "vmctl", "image", "pack", files["form"], "--name", "boot", "--disk", raw], check=True, capture_output=True)

    def boot(name):
        answer = service.upload(name, files[name].read_bytes())
        assert answer.status == 201, (name, answer)
        made = service.create(name, image=name, memory_mib=128)
        assert made.status == 201, (name, made)
        said(service, made.json["id"], b"BOOTED FROM DISK", 300)
        assert service.call("DELETE", f"/vms/{made.json['id']}?force=true").status == 204
        return answer.json

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        images = list(pool.map(boot, files))
    assert len(images) == len(files)
    # The content is the same, however it came; qemu-img says so of what is stored.
    for disk in (service.store_of_images() / "contents").glob("*/disk"):
        assert subprocess.run(["qemu-img", "compare", raw, disk], capture_output=True).returncode == 0, disk


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    if not DEBIAN.exists():
        pytest.fail("make image-debian has not been run")
    folder = tmp_path_factory.mktemp("debian")
    raw = folder / "debian.raw"
    corpus.qemu_img("convert", "-O", "raw", DEBIAN, raw)
    yield folder, raw
    raw.unlink()


def test_debian_boots_from_each_format_of_the_product_page(make_service, debian, tmp_path):
    """raw, qcow2, vmdk and .form, each put where the product page says: into the folder of images."""
    folder, raw = debian
    images = tmp_path / "images"
    images.mkdir()
    os.link(DEBIAN, images / "from-qcow2.qcow2") if os.stat(DEBIAN).st_dev == os.stat(images).st_dev else corpus.qemu_img("convert", "-O", "qcow2", DEBIAN, images / "from-qcow2.qcow2")
    subprocess.run(["cp", "--sparse=always", raw, images / "from-raw.img"], check=True)
    corpus.qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, images / "from-vmdk.vmdk")
    subprocess.run([BIN / "vmctl", "image", "pack", images / "from-form.form", "--name", "debian-12", "--image-version", "12", "--memory", "384",
                    "--minimum-disk", "2", "--disk", raw], check=True, capture_output=True)
    service = make_service(images_dir=images, default_memory_mb=384)
    names = ["from-qcow2", "from-raw", "from-vmdk", "from-form"]
    deadline = time.time() + 600
    while not all(service.call("GET", f"/images/{name}").json.get("status") == "ready" for name in names):
        assert time.time() < deadline, service.call("GET", "/images")
        time.sleep(0.2)
    small = service.create("small", image="from-form", disk_gib=1, start=False)
    assert (small.status, small.json["field"]) == (422, "disk_gib") and "2 GiB" in small.json["detail"]

    def boot(name):
        vm = service.create(name, image=name, disk_gib=4).json["id"]
        said(service, vm, b"login:", 1000)
        return vm

    # Two at a time: the host has two processors, and each guest wants one.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        vms = list(pool.map(boot, names))
    for vm in vms:
        stopped = service.call("POST", f"/vms/{vm}/stop", {"force": True})
        assert stopped.status == 200
        assert service.call("DELETE", f"/vms/{vm}").status == 204
    assert console


def test_a_uefi_image_gets_uefi(make_service, tmp_path):
    (tmp_path / "images").mkdir()
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    subprocess.run([BIN / "vmctl", "image", "pack", tmp_path / "images" / "uefi.form", "--name", "uefi", "--disk", raw, "--firmware", "uefi"],
                   check=True, capture_output=True)
    service = make_service(images_dir=tmp_path / "images")
    deadline = time.time() + 300
    while service.image("uefi").get("status") != "ready":
        assert time.time() < deadline
        time.sleep(0.05)
    vm = service.create("web", image="uefi", memory_mib=256).json["id"]
    # The firmware tells of itself; a boot sector is nothing to it.
    said(service, vm, b"BdsDxe", 300)
