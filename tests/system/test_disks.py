"""Disks of machines, with real guests: volumes that come and go, disks that grow, limits, clones, publishing, full disks."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import corpus
import pytest
from test_bad_input import fill, small_disk  # noqa: F401

from support import IMAGES, Signer, console, eventually, qemu_processes, run_state


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One service with one booted guest for the tests that leave it as they found it."""
    from support import Service
    service = Service().start()
    vm = service.create("shared").json["id"]
    service.wait_boot(vm)
    yield service, vm
    service.close()


def say(service, vm, command, expect):
    """The guest's answer, up to a mark that only the answer and not the echoed command has."""
    return console(service, vm, f"{command}; echo M''ARK", b"MARK" if not expect else expect).decode(errors="replace")


def disk_file(service, name):
    mark = (pathlib.Path(service.config["vm_dir"]) / ".vmm-store").read_text().strip()
    return pathlib.Path(service.config["images_dir"]) / ".machines" / mark / f"{name}.qcow2"


def checked(file):
    assert subprocess.run(["qemu-img", "check", "-q", file], capture_output=True).returncode == 0, file


def test_a_volume_is_plugged_into_a_running_guest_and_keeps_its_data(shared):
    service, vm = shared
    added = service.call("POST", f"/vms/{vm}/disks", {"size_gib": 2, "name": "data", "iops": 5000})
    assert added.status == 201 and added.headers["location"] == f"/vms/{vm}/disks/{added.json['id']}", added
    volume = added.json["id"]
    assert (added.json["kind"], added.json["vm"], added.json["size_gib"], added.json["iops"]) == ("volume", vm, 2, 5000)
    say(service, vm, "i=0; while [ ! -b /dev/sda ] && [ $i -lt 50 ]; do usleep 100000; i=$((i+1)); done; cat /sys/block/sda/size", b"4194304")
    say(service, vm, "echo precious | dd of=/dev/sda bs=512 seek=7 2>/dev/null && sync && echo wro''te", b"wrote")
    grown = service.call("PATCH", f"/vms/{vm}/disks/{volume}", {"size_gib": 3})
    assert grown.status == 200 and grown.json["size_gib"] == 3, grown
    say(service, vm, "echo 1 >/sys/block/sda/device/rescan; sleep 1; cat /sys/block/sda/size", b"6291456")
    refused = service.call("PATCH", f"/vms/{vm}/disks/{volume}", {"size_gib": 1})
    assert (refused.status, refused.json["field"]) == (422, "size_gib") and "shrink" in refused.json["detail"]
    disks = service.call("GET", f"/vms/{vm}/disks").json["disks"]
    assert [d["id"] for d in disks] == ["root", volume] and all(d["real_bytes"] > 0 for d in disks)
    attached = service.call("DELETE", f"/volumes/{volume}")
    assert (attached.status, attached.code) == (409, "volume-attached")
    assert service.call("DELETE", f"/vms/{vm}/disks/{volume}").status == 204
    say(service, vm, "i=0; while [ -b /dev/sda ] && [ $i -lt 50 ]; do usleep 100000; i=$((i+1)); done; ls /dev/sd* 2>&1 | head -1", b"No such file")
    assert [v["id"] for v in service.call("GET", "/volumes").json["volumes"]] == [volume]
    checked(disk_file(service, volume))
    back = service.call("POST", f"/vm/{vm}/add_disk", {"volume": volume})
    assert back.status == 201 and back.json["size_gib"] == 3 and service.call("GET", "/volumes").json["volumes"] == []
    say(service, vm, "i=0; while [ ! -b /dev/sda ] && [ $i -lt 50 ]; do usleep 100000; i=$((i+1)); done; dd if=/dev/sda bs=512 skip=7 count=1 2>/dev/null | head -c 8", b"precious")
    assert service.call("POST", f"/vm/{vm}/remove_device", {"id": volume}).status == 204
    assert service.call("DELETE", f"/volumes/{volume}").status == 204
    assert not disk_file(service, volume).exists()
    assert service.call("GET", "/volumes").json["volumes"] == []


