import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlflow
import optuna
import psutil
import pytest
from mlflow.tracking import MlflowClient
from optuna.exceptions import StorageInternalError

from src.errors import ConfigError, TrackingError
from src.study.studies import OptunaStudyManager
from src.tracking.projection.projector_process import NICENESS, ProjectedStudy, ProjectorProcess, run_passes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SECONDS = 120


@pytest.fixture
def manager(tmp_path: Path) -> OptunaStudyManager:
    return OptunaStudyManager(tmp_path / "studies")


@pytest.fixture
def studied(manager: OptunaStudyManager) -> ProjectedStudy:
    for name in ("s", "t"):
        manager.create_or_load_study(name).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return ProjectedStudy(manager.url.render_as_string(hide_password=False), "s", False, "mae")


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)


def n_children() -> int:
    experiment = mlflow.get_experiment_by_name("daily-profit")
    if experiment is None:
        return 0
    runs = MlflowClient().search_runs([experiment.experiment_id], "tags.`optuna.trial_number` != ''")
    return sum(run.info.status == "FINISHED" for run in runs)


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


def test_trials_are_written_by_a_process_of_low_priority(
    mlflow_store: str, manager: OptunaStudyManager, studied: ProjectedStudy
) -> None:
    with ProjectorProcess([studied, replace(studied, study_name="t")]):
        wait_for(lambda: n_children() == 4)
        projectors = [child for child in children_of(os.getpid()) if "projector_process" in " ".join(child.cmdline())]
        assert [child.nice() for child in projectors] == [NICENESS]
        study = manager.load_study("s")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        wait_for(lambda: n_children() == 5)
    assert not projectors[0].is_running()
    assert isinstance(study, optuna.Study)


def test_the_storage_url_is_not_on_the_command_line(mlflow_store: str, studied: ProjectedStudy) -> None:
    with ProjectorProcess([studied]):
        lines = [" ".join(child.cmdline()) for child in children_of(os.getpid())]
        assert not [line for line in lines if studied.storage_url in line or "studies.db" in line]


def test_a_dead_projector_is_a_warning(
    mlflow_store: str, studied: ProjectedStudy, caplog: pytest.LogCaptureFixture
) -> None:
    missing = ProjectedStudy(studied.storage_url, "no such study", False, "mae")
    with caplog.at_level(logging.WARNING), ProjectorProcess([missing]) as projector:
        assert projector._process is not None
        projector._process.wait(SECONDS)
    assert "the background process that writes to MLflow exited with status 1" in caplog.text


def test_it_exits_when_the_search_is_killed(mlflow_store: str, studied: ProjectedStudy) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from src.tracking.projection.projector_process import ProjectorProcess, ProjectedStudy
with ProjectorProcess([ProjectedStudy(**{asdict(studied)!r})]) as projector:
    print(projector._process.pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        projector = psutil.Process(int(search.stdout.readline()))
        search.send_signal(signal.SIGKILL)
    projector.wait(SECONDS)


class Passes:
    """Replaces a projection: each pass raises the next error of a list, or does nothing for None."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.ended_early: list[bool] = []
        self.ends_early: Callable[[], bool] = lambda: False

    def project(self) -> None:
        self.ended_early.append(self.ends_early())
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


def pauses_of(n_passes: int, *passes: Any) -> list[float]:
    """The pauses before the first passes; the search ends after the last of them."""
    pauses: list[float] = []

    def search_ends_within(seconds: float) -> bool:
        if seconds:
            pauses.append(seconds)
        return len(pauses) > n_passes

    run_passes(passes, search_ends_within)
    assert [each.ended_early for each in passes] == [[False] * n_passes] * len(passes)
    assert all(each.ends_early() for each in passes), "a pass that is running would end after its current trial"
    return pauses[:n_passes]


@pytest.mark.parametrize(
    "error", [TrackingError("away\nfar"), StorageInternalError("store away"), ConfigError("no lock")]
)
def test_passes_continue_after_an_outage_that_is_reported_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "src.tracking.projection.projector_process"):
        pauses_of(4, Passes(error, error, error), Passes())
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]
    assert ("MLflow is unavailable" in caplog.messages[0]) == isinstance(error, TrackingError)
    assert "the search continues and its runs are written later" in caplog.messages[0]


def test_the_pause_grows_during_an_outage_and_is_reset_after_it() -> None:
    assert pauses_of(10, Passes(*[TrackingError("away")] * 8)) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1]
