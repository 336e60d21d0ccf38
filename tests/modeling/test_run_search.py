import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from src.errors import Interrupted
from src.modeling.open_study import open_study
from src.modeling.run_search import run_search
from tests.search_tasks import NAME, make_task, uniform


def test_the_same_search_gives_the_same_study(tmp_path: Path, mlflow_store: str) -> None:
    """Resumed or not: sampled values depend on the seed and the trial number only."""
    whole, parts = make_task(tmp_path / "whole", n_trials=4), tmp_path / "parts"
    opened = open_study(whole)
    run_search(whole, opened)
    for total in (1, 4):
        task = make_task(parts, n_trials=total)
        again = open_study(task)
        run_search(task, again)
    seen = [[(trial.params, trial.value) for trial in item.study.trials] for item in (opened, again)]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4


def test_a_stop_reports_saved_trials_and_how_to_resume(tmp_path: Path, mlflow_store: str) -> None:
    def stopped(trial: optuna.Trial, *_: Any) -> float:
        if trial.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return uniform(trial)

    task = make_task(tmp_path, n_trials=9, objective=stopped)
    opened = open_study(task)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as caught:
        run_search(task, opened)
    assert str(caught.value) == (
        f"stopped: 3 of 9 trials are done and saved; the same command with --study-name {NAME} resumes it"
    )
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_timeout_ends_the_search_of_a_target(tmp_path: Path, mlflow_store: str) -> None:
    task = make_task(tmp_path, n_trials=100_000)
    task = replace(task, settings=replace(task.settings, search=replace(task.settings.search, timeout=0.3)))
    opened = open_study(task)
    run_search(task, opened)
    assert 0 < len(opened.study.trials) < 1000
    assert {trial.state.name for trial in opened.study.trials} <= {"COMPLETE", "PRUNED"}