def test_the_root_disk_grows_while_the_guest_runs(shared):
    service, vm = shared
    size = service.vm(vm)["disk_gib"]
    grown = service.call("PATCH", f"/vms/{vm}", {"disk_gib": size + 1, "labels": {"a": "b"}})
    assert grown.status == 200 and grown.json["disk_gib"] == size + 1 and grown.json["labels"] == {"a": "b"}, grown
    say(service, vm, "sleep 1; cat /sys/block/vda/size", str((size + 1) << 21).encode())
    assert service.call("PATCH", f"/vms/{vm}", {"disk_gib": 1}).json["field"] == "disk_gib"
    assert service.call("PATCH", f"/vms/{vm}", {"disk_gib": 70000}).json["field"] == "disk_gib"


def test_what_the_guest_discards_is_given_back(shared):
    service, vm = shared

    def real():
        return service.call("GET", f"/vms/{vm}/disks").json["disks"][0]["real_bytes"]
    say(service, vm, "tr '\\0' z </dev/zero 2>/dev/null | dd of=/dev/vda bs=65536 count=1024 seek=2048 iflag=fullblock conv=fsync 2>/dev/null; echo wro''te3", b"wrote3")
    full = real()
    say(service, vm, "blkdiscard -o 134217728 -l 67108864 /dev/vda && sync && echo gi''ven", b"given")
    assert full - real() > 48 << 20, (full, real())


def test_limits_hold(shared):
    """Writes past the page cache of the guest take as long as the limit says."""
    service, vm = shared

    def seconds(megabytes):
        began = time.time()
        say(service, vm, f"dd if=/dev/zero of=/dev/vda bs=65536 count={megabytes * 16} seek=64 conv=fsync 2>/dev/null; echo do''ne", b"done")
        return time.time() - began
    assert service.call("PATCH", f"/vms/{vm}/disks/root", {"throughput_mbps": 4}).json["throughput_mbps"] == 4
    slow = seconds(16)
    assert slow > 2.5
    assert service.call("PATCH", f"/vms/{vm}/disks/root", {"throughput_mbps": 0}).status == 200
    assert eventually(lambda: slow > 2 * seconds(16))


def test_bad_wishes_name_their_field(shared):
    service, vm = shared
    for body, field in (({}, "size_gib"), ({"size_gib": 0}, "size_gib"), ({"size_gib": 70000}, "size_gib"), ({"size_gib": 1, "volume": "x"}, "size_gib"),
                        ({"size_gib": 1, "cache": "fast"}, "cache"), ({"size_gib": 1, "iops": 2000000}, "iops"), ({"volume": "vol-x"}, "volume"),
                        ({"size_gib": 1, "throughput_mbps": 2000000}, "throughput_mbps"), ({"size_gib": 1, "colour": "red"}, "colour")):
        answer = service.call("POST", f"/vms/{vm}/disks", body)
        assert (answer.status, answer.json["field"]) == (422, field), (body, answer)
    assert service.call("DELETE", f"/vms/{vm}/disks/root").code == "root-disk"
    assert service.call("DELETE", f"/vms/{vm}/disks/vol-x").status == 404
    assert service.call("PATCH", f"/vms/{vm}/disks/vol-x", {"size_gib": 2}).status == 404
    assert service.call("DELETE", "/volumes/vol-x").status == 404
    assert service.call("GET", f"/vms/{vm}/disks").json["disks"][1:] == []


