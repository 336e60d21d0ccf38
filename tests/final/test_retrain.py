"""A registered model is trained again from its metadata and its table: LightGBM's text is the same, byte for byte."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from src.config import DataSettings, RunSettings, SearchSettings, SplitSettings, TableConfig, TargetConfig
from src.data import auto_folds
from src.data.sources.dispatch import read_table
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import DataError
from src.final.ensemble import fit_final_model
from src.final.final_model import FinalModel, final_rounds, make_member, train_members
from src.final.retrain import retrain
from src.modeling.finish import describe_outcome
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.run_search import run_search
from src.search.search_space import suggest_hyperparameters
from src.search.search_task import SearchTask
from src.search.starting_points import GOSS_SAMPLED, LOW_RATE_SAMPLED
from tests.bare_table import PEERS, bare_table, with_peers
from tests.small_table import small_table

GBDT = LOW_RATE_SAMPLED | {"num_leaves": 12, "max_depth": 4, "min_child_samples": 10, "learning_rate": 0.15}
DART = GBDT | {"boosting_type": "dart", "drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.3, "max_bin": 128}
GOSS = GOSS_SAMPLED | {"num_leaves": 12, "max_depth": 4, "learning_rate": 0.1}
UNDATED = TableConfig(account=None, date=None, drop=("account_id", "date"))
CONFIGURED = TableConfig(
    account="account_id", date="date", drop=("noise",), targets={"net_profit": TargetConfig("regression", "rmse")}
)


@pytest.fixture(autouse=True)
def small_folds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The members' rounds are then measured on folds, as on larger tables."""
    monkeypatch.setattr(auto_folds, "MIN_ROWS", 20)


def searched(
    folder: Path, frame: pd.DataFrame, target: str, settings: RunSettings, drawn: list[dict[str, Any]]
) -> tuple[SearchTask, OpenStudy]:
    """A study with these trials."""
    search = SearchSettings(
        n_trials=len(drawn), study_name="s", storage_dir=folder, pruner="none", seed=settings.search.seed
    )
    settings = replace(settings, search=search)
    data = load_dataset(frame, settings.data.table, target, "table.csv")
    task = SearchTask(data, make_split_rows(data, settings.split), settings)
    opened = open_study(task)
    for item in drawn:
        opened.study.enqueue_trial(item)
    run_search(opened.task, opened)
    return opened.task, opened


def read_back(task: SearchTask, opened: OpenStudy, model: FinalModel) -> dict[str, Any]:
    """The metadata as read from the file."""
    metadata: dict[str, Any] = json.loads(json.dumps(describe_outcome(task, opened, opened.study.best_trial, model)))
    return metadata


def trained(
    folder: Path, frame: pd.DataFrame, target: str, settings: RunSettings, drawn: list[dict[str, Any]]
) -> tuple[FinalModel, dict[str, Any]]:
    """The final model of such a study, and its metadata."""
    task, opened = searched(folder, frame, target, settings, drawn)
    model = fit_final_model(task, opened.study, opened.study.best_trial)
    return model, read_back(task, opened, model)


def assert_the_same_again(model: FinalModel, metadata: dict[str, Any], frame: pd.DataFrame) -> None:
    again = retrain(metadata, frame)
    assert again.booster.model_to_string().encode() == model.booster.model_to_string().encode()
    assert again.levels == metadata["categorical_levels"]
    assert again.booster.num_trees() == metadata["best_iteration"] == sum(again.rounds)


@pytest.mark.parametrize("drawn", [GBDT, DART, GOSS], ids=["gbdt", "dart", "goss"])
def test_a_single_trial(tmp_path: Path, mlflow_store: str, drawn: dict[str, Any]) -> None:
    settings = RunSettings(ensemble_size=1)
    model, metadata = trained(tmp_path, small_table(), "net_profit", settings, [drawn])
    assert metadata["hyperparameters"] == metadata["best_trial"]["hyperparameters"] == drawn
    assert_the_same_again(model, metadata, small_table())


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("net_profit", SplitSettings()),
        ("net_profit", SplitSettings(use_cv=True, n_folds=3, purge_days=2)),
        ("num_trades", SplitSettings(test_fraction=0, seed=7)),
        ("is_profitable", SplitSettings(test_fraction=0.3, valid_fraction=0.3)),
    ],
    ids=["regression", "cv", "no hold-out", "binary"],
)
def test_the_mean_of_gbdt_goss_and_dart(tmp_path: Path, mlflow_store: str, target: str, split: SplitSettings) -> None:
    settings = RunSettings(split=split, search=SearchSettings(seed=split.seed))
    task, opened = searched(tmp_path, small_table(), target, settings, [GBDT, GOSS, DART])
    weights = zip(opened.study.trials, (0.3, 0.6, 0.1), strict=True)
    members = [make_member(t, task.data, split.seed, final_rounds(t, task.rows), w) for t, w in weights]
    model = train_members(members, task.data, task.rows, validation_score=61.5, n_parallel=2)
    metadata = read_back(task, opened, model)
    assert [member["trial"] for member in metadata["members"]] == [0, 1, 2]
    assert metadata["hyperparameters"] == GOSS, "the heaviest member's"
    assert metadata["validation_score"] == 61.5
    assert metadata["best_trial"]["value"] == opened.study.best_value
    assert_the_same_again(model, metadata, small_table())


