"""Machines in several time zones on one study: MLflow has every point once, and the newest study is found."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from mlflow.tracking import MlflowClient
from optuna.storages._rdb import models
from optuna.trial import TrialState

from src.study.studies import OptunaStudyManager
from src.study.study_storage import StudyStorage, requeue_dead_trials

pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used:UserWarning")
ROOT = Path(__file__).parents[2]
ZONES = ("America/New_York", "UTC", "Asia/Tokyo")
WORK = """
import sys
from src.search.stop_flag import StopFlag
from src.study.studies import OptunaStudyManager, new_study_name
from src.search.trial_loop import WorkerContext, run_trials
manager = OptunaStudyManager(sys.argv[1])
study = manager.create_or_load_study(sys.argv[2] if len(sys.argv) > 2 else new_study_name("profit"))
n_trials = len(study.trials) + 3
run_trials(study, lambda trial: trial.suggest_float("x", 0, 1), WorkerContext(manager.storage, n_trials, StopFlag()))
"""
PROJECT = """
import contextlib, os, sys
from src.modeling.optuna_utils import OptunaStudyManager
from src.tracking.connection.session import TrackingSession
from src.tracking.projection import study_projection
from src.tracking.projection.study_projection import StudyProjection

def insert_or_die(*args):
    if not calls:
        os.kill(os.getpid(), 9)
    calls.pop()
    return insert_runs(*args)

insert_runs, calls = study_projection.insert_runs, [None] * int(sys.argv[2])
study_projection.insert_runs, study_projection.RUNS_PER_TRANSACTION = insert_or_die, 1
study = OptunaStudyManager(sys.argv[1]).load_study("profit")
StudyProjection(study, TrackingSession({}), contextlib.nullcontext).project()
"""
BEGIN_A_TRIAL = """
import sys, time
from src.modeling.optuna_utils import OptunaStudyManager
OptunaStudyManager(storage_url=sys.argv[1]).load_study("s").ask()
print("begun", flush=True)
time.sleep(600)
"""


def run_in(zone: str, code: str, *arguments: str) -> int:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"TZ": zone}, check=False).returncode


def test_workers_and_passes_in_three_zones_write_each_point_once(tmp_path: Path, mlflow_store: str) -> None:
    for zone in ZONES:
        assert run_in(zone, WORK, str(tmp_path), "profit") == 0
    ends = move_to_the_hour_that_new_york_repeats(tmp_path)
    for begun, zone in ((2, "America/New_York"), (3, "Asia/Tokyo"), (1, "UTC")):
        assert run_in(zone, PROJECT, str(tmp_path), str(begun)) == -9, (
            "killed when the curve is written, its trials not"
        )
    assert run_in("America/New_York", PROJECT, str(tmp_path), "9") == 0
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    runs = client.search_runs([item.experiment_id for item in client.search_experiments()])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    curve = client.get_metric_history(parent.info.run_id, "best_value")
    assert sorted((point.step, point.timestamp) for point in curve) == list(enumerate(ends))
    children = {int(run.data.tags["optuna.trial_number"]): run for run in runs if run is not parent}
    assert [children[number].info.end_time for number in range(9)] == ends
    assert len(runs) == 10
    for run in children.values():
        assert run.info.end_time - run.info.start_time == 600_000
        (taken,) = client.get_metric_history(run.info.run_id, "duration_seconds")
        assert taken.value == 600
        assert len(client.get_metric_history(run.info.run_id, "value")) == 1


def move_to_the_hour_that_new_york_repeats(folder: Path) -> list[int]:
    """Moves trials to end every 15 minutes from 05:00 UTC, after ten minutes each; returns the ends in ms."""
    first, step, trial = datetime(2024, 11, 3, 5), timedelta(minutes=15), models.TrialModel
    with OptunaStudyManager(folder).storage.engine.begin() as connection:
        for number in range(9):
            end = first + number * step
            times = {"_datetime_start_utc": end - timedelta(minutes=10), "_datetime_complete_utc": end}
            values = {getattr(trial, name): value for name, value in times.items()}
            connection.execute(sqlalchemy.update(trial).where(trial.number == number).values(values))
    return [int((first + number * step).replace(tzinfo=UTC).timestamp()) * 1000 for number in range(9)]


def test_the_newest_study_does_not_depend_on_the_time_zone(tmp_path: Path) -> None:
    for zone in ("Asia/Tokyo", "UTC", "America/New_York"):
        before = OptunaStudyManager(tmp_path).list_studies()
        while OptunaStudyManager(tmp_path).list_studies() == before:  # a second name within one second is the same
            assert run_in(zone, WORK, str(tmp_path)) == 0
        (made,) = set(OptunaStudyManager(tmp_path).list_studies()) - set(before)
        assert OptunaStudyManager(tmp_path).newest_study("profit") == made
        age = datetime.now(UTC) - datetime.strptime(made, "profit_%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        assert timedelta(0) <= age < timedelta(hours=1), "the name says UTC"


def test_a_worker_in_another_time_zone_is_not_marked_as_dead(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq sets a session's time zone by PGTZ; a role, a database or a server may have another one."""
    study = OptunaStudyManager(storage_url=postgres_url).create_or_load_study("s")
    command = [sys.executable, "-c", BEGIN_A_TRIAL, postgres_url]
    there = os.environ | {"PGTZ": "America/New_York"}
    with subprocess.Popen(command, cwd=ROOT, env=there, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        monkeypatch.setattr(StudyStorage, "_was_recently_unavailable", lambda self: False)
        monkeypatch.setenv("PGTZ", "Asia/Tokyo")
        requeue_dead_trials(OptunaStudyManager(storage_url=postgres_url).load_study("s"))
        states = [trial.state for trial in study.trials]
        worker.kill()
    assert states == [TrialState.RUNNING]
