"""kill -9 of the service at every step of every operation: no machine is disturbed, every operation ends truthfully, a
retried request yields one machine, and nothing is left behind."""
import http.client
import random
import time

import pytest

from support import qemu_processes

JOBS = {
    "create": ["create.before-intent", "create.after-intent", "disk.opened", "disk.written", "disk.named", "create.disk", "create.starting", "start.planned", "launch.spawned",
               "launch.connected", "start.launched", "start.resumed", "create.before-fact", "create.after-fact"],
    "start": ["start.before-intent", "start.after-intent", "start.planned", "launch.spawned", "launch.connected", "start.launched",
              "start.resumed", "start.before-fact", "start.after-fact"],
    "stop": ["stop.before-intent", "stop.after-intent", "stop.asked", "stop.ended", "stop.before-fact", "stop.after-fact"],
    "restart": ["restart.before-intent", "restart.after-intent", "stop.asked", "stop.ended", "restart.starting", "launch.spawned",
                "start.launched", "restart.before-fact", "restart.after-fact"],
    "pause": ["pause.before-intent", "pause.after-intent", "pause.paused", "pause.before-fact", "pause.after-fact"],
    "resume": ["resume.before-intent", "resume.after-intent", "resume.resumed", "resume.before-fact", "resume.after-fact"],
    "delete": ["delete.before-intent", "delete.after-intent", "delete.ended", "delete.cleared", "delete.disk", "delete.before-fact",
               "delete.after-fact"],
}
# What a machine must be once the interrupted job has been taken up again.
OUTCOME = {"create": "running", "start": "running", "stop": "stopped", "restart": "running", "pause": "paused", "resume": "running",
           "delete": None}
BEFORE = {"start": "stopped", "stop": "running", "restart": "running", "pause": "running", "resume": "paused", "delete": "running"}


def prepare(service, job):
    """A machine in the state from which the job begins."""
    if job == "create":
        return None
    vm = service.create("subject", start=job != "start").json["id"]
    if job == "resume":
        service.call("POST", f"/vms/{vm}/pause")
    return vm


def attempt(service, job, vm, key):
    """The request that the service is to die of; its answer, or None when the connection broke."""
    try:
        if job == "create":
            return service.create("subject", headers={"Idempotency-Key": key})
        if job == "delete":
            return service.call("DELETE", f"/vms/{vm}?force=true", headers={"Idempotency-Key": key})
        body = {"timeout_s": 0} if job in ("stop", "restart") else {}
        return service.call("POST", f"/vms/{vm}/{job}", body, headers={"Idempotency-Key": key})
    except (ConnectionError, http.client.HTTPException, OSError):
        return None


def check_consistent(service, bystander, pid):
    """What must hold after any crash: the bystander undisturbed, operations ended, record and host in agreement."""
    operations = service.settled_operations()
    assert service.vm(bystander)["status"] == "running"
    processes = qemu_processes(service.config["vm_dir"])
    assert processes.get(bystander) == pid, "the bystander was disturbed"
    vms = {vm["id"]: vm for vm in service.call("GET", "/vms?limit=1000").json["vms"]}
    assert set(processes) == {i for i, vm in vms.items() if vm["status"] in ("running", "paused")}
    left = service.leftovers()
    assert left["disks"] == [f"{i}.qcow2" for i in sorted(vms)]
    assert set(left["folders"]) <= set(vms)
    for vm in vms.values():
        sockets = [p.name for p in service.vm_folder(vm["id"]).glob("*.sock")] if vm["id"] in left["folders"] else []
        assert bool(sockets) == (vm["id"] in processes), vm
    return vms, operations


@pytest.mark.parametrize("job", list(JOBS))
def test_the_service_may_die_at_every_named_step(make_service, job):
    service = make_service()
    bystander = service.create("bystander").json["id"]
    pid = qemu_processes(service.config["vm_dir"])[bystander]
    for step, point in enumerate(JOBS[job]):
        vm = prepare(service, job)
        service.restart(fault=point)
        answer = attempt(service, job, vm, f"{job}-{step}")
        died = service.process.wait(300)
        assert died == -9, f"{point} was never reached: {answer}"
        service.start()
        vms, operations = check_consistent(service, bystander, pid)
        subject = [v for v in vms.values() if v["name"] == "subject"]
        if point.endswith("before-intent"):
            expected = BEFORE.get(job)
            assert [v["status"] for v in subject] == ([expected] if expected else []), point
        else:
            outcome = OUTCOME[job]
            assert [v["status"] for v in subject] == ([outcome] if outcome else []), point
            mine = [o for o in operations if o["kind"] == job and o["target"] != bystander][0]
            assert mine["status"] == "succeeded", (point, mine)
        # The client tries again, with the same key.
        again = attempt(service, job, vm, f"{job}-{step}")
        if job != "delete":
            assert again.status in (200, 201), (point, again)
        vms, _ = check_consistent(service, bystander, pid)
        assert len([v for v in vms.values() if v["name"] == "subject"]) == (0 if job == "delete" else 1), point
        for one in vms.values():
            if one["name"] == "subject":
                assert service.call("DELETE", f"/vms/{one['id']}?force=true").status == 204
    service.call("DELETE", f"/vms/{bystander}?force=true")
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []}


def test_the_service_may_die_at_any_moment(make_service):
    service = make_service()
    bystander = service.create("bystander").json["id"]
    pid = qemu_processes(service.config["vm_dir"])[bystander]
    chance = random.Random(20)
    for round_number in range(30):
        key = f"moment-{round_number}"
        import threading
        victim = threading.Thread(target=attempt, args=(service, "create", None, key))
        victim.start()
        time.sleep(chance.uniform(0, 0.12))
        service.kill()
        victim.join()
        service.start()
        check_consistent(service, bystander, pid)
        made = attempt(service, "create", None, key)
        assert made is not None and made.status == 201, made
        vms, _ = check_consistent(service, bystander, pid)
        subjects = [v["id"] for v in vms.values() if v["name"] == "subject"]
        assert len(subjects) == 1
        assert service.call("DELETE", f"/vms/{subjects[0]}?force=true").status == 204
    service.call("DELETE", f"/vms/{bystander}?force=true")
    assert service.leftovers() == {"processes": [], "folders": [], "disks": []}


def test_a_job_that_keeps_killing_the_service_is_given_up(make_service):
    service = make_service()
    vm = service.create("subject", start=False).json["id"]
    service.restart(fault="start.planned")
    attempt(service, "start", vm, "k")
    for _ in range(3):
        service.process.wait(300)
        service.start(fault="start.planned")
        try:
            service.process.wait(10)
        except Exception:
            break
    service.kill()
    service.start()
    operations = service.settled_operations()
    assert [o["status"] for o in operations if o["kind"] == "start"] == ["failed"]
    assert service.vm(vm)["status"] == "failed" and "given up" in service.vm(vm)["status_reason"]
    assert service.leftovers()["processes"] == []
