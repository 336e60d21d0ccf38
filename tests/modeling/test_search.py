import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from src.config import MODEL_CONFIGS, RunSettings, SearchSettings, SplitSettings, TableConfig, TargetConfig
from src.data.sources import describe_source
from src.data.table import load_dataset
from src.errors import ConfigError, Interrupted, SearchError
from src.modeling.rows import make_rows
from src.modeling.search import (
    SETTINGS_ATTR,
    best_trial,
    open_study,
    run_search,
    settings_record,
)
from src.modeling.search_task import SearchTask
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"
RMSE = TableConfig(targets={**MODEL_CONFIGS, "net_profit": TargetConfig("regression", "rmse")})


def make_task(folder: Path, target: str = "net_profit", **changes: Any) -> SearchTask:
    """Changes of: frame, table, source, split, seed, n_trials, objective."""
    frame = changes.get("frame", small_table())
    data = load_dataset(frame, changes.get("table", TableConfig()), target, changes.get("source", "table.parquet"))
    split = changes.get("split", SplitSettings())
    search = SearchSettings(
        n_trials=changes.get("n_trials", 2), seed=changes.get("seed", 42), study_name=NAME, storage_dir=folder
    )
    return SearchTask(data, make_rows(data, split), RunSettings(split=split, search=search), changes.get("objective"))


def uniform(trial: optuna.Trial, *_: Any) -> float:
    return trial.suggest_float("x", 0, 1)


def test_a_study_is_noted_with_what_makes_its_scores_comparable(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    opened = open_study(task)
    noted = opened.study.user_attrs[SETTINGS_ATTR]
    assert noted == settings_record(task)
    assert (noted["target"], noted["metric"], noted["seed"]) == ("net_profit", "mae", 42)
    assert noted["split"]["test_fraction"] == 0.2
    assert opened.study.study_name == NAME
    assert opened.study.direction.name == "MINIMIZE"


def test_without_a_name_it_is_named_by_target_and_time(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    settings = replace(task.settings, search=replace(task.settings.search, study_name=None))
    name = open_study(replace(task, settings=settings)).study.study_name
    assert pd.to_datetime(name.removeprefix("net_profit_"), format="%Y%m%d_%H%M%S") is not None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the study already; its tests leave it as it is."""
    folder = tmp_path_factory.mktemp("made")
    open_study(make_task(folder))
    return folder


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"target": "gross_profit"}, "target 'net_profit', now it is 'gross_profit'"),
        ({"table": RMSE}, "metric 'mae', now it is 'rmse'"),
        ({"seed": 43}, "seed 42, now it is 43"),
        ({"split": SplitSettings(test_fraction=0)}, "test_fraction 0.2, now it is 0"),
        ({"split": SplitSettings(use_cv=True)}, "use_cv False, now it is True"),
        ({"split": SplitSettings(purge_days=2)}, "purge_days 1, now it is 2"),
        ({"frame": small_table(seed=1)}, "data 'table.parquet ("),
        ({"frame": small_table().drop(columns="noise"), "source": "b.csv"}, "now it is 'b.csv ("),
        ({"objective": uniform}, "objective 'lightgbm', now it is 'user'"),
    ],
)
def test_a_study_goes_on_only_with_what_it_was_made_with(made: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_study(make_task(made, **changes))
    assert f"study '{NAME}' was made with " in str(caught.value)
    assert named in str(caught.value)
    assert "another --study-name" in str(caught.value)


def test_the_same_table_may_lie_elsewhere_in_another_order(made: Path) -> None:
    shuffled = small_table().sample(frac=1, random_state=0)
    again = open_study(make_task(made, frame=shuffled, source="s3://b/t.csv", n_trials=99))  # the total may grow
    assert again.study.user_attrs[SETTINGS_ATTR]["data"] == "table.parquet", "the first note stays"


def test_trials_of_unknown_origin_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = open_study(task).study
    study._storage.set_study_user_attr(study._study_id, SETTINGS_ATTR, None)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ConfigError, match="trials of unknown data and split"):
        open_study(task)


def test_no_password_is_kept_on_the_study(tmp_path: Path) -> None:
    source = describe_source("postgresql://u:secret@host:5432/db", "SELECT 'secret' AS x")
    raw = make_task(tmp_path / "raw", source="postgresql://u:secret@host:5432/db")
    for task in (make_task(tmp_path / "described", source=source), raw):
        attrs = str(open_study(task).study.user_attrs)
        assert "postgresql://u:***@host:5432/db" in attrs
        assert "secret" not in attrs
        assert "secret" not in repr(task.data.source)


def test_the_best_trial_is_that_of_the_direction(tmp_path: Path) -> None:
    opened = open_study(make_task(tmp_path, target="is_profitable"))
    with pytest.raises(SearchError, match=f"'{NAME}' has no complete trial.*--study-name {NAME}"):
        best_trial(opened.study)
    for value in (0.6, 0.8, 0.7):
        opened.study.add_trial(optuna.trial.create_trial(value=value))
    opened.study.add_trial(optuna.trial.create_trial(value=0.99, state=optuna.trial.TrialState.PRUNED))
    assert best_trial(opened.study).value == 0.8


def test_the_same_search_gives_the_same_study(tmp_path: Path, mlflow_store: str) -> None:
    """Resumed or not: the draws depend on the seed and the trial's number."""
    whole, parts = make_task(tmp_path / "whole", n_trials=4), tmp_path / "parts"
    opened = open_study(whole)
    run_search(whole, opened)
    for total in (1, 3, 4):
        task = make_task(parts, n_trials=total)
        again = open_study(task)
        run_search(task, again)
    seen = [[(trial.params, trial.value) for trial in each.study.trials] for each in (opened, again)]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4


def test_a_stop_says_what_is_saved_and_how_to_go_on(tmp_path: Path, mlflow_store: str) -> None:
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
        f"stopped: 3 of 9 trials are done and saved; the same command with --study-name {NAME} goes on"
    )
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_timeout_ends_the_search_of_a_target(tmp_path: Path, mlflow_store: str) -> None:
    task = make_task(tmp_path, n_trials=100_000)
    task = replace(task, settings=replace(task.settings, search=replace(task.settings.search, timeout=0.3)))
    opened = open_study(task)
    run_search(task, opened)
    assert 0 < len(opened.study.trials) < 1000
    assert {trial.state.name for trial in opened.study.trials} <= {"COMPLETE", "PRUNED"}
