"""The Python API of section 7 of the contract."""

import inspect
import threading
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial

from src.config import RunSettings, SearchSettings, SplitSettings, TargetConfig
from src.errors import ConfigError, DataError, SearchError
from src.modeling.optuna_utils import OptunaCallbacks
from src.modeling.train_with_optuna import MODEL_CONFIGS, optimize_hyperparameters
from src.search.derived_features import FEATURES_ATTR
from tests.bare_table import bare_table
from tests.small_table import small_table


@pytest.fixture(autouse=True)
def _in_a_separate_folder(tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def runs() -> list[Run]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("daily-profit")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def far_from_a_third(trial: optuna.Trial, *_: Any) -> float:
    return abs(trial.suggest_float("x", 0, 1) - 1 / 3)


def test_as_the_contract_calls_it(tmp_path: Path) -> None:
    config = MODEL_CONFIGS["net_profit"]
    study, best_params = optimize_hyperparameters(
        target="net_profit", config=config, n_trials=3, use_cv=True, n_folds=2, data=small_table()
    )
    assert len(study.trials) == 3
    assert best_params == study.best_params == study.best_trial.params
    assert study.user_attrs["settings"]["split"]["use_cv"] is True
    assert study.user_attrs["settings"]["split"]["n_folds"] == 2
    assert (tmp_path / "artefacts/optuna_studies/studies.db").exists()
    assert not (tmp_path / "artefacts/models").exists(), "no final model is trained"
    names = sorted(str(run.info.run_name) for run in runs())
    assert names == [study.study_name, "trial-0000", "trial-0001", "trial-0002"]
    assert {run.info.status for run in runs()} <= {"FINISHED", "KILLED"}


def test_its_arguments_are_the_contracts() -> None:
    parameters = inspect.signature(optimize_hyperparameters).parameters
    assert list(parameters)[:5] == ["target", "config", "n_trials", "use_cv", "n_folds"]
    assert {"objective", "callbacks"} <= set(parameters)


def split_of(study: optuna.Study) -> tuple[bool, int | None]:
    split = study.user_attrs["settings"]["split"]
    return split["use_cv"], split["n_folds"] if split["use_cv"] else None


@pytest.mark.parametrize(
    ("given", "n_trials", "split"),
    [
        ({}, 2, (True, 3)),
        ({"n_trials": 1}, 1, (True, 3)),
        ({"use_cv": False}, 2, (False, None)),
        ({"n_folds": 2}, 2, (True, 2)),
        ({"n_trials": 3, "use_cv": True, "n_folds": 4}, 3, (True, 4)),
    ],
    ids=["nothing", "n_trials", "use_cv", "n_folds", "all"],
)
def test_settings_apply_where_no_argument_is_given(
    given: dict[str, Any], n_trials: int, split: tuple[bool, int | None]
) -> None:
    settings = RunSettings(split=SplitSettings(use_cv=True, n_folds=3), search=SearchSettings(n_trials=2))
    study, _ = optimize_hyperparameters(
        "net_profit", data=small_table(), settings=settings, objective=far_from_a_third, **given
    )
    assert (len(study.trials), split_of(study)) == (n_trials, split)


def test_without_settings_it_is_as_on_the_command_line() -> None:
    stop = OptunaCallbacks.target_value(1.0)
    study, _ = optimize_hyperparameters("net_profit", data=small_table(), objective=far_from_a_third, callbacks=[stop])
    assert study.user_attrs["settings"]["search"]["n_trials"] == SearchSettings().n_trials == 100
    assert split_of(study) == (False, None)


def test_folds_can_be_chosen_automatically_here_too() -> None:
    """Three windows of 200 rows and more: `src.data.auto_folds`."""
    table, left = small_table(n_days=200), RunSettings(search=SearchSettings(n_trials=1), cv_auto=True)
    call: dict[str, Any] = {"data": table, "settings": left, "objective": far_from_a_third}
    assert split_of(optimize_hyperparameters("net_profit", **call)[0]) == (True, 3)
    assert split_of(optimize_hyperparameters("net_profit", use_cv=False, **call)[0]) == (False, None)
    assert split_of(optimize_hyperparameters("net_profit", use_cv=True, n_folds=2, **call)[0]) == (True, 2)
    call["data"] = small_table(n_days=20, n_accounts=4)
    assert split_of(optimize_hyperparameters("net_profit", **call)[0]) == (False, None)


def test_a_target_that_mlflow_cannot_address_is_refused_before_the_table_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="target 'ret@close' contains '@': rename the column"):
        optimize_hyperparameters("ret@close", TargetConfig("regression", "mae"), data=tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="target 'a#b' contains '#'"):
        optimize_hyperparameters("a#b", data=tmp_path / "nowhere.csv")
    assert list(tmp_path.glob("artefacts")) == []


