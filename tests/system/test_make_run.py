"""The README's first command, from start to Ctrl-C and again."""
import os
import re
import signal
import subprocess
import time

import pytest

from support import ROOT, own_port, qemu_processes


class Run:
    def __init__(self, folder, port):
        self.output = folder / f"output-{time.time_ns()}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VMM_")}
        self.process = subprocess.Popen(
            [ROOT / "tools/run.sh"], stdout=open(self.output, "wb"), stderr=subprocess.STDOUT, start_new_session=True,
            env={**clean, "RUN_DIR": str(folder / "run"), "PORT": port},
        )

    def wait_until_up(self):
        deadline = time.time() + 120
        while "Try next" not in self.output.read_text():
            assert self.process.poll() is None and time.time() < deadline, self.output.read_text()
            time.sleep(0.1)
        return self.output.read_text()

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(300) == 0, self.output.read_text()


def test_make_run_boots_a_machine_and_finds_it_again(tmp_path):
    if not os.access(ROOT / "build/release/bin/vmm-service", os.X_OK):
        pytest.skip("make run starts the release build, which is not there")
    port, run_dir = str(own_port()), tmp_path / "run/vm"
    first = Run(tmp_path, port)
    try:
        said = first.wait_until_up()
        vm = re.search(r"vm-[0-9a-z]{26}", said)[0]
        assert "curl" in said and said.count("vmctl ") >= 3 and "vmm-service.log" in said
        first.interrupt()
        assert qemu_processes(run_dir) == {}

        second = Run(tmp_path, port)
        said = second.wait_until_up()
        assert "found the machine first again: stopped" in said and vm in said
        # kill -9 of the service: the machine goes on, and the next run takes it over.
        pids = qemu_processes(run_dir)
        service = int(re.search(r"kill -9 (\d+) does not", said)[1])
        os.kill(service, signal.SIGKILL)
        second.process.wait(300)
        assert qemu_processes(run_dir) == pids
        third = Run(tmp_path, port)
        assert "found the machine first again: running" in third.wait_until_up()
        assert qemu_processes(run_dir) == pids
        third.interrupt()
        assert qemu_processes(run_dir) == {}
    finally:
        for pid in qemu_processes(run_dir).values():
            os.kill(pid, signal.SIGKILL)
        mark = run_dir / ".vmm-store"
        if mark.exists():
            for kind in (".machines", ".images"):
                subprocess.run(["rm", "-rf", ROOT / "build/images" / kind / mark.read_text().strip()], check=True)
