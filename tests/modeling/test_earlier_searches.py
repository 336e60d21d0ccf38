import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow.tracking import MlflowClient
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.table import load_dataset
from src.modeling.distributed import _open as open_shared
from src.modeling.earlier_searches import (
    SEARCH_UNTIL_ATTR,
    best_of_earlier_models,
    best_of_earlier_studies,
    is_in_space,
    search_until,
)
from src.modeling.optuna_utils import OptunaStudyManager
from src.modeling.rows import make_rows
from src.modeling.search import open_study
from src.modeling.search_task import SearchTask
from src.modeling.starting_points import LARGE_TREES, SLOW_AND_SAMPLED, STARTING_POINTS_ATTR
from src.modeling.store_lock import try_store_lock
from src.tracking.earlier_models import EarlierModel, EarlierModels
from tests.small_table import small_table

SAME = {"target": "net_profit", "objective": "lightgbm"}


def an_earlier_study(folder: Path, name: str, until: str | None, value: float | None, **settings: str) -> None:
    study = OptunaStudyManager(folder).create_or_load_study(name, user_attrs={"settings": SAME | settings})
    if until is not None:
        study.set_user_attr(SEARCH_UNTIL_ATTR, until)
    if value is not None:
        distributions: dict[str, BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 9)}
        study.add_trial(optuna.trial.create_trial(params={"x": value}, distributions=distributions, value=value))


def test_only_studies_that_saw_no_later_day_are_learned_from(tmp_path: Path) -> None:
    an_earlier_study(tmp_path, "old", "2020-01-01", 1.0)
    an_earlier_study(tmp_path, "same_day", "2020-06-30", 2.0)
    an_earlier_study(tmp_path, "leaks", "2020-07-01", 3.0)
    an_earlier_study(tmp_path, "unknown", None, 4.0)
    an_earlier_study(tmp_path, "other_target", "2020-01-01", 5.0, target="gross_profit")
    an_earlier_study(tmp_path, "nothing_complete", "2020-01-01", None)
    study = OptunaStudyManager(tmp_path).create_or_load_study("new")
    assert best_of_earlier_studies(study, SAME, "2020-06-30") == [{"x": 2.0}, {"x": 1.0}]
    assert best_of_earlier_studies(study, SAME, "2019-12-31") == []
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def a_model(version: int, until: str, **changes: Any) -> EarlierModel:
    return EarlierModel(f"models:/pnl/{version}", f"study_{version}", "mae", until, SLOW_AND_SAMPLED | changes)


def test_only_models_whose_search_saw_no_later_day_are_learned_from() -> None:
    models = [
        a_model(5, "2020-07-01", num_leaves=15),
        a_model(4, "2020-06-30", num_leaves=14),
        a_model(3, "2020-01-01", num_leaves=1000),
        a_model(2, "2020-01-01", num_leaves=12),
        a_model(1, "2020-01-01", num_leaves=11),
    ]
    assert [each["num_leaves"] for each in best_of_earlier_models(models, "2020-06-30")] == [14, 12]
    assert best_of_earlier_models(models, "2019-12-31") == []
    assert len(best_of_earlier_models([a_model(1, "")], "")) == 1, "tables without dates"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"num_leaves": 201},
        {"max_bin": 100},
        {"learning_rate": "fast"},
        {"boosting_type": "rf"},
        {"drop_rate": 0.1},
        {"boosting_type": "dart"},
        {"objective": "huber"},
    ],
)
def test_parameters_that_no_trial_could_have_drawn_are_told(spoiled: dict[str, Any]) -> None:
    assert is_in_space(SLOW_AND_SAMPLED)
    assert not is_in_space(SLOW_AND_SAMPLED | spoiled)


def make_task(folder: Path) -> SearchTask:
    data, split = load_dataset(small_table(), TableConfig(), "net_profit", "table.parquet"), SplitSettings()
    settings = RunSettings(search=SearchSettings(n_trials=1, study_name="new", storage_dir=folder))
    return SearchTask(data, make_rows(data, split), settings)


def register_version(study_name: str, until: str, num_leaves: int, metric: str = "mae") -> None:
    client = MlflowClient()
    if not client.search_registered_models("name='net_profit'"):
        client.create_registered_model("net_profit")
    made_with = {"params": LARGE_TREES | {"num_leaves": num_leaves}, "search_until": until}
    tags = {"study_name": study_name, "metric": metric, "starting_point": json.dumps(made_with)}
    client.create_model_version("net_profit", "s3://bucket/model", tags=tags)


def test_a_new_study_begins_with_what_the_registrys_models_were_made_with(tmp_path: Path, mlflow_store: str) -> None:
    task = make_task(tmp_path)
    until = search_until(task)
    OptunaStudyManager(tmp_path).create_or_load_study("in this store, without a trial")
    register_version("elsewhere", until, 101)
    register_version("elsewhere", until, 102, metric="rmse")
    register_version("in this store, without a trial", until, 103)
    register_version("elsewhere", "2999-12-31", 104)
    register_version("elsewhere, later", "2000-01-01", 105)
    opened = open_study(task)
    points = opened.study.user_attrs[STARTING_POINTS_ATTR]
    assert [point["num_leaves"] for point in points[:3]] == [31, 105, 101]
    assert open_study(task).study.user_attrs[STARTING_POINTS_ATTR] == points


def test_nobody_waits_for_the_store_while_the_registry_is_asked(tmp_path: Path) -> None:
    class SlowRegistry(EarlierModels):
        """Takes the locks of the store in place of the ten seconds that a silent registry costs."""

        def of(self, target: str) -> list[EarlierModel]:
            for name in ("begin", "create", "join-net_profit"):
                with try_store_lock(OptunaStudyManager(tmp_path).url, name) as held:
                    free[name] = held
            return [a_model(1, "2000-01-01")]

    free: dict[str, bool] = {}
    task = make_task(tmp_path)
    unnamed = replace(task.settings, search=replace(task.settings.search, study_name=None))
    opened = open_shared(replace(task, settings=unnamed, earlier=SlowRegistry([], {})))
    assert free == {"begin": True, "create": True, "join-net_profit": True}
    assert SLOW_AND_SAMPLED in opened.study.user_attrs[STARTING_POINTS_ATTR][:2]