def test_a_selected_ensemble(tmp_path: Path, mlflow_store: str) -> None:
    drawn = [GBDT, GOSS, DART, GBDT | {"num_leaves": 30}]
    model, metadata = trained(tmp_path, small_table(), "net_profit", RunSettings(), drawn)
    assert len(metadata["members"]) == len(metadata["fits"]) > 1
    assert metadata["rounds_factor"] != 1
    assert_the_same_again(model, metadata, small_table())


@pytest.mark.parametrize("size", [1, 4])
def test_a_table_without_dates_is_shuffled_as_before(tmp_path: Path, mlflow_store: str, size: int) -> None:
    split = SplitSettings(seed=11)
    settings = RunSettings(data=DataSettings(table=UNDATED), split=split, ensemble_size=size)
    model, metadata = trained(tmp_path, small_table(), "net_profit", settings, [GBDT, GOSS, DART])
    assert_the_same_again(model, metadata, small_table())


def test_the_names_of_a_config_file_are_in_the_metadata(tmp_path: Path, mlflow_store: str) -> None:
    settings = RunSettings(data=DataSettings(table=CONFIGURED))
    model, metadata = trained(tmp_path, small_table(), "net_profit", settings, [GBDT, DART])
    assert metadata["metric"] == "rmse"
    assert "noise" not in metadata["feature_names"]
    assert_the_same_again(model, metadata, small_table())


def test_the_table_may_come_in_another_format(tmp_path: Path, mlflow_store: str) -> None:
    frame = small_table()
    frame["desk"] = pd.Series([None if row % 7 == 0 else f"0{row % 3}" for row in range(len(frame))], dtype="str")
    settings = RunSettings(data=DataSettings(table=TableConfig(categories=("desk",))))
    model, metadata = trained(tmp_path, frame, "net_profit", settings, [GBDT, GOSS])
    assert metadata["categorical_levels"]["desk"] == ["00", "01", "02"]
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet")
    for name in ("table.csv", "table.parquet"):
        assert_the_same_again(model, metadata, read_table(str(tmp_path / name), None))


@pytest.mark.parametrize("features", ["derived", "both"])
def test_a_model_with_derived_features(tmp_path: Path, mlflow_store: str, features: str) -> None:
    frame = with_peers(bare_table(40, 6))
    settings = RunSettings(data=DataSettings(table=replace(PEERS, features=features)))
    model, metadata = trained(tmp_path, frame, "net_profit", settings, [GBDT, GOSS])
    assert metadata["feature_names"][:1] == (["desk"] if features == "both" else ["net_profit_lag_1"])
    assert (metadata["feature_mode"], metadata["history_rows"]) == (features, 60)
    assert_the_same_again(model, metadata, frame.sample(frac=1, random_state=0))
    with pytest.raises(DataError, match="give the table of the training"):
        retrain(metadata, frame.assign(volume=0.5))
    metadata["derived_features"]["features"][0]["statistic"] = "kurtosis"
    with pytest.raises(DataError, match="use the version that made it"):
        retrain(metadata, frame)


@pytest.mark.parametrize("kind", ["gbdt", "dart", "goss"])
def test_lightgbm_stopping_before_its_rounds(tmp_path: Path, mlflow_store: str, kind: str) -> None:
    """A round without a split makes no tree, but a later one may: the number of trees alone is not enough."""
    drawn = {"gbdt": GBDT, "dart": DART, "goss": GOSS}[kind] | {
        "max_depth": 3, "num_leaves": 10, "learning_rate": 0.3, "feature_fraction": 0.5, "min_child_samples": 60,
        "lambda_l1": 1.0, "lambda_l2": 10.0, "min_gain_to_split": 1.0, "max_bin": 32,
    }  # fmt: skip
    task, opened = searched(tmp_path, small_table(), "is_highly_profitable", RunSettings(), [drawn])
    model = train_members([make_member(opened.study.best_trial, task.data, 42, 250)], task.data, task.rows, 0.9)
    assert model.rounds[0] < 250
    assert_the_same_again(model, read_back(task, opened, model), small_table())


def test_a_model_of_an_objective_of_ones_own(tmp_path: Path, mlflow_store: str) -> None:
    def user_objective(trial: optuna.Trial, *_: Any) -> float:
        trial.set_user_attr("best_iteration", 17)
        return float(suggest_hyperparameters(trial)["num_leaves"])

    data = load_dataset(small_table(), TableConfig(), "net_profit", "table.csv")
    settings = RunSettings(search=SearchSettings(n_trials=2, study_name="s", storage_dir=tmp_path))
    task = SearchTask(data, make_split_rows(data, settings.split), settings, user_objective)
    opened = open_study(task)
    run_search(task, opened)
    best = opened.study.best_trial
    model = fit_final_model(task, opened.study, best)
    metadata = read_back(task, opened, model)
    assert "members" not in metadata
    assert metadata["best_trial"] == {
        "number": best.number, "value": best.value, "hyperparameters": best.params, "best_iteration": 17,
    }  # fmt: skip
    assert_the_same_again(model, metadata, small_table())


def test_another_table_is_refused(tmp_path: Path, mlflow_store: str) -> None:
    _, metadata = trained(tmp_path, small_table(), "net_profit", RunSettings(ensemble_size=1), [GBDT])
    with pytest.raises(
        DataError, match=r"the model was trained on table\.csv with digest [0-9a-f]{16}: give the table"
    ):
        retrain(metadata, small_table(seed=1))


def test_metadata_of_an_earlier_version_is_refused() -> None:
    with pytest.raises(DataError, match=r"lacks 'fits' and 'table'.*train 'net_profit' and register it again"):
        retrain({"target": "net_profit"}, small_table())
