"""The parallel command: if any process is killed, no finished trial is lost or counted twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from src.study.studies import OptunaStudyManager
from src.workers.cpus import oom_kills
from src.workers.work_folder import PREFIX
from tests.integration.tuning_job import NAME, ROOT, Job

TOP = Path("/sys/fs/cgroup")


class ParallelJob(Job):
    """The same table and study, with trials in processes; temporary files are in the job's folder."""

    def __init__(self, folder: Path, n_trials: int, *options: str) -> None:
        super().__init__(folder, n_trials, "--max-workers", "2", *options)
        self.command[self.command.index("src.modeling.train_with_optuna")] = "src.modeling.optuna_parallel_optimization"
        (folder / "tmp").mkdir(exist_ok=True)

    def start(self, before: str = "") -> "subprocess.Popen[str]":
        """Starts the command in a new process group, optionally after a line of shell."""
        environ = os.environ | {
            "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": self.uri, "TMPDIR": str(self.folder / "tmp"),
        }  # fmt: skip
        command = ["sh", "-c", f'{before} exec "$@"', "sh", *self.command] if before else self.command
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, n_trials: int, process: "subprocess.Popen[str]") -> None:
        while self.finished() < n_trials and process.poll() is None:
            time.sleep(0.1)

    def left(self) -> list[Path]:
        """The remaining temporary files."""
        return list((self.folder / "tmp").glob(f"{PREFIX}*"))


def fork_server(process: "subprocess.Popen[str]") -> psutil.Process:
    for child in psutil.Process(process.pid).children():
        if "multiprocessing.forkserver" in " ".join(child.cmdline()):
            return child
    raise AssertionError("no fork server")


def ends(process: "subprocess.Popen[str]", status: int = 0) -> str:
    """Waits for the command; returns its stderr."""
    _, err = process.communicate(timeout=280)
    assert process.returncode == status, err
    assert "Traceback" not in err
    return err


@pytest.mark.timeout(300)
def test_the_command_survives_killed_workers_and_fork_server(tmp_path: Path) -> None:
    job = ParallelJob(tmp_path, 16)
    process = job.start()
    job.wait_for(1, process)
    rng = random.Random(0)
    for _ in range(2):
        rng.choice(fork_server(process).children()).kill()
        time.sleep(1)
    fork_server(process).kill()
    err = ends(process)
    assert "was killed (SIGKILL)" in err
    job.check(16)
    assert job.left() == []


@pytest.mark.timeout(300)
def test_workers_exit_with_a_killed_supervisor_and_the_command_can_be_repeated(tmp_path: Path) -> None:
    job = ParallelJob(tmp_path, 12)
    process = job.start()
    job.wait_for(2, process)
    workers = fork_server(process).children()
    process.kill()
    process.communicate(timeout=60)
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert len(gone) == len(workers) > 0
    assert alive == []
    assert len(job.left()) == 1, "nobody could tidy up"
    done = job.finished()
    assert done >= 2
    ends(job.start())
    job.check(12)
    assert job.left() == [], "the next one did"


@pytest.mark.timeout(300)
def test_ctrl_c_stops_all_processes_and_saves_finished_trials(tmp_path: Path) -> None:
    job = ParallelJob(tmp_path, 12)
    process = job.start()
    job.wait_for(2, process)
    os.killpg(process.pid, signal.SIGINT)
    err = ends(process, 130)
    assert f"the same command with --study-name {NAME} resumes it" in err
    assert {trial.state.name for trial in job.study().trials} <= {"COMPLETE", "PRUNED", "WAITING"}
    parent, children = job.runs()
    assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("KILLED", "stopped")
    assert len(children) == job.finished() >= 2
    assert job.left() == []
    ends(job.start())
    job.check(12)


@pytest.mark.timeout(300)
def test_a_deadline_of_several_targets_is_kept(tmp_path: Path) -> None:
    """Every target has its own deadline, counted from its first worker."""
    job = ParallelJob(tmp_path, 100_000, "--timeout", "4", "--no-register")
    job.command[job.command.index("num_trades")] = "num_trades,net_profit"
    err = ends(job.start())
    assert err.count("trials are done and saved; the same command") == 2
    manager = job.manager()
    for name in (f"{NAME}_num_trades", f"{NAME}_net_profit"):
        trials = manager.load_study(name).trials
        started = min(trial.datetime_start for trial in trials if trial.datetime_start is not None)
        ended = max(trial.datetime_complete for trial in trials if trial.datetime_complete is not None)
        assert (ended - started).total_seconds() < 4 * 1.05 + 1, "a second for a round on a busy machine"


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """The `cgroup.procs` file of a cgroup with 700 MiB of memory; a process joins by writing its PID."""
    folder = _own_memory_cgroup()
    if folder is None:
        pytest.skip("no memory cgroup that this user may divide: the kernel cannot be made to kill for memory")
    inner = folder / f"daily-profit-test-{os.getpid()}"
    inner.mkdir()
    try:
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (inner / name).exists():
                (inner / name).write_text(str(700 * 2**20))
        yield inner / "cgroup.procs"
    finally:
        for pid in (inner / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (inner / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        inner.rmdir()


def _own_memory_cgroup() -> Path | None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        folder = TOP / "memory" / path.strip("/") if "memory" in controllers.split(",") else TOP / path.strip("/")
        limit = "memory.limit_in_bytes" if controllers else "memory.max"
        if (folder / limit).exists() and os.access(folder, os.W_OK):
            return folder
    return None


GREEDY = """
import sys, time
from pathlib import Path
from src.config import RunSettings, SearchSettings
from src.modeling.optuna_parallel_optimization import ParallelOptimizer

def objective(trial, x_train, y_train, x_valid, y_valid):
    value = trial.suggest_float("x", 0, 1)
    if trial.number == 2:
        Path("greedy").touch()
        held = [bytearray(b"x" * 2**24) for _ in range(200)]
    return value

if __name__ == "__main__":
    settings = RunSettings(search=SearchSettings(study_name="greedy", storage_dir="studies"))
    optimizer = ParallelOptimizer(2, data="table.parquet", settings=settings)
    optimizer.optimize_parallel("num_trades", 6, objective=objective)
"""


@pytest.mark.timeout(300)
def test_a_trial_killed_out_of_memory_each_time_fails_and_the_search_continues(
    tmp_path: Path, small_memory: Path
) -> None:
    job = ParallelJob(tmp_path, 6)
    (tmp_path / "greedy.py").write_text(GREEDY)
    job.command = [sys.executable, "greedy.py"]
    before = oom_kills()
    err = ends(job.start(before=f"echo $$ > {small_memory};"))
    assert "was killed (out of memory)" in err
    trials = OptunaStudyManager(tmp_path / "studies").load_study("greedy").trials
    assert (tmp_path / "greedy").exists()
    assert [trial.state.name for trial in trials if trial.number == 2] == ["FAIL"]
    assert trials[2].user_attrs["error"] == "its process died 5 times"
    assert sum(trial.state.name == "COMPLETE" for trial in trials) == 6
    assert oom_kills() >= before
