"""kill -9 of the service at every step of bringing images and changing disks: nothing is lost, nothing is left behind."""
import hashlib
import http.client
import os
import random
import shutil
import subprocess
import threading
import time

import corpus
import pytest
from fileserver import serving

from support import IMAGES, qemu_processes

AROUND = ["before-intent", "after-intent", "before-fact", "after-fact"]
UPLOAD = ["upload.before-intent", "upload.after-intent", "import.before-intent", "import.after-intent", "import.converted", "import.admitted",
          "import.before-fact", "import.after-fact"]
PATH = ["import.before-intent", "import.after-intent", "import.converted", "import.admitted", "import.before-fact", "import.after-fact"]
URL = ["import.before-intent", "import.after-intent", "import.downloading", "import.admitted", "import.before-fact", "import.after-fact"]
PUBLISH = ["publish.before-intent", "publish.after-intent", "publish.copied", "publish.flattened", "import.admitted", "publish.before-fact", "publish.after-fact"]
CLONE = ["clone.before-intent", "clone.after-intent", "create.disk", "clone.before-fact", "clone.after-fact"]
ATTACH = ["attach.before-intent", "attach.after-intent", "attach.made", "attach.plugged", "attach.before-fact", "attach.after-fact"]
DETACH = ["detach.before-intent", "detach.after-intent", "detach.unplugged", "detach.before-fact", "detach.after-fact"]
GROW = ["grow.before-intent", "grow.after-intent", "grow.grown", "grow.before-fact", "grow.after-fact"]


@pytest.fixture
def storage(make_service, tmp_path):
    """A service with an image folder of its own and a machine that runs, and must go on running."""
    folder = tmp_path / "images"
    folder.mkdir()
    os.symlink(IMAGES / "tiny", folder / "tiny")
    service = make_service(images_dir=folder, allow_private_image_urls="true")
    vm = service.create("subject").json["id"]
    service.wait_boot(vm)
    return service, vm, qemu_processes(service.config["vm_dir"])[vm]


def tried(request):
    """The request that the service is to die of; None when the connection broke."""
    try:
        return request()
    except (ConnectionError, http.client.HTTPException, OSError):
        return None


def killed_at(service, point, request):
    service.restart(fault=point)
    answer = tried(request)
    assert service.process.wait(300) == -9, f"{point} was never reached: {answer}"
    service.start()


