"""The objective against `lightgbm.train` on frames that pandas, not this project, has encoded."""

from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.config import SplitSettings, TableConfig
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.errors import Interrupted
from src.search.binned_folds import BinnedFolds
from src.search.objective import ObjectiveSettings, make_objective, make_user_objective
from src.search.search_space import lightgbm_params
from src.search.stop_flag import StopFlag
from tests.small_table import small_table

SETTINGS = ObjectiveSettings(seed=3)
SPLITS = {"hold-out": SplitSettings(), "cv": SplitSettings(use_cv=True, n_folds=3)}
ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "auc": roc_auc_score}
BASE = {
    "num_leaves": 12, "learning_rate": 0.15, "feature_fraction": 0.9, "min_child_samples": 10, "lambda_l1": 1e-3,
    "lambda_l2": 1e-3, "max_depth": 4, "min_gain_to_split": 0.0, "max_bin": 128,
}  # fmt: skip
BAGGING = {"bagging_fraction": 0.8, "bagging_freq": 1}
SETS: dict[str, dict[str, Any]] = {
    "gbdt": BASE | BAGGING | {"boosting_type": "gbdt"},
    "goss": BASE | {"boosting_type": "goss"},
    "dart": BASE | BAGGING | {"boosting_type": "dart", "drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.3},
}


def load(target: str) -> Dataset:
    return load_dataset(small_table(), TableConfig(), target)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("net_profit")


def prepare(data: Dataset, split: str, num_threads: int = 1) -> BinnedFolds:
    return BinnedFolds(data, make_split_rows(data, SPLITS[split]).folds, num_threads)


def play(folds: BinnedFolds, drawn: dict[str, Any], **changes: Any) -> tuple[float, dict[str, Any]]:
    """(value, user attributes of the trial)."""
    trial: Any = FixedTrial(drawn)
    value = make_objective(folds, replace(SETTINGS, **changes))(trial)
    return value, trial.user_attrs


def oracle(data: Dataset, rows: SplitRows, drawn: dict[str, Any], rounds: int, stop: bool) -> Iterator[Any]:
    """(booster, curve, validation frame) per fold by `lightgbm.train`."""
    for fold in rows.folds:
        frame = data.features.astype({"style": pd.CategoricalDtype(sorted(data.features["style"].unique()))})
        assert set(data.features["style"].iloc[fold.train]) == set(data.features["style"]), "no unseen level here"
        x_train, x_valid = frame.iloc[fold.train], frame.iloc[fold.valid]
        params = lightgbm_params(drawn, data.config, SETTINGS.seed)
        y_train, y_valid = data.y[fold.train], data.y[fold.valid]
        train = lgb.Dataset(x_train, y_train)
        valid = lgb.Dataset(x_valid, y_valid, reference=train)
        if drawn["boosting_type"] == "dart":  # whose first tree may not hold the constant: see test_dart
            assert data.config.metric == "mae"
            train.init_score = np.full(len(y_train), np.median(y_train.astype(np.float32).astype(float)))
            valid.init_score = np.full(len(y_valid), train.init_score[0])
        found: dict[str, Any] = {}
        callbacks: list[Any] = [lgb.record_evaluation(found)]
        if stop:
            callbacks.append(lgb.early_stopping(SETTINGS.patience, verbose=False))
        booster = lgb.train(params, train, rounds, valid_sets=[valid], callbacks=callbacks)
        (curve,) = found["valid_0"].values()
        yield booster, curve, x_valid


@pytest.mark.parametrize("target", ["net_profit", "num_trades", "is_profitable"])
@pytest.mark.parametrize("boosting", ["gbdt", "goss"])
def test_a_trial_is_what_lightgbm_trains_with_early_stopping(target: str, boosting: str) -> None:
    data = load(target)
    rows = make_split_rows(data, SPLITS["hold-out"])
    value, kept = play(prepare(data, "hold-out"), SETS[boosting])
    ((booster, curve, x_valid),) = oracle(data, rows, SETS[boosting], 1000, stop=True)
    assert kept["best_iteration"] == booster.best_iteration
    assert value == curve[booster.best_iteration - 1], "to the bit"
    steps = kept["curve"]["steps"]
    assert kept["curve"]["values"] == [curve[step - 1] for step in steps]
    assert steps[-1] == len(curve) == booster.best_iteration + SETTINGS.patience
    valid = rows.folds[0].valid
    assert value == pytest.approx(ORACLES[data.config.metric](data.y[valid], booster.predict(x_valid)), rel=1e-6)


@pytest.mark.parametrize("boosting", SETS)
def test_folds_are_averaged_round_by_round(data: Dataset, boosting: str) -> None:
    """Early stopping also works for dart, which LightGBM does not support."""
    value, kept = play(prepare(data, "cv"), SETS[boosting])
    n_rounds = kept["curve"]["steps"][-1]
    assert n_rounds == kept["best_iteration"] + SETTINGS.patience < SETTINGS.max_rounds
    curves = [
        curve for _, curve, _ in oracle(data, make_split_rows(data, SPLITS["cv"]), SETS[boosting], n_rounds, False)
    ]
    mean = np.mean(curves, axis=0)
    assert value == mean.min()
    assert kept["best_iteration"] == int(mean.argmin()) + 1
    assert kept["curve"]["values"] == [mean[step - 1] for step in kept["curve"]["steps"]]


def test_an_auc_is_maximised() -> None:
    data = load("is_profitable")
    value, kept = play(prepare(data, "hold-out"), SETS["gbdt"])
    assert value == max(kept["curve"]["values"]) > 0.6
    assert data.config.direction == "maximize"


def test_the_score_depends_on_parameters_and_seed_not_on_order(data: Dataset) -> None:
    once = prepare(data, "cv")
    first = {name: play(once, drawn, max_rounds=40) for name, drawn in SETS.items()}
    again = {name: play(once, SETS[name], max_rounds=40) for name in reversed(SETS)}
    assert first == again, "to the bit"
    assert first == {name: play(prepare(data, "cv"), drawn, max_rounds=40) for name, drawn in SETS.items()}
    assert play(once, SETS["gbdt"], max_rounds=40, seed=4) != first["gbdt"]


def test_rounds_end_at_the_limit(data: Dataset) -> None:
    _, kept = play(prepare(data, "hold-out"), SETS["gbdt"], max_rounds=7)
    assert kept["curve"]["steps"] == list(range(1, 8))


class PruneFrom(optuna.pruners.BasePruner):
    def __init__(self, step: int) -> None:
        self.step = step

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return trial.last_step is not None and trial.last_step >= self.step


def study_of(pruner: optuna.pruners.BasePruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(pruner=pruner)
    study.enqueue_trial(SETS["gbdt"])
    return study


@pytest.mark.parametrize("split", SPLITS)
def test_a_trial_is_pruned_at_a_report_and_keeps_its_curve(data: Dataset, split: str) -> None:
    study = study_of(PruneFrom(21))
    study.optimize(make_objective(prepare(data, split), SETTINGS), n_trials=1)
    (trial,) = study.trials
    assert trial.state == TrialState.PRUNED
    assert list(trial.intermediate_values) == [10, 20, 30], "every ten rounds, all folds at once"
    kept = trial.user_attrs["curve"]
    assert kept["steps"] == list(range(1, 31))
    assert [kept["values"][step - 1] for step in (10, 20, 30)] == list(trial.intermediate_values.values())
    assert kept["values"][trial.user_attrs["best_iteration"] - 1] == min(kept["values"])


def test_reports_are_the_curve(data: Dataset) -> None:
    study = study_of(optuna.pruners.NopPruner())
    study.optimize(make_objective(prepare(data, "hold-out"), SETTINGS), n_trials=1)
    (trial,) = study.trials
    n_rounds = trial.user_attrs["curve"]["steps"][-1]
    assert list(trial.intermediate_values) == list(range(10, n_rounds + 1, 10))
    assert trial.value is not None
    assert trial.value <= min(trial.intermediate_values.values())


def test_past_the_deadline_a_trial_ends_with_its_best_round(data: Dataset) -> None:
    value, kept = play(prepare(data, "hold-out"), SETS["gbdt"], stop_flag=StopFlag(deadline=monotonic() - 1))
    assert kept == {"best_iteration": 1, "curve": {"steps": [1], "values": [value]}, "trees": 1.0, "leaves": 9.0}


def test_a_requested_stop_ends_a_trial_at_once(data: Dataset) -> None:
    with pytest.raises(Interrupted):
        play(prepare(data, "hold-out"), SETS["gbdt"], stop_flag=StopFlag(requested=True))


def test_a_users_objective_sees_each_fold_and_is_averaged(data: Dataset) -> None:
    folds = prepare(data, "cv")
    seen: list[tuple[Any, ...]] = []

    def user(trial: Any, *frames: Any) -> float:
        seen.append(frames)
        return trial.suggest_float("x", 0, 1) + len(seen)  # type: ignore[no-any-return]

    given: Any = FixedTrial({"x": 0.5})
    assert make_user_objective(folds, user, StopFlag())(given) == 2.5
    for (x_train, y_train, x_valid, y_valid), fold in zip(seen, folds.folds, strict=True):
        assert x_train.index.tolist() == fold.train.tolist()
        assert x_valid.index.tolist() == fold.valid.tolist()
        np.testing.assert_array_equal(y_train, data.y[fold.train])
        np.testing.assert_array_equal(y_valid, data.y[fold.valid])


def test_a_users_objective_stops_between_folds(data: Dataset) -> None:
    stop_flag, calls = StopFlag(), []

    def user(*_: Any) -> float:
        calls.append(1)
        stop_flag.requested = True
        return 0.0

    trial: Any = FixedTrial({})
    with pytest.raises(Interrupted):
        make_user_objective(prepare(data, "cv"), user, stop_flag)(trial)
    assert calls == [1]
