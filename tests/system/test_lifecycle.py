"""Machines from their creation to their end, with real guests."""
import os
import signal
import subprocess
import time

from support import console, eventually, qemu_processes, run_state


def test_a_machine_lives_its_whole_life(service):
    made = service.create("web", labels={"a": "b"})
    assert made.status == 201, made
    vm = made.json
    assert vm["status"] == "running" and vm["memory_mib"] == 128 and vm["owner"] == service.admin.address
    assert made.headers["location"] == f"/vms/{vm['id']}"
    booted = service.wait_boot(vm["id"])
    assert booted["addresses"] == ["10.0.2.15"]

    path = f"/vms/{vm['id']}"
    assert service.call("POST", path + "/pause").json["status"] == "paused"
    refused = service.call("POST", path + "/pause")
    assert (refused.status, refused.code) == (409, "state-conflict")
    assert service.call("POST", path + "/resume").json["status"] == "running"
    assert b"hello-7" in console(service, vm["id"], "echo hello-$((3+4))", b"hello-7")

    stopped = service.call("POST", path + "/stop", {"timeout_s": 20})
    assert (stopped.status, stopped.json["status"], stopped.json["desired_power"]) == (200, "stopped", "off")
    assert stopped.json["status_reason"] == "stopped, as asked", "the guest heard the power button"
    assert service.leftovers()["processes"] == []

    started = service.call("POST", path + "/start")
    assert started.json["status"] == "running" and started.json["boot_completed_at"] is None
    service.wait_boot(vm["id"])
    pid = qemu_processes(service.config["vm_dir"])[vm["id"]]
    restarted = service.call("POST", path + "/restart", {"timeout_s": 20})
    assert restarted.json["status"] == "running"
    assert qemu_processes(service.config["vm_dir"])[vm["id"]] != pid
    service.wait_boot(vm["id"])

    refused = service.call("DELETE", path)
    assert (refused.status, refused.code) == (409, "machine-running")
    assert service.call("DELETE", path + "?force=true").status == 204
    assert service.call("GET", path).status == 404
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []}


def test_a_guest_that_turns_itself_off_is_stopped(service):
    vm = service.create().json["id"]
    service.wait_boot(vm)
    console(service, vm, "poweroff -f", b"poweroff")
    after = service.wait_for(vm, lambda v: v["status"] == "stopped")
    assert after["status_reason"] == "the guest turned itself off" and after["desired_power"] == "off"
    assert service.leftovers()["processes"] == []
    assert service.call("POST", f"/vms/{vm}/start").json["status"] == "running"


def test_a_guest_that_reboots_is_not_stopped(service):
    vm = service.create().json["id"]
    first = service.wait_boot(vm)
    pid = qemu_processes(service.config["vm_dir"])[vm]
    console(service, vm, "reboot -f", b"reboot")
    service.wait_for(vm, lambda v: v["boot_completed_at"] is None)
    again = service.wait_boot(vm)
    assert again["status"] == "running" and again["boot_completed_at"] > first["boot_completed_at"]
    assert again["started_at"] == first["started_at"]
    assert qemu_processes(service.config["vm_dir"])[vm] == pid


def test_the_end_of_qemu_is_told_apart(service):
    for sent, reason in (
        (signal.SIGSEGV, "QEMU crashed with signal 11"),
        (signal.SIGKILL, "QEMU was killed by signal 9"),
        (signal.SIGTERM, "QEMU was told to terminate by a signal from outside"),
    ):
        vm = service.create(f"end-{int(sent)}").json["id"]
        os.kill(qemu_processes(service.config["vm_dir"])[vm], sent)
        after = service.wait_for(vm, lambda v: v["status"] == "failed")
        assert after["status_reason"].startswith(reason), after
        assert after["desired_power"] == "on"
        assert service.call("POST", f"/vms/{vm}/start").json["status"] == "running", "a failed machine starts again"
        service.call("DELETE", f"/vms/{vm}?force=true")
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []}


def test_a_paused_machine_hears_the_power_button(service):
    vm = service.create().json["id"]
    service.wait_boot(vm)
    service.call("POST", f"/vms/{vm}/pause")
    assert service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 20}).json["status_reason"] == "stopped, as asked"


def test_a_deaf_guest_is_ended_after_the_timeout(service):
    vm = service.create().json["id"]  # still booting: nobody listens to the button
    stopped = service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 0}).json
    assert stopped["status"] == "stopped" and stopped["status_reason"].startswith("stopped by force")


def test_machines_outlive_a_stop_and_a_kill_of_the_service(service):
    vm = service.create().json["id"]
    service.wait_boot(vm)
    pid = qemu_processes(service.config["vm_dir"])[vm]
    service.stop()
    assert qemu_processes(service.config["vm_dir"]) == {vm: pid}
    service.start()
    assert service.vm(vm)["status"] == "running"
    service.restart()
    assert qemu_processes(service.config["vm_dir"]) == {vm: pid}
    console(service, vm, "echo still-$((40+2))", b"still-42")
    assert service.call("POST", f"/vms/{vm}/pause").json["status"] == "paused"
    service.restart()
    assert service.vm(vm)["status"] == "paused"
    assert service.call("POST", f"/vms/{vm}/resume").json["status"] == "running"