def stat_of(pid):
    """A process as the kernel tells it; nothing when it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read()
    except OSError:
        return ""


def consistent(service, vm, pid):
    """The machine undisturbed, operations ended, and on the host what is on record, no more and no less."""
    service.settled_operations()
    assert qemu_processes(service.config["vm_dir"]).get(vm) == pid, "the machine was disturbed"
    assert service.vm(vm)["status"] == "running"
    images = service.call("GET", "/images?limit=1000").json["images"]
    assert all(i["status"] in ("ready", "uploading") for i in images), images
    left = service.images_left()
    brought = [i for i in images if i["owner"]]
    assert len(left["contents"]) == len({i["sha256"] for i in brought if i["status"] == "ready"}), (left, brought)
    assert len(left["incoming"]) <= len([i for i in brought if i["status"] == "uploading"]), (left, brought)
    vms = service.call("GET", "/vms?limit=1000").json["vms"]
    disks = {f"{v['id']}.qcow2" for v in vms} | {f"{v['id']}.qcow2" for v in service.call("GET", "/volumes").json["volumes"]}
    for one in vms:
        disks |= {f"{d['id']}.qcow2" for d in service.call("GET", f"/vms/{one['id']}/disks").json["disks"] if d["kind"] == "volume"}
    assert set(service.disks()) == disks
    running = [stat_of(p) for p in os.listdir("/proc") if p.isdigit()]
    conversions = [text.rsplit(")", 1)[1].split() for text in running if "(vmm-jail)" in text or "(qemu-img)" in text]
    # State and parent; one that has ended and that nobody has waited for is a zombie.
    parents = {int(fields[1]) for fields in conversions if fields[0] != "Z"}
    assert 1 not in parents, "a conversion has outlived its service"
    return {i["name"]: i for i in images}


def test_an_upload_that_is_converted(storage, tmp_path):
    service, vm, pid = storage
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    for step, point in enumerate(UPLOAD):
        data = corpus.converted(raw, tmp_path / "boot.vmdk", "vmdk").read_bytes()
        killed_at(service, point, lambda: service.upload("disk", data))
        images = consistent(service, vm, pid)
        if UPLOAD.index(point) >= UPLOAD.index("import.after-intent"):
            assert images["disk"]["status"] == "ready", point
        again = service.upload("disk", data)
        assert again.status == 201 and again.json["sha256"] == hashlib.sha256(data).hexdigest(), (point, again)
        consistent(service, vm, pid)
        assert service.call("DELETE", "/images/disk").status == 204, point
        assert service.images_left() == {"contents": [], "incoming": []}, point


def test_the_end_of_an_image_and_of_a_volume(storage, tmp_path):
    service, vm, pid = storage
    raw = corpus.boot_disk(tmp_path / "boot.raw").read_bytes()
    for point, there in (("remove-image.before-fact", True), ("remove-image.after-fact", False)):
        assert service.upload("disk", raw).status == 201
        killed_at(service, point, lambda: service.call("DELETE", "/images/disk"))
        assert ("disk" in consistent(service, vm, pid)) == there
        assert service.call("DELETE", "/images/disk").status == (204 if there else 404)
        assert service.images_left() == {"contents": [], "incoming": []}
    other = service.create("other", start=False).json["id"]
    for point in ("delete.before-intent", "delete.after-intent", "delete.disk", "delete.before-fact", "delete.after-fact"):
        volume = service.call("POST", f"/vms/{other}/disks", {"size_gib": 1}).json["id"]
        with_volumes = point != "delete.disk"
        target = f"/vms/{other}?volumes={'true' if with_volumes else 'false'}"
        killed_at(service, point, lambda: service.call("DELETE", target))
        consistent(service, vm, pid)
        if point == "delete.before-intent":
            assert service.call("DELETE", target).status == 204
        left = [v["id"] for v in service.call("GET", "/volumes").json["volumes"]]
        assert left == ([] if with_volumes else [volume]), point
        for one in left:
            assert service.call("DELETE", f"/volumes/{one}").status == 204
        consistent(service, vm, pid)
        other = service.create("other", start=False).json["id"]


@pytest.mark.parametrize("format", ["raw", "form"])
def test_an_upload_that_is_kept_or_unpacked(storage, tmp_path, format):
    from test_images import pack
    service, vm, pid = storage
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    data = raw.read_bytes() if format == "raw" else pack(tmp_path, "boot", raw).read_bytes()
    for point in ("import.after-intent", *(["import.converted"] if format == "form" else []), "import.admitted", "import.before-fact"):
        killed_at(service, point, lambda: service.upload("disk", data))
        assert consistent(service, vm, pid)["disk"]["status"] == "ready", point
        assert service.call("DELETE", "/images/disk").status == 204
        assert service.images_left() == {"contents": [], "incoming": []}, point


def test_imports_from_a_path_and_a_url(storage, tmp_path):
    service, vm, pid = storage
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    vmdk = corpus.converted(raw, tmp_path / "boot.vmdk", "vmdk", subformat="twoGbMaxExtentSparse")
    with serving(tmp_path) as server:
        for source, points in (({"path": str(vmdk)}, PATH), ({"url": f"{server.url}/boot.raw"}, URL)):
            for step, point in enumerate(points):
                key = {"Idempotency-Key": f"{list(source)[0]}-{step}"}
                killed_at(service, point, lambda: service.call("POST", "/images", {"name": "disk", **source}, headers=key))
                images = consistent(service, vm, pid)
                assert ("disk" in images) == (point != "import.before-intent"), point
                again = service.call("POST", "/images", {"name": "disk", **source}, headers=key)
                assert again.status == 201 and again.json["name"] == "disk", (point, again)
                consistent(service, vm, pid)
                assert service.call("DELETE", "/images/disk").status == 204, point
                assert service.images_left() == {"contents": [], "incoming": []}, point


@pytest.mark.parametrize("form", [False, True])
def test_publishing(storage, form):
    service, vm, pid = storage
    for step, point in enumerate(PUBLISH):
        key = {"Idempotency-Key": f"publish-{form}-{step}"}
        body = {"name": "made", "form": form}
        killed_at(service, point, lambda: service.call("POST", f"/vms/{vm}/publish", body, headers=key))
        images = consistent(service, vm, pid)
        assert ("made" in images) == (point != "publish.before-intent"), point
        again = service.call("POST", f"/vms/{vm}/publish", body, headers=key)
        assert again.status == 201, (point, again)
        consistent(service, vm, pid)
        assert service.call("DELETE", "/images/made").status == 204, point
        assert service.images_left() == {"contents": [], "incoming": []}, point


def test_cloning(storage):
    service, vm, pid = storage
    for step, point in enumerate(CLONE):
        key = {"Idempotency-Key": f"clone-{step}"}
        killed_at(service, point, lambda: service.call("POST", f"/vms/{vm}/clone", {"name": "twin"}, headers=key))
        consistent(service, vm, pid)
        again = service.call("POST", f"/vms/{vm}/clone", {"name": "twin"}, headers=key)
        assert again.status == 201, (point, again)
        consistent(service, vm, pid)
        twins = service.call("GET", "/vms?name=twin").json["vms"]
        assert [t["status"] for t in twins] == ["stopped"], point
        assert service.call("DELETE", f"/vms/{twins[0]['id']}").status == 204


def test_changes_of_disks(storage):
    service, vm, pid = storage
    size = service.vm(vm)["disk_gib"]
    for step, point in enumerate(ATTACH):
        key = {"Idempotency-Key": f"attach-{step}"}
        killed_at(service, point, lambda: service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1}, headers=key))
        consistent(service, vm, pid)
        again = service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1}, headers=key)
        assert again.status == 201, (point, again)
        consistent(service, vm, pid)
        disks = service.call("GET", f"/vms/{vm}/disks").json["disks"]
        assert len(disks) == 2, point
        volume = disks[1]["id"]
        detach = DETACH[step % len(DETACH)]
        killed_at(service, detach, lambda: service.call("DELETE", f"/vms/{vm}/disks/{volume}"))
        consistent(service, vm, pid)
        if detach == "detach.before-intent":
            assert service.call("DELETE", f"/vms/{vm}/disks/{volume}").status == 204
        assert [v["id"] for v in service.call("GET", "/volumes").json["volumes"]] == [volume], detach
        # Attached as it is, and detached by a machine's end.
        killed_at(service, "attach.plugged", lambda: service.call("POST", f"/vms/{vm}/disks", {"volume": volume}))
        consistent(service, vm, pid)
        assert service.call("GET", "/volumes").json["volumes"] == []
        assert service.call("DELETE", f"/vms/{vm}/disks/{volume}").status == 204
        assert service.call("DELETE", f"/volumes/{volume}").status == 204
    for step, point in enumerate(GROW):
        killed_at(service, point, lambda: service.call("PATCH", f"/vms/{vm}", {"disk_gib": size + step + 1}))
        consistent(service, vm, pid)
        assert service.call("PATCH", f"/vms/{vm}", {"disk_gib": size + step + 1}).json["disk_gib"] == size + step + 1, point
    # None of it has disturbed the guest's own disk.
    assert service.call("POST", f"/vms/{vm}/stop", {"force": True}).status == 200
    mark = service.store_of_images().name
    disk = f"{service.config['images_dir']}/.machines/{mark}/{vm}.qcow2"
    assert subprocess.run(["qemu-img", "check", "-q", disk]).returncode == 0


def test_any_moment(storage, tmp_path):
    service, vm, pid = storage
    chance = random.Random(7)
    raw = corpus.boot_disk(tmp_path / "boot.raw", mib=16)
    with open(raw, "ab") as file:
        file.write(os.urandom(8 << 20))
    vmdk = corpus.converted(raw, tmp_path / "boot.vmdk", "vmdk", subformat="streamOptimized")
    data = vmdk.read_bytes()
    requests = [
        lambda n: service.upload(f"up-{n}", data),
        lambda n: service.call("POST", "/images", {"name": f"path-{n}", "path": str(vmdk)}),
        lambda n: service.call("POST", f"/vms/{vm}/publish", {"name": f"made-{n}", "form": n % 2 == 0}),
        lambda n: service.call("POST", f"/vms/{vm}/clone", {"name": f"twin-{n}"}),
        lambda n: service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1}),
    ]
    for n in range(25):
        victim = threading.Thread(target=tried, args=(lambda n=n: requests[n % 5](n),))
        victim.start()
        time.sleep(chance.uniform(0, 0.15))
        service.kill()
        victim.join()
        service.start()
        consistent(service, vm, pid)
    for one in service.call("GET", "/vms?limit=1000").json["vms"]:
        assert service.call("DELETE", f"/vms/{one['id']}?force=true&volumes=true").status == 204
    for image in service.call("GET", "/images").json["images"]:
        if image["owner"]:
            assert service.call("DELETE", f"/images/{image['name']}").status == 204
    assert service.images_left() == {"contents": [], "incoming": []}
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []}


def test_a_file_in_the_folder_while_it_is_converted(storage, tmp_path):
    service, vm, pid = storage
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    made = corpus.converted(raw, tmp_path / "dropped.vmdk", "vmdk")
    service.restart(fault="import.converted")
    shutil.move(made, service.config["images_dir"])
    assert service.process.wait(300) == -9
    service.start()
    deadline = time.time() + 300
    while service.image("dropped").get("status") != "ready":
        assert time.time() < deadline, service.image("dropped")
        time.sleep(0.05)
    left = service.images_left()
    assert len(left["contents"]) == 1 and left["incoming"] == []
