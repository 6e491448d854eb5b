"""The configuration as the operator meets it."""
import os
import signal
import socket
import subprocess
import threading
import time

from support import BIN, ROOT, eventually, own_port


def run(*arguments, environment=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("VMM_") and k != "WAIT_FOR"}
    return subprocess.run([BIN / "vmm-service", *arguments], capture_output=True, text=True, env={**clean, **(environment or {})}, timeout=300)


def test_precedence_and_origins(tmp_path):
    file = tmp_path / "a.conf"
    file.write_text('max_vms = 1\napi_port = 1\nlog_level = "error"\n[testing]\napi_port = 2\n')
    printed = run("--print-config", "--config", file, "--profile", "testing", "--max-vms", "9",
                  environment={"VMM_LOG_LEVEL": "warn", "VMM_MAX_VMS": "8"}).stdout
    origin = {line.split(" = ")[0]: line.split(" = ")[1] for line in printed.splitlines()}
    assert origin["max_vms"].split() == ["9", "#", "flag", "--max-vms"]
    assert origin["log_level"].split() == ['"warn"', "#", "environment", "VMM_LOG_LEVEL"]
    assert origin["api_port"].split() == ["2", "#", f"{file}:5"]
    assert origin["accel"].split() == ['"auto"', "#", "default"]
    assert run("--print-config", environment={"VMM_CONFIG_PATH": str(file)}).stdout == run("--print-config", "--config", file).stdout


def test_slips_stop_the_start(tmp_path):
    file = tmp_path / "a.conf"
    file.write_text("api_port = 1\nmax_vmz = 1\n")
    refused = run("--check-config", "--config", file)
    assert refused.returncode == 2 and f'{file}:2: unknown key "max_vmz", did you mean "max_vms"?' in refused.stderr
    assert "did you mean" in run(environment={"VMM_API_PROT": "1"}).stderr
    assert "form-state" in run("--check-config").stderr, "the default needs the state service"
    assert run("--check-config", "--state-url", "sqlite:///tmp/x.db").stdout == "the configuration is good\n"
    assert run("--check-config", "--state-url", "sqlite://relative").returncode == 2
    assert run("--check-config", "--config", tmp_path / "missing").returncode == 2
    assert run("--no-such-flag").returncode != 0
    for key in ("--api-port=99999", "--accel=hax", "--enable-virtio-rng=maybe", "--api-host=nowhere"):
        assert run("--check-config", "--state-url=sqlite:///tmp/x.db", key).returncode == 2, key


def test_help_names_every_key():
    text = run("--help").stdout
    for line in (ROOT / "config/default.conf").read_text().splitlines():
        if " = " in line and not line.startswith("#"):
            assert "--" + line.split(" = ")[0].replace("_", "-") in text


def test_a_port_that_becomes_free_is_waited_for(make_service):
    """As a killed service's is, once its last child runs its program."""
    service = make_service(start=False)
    held = socket.create_server(("127.0.0.1", int(service.config["api_port"])))
    threading.Timer(0.3, held.close).start()
    service.start()


def test_wait_for_waits_and_says_for_whom(make_service):
    port = own_port()
    service = make_service(start=False, wait_for=f"127.0.0.1:{port}")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    def listen():
        time.sleep(0.6)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    threading.Thread(target=listen).start()
    service.start()
    assert f"waiting for 127.0.0.1:{port}" in service.log.read_text()
    listener.close()
    gone = make_service(start=False, wait_for=f"127.0.0.1:{port}", wait_for_timeout=1)
    out = subprocess.run(gone.command(), capture_output=True, text=True, env=gone.environment())
    assert out.returncode == 1 and f"127.0.0.1:{port} did not accept connections within 1 s" in out.stderr


def test_logs_are_json_where_asked_and_opened_anew(make_service):
    import json
    service = make_service(start=False, log_format="json")
    file = service.folder / "own.log"
    service.config["log_file"] = str(file)
    service.start(wait=False)
    deadline = time.time() + 300
    while time.time() < deadline and not (file.exists() and "listening" in file.read_text()):
        time.sleep(0.05)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"time", "level", "message"} == set(lines[0])
    file.rename(service.folder / "old.log")
    service.process.send_signal(signal.SIGHUP)
    while time.time() < deadline and not (file.exists() and "log opened anew" in file.read_text()):
        time.sleep(0.05)
    assert "log opened anew" in file.read_text()


def test_a_stop_lets_requests_end(make_service):
    service = make_service()
    vm = service.create().json["id"]
    answers = []
    asking = threading.Thread(target=lambda: answers.append(service.call("POST", f"/vms/{vm}/stop", {"timeout_s": 2})))
    asking.start()
    eventually(lambda: service.vm(vm)["status"] == "stopping" or answers)
    service.stop()
    asking.join()
    assert answers[0].status == 200 and answers[0].json["status"] == "stopped"
