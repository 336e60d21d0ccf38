"""Monotone features of trials, final models and their means, checked by prediction."""

from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from optuna.trial import FixedTrial, FrozenTrial, create_trial

from src.config import SplitSettings, TableConfig, TargetConfig
from src.data.encoding import encode
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.errors import ConfigError, RunError
from src.final.final_model import FinalModel, make_member, train_final_model, train_members
from src.final.monotone_check import check_monotone
from src.search.binned_folds import BinnedFolds
from src.search.objective import ObjectiveSettings, make_objective
from src.search.search_task import with_monotone_features
from tests.small_table import small_table

BASE: dict[str, Any] = {
    "boosting_type": "gbdt", "num_leaves": 12, "learning_rate": 0.15, "feature_fraction": 0.8,
    "min_child_samples": 10, "lambda_l1": 1e-3, "lambda_l2": 1e-3, "max_depth": 4, "min_gain_to_split": 0.0,
    "max_bin": 128, "bagging_fraction": 0.8, "bagging_freq": 1,
}  # fmt: skip
DART = BASE | {"boosting_type": "dart", "drop_rate": 0.2, "max_drop": 10, "skip_drop": 0.2}
GOSS = {name: value for name, value in BASE.items() if not name.startswith("bagging")} | {"boosting_type": "goss"}
KINDS = {"gbdt": BASE, "dart": DART, "goss": GOSS}
SIGNS = {"noise": -1, "signal": 1}


def load(target: str = "net_profit", signs: dict[str, int] | None = None) -> tuple[Dataset, SplitRows]:
    """`hump` has a maximum in the middle, so that only a constrained model is monotone in it."""
    frame = small_table()
    frame["hump"] = frame["signal"].fillna(0) * 2
    frame["net_profit"] = frame["net_profit"] - 60 * frame["hump"] ** 2
    config = TargetConfig("binary", "auc") if target.startswith("is_") else TargetConfig("regression", "rmse")
    table = TableConfig(targets={target: config}, use=("signal", "noise", "style", "hump"))
    data = load_dataset(frame, table, target)
    return with_monotone_features(data, signs or {}), make_split_rows(data, SplitSettings())


def trial_of(params: dict[str, Any], rounds: int = 40) -> FrozenTrial:
    return create_trial(value=1.0, user_attrs={"best_iteration": rounds}, params=params, distributions={
        name: _distribution(value) for name, value in params.items()})  # fmt: skip


def _distribution(value: Any) -> Any:
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution([value])


def turns(model: FinalModel, data: Dataset, rows: SplitRows, name: str) -> tuple[float, float]:
    """The largest fall and the largest rise of any prediction, over 300 values between the feature's ends."""
    matrix = encode(data.features.iloc[rows.search], model.levels)[::5]
    column = list(data.features.columns).index(name)
    values = np.linspace(np.nanmin(matrix[:, column]) - 1, np.nanmax(matrix[:, column]) + 1, 300)
    found = []
    for value in values:
        matrix[:, column] = value
        found.append(model.booster.predict(matrix, raw_score=True, num_threads=1))
    steps = np.diff(np.array(found), axis=0)
    return float(steps.min()), float(steps.max())


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_final_model_is_monotone(kind: str, target: str) -> None:
    data, rows = load(target, {"hump": 1, "noise": -1})
    model = train_final_model(trial_of(KINDS[kind]), data, rows, 3)
    falls, _ = turns(model, data, rows, "hump")
    _, rises = turns(model, data, rows, "noise")
    assert falls >= -1e-9
    assert rises <= 1e-9
    checked = check_monotone(model, data, rows)
    assert [checked[name]["sign"] for name in ("hump", "noise")] == [1, -1]
    assert checked["hump"]["largest_step"] > 0
    assert checked["hump"]["rows"] == 200


def test_the_mean_of_monotone_members_is_monotone() -> None:
    data, rows = load(signs={"hump": 1})
    drawn = ((BASE, 0.2), (DART, 0.5), (GOSS, 0.3))
    members = [make_member(trial_of(params), data, 3, 30, weight) for params, weight in drawn]
    model = train_members(members, data, rows, 1.0)
    assert turns(model, data, rows, "hump")[0] >= -1e-9
    assert 40 < check_monotone(model, data, rows)["hump"]["grid"] <= 52


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_not_monotone_is_refused(kind: str) -> None:
    data, rows = load()
    model = train_final_model(trial_of(KINDS[kind]), data, rows, 3)
    asked = replace(data, monotone={"hump": 1})
    with pytest.raises(
        RunError, match=r"not monotone in 'hump': between .* a prediction falls by .* --monotone hump:1; "
    ):
        check_monotone(model, asked, rows)
    assert check_monotone(model, data, rows) == {}


def test_trials_are_scored_with_the_constraint() -> None:
    scores = []
    for signs in ({}, {"hump": 1}):
        data, rows = load(signs=signs)
        folds = BinnedFolds(data, rows.folds)
        scores.append(make_objective(folds, ObjectiveSettings(seed=3))(FixedTrial(BASE)))  # type: ignore[arg-type]
    assert scores[1] > 1.05 * scores[0], "the hump costs a monotone model more"


def test_what_lightgbm_cannot_keep_is_refused_with_the_remedy() -> None:
    data, _ = load()
    with pytest.raises(ConfigError, match="--monotone 'style' is a category, which has no order: use a numeric"):
        with_monotone_features(data, {"style": 1})
    with pytest.raises(
        ConfigError, match=r"--monotone 'noisy' is no feature .* \(did you mean 'noise'\?\): use one of"
    ):
        with_monotone_features(data, {"noisy": 1})
    absolute = replace(data, config=TargetConfig("regression", "mae"))
    with pytest.raises(ConfigError, match=r"LightGBM refuses it with absolute error; set `targets: \{net_profit: "):
        with_monotone_features(absolute, SIGNS)
    assert with_monotone_features(absolute, {}).signs == ()
    assert with_monotone_features(data, {"later": 1}, derived=["later"]).signs == (), "it may not be chosen"


def test_lightgbm_itself_refuses_absolute_error() -> None:
    """If a new LightGBM accepts it, so can we. With a category it ends the process, which no test can show."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 2)), rng.normal(size=100)
    params = {"objective": "regression_l1", "monotone_constraints": [1, 0], "verbosity": -1, "num_threads": 1}
    with pytest.raises(lgb.basic.LightGBMError, match="Cannot use ``monotone_constraints`` in regression_l1"):
        lgb.train(params, lgb.Dataset(x, y), 1)
