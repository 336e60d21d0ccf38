import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow.tracking import MlflowClient
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from src.config import DataSettings, RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.modeling.distributed import _open_shared_study as open_shared
from src.modeling.open_study import open_study
from src.search.earlier_model import EarlierModel
from src.search.earlier_searches import (
    SEARCH_UNTIL_ATTR,
    SeenRows,
    best_of_earlier_models,
    best_of_earlier_studies,
    is_in_space,
    last_search_day,
)
from src.search.search_space import suggest_hyperparameters
from src.search.search_task import SearchTask
from src.search.starting_points import LARGE_TREES, LOW_RATE_SAMPLED, STARTING_POINTS_ATTR, Params
from src.study.store_lock import try_store_lock
from src.study.studies import OptunaStudyManager
from src.tracking.registry.earlier_models import EarlierModels
from tests.small_table import small_table

SAME = {"target": "net_profit", "objective": "lightgbm"}
UNDATED: dict[str, Any] = {"data_digest": "0123", "split": {"test_fraction": 0.2, "seed": 42, "purge_days": 1}}
NO_DATES = TableConfig(account=None, date=None, drop=("account_id", "date"))


def until(day: str) -> SeenRows:
    return SeenRows(day, "4567", 0.2, 42)


def an_earlier_study(folder: Path, name: str, until: str | None, value: float | None, **settings: Any) -> None:
    study = OptunaStudyManager(folder).create_or_load_study(name, user_attrs={"settings": SAME | settings})
    if until != "missing":
        study.set_user_attr(SEARCH_UNTIL_ATTR, until)
    if value is not None:
        distributions: dict[str, BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 9)}
        study.add_trial(optuna.trial.create_trial(params={"x": value}, distributions=distributions, value=value))


def test_only_studies_without_later_dates_give_starting_points(tmp_path: Path) -> None:
    an_earlier_study(tmp_path, "old", "2020-01-01", 1.0)
    an_earlier_study(tmp_path, "same_day_of_other_data", "2020-06-30", 2.0, data_digest="89ab")
    an_earlier_study(tmp_path, "leaks", "2020-07-01", 3.0)
    an_earlier_study(tmp_path, "unknown", "missing", 4.0)
    an_earlier_study(tmp_path, "other_target", "2020-01-01", 5.0, target="gross_profit")
    an_earlier_study(tmp_path, "nothing_complete", "2020-01-01", None)
    study = OptunaStudyManager(tmp_path).create_or_load_study("new")
    assert best_of_earlier_studies(study, SAME, until("2020-06-30")) == [{"x": 2.0}, {"x": 1.0}]
    assert best_of_earlier_studies(study, SAME, until("2019-12-31")) == []
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


@pytest.mark.parametrize("nothing", ["", None, "missing"])
def test_a_search_without_dates_gives_no_starting_points_to_one_with_dates(tmp_path: Path, nothing: str | None) -> None:
    """It used rows of all dates. Earlier versions stored '', which sorts before any date."""
    an_earlier_study(tmp_path, "shuffled", nothing, 1.0, **UNDATED)
    study = OptunaStudyManager(tmp_path).create_or_load_study("new")
    assert best_of_earlier_studies(study, SAME, until("2020-06-30")) == []
    assert best_of_earlier_studies(study, SAME, SeenRows("2020-06-30", "0123", 0.2, 42)) == []


@pytest.mark.parametrize("nothing", ["", None])
def test_a_shuffled_search_learns_from_those_with_the_same_hold_out(tmp_path: Path, nothing: str | None) -> None:
    split = UNDATED["split"]
    an_earlier_study(tmp_path, "same", nothing, 1.0, data_digest="0123", split=split | {"purge_days": 9})
    an_earlier_study(tmp_path, "dated", "2020-01-01", 2.0, **UNDATED)
    an_earlier_study(tmp_path, "other_table", nothing, 3.0, data_digest="4567", split=split)
    an_earlier_study(tmp_path, "other_seed", nothing, 4.0, data_digest="0123", split=split | {"seed": 43})
    an_earlier_study(tmp_path, "no_hold_out", nothing, 5.0, data_digest="0123", split=split | {"test_fraction": 0.0})
    an_earlier_study(tmp_path, "settings_of_an_old_version", nothing, 6.0)
    study = OptunaStudyManager(tmp_path).create_or_load_study("new")
    assert best_of_earlier_studies(study, SAME, SeenRows(None, "0123", 0.2, 42)) == [{"x": 1.0}]


def a_model(version: int, until: str | None, *hold_out: Any, **changes: Any) -> EarlierModel:
    params = LOW_RATE_SAMPLED | {"num_leaves": 10 + version} | changes
    return EarlierModel(f"models:/pnl/{version}", f"study_{version}", "mae", params, until, *hold_out)


def leaves(found: list[Params]) -> list[int]:
    return [each["num_leaves"] for each in found]


def test_only_models_without_later_dates_give_starting_points() -> None:
    models = [
        a_model(5, "2020-07-01"),
        a_model(4, "2020-06-30", "89ab", 0.1, 1),
        a_model(3, "2020-01-01", num_leaves=1000),
        a_model(2, "2020-01-01"),
        a_model(1, "2020-01-01"),
    ]
    assert leaves(best_of_earlier_models(models, until("2020-06-30"))) == [14, 12]
    assert best_of_earlier_models(models, until("2019-12-31")) == []