def test_a_clone_of_a_running_machine_has_its_disk_as_it_was(shared):
    service, vm = shared
    say(service, vm, "echo original | dd of=/dev/vda bs=512 seek=9 2>/dev/null && sync && echo wro''te", b"wrote")
    cloned = service.call("POST", f"/vms/{vm}/clone", {"name": "twin"})
    assert cloned.status == 201 and cloned.json["status"] == "stopped" and cloned.json["disk_gib"] == service.vm(vm)["disk_gib"], cloned
    say(service, vm, "echo changed! | dd of=/dev/vda bs=512 seek=9 2>/dev/null && sync && echo wro''te2", b"wrote2")
    twin = cloned.json["id"]
    checked(disk_file(service, twin))
    assert service.call("POST", f"/vms/{twin}/start").status == 200
    service.wait_boot(twin)
    say(service, twin, "dd if=/dev/vda bs=512 skip=9 count=1 2>/dev/null | head -c 8", b"original")
    say(service, vm, "dd if=/dev/vda bs=512 skip=9 count=1 2>/dev/null | head -c 8", b"changed!")
    # Of a stopped machine too; and a name that is taken is told as always.
    assert service.call("POST", f"/vms/{twin}/stop", {"force": True}).status == 200
    again = service.call("POST", f"/vms/{twin}/clone", {"name": "triplet", "start": True})
    assert again.status == 201 and again.json["status"] == "running", again
    service.wait_boot(again.json["id"])
    say(service, again.json["id"], "dd if=/dev/vda bs=512 skip=9 count=1 2>/dev/null | head -c 8", b"original")
    assert service.call("POST", f"/vms/{vm}/clone", {"name": "twin"}).code == "name-taken"
    for one in (twin, again.json["id"]):
        assert service.call("DELETE", f"/vms/{one}?force=true").status == 204


def test_publishing_a_running_machine_flattens_and_trims(make_service, tmp_path):
    (tmp_path / "images").mkdir()
    raw = corpus.boot_disk(tmp_path / "boot.raw")
    shutil.copytree(IMAGES / "tiny", tmp_path / "images" / "tiny")
    service = make_service(images_dir=tmp_path / "images")
    assert service.upload("base", raw.read_bytes()).status == 201
    vm = service.create("web", image="base", memory_mib=128).json["id"]
    overlay = disk_file(service, vm)
    # Written where the image has data, and where it has none.
    stopped = service.call("POST", f"/vms/{vm}/stop", {"force": True})
    assert stopped.status == 200
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 77 64k 64k", "-c", "write -P 78 512M 1M", "-c", "write -z 128k 64k", overlay], check=True, capture_output=True)
    assert service.call("POST", f"/vms/{vm}/start").status == 200
    for name, form in (("flat", False), ("packed", True)):
        answer = service.call("POST", f"/vms/{vm}/publish" if form else f"/vm/{vm}/commit", {"name": name, "form": form}, timeout=300)
        assert answer.status == 201 and answer.json["format"] == ("form" if form else "qcow2"), answer
        assert answer.json["virtual_bytes"] == 1 << 30 and answer.json["real_bytes"] < 8 << 20, answer
        file = tmp_path / name
        file.write_bytes(service.call("GET", f"/images/{name}/content").body)
        if form:
            stored = next(p for p in (service.store_of_images() / "contents").glob("*/disk") if (p.parent / "image.form").exists())
            same = subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", overlay, stored], capture_output=True, text=True)
        else:
            assert "backing" not in subprocess.run(["qemu-img", "info", file], capture_output=True, text=True).stdout
            checked(file)
            same = subprocess.run(["qemu-img", "compare", "-U", "-f", "qcow2", "-F", "qcow2", overlay, file], capture_output=True, text=True)
        assert same.returncode == 0 or "lock" in same.stderr, same
    copy = service.create("copy", image="flat", memory_mib=128).json["id"]
    deadline = time.time() + 300
    log = service.vm_folder(copy) / "console.log"
    while not (log.exists() and b"BOOTED FROM DISK" in log.read_bytes()):
        assert time.time() < deadline
        time.sleep(0.05)
    assert service.call("POST", f"/vms/{vm}/publish", {"name": "flat"}).code == "image-exists"
    assert service.call("POST", f"/vms/{vm}/publish", {"name": "../x"}).json["field"] == "name"
    left = service.images_left()
    assert len(left["contents"]) == 3 and left["incoming"] == []