def test_what_happened_while_the_service_was_away_is_found_out(service):
    off, dead = service.create("off").json["id"], service.create("dead").json["id"]
    service.wait_boot(off)
    service.wait_boot(dead)
    service.kill()
    # The service is away: the guest's own console socket is QEMU's again.
    import socket
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(service.vm_folder(off) / "serial.sock"))
    client.sendall(b"poweroff -f\n")
    eventually(lambda: run_state(service, off) == "shutdown")
    os.kill(qemu_processes(service.config["vm_dir"])[dead], signal.SIGKILL)
    client.close()
    service.start()
    assert (service.vm(off)["status"], service.vm(off)["status_reason"]) == ("stopped", "the guest turned itself off")
    assert service.vm(dead)["status"] == "failed"
    assert service.leftovers()["processes"] == []


def test_the_console_log_is_bounded_and_a_silent_reader_does_not_hold_the_guest_up(make_service):
    service = make_service(console_log_max_kb=16)
    vm = service.create().json["id"]
    service.wait_boot(vm)
    import socket
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(service.vm_folder(vm) / "console.sock"))
    console(service, vm, "yes 0123456789012345678901234567890123456789 | head -n 2000; echo don''e", b"done", timeout=60)
    logs = [service.vm_folder(vm) / n for n in ("console.log", "console.log.1")]
    assert 0 < sum(p.stat().st_size for p in logs) <= 16 * 1024
    silent.close()


def test_qemu_gets_no_descriptors_and_no_secrets_in_its_arguments(service):
    vm = service.create().json["id"]
    pid = qemu_processes(service.config["vm_dir"])[vm]
    arguments = open(f"/proc/{pid}/cmdline").read()
    assert "token" not in arguments and "sandbox" in arguments
    opened = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [name for name in opened if name.endswith((".db", ".db-wal", ".lock", "service.log"))], opened
    status = open(f"/proc/{pid}/status").read()
    assert "Seccomp:\t2" in status
    assert not (service.vm_folder(vm) / "boot.cfg").exists()


def test_the_machine_types_can_be_chosen(make_service):
    service = make_service(machine="q35")
    vm = service.create().json["id"]
    pid = qemu_processes(service.config["vm_dir"])[vm]
    assert "q35" in open(f"/proc/{pid}/cmdline").read()
    service.wait_boot(vm)
    assert service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 20}).json["status_reason"] == "stopped, as asked"


def test_a_disk_image_boots_by_firmware(make_service, tmp_path):
    """A boot sector that says so on the serial line, once as raw and once as qcow2."""
    code = bytes.fromhex("31c08ed8fcbe167cac84c07406baf803eeebf5f4ebfd") + b"BOOTED FROM DISK\r\n\0"
    sector = code.ljust(510, b"\0") + b"\x55\xaa"
    (tmp_path / "raw-disk.img").write_bytes(sector + bytes((1 << 20) - 512))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", tmp_path / "raw-disk.img", tmp_path / "copied.qcow2"], check=True)
    service = make_service(images_dir=tmp_path)
    for image in ("raw-disk", "copied"):
        vm = service.create(image, image=image, memory_mib=128).json["id"]
        log = service.vm_folder(vm) / "console.log"
        deadline = time.time() + 300
        while not (log.exists() and b"BOOTED FROM DISK" in log.read_bytes()):
            assert time.time() < deadline, service.vm(vm)
            time.sleep(0.05)
        pid = qemu_processes(service.config["vm_dir"])[vm]
        assert "q35" in open(f"/proc/{pid}/cmdline").read()


def test_a_guest_that_found_no_timer_is_reset(service):
    """Linux gives the processor's timer up when it was kept from running while it measured it; in a microvm it then has
    none. QEMU is kept from running here, as a busy host would, until that has happened."""
    for _ in range(8):
        vm = service.create("stalled").json["id"]
        pid = qemu_processes(service.config["vm_dir"])[vm]
        until = time.time() + 40
        while processor_ticks(pid) < 160 and time.time() < until:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.16)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.006)
        with open(f"/proc/{pid}/cmdline") as file:
            emulated = "\0tcg" in file.read()
        service.wait_boot(vm)
        happened = [e["what"] for e in service.call("GET", f"/vms/{vm}/events").json["events"]]
        assert service.call("DELETE", f"/vms/{vm}?force=true").status == 204
        if "guest-timeless" in happened:
            assert happened[-1] == "boot-ready", happened
            return
    assert not emulated, "no stall met the moment"


def processor_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