def test_models_of_tables_without_dates_are_for_the_same_hold_out_only() -> None:
    same = ("0123", 0.2, 42)
    models = [
        a_model(7, "2020-01-01", *same),
        a_model(6, ""),
        a_model(5, None, "4567", 0.2, 42),
        a_model(4, None, "0123", 0.25, 42),
        a_model(3, None, "0123", 0.2, 43),
        a_model(2, None, *same),
        a_model(1, None, *same),
    ]
    assert leaves(best_of_earlier_models(models, SeenRows(None, *same))) == [12, 11]
    assert leaves(best_of_earlier_models(models, SeenRows("2020-06-30", *same))) == [17]
    assert best_of_earlier_models(models[1:], SeenRows("2020-06-30", *same)) == []


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
def test_parameters_outside_the_search_space_are_logged(spoiled: dict[str, Any]) -> None:
    assert is_in_space(LOW_RATE_SAMPLED)
    assert not is_in_space(LOW_RATE_SAMPLED | spoiled)


def make_task(folder: Path, name: str = "new", table: TableConfig | None = None, seed: int = 42) -> SearchTask:
    table = table or TableConfig()
    data, split = load_dataset(small_table(), table, "net_profit", "table.parquet"), SplitSettings(seed=seed)
    search = SearchSettings(n_trials=1, study_name=name, storage_dir=folder, seed=seed)
    settings = RunSettings(data=DataSettings(table=table), split=split, search=search)
    return SearchTask(data, make_split_rows(data, split), settings)


def register_version(study_name: str, num_leaves: int, point: dict[str, Any], metric: str = "mae") -> None:
    client = MlflowClient()
    if not client.search_registered_models("name='net_profit'"):
        client.create_registered_model("net_profit")
    made_with = {"params": LARGE_TREES | {"num_leaves": num_leaves}} | point
    tags = {"study_name": study_name, "metric": metric, "starting_point": json.dumps(made_with)}
    client.create_model_version("net_profit", "s3://bucket/model", tags=tags)


def points_of(task: SearchTask) -> list[Params]:
    patient = replace(task, registered_models=EarlierModels([task.data.target], seconds=120).of)
    points: list[Params] = open_study(patient).study.user_attrs[STARTING_POINTS_ATTR]
    return points


def test_a_new_study_begins_with_what_the_registrys_models_were_made_with(tmp_path: Path, mlflow_store: str) -> None:
    task = make_task(tmp_path)
    point = {"search_until": last_search_day(task)}
    OptunaStudyManager(tmp_path).create_or_load_study("in this store without a trial")
    register_version("elsewhere", 101, point)
    register_version("elsewhere", 102, point, metric="rmse")
    register_version("in this store without a trial", 103, point)
    register_version("elsewhere", 104, {"search_until": "2999-12-31"})
    register_version("elsewhere, later", 105, {"search_until": "2000-01-01"})
    register_version("elsewhere, of a table without dates", 106, {"search_until": None, "data_digest": "0123"})
    points = points_of(task)
    assert leaves(points[:3]) == [31, 105, 101]
    assert points_of(task) == points


def finish_a_trial(task: SearchTask, num_leaves: int) -> None:
    study = open_study(task).study
    drawn = {**LARGE_TREES, "num_leaves": num_leaves}
    study.enqueue_trial(drawn)
    study.optimize(lambda trial: float(suggest_hyperparameters(trial)["num_leaves"]), n_trials=1)


def test_with_and_without_dates_by_the_whole_way(tmp_path: Path, mlflow_store: str) -> None:
    """A search without dates gives no starting points to one with dates or another seed: it used their test rows."""
    finish_a_trial(make_task(tmp_path, "shuffled", NO_DATES), 101)
    assert 101 not in leaves(points_of(make_task(tmp_path, "dated")))
    assert 101 not in leaves(points_of(make_task(tmp_path, "another_seed", NO_DATES, seed=43)))
    assert leaves(points_of(make_task(tmp_path, "same_hold_out", NO_DATES)))[1] == 101
    finish_a_trial(make_task(tmp_path, "dated_with_a_trial"), 102)
    assert leaves(points_of(make_task(tmp_path, "dated_too")))[1] == 102
    assert 102 not in leaves(points_of(make_task(tmp_path, "shuffled_too", NO_DATES)))


def test_the_registry_is_queried_without_a_lock_on_the_store(tmp_path: Path) -> None:
    def slow_registry(target: str) -> list[EarlierModel]:
        """Takes the store's locks, instead of waiting ten seconds for a registry that does not answer."""
        for name in ("begin", "create", "join-net_profit"):
            with try_store_lock(OptunaStudyManager(tmp_path).url, name) as held:
                free[name] = held
        return [a_model(1, "2000-01-01")]

    free: dict[str, bool] = {}
    task = make_task(tmp_path)
    unnamed = replace(task.settings, search=replace(task.settings.search, study_name=None))
    opened = open_shared(replace(task, settings=unnamed, registered_models=slow_registry))
    assert free == {"begin": True, "create": True, "join-net_profit": True}
    assert leaves(opened.study.user_attrs[STARTING_POINTS_ATTR])[1] == 11