def test_volumes_outlive_their_machine_unless_told_otherwise(make_service):
    service = make_service()
    kept, gone = (service.create(name, start=False).json["id"] for name in ("kept", "gone"))
    volumes = [service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1}).json["id"] for vm in (kept, gone)]
    service.restart()
    assert [d["id"] for d in service.call("GET", f"/vms/{kept}/disks").json["disks"]] == ["root", volumes[0]]
    assert service.call("DELETE", f"/vms/{kept}").status == 204
    assert service.call("DELETE", f"/vms/{gone}?volumes=true").status == 204
    assert [v["id"] for v in service.call("GET", "/volumes").json["volumes"]] == [volumes[0]]
    assert disk_file(service, volumes[0]).exists() and not disk_file(service, volumes[1]).exists()
    service.restart()
    other = service.create("other", start=False).json["id"]
    assert service.call("POST", f"/vms/{other}/disks", {"volume": volumes[0]}).status == 201
    started = service.call("POST", f"/vms/{other}/start")
    assert started.status == 200
    service.call("POST", f"/vms/{other}/stop", {"force": True})
    disk_file(service, volumes[0]).unlink()
    missing = service.call("POST", f"/vms/{other}/start")
    assert (missing.status, missing.code) == (503, "volume-missing"), missing


def test_volumes_of_others_do_not_exist(make_service):
    service = make_service()
    ann, bob = Signer(), Signer()
    for who in (ann, bob):
        service.call("PUT", f"/accounts/{who.address}", {"name": "x"})
    mine = service.create("a", ann, start=False).json["id"]
    theirs = service.create("b", bob, start=False).json["id"]
    volume = service.call("POST", f"/vms/{mine}/disks", {"size_gib": 1}, ann).json["id"]
    assert service.call("DELETE", f"/vms/{mine}/disks/{volume}", signer=ann).status == 204
    assert service.call("GET", "/volumes", signer=bob).json["volumes"] == []
    assert service.call("POST", f"/vms/{theirs}/disks", {"volume": volume}, bob).json["field"] == "volume"
    assert service.call("DELETE", f"/volumes/{volume}", signer=bob).status == 404
    across = service.call("POST", f"/vms/{theirs}/disks", {"volume": volume})
    assert (across.status, across.json["field"]) == (422, "volume") and "somebody else" in across.json["detail"], across
    for path in (f"/vms/{mine}/disks", f"/vms/{mine}/events"):
        assert service.call("GET", path, signer=bob).status == 404
    for path, body in ((f"/vms/{mine}/clone", {"name": "x"}), (f"/vms/{mine}/publish", {"name": "x"}), (f"/vms/{mine}/disks", {"size_gib": 1})):
        assert service.call("POST", path, body, bob).status == 404


def test_the_configured_ways_of_disks_reach_qemu(make_service):
    service = make_service(disk_cache="directsync", disk_trim="false", storage_qos="true", max_disk_iops=500, max_disk_throughput_mbps=50)
    vm = service.create("web", start=False).json["id"]
    service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1, "cache": "unsafe"})
    assert service.call("POST", f"/vms/{vm}/start").status == 200
    pid = qemu_processes(service.config["vm_dir"])[vm]
    arguments = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
    nodes = [json.loads(a) for a in arguments if a.startswith(b'{"driver":"qcow2"')]
    assert nodes[0]["cache"] == {"direct": True, "no-flush": False} and nodes[0]["discard"] == "ignore"
    assert nodes[1]["cache"] == {"direct": False, "no-flush": True}
    assert any(b"write-cache=off" in a for a in arguments if a.startswith(b"virtio-blk"))