def test_the_contracts_targets() -> None:
    assert {name: (each.task, each.metric, each.direction) for name, each in MODEL_CONFIGS.items()} == {
        "net_profit": ("regression", "mae", "minimize"),
        "gross_profit": ("regression", "mae", "minimize"),
        "num_trades": ("regression", "rmse", "minimize"),
        "is_profitable": ("binary", "auc", "maximize"),
        "is_highly_profitable": ("binary", "auc", "maximize"),
    }


def test_an_objective_and_callbacks_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    def objective(
        trial: optuna.Trial, x_train: pd.DataFrame, y_train: Any, x_valid: pd.DataFrame, y_valid: Any
    ) -> float:
        quantile = trial.suggest_float("quantile", 0, 1)
        seen.append((len(x_train), len(y_train), len(x_valid), len(y_valid), list(x_train)))
        return float(np.abs(y_valid - np.quantile(y_train, quantile)).mean())

    def note(study: optuna.Study, trial: FrozenTrial) -> None:
        seen.append(trial.number)

    study, best_params = optimize_hyperparameters(
        "net_profit",
        n_trials=50,
        objective=objective,
        callbacks=[note, OptunaCallbacks.early_stopping(patience=4)],
        data=small_table(),
    )
    assert set(best_params) == {"quantile"}
    assert [each for each in seen if isinstance(each, int)] == list(range(len(study.trials)))
    assert 5 <= len(study.trials) < 50, "the second callback stopped it"
    n_train, n_y, n_valid, n_y_valid, names = seen[0]
    assert (n_train, n_valid) == (n_y, n_y_valid) == (37 * 8, 9 * 8)
    assert names == ["signal", "noise", "style", "is_open"]


def test_a_file_a_config_and_settings_of_ones_own(tmp_path: Path) -> None:
    small_table().rename(columns={"net_profit": "pnl"}).to_csv(tmp_path / "t.csv", index=False)
    settings = RunSettings(
        split=SplitSettings(test_fraction=0.5),
        search=SearchSettings(study_name="mine", storage_dir=tmp_path / "elsewhere", seed=7),
    )
    study, _ = optimize_hyperparameters(
        "pnl", TargetConfig("regression", "rmse"), 2, data="t.csv", settings=settings, objective=far_from_a_third
    )
    assert study.study_name == "mine"
    assert (tmp_path / "elsewhere/studies.db").exists()
    noted = study.user_attrs["settings"]
    assert (noted["metric"], noted["search"]["seed"], noted["split"]["test_fraction"]) == ("rmse", 7, 0.5)
    assert noted["described_source"] == "t.csv"
    again, _ = optimize_hyperparameters(
        "pnl", TargetConfig("regression", "rmse"), 4, data=tmp_path / "t.csv", settings=settings,
        objective=far_from_a_third,
    )  # fmt: skip
    assert len(again.trials) == 4, "it went on"


def test_wrong_input_is_reported_before_a_study_is_created(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="profit"):
        optimize_hyperparameters("profit", data=small_table())
    with pytest.raises(ConfigError, match="--n-trials 0"):
        optimize_hyperparameters("net_profit", n_trials=0, data=small_table())
    assert list(tmp_path.glob("artefacts")) == []


def test_an_objective_that_always_fails_reports_its_error() -> None:
    def broken(trial: optuna.Trial, *_: Any) -> float:
        raise ZeroDivisionError("no luck")

    with pytest.raises(SearchError, match="ZeroDivisionError: no luck"):
        optimize_hyperparameters("net_profit", n_trials=9, objective=broken, data=small_table())
    assert sorted(run.info.status for run in runs()) == ["FAILED"] * 6, "five trials and their parent"


def test_it_can_be_called_outside_the_main_thread() -> None:
    """A thread of a notebook or server cannot set signal handlers."""
    found: list[int] = []

    def call() -> None:
        study, _ = optimize_hyperparameters("net_profit", n_trials=2, objective=far_from_a_third, data=small_table())
        found.append(len(study.trials))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found == [2]


def test_an_objective_of_ones_own_gets_the_derived_features() -> None:
    seen: list[list[str]] = []

    def objective(trial: optuna.Trial, x_train: pd.DataFrame, *_: Any) -> float:
        seen.append(list(x_train.columns))
        return far_from_a_third(trial)

    study, _ = optimize_hyperparameters("net_profit", n_trials=2, data=bare_table(30, 4), objective=objective)
    stored = [feature["name"] for feature in study.user_attrs[FEATURES_ATTR]["features"]]
    assert seen == [stored, stored]
    assert "net_profit_lag_1" in stored
