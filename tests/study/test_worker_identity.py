import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from src.study.worker_identity import is_known_dead, worker_identity

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SAY_IDENTITY = "from src.study.worker_identity import worker_identity; print(worker_identity(), flush=True); input()"


def test_a_process_is_alive_until_it_ends() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_IDENTITY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    identity = process.stdout.readline().strip()
    assert not is_known_dead(identity)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert is_known_dead(identity), "a zombie runs no trial"
    process.communicate()
    assert is_known_dead(identity)


def test_this_process_is_alive() -> None:
    assert not is_known_dead(worker_identity())


def test_a_reused_pid_is_another_process() -> None:
    machine, pid, start, host = worker_identity().split("|")
    assert int(pid) == os.getpid()
    assert is_known_dead(f"{machine}|{pid}|{float(start) - 100:.2f}|{host}")


def test_a_process_of_another_machine_is_not_known_to_be_dead() -> None:
    assert not is_known_dead("other-boot/pid:[1]|1|1.0|host")
    assert not is_known_dead("")