def test_a_full_disk_stops_writes_says_so_and_goes_on_by_itself(small_disk, make_service):
    images = small_disk("160m")
    os.symlink(IMAGES / "tiny", images / "tiny")
    service = make_service(images_dir=images)
    vm = service.create("web").json["id"]
    service.wait_boot(vm)
    fill(images)
    # What fills the page cache of the guest is written out by sync, which hangs until there is room.
    console(service, vm, "dd if=/dev/zero bs=65536 count=256 2>/dev/null | tr '\\0' x | dd of=/dev/vda bs=65536 2>/dev/null; sync; echo all''written", b"written")
    stalled = service.wait_for(vm, lambda v: v["status"] == "paused")
    assert stalled["status_reason"].startswith("no-space: ") and "MiB" in stalled["status_reason"] and stalled["desired_power"] == "on"
    assert "no-space" in [e["what"] for e in service.call("GET", f"/vms/{vm}/events").json["events"]]
    # Also for a service that was away meanwhile.
    service.restart()
    assert service.vm(vm)["status"] == "paused" and service.vm(vm)["status_reason"].startswith("no-space: ")
    os.unlink(images / "filler")
    going = service.wait_for(vm, lambda v: v["status"] == "running")
    assert going["status_reason"] == ""
    assert "space-again" in [e["what"] for e in service.call("GET", f"/vms/{vm}/events").json["events"]]
    console(service, vm, "sync; echo go''es", b"goes")
    # The same with nobody there: the guest is told to write in a while, and the service is killed.
    console(service, vm, "(sleep 3; dd if=/dev/zero bs=65536 count=512 2>/dev/null | tr '\\0' y | dd of=/dev/vda bs=65536 seek=1024 2>/dev/null; sync) & echo be''gun", b"begun")
    service.kill()
    fill(images)
    eventually(lambda: run_state(service, vm) == "io-error")
    service.start()
    assert service.vm(vm)["status"] == "paused" and service.vm(vm)["status_reason"].startswith("no-space: ")
    os.unlink(images / "filler")
    service.wait_for(vm, lambda v: v["status"] == "running")
    assert service.call("POST", f"/vms/{vm}/stop", {"force": True}).status == 200
    checked(disk_file(service, vm))


def test_a_full_disk_under_imports_clones_and_volumes(small_disk, make_service, tmp_path):
    images = small_disk("300m")
    os.symlink(IMAGES / "tiny", images / "tiny")
    service = make_service(images_dir=images)
    vm = service.create("web", start=False).json["id"]
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 120M", disk_file(service, vm)], check=True, capture_output=True)
    raw = corpus.boot_disk(tmp_path / "big.raw", mib=8)
    with open(raw, "ab") as file:
        file.write(os.urandom(120 << 20))
    packed = corpus.converted(raw, tmp_path / "big.vmdk", "vmdk", subformat="streamOptimized").read_bytes()
    assert service.upload("fits", raw.read_bytes()[: 30 << 20]).status == 201
    before = (service.images_left(), service.disks())
    answer = service.upload("too-much", packed)
    assert answer.status in (413, 503) and answer.code in ("no-space", "image-over-quota"), answer
    answer = service.call("POST", "/images", {"name": "too-much", "path": str(raw)})
    assert answer.status in (413, 503) and answer.code in ("no-space", "image-over-quota"), answer
    assert (service.images_left(), service.disks()) == before
    with open(images / "filler", "wb") as file:
        file.write(bytes(70 << 20))
    answer = service.call("POST", f"/vms/{vm}/clone", {"name": "copy"})
    assert answer.status == 503 and answer.code == "no-space", answer
    answer = service.call("POST", f"/vms/{vm}/publish", {"name": "copy"})
    assert answer.status in (413, 503), answer
    fill(images)
    answer = service.call("POST", f"/vms/{vm}/disks", {"size_gib": 1})
    assert (answer.status, answer.code) == (503, "no-space"), answer
    assert (service.images_left(), service.disks()) == before
    assert [d["id"] for d in service.call("GET", f"/vms/{vm}/disks").json["disks"]] == ["root"]
