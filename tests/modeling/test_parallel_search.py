"""Searches in processes: the same scores as in one process, several targets at once, and no temporary files left."""

import logging
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial, TrialState

from src.config import RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import RunError, SearchError
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.parallel_search import run_searches, search_study, search_together
from src.search.binned_folds import BinnedFolds
from src.search.objective import ObjectiveSettings, make_objective
from src.search.search_task import SearchTask
from src.workers.work_folder import PREFIX
from src.workers.worker_pool import WorkerPool
from tests.small_table import small_table

SHARED = {
    "num_leaves": 20, "learning_rate": 0.1, "feature_fraction": 0.7, "min_child_samples": 7, "lambda_l1": 1e-3,
    "lambda_l2": 1e-3, "max_depth": 6, "min_gain_to_split": 0.0, "max_bin": 224,
}  # fmt: skip
BAGGING = {"bagging_fraction": 0.7, "bagging_freq": 2}
FIXED = [
    {"boosting_type": "gbdt", **BAGGING, **SHARED},
    {"boosting_type": "goss", **SHARED},
    {"boosting_type": "dart", **BAGGING, **SHARED, "drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.5},
]


@pytest.fixture(autouse=True)
def _no_mlflow_from_before(mlflow_store: str) -> None:
    """Each test has its own."""


def make_task(folder: Path, target: str = "net_profit", **changes: Any) -> SearchTask:
    search = SearchSettings(
        storage_dir=folder, study_name=f"of_{target}", **{"n_trials": 3, "pruner": "none", **changes.pop("search", {})}
    )
    split = changes.pop("split", SplitSettings())
    data = load_dataset(small_table(), TableConfig(), target)
    return SearchTask(data, make_split_rows(data, split), RunSettings(split=split, search=search), **changes)


def values(study: optuna.Study) -> dict[int, float | None]:
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    return {trial.number: trial.value for trial in study.trials}


@pytest.mark.parametrize("use_cv", [False, True])
@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_a_score_does_not_depend_on_the_process_of_the_trial(tmp_path: Path, target: str, use_cv: bool) -> None:
    """Identical in this process, in worker processes, and as a single call."""
    split = SplitSettings(use_cv=use_cv, n_folds=2)
    found = []
    for workers in (1, 2):
        task = make_task(tmp_path / str(workers), target, split=split, search={"max_workers": workers})
        opened = open_study(task)
        for params in FIXED:
            opened.study.enqueue_trial(params)
        total = len(opened.study.trials)  # a new study may start with queued trials
        search = replace(task.settings.search, n_trials=total)
        search_study(replace(task, settings=replace(task.settings, search=search)), opened)
        found.append(values(opened.study))
    alone: Any = make_objective(BinnedFolds(task.data, task.rows.folds), ObjectiveSettings(seed=42))
    assert found[0] == found[1] == {t.number: alone(FixedTrial(t.params)) for t in opened.study.trials}
    assert {t.params["boosting_type"] for t in opened.study.trials} == {"gbdt", "goss", "dart"}


def test_several_targets_are_searched_at_once(tmp_path: Path) -> None:
    met, names = tmp_path / "met", ["net_profit", "num_trades", "is_profitable"]
    met.mkdir()
    folder = str(met)

    def waits_for_the_others(trial: optuna.Trial, *_: Any) -> float:
        (Path(folder) / trial.study.study_name).touch()
        while len(list(Path(folder).iterdir())) < 3:
            time.sleep(0.01)
        return trial.suggest_float("x", 0, 1)

    tasks = [make_task(tmp_path / "studies", name, user_objective=waits_for_the_others) for name in names]
    results = list(search_together(tasks, 3, lambda task, opened: (task.data.target, opened.study)))
    found = dict(result for result in results if not isinstance(result, RunError))
    assert list(found) == names
    assert [len(values(study)) for study in found.values()] == [3, 3, 3]


def test_a_failing_target_does_not_affect_the_others(tmp_path: Path) -> None:
    def broken(trial: optuna.Trial, *_: Any) -> float:
        raise ZeroDivisionError("no luck")

    tasks = [make_task(tmp_path, "net_profit", user_objective=broken), make_task(tmp_path, "num_trades")]
    failed, found = search_together(tasks, 2, lambda task, opened: opened.study)
    assert isinstance(failed, SearchError)
    assert "ZeroDivisionError: no luck" in str(failed)
    assert isinstance(found, optuna.Study)
    assert len(values(found)) == 3


def test_a_study_that_has_its_total_starts_nothing(tmp_path: Path) -> None:
    task = make_task(tmp_path, search={"n_trials": 1})
    opened = open_study(task)
    opened.study.add_trial(optuna.trial.create_trial(value=1.0))
    before = [(trial.number, trial.state) for trial in opened.study.trials]
    assert run_searches([(task, opened)], 2) == {}
    assert [(trial.number, trial.state) for trial in opened.study.trials] == before


def test_the_shared_table_is_removed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = make_task(tmp_path / "studies", search={"n_trials": 1})
    run_searches([(task, open_study(task))], 1)
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def test_a_deadline_is_kept_by_an_objective_that_ignores_it(tmp_path: Path) -> None:
    """The search ends soon after the deadline; the running trial is queued again."""

    def endless(trial: optuna.Trial, *_: Any) -> float:
        value = trial.suggest_float("x", 0, 1)
        if trial.number:
            time.sleep(60)
        return value

    task = make_task(tmp_path, user_objective=endless, search={"n_trials": 9, "timeout": 2.0})
    opened = open_study(task)
    started = time.monotonic()
    assert run_searches([(task, opened)], 1) == {}
    assert time.monotonic() - started < 30, "not the minute that the objective wants"
    assert [trial.state for trial in opened.study.trials] == [TrialState.COMPLETE, TrialState.WAITING]


def test_a_trial_that_is_killed_out_of_memory_each_time_is_failed_by_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kills = tmp_path / "kills"
    kills.mkdir()
    folder = str(kills)

    def greedy(trial: optuna.Trial, *_: Any) -> float:
        if trial.number == 1:
            (Path(folder) / str(os.getpid())).touch()
            os.kill(os.getpid(), 9)
        return trial.suggest_float("x", 0, 1)

    task = make_task(tmp_path / "studies", user_objective=greedy, search={"n_trials": 3})
    opened = open_study(task)
    kernel = partial(WorkerPool, count_oom_kills=lambda: len(list(kills.iterdir())))
    monkeypatch.setattr("src.modeling.parallel_search.WorkerPool", kernel)
    with caplog.at_level(logging.WARNING):
        assert run_searches([(task, opened)], 2) == {}
    trials = opened.study.trials
    assert [trial.state for trial in trials if trial.number == 1] == [TrialState.FAIL]
    assert trials[1].user_attrs["error"] == "its process died 5 times"
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) == 3, "the total is one of finished trials"
    assert len(list(kills.iterdir())) == caplog.text.count("was killed (out of memory)") == 5


def test_more_workers_than_cpus_give_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = make_task(tmp_path, search={"n_trials": 1})
    opened: OpenStudy = open_study(task)
    opened.study.add_trial(optuna.trial.create_trial(value=1.0))
    run_searches([(task, opened)], 1000)
    (record,) = [record for record in caplog.records if record.name == "src.modeling.parallel_search"]
    assert "--max-workers 1000 exceeds the" in record.getMessage()
