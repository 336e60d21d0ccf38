"""Waiting for a lock: a live holder is waited for, a paused one is given up."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from src import file_lock
from src.errors import LockError
from src.file_lock import Holder, try_file_lock, wait_for_lock
from tests.paused import ROOT, paused_holder

HOLD = """
import sys, time
from pathlib import Path
from src import file_lock
file_lock.HEARTBEAT_SECONDS = 0.05
with file_lock.file_lock(Path(sys.argv[1]), "the lock"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "MAX_SILENT_SECONDS", 3.0)
    monkeypatch.setattr(file_lock, "LOG_AFTER_SECONDS", 0.2)


@pytest.mark.slow
def test_a_paused_holder_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lock"
    with paused_holder(HOLD, str(path), "600") as pid:
        with pytest.raises(
            LockError,
            match=rf"^the lock is held by process {pid} on .+ since \S+ \S+ UTC, which does not respond: ",
        ):
            take(path)
        assert f"waiting for the lock, held by process {pid} on " in caplog.text
        os.kill(pid, signal.SIGKILL)
        take(path)


@pytest.mark.slow
def test_a_live_holder_is_waited_for_without_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), "7"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        take(tmp_path / "lock")  # more than twice the time that a silent one is given
        assert holder.wait() == 0


def take(path: Path) -> None:
    with file_lock.file_lock(path, "the lock"):
        pass


@pytest.mark.slow
def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    with paused_holder(HOLD, str(tmp_path / "lock"), "600") as pid:
        os.kill(pid, signal.SIGKILL)
        take(tmp_path / "lock")
        with try_file_lock(tmp_path / "lock") as held:
            assert held


@pytest.mark.slow
def test_a_lock_file_without_a_name_still_has_a_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with try_file_lock(path):
        path.write_text("")
        os.utime(path, (0, 0))
        with pytest.raises(LockError, match="held by an unknown process"):
            take(path)


@pytest.mark.slow
def test_a_holder_with_hidden_heartbeats_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "MAX_HIDDEN_SECONDS", 2.0)
    asked: list[float] = []

    def holder() -> Holder:
        asked.append(time.monotonic())
        return Holder("somebody", None, "end it")

    with pytest.raises(LockError, match="held by somebody"):
        wait_for_lock(lambda: False, holder, "the lock", seconds=0.1)
    assert len(asked) > 2


def test_after_a_suspended_machine_resumes_no_holder_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """All heartbeats are hours old then; a live holder soon sends the next one."""
    monkeypatch.setattr(file_lock, "MIN_WATCHED_SECONDS", 0.5)
    silences = iter([3600.0, 3600.0])
    tries = iter([False, False, True])
    monkeypatch.setattr(file_lock, "LOG_AFTER_SECONDS", 0.0)
    wait_for_lock(lambda: next(tries), lambda: Holder("somebody", next(silences), ""), "the lock", seconds=10)
    assert next(silences, None) is None


def test_the_heartbeat_ends_with_the_lock(tmp_path: Path) -> None:
    with file_lock.file_lock(tmp_path / "lock", "the lock"):
        assert "lock-heartbeat" in {thread.name for thread in threading.enumerate()}
    assert "lock-heartbeat" not in {thread.name for thread in threading.enumerate()}
