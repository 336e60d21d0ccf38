"""Every measurement is a new process in an empty folder, so that nothing is cached from an earlier one.

A benchmark writes a `Job`, runs it, and reads the contender's results:

    python -m benchmarks.contenders job.json
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT

EMPTY_STORE = "empty-mlflow.db"
STUDY = "bench"
MODULE = "benchmarks.contenders"


class BenchmarkFailed(Exception):
    """A contender's process failed; the message has the end of its output."""


@dataclass(frozen=True)
class Job:
    """The task of a contender.

    Attributes:
        contender: its name in `benchmarks.contenders`.
        data: the Parquet table.
        sets: parameters of the trials, in order.
        rounds: boosting rounds of each set, as early stopping needs, measured beforehand.
        workers: number of worker processes, for this project's search.
        threads: LightGBM's threads, for the plain loop.
        cores: number of cores that the process may use; None for all.
        profile: whether to run the search under cProfile.
        options: options of single contenders.
    """

    contender: str
    data: Path
    sets: list[dict[str, Any]]
    rounds: list[int] = field(default_factory=list)
    workers: int = 1
    threads: int = 1
    cores: int | None = None
    profile: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(asdict(self) | {"data": str(self.data)}), encoding="utf-8")


def load_job(path: Path) -> Job:
    """Reads what `Job.save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Job(**content | {"data": Path(content["data"])})


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for tables and processes, with an empty MLflow store; removed at the end.

    MLflow takes seconds to create the schema of a new store, once per installation: this is not a cost of a trial.
    """
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # read at MLflow's import; turns off its log
    from src.tracking.connection.embedded_store import prepare_embedded_store

    with tempfile.TemporaryDirectory(prefix="daily-profit-bench-") as name:
        prepare_embedded_store(f"sqlite:///{Path(name) / EMPTY_STORE}")
        yield Path(name)


@contextmanager
def started(job: Job, space: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Starts the job in a new folder; yields its process and that folder, which is removed at the end."""
    folder = Path(tempfile.mkdtemp(dir=space))
    shutil.copy(space / EMPTY_STORE, folder / "mlflow.db")
    job.save(folder / "job.json")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", MODULE, "job.json", str(time.time())]
        process = subprocess.Popen(command, cwd=folder, env=_environment(space), stdout=log, stderr=log)
        try:
            yield process, folder
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def outcome(process: "subprocess.Popen[bytes]", folder: Path) -> dict[str, Any]:
    """Waits for the process and reads what it measured.

    Raises:
        BenchmarkFailed: it exited with a status other than 0.
    """
    if process.wait() != 0:
        said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise BenchmarkFailed(f"a measurement ended with status {process.returncode}: {' | '.join(said[-3:])}")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


def run_job(job: Job, space: Path) -> dict[str, Any]:
    """Runs the job; returns what it measured.

    Raises:
        BenchmarkFailed: its process failed.
    """
    with started(job, space) as (process, folder):
        return outcome(process, folder)


def _environment(space: Path) -> dict[str, str]:
    """The caller's environment without settings of MLflow and Optuna, which would change where runs are stored."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "OPTUNA_"))}
    if kept.pop("PYTHONDONTWRITEBYTECODE", None):
        # As in a usual installation, libraries are compiled to bytecode once, not at every start.
        kept["PYTHONPYCACHEPREFIX"] = str(space / "bytecode")
    return kept | {"PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
