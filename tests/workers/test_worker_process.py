"""Workers and their fork server, killed at critical times."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.errors import Interrupted
from src.search.stop_flag import StopFlag
from src.workers.fork_server import PRELOADED, SINGLE_THREADED, start_fork_server
from src.workers.worker_pool import PooledSearch, WorkerPool
from src.workers.worker_process import Worker, WorkerStopFlag, make_worker_start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Supervisor:
    """A parent process whose death can be set."""

    def __init__(self) -> None:
        self.lives = True

    def is_alive(self) -> bool:
        return self.lives


def server_pid() -> int:
    return int(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


def ends(worker: Worker) -> Any:
    """The worker's exit report."""
    while worker.is_alive():
        time.sleep(0.01)
    return worker.exit_report()


def test_a_worker_without_supervisor_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.workers.worker_process.CHECK_SECONDS", 0)
    supervisor = Supervisor()
    stop_flag = WorkerStopFlag(None, supervisor)
    stop_flag.raise_if_stopped()
    supervisor.lives = False
    with pytest.raises(Interrupted):
        stop_flag.raise_if_stopped()


def test_a_worker_whose_supervisor_is_killed_stops(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from src.errors import Interrupted
from src.workers.worker_process import Worker, make_worker_start
def work(stop_flag):
    Path({str(tmp_path)!r}, 'started').touch()
    try:
        while True:
            stop_flag.raise_if_stopped()
            time.sleep(0.01)
    except Interrupted:
        Path({str(tmp_path)!r}, 'stopped').touch()
if __name__ == "__main__":
    worker = Worker(make_worker_start(work, None, False))
    time.sleep(60)
"""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    supervisor = subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=tmp_path)
    try:
        wait_for(tmp_path / "started")
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for(tmp_path / "stopped")
    assert (tmp_path / "stopped").exists()


def test_a_worker_has_the_current_folder_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_fork_server()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTUNA_POSTGRES_HOST", "of this test")

    def work(stop_flag: StopFlag) -> None:
        Path("seen").write_text(os.environ["OPTUNA_POSTGRES_HOST"])

    assert ends(Worker(make_worker_start(work, None, False))) == ("done", None)
    assert (tmp_path / "seen").read_text() == "of this test"


def test_the_server_has_one_thread_and_all_imports(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        loaded = " ".join(name for name in PRELOADED if name in sys.modules)
        (Path(folder) / "loaded").write_text(loaded + (" and the user's" if "pytest" in sys.modules else ""))

    assert ends(Worker(make_worker_start(work, None, False))) == ("done", None)
    assert (tmp_path / "loaded").read_text() == " ".join(PRELOADED)
    if sys.platform.startswith("linux"):
        assert psutil.Process(server_pid()).num_threads() == 1, "a fork copies locks, not the threads that hold them"


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "of the user")
    before = dict(os.environ)
    start_fork_server()
    assert dict(os.environ) == before
    assert "JE_ARROW_MALLOC_CONF" in SINGLE_THREADED


def test_a_killed_server_ends_no_worker_and_is_started_again(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        mine = Path(folder) / str(os.getpid())
        mine.touch()
        while not (Path(folder) / "go on").exists():
            time.sleep(0.01)
        if len(list(Path(folder).glob("[0-9]*"))) == 1:
            os.kill(os.getpid(), signal.SIGKILL)  # the pool has to replace it
        mine.rename(Path(folder) / f"done-{os.getpid()}")

    killed: list[int] = []

    def kill_the_server() -> None:
        if list(tmp_path.glob("[0-9]*")) and not killed:
            killed.append(server_pid())
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.5)  # long enough to look dead with its server
            (tmp_path / "go on").touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.workers.worker_pool.PROGRESS_SECONDS", 0)
        assert WorkerPool([PooledSearch("mine", work)], 1, StopFlag()).run(kill_the_server) == {}
    assert server_pid() not in killed
    names = sorted(path.name.split("-")[0] for path in tmp_path.iterdir() if path.name != "go on")
    assert names[-1] == "done", "the second worker"
    assert len(names) == 2
    assert names[0].isdigit(), "the first one, which outlived its server"
