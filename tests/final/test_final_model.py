from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.config import SplitSettings, TableConfig
from src.data.encoding import encode
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.evaluation.baselines import score_baselines
from src.final.final_model import final_rounds, score_hold_out, score_validation, train_final_model
from src.search.search_space import lightgbm_params
from tests.small_table import small_table

ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "auc": roc_auc_score}
DISTRIBUTIONS: dict[str, Any] = {
    "boosting_type": CategoricalDistribution(("gbdt", "dart", "goss")),
    "num_leaves": IntDistribution(10, 200),
    "min_child_samples": IntDistribution(5, 100),
    "max_bin": IntDistribution(32, 512, step=32),
}


def best(boosting: str = "gbdt", best_iteration: int = 20, value: float = 61.0) -> FrozenTrial:
    params = {"boosting_type": boosting, "num_leaves": 12, "min_child_samples": 10, "max_bin": 64}
    attrs = {"best_iteration": best_iteration}
    return create_trial(value=value, params=params, distributions=DISTRIBUTIONS, user_attrs=attrs)


def load(target: str, table: TableConfig | None = None) -> Dataset:
    return load_dataset(small_table(), table or TableConfig(), target)


def with_other_test_rows(data: Dataset, rows: SplitRows) -> Dataset:
    """Everything outside the search is replaced: features, levels and targets."""
    outside = np.setdiff1d(np.arange(len(data.y)), rows.search)
    features, y = data.features.copy(), data.y.copy()
    features.loc[outside, "signal"] = 1e9
    features.loc[outside, "style"] = "aaa-new"
    y[outside] = 1 - y[outside]
    return replace(data, features=features, y=y)


@pytest.mark.parametrize("boosting", ["gbdt", "dart", "goss"])
def test_the_text_file_predicts_as_the_model(tmp_path: Path, boosting: str) -> None:
    data = load("net_profit")
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(best(boosting), data, rows, seed=3)
    model.booster.save_model(tmp_path / "model.txt")
    again = lgb.Booster(model_file=tmp_path / "model.txt")
    expected = again.predict(encode(data.features, model.levels)[rows.test])
    np.testing.assert_array_equal(model.predict(data, rows.test), expected)
    assert (again.num_trees(),) == model.rounds == (final_rounds(best(), rows),), "dart too is trained just so far"


def test_it_equals_lightgbm_trained_on_these_rows() -> None:
    data = load("net_profit")
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(best(), data, rows, seed=3)
    matrix = encode(data.features, model.levels)[rows.search]
    names = [f"f{i}" for i in range(matrix.shape[1])]
    binning = {"max_bin": 64, "feature_pre_filter": False, "verbosity": -1}
    train = lgb.Dataset(matrix, data.y[rows.search], feature_name=names, categorical_feature=[2], params=binning)
    expected = lgb.train(lightgbm_params(best().params, data.config, 3), train, final_rounds(best(), rows))
    assert model.booster.model_to_string() == expected.model_to_string()


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_only_the_rows_of_the_search_are_trained_on(target: str) -> None:
    data = load(target)
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(best(), data, rows, seed=3)
    other = train_final_model(best(), with_other_test_rows(data, rows), rows, seed=3)
    assert model.booster.model_to_string() == other.booster.model_to_string()
    assert model.levels == other.levels == {"style": ["breakout", "momentum", "reversal"]}


def test_the_model_depends_only_on_its_seed() -> None:
    data = load("net_profit")
    rows = make_split_rows(data, SplitSettings())
    texts = [train_final_model(best("goss"), data, rows, seed).booster.model_to_string() for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("split", [SplitSettings(), SplitSettings(use_cv=True, n_folds=4)])
def test_more_rows_give_more_rounds(split: SplitSettings) -> None:
    rows = make_split_rows(load("net_profit"), split)
    ratio = len(rows.search) / np.mean([len(fold.train) for fold in rows.folds])
    assert ratio > 1
    assert final_rounds(best(best_iteration=100), rows) == round(100 * ratio)
    assert final_rounds(best(best_iteration=100), rows, rounds_factor=1.5) == round(150 * ratio)
    assert final_rounds(best(best_iteration=1), replace(rows, search=rows.search[:1])) == 1, "never none"


@pytest.mark.parametrize("target", ["net_profit", "num_trades", "is_profitable"])
def test_test_score_and_baselines_use_the_same_rows(target: str) -> None:
    data = load(target)
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(best(), data, rows, seed=3)
    found = score_hold_out(model, data, rows)
    metric, y = data.config.metric, data.y[rows.test]
    assert found["test_score"] == pytest.approx(ORACLES[metric](y, model.predict(data, rows.test)))
    assert found["test_interval"][0] < found["test_score"] < found["test_interval"][1]
    assert found["baselines"] == score_baselines(data, rows.search, rows.test)
    pick = max if metric == "auc" else min
    name = pick(found["baselines"], key=found["baselines"].__getitem__)
    assert found["best_baseline"] == name
    reference = found["baselines"][name]
    shortfall = (1 - reference, 1 - found["test_score"]) if metric == "auc" else (reference, found["test_score"])
    assert found["skill"] == pytest.approx(1 - shortfall[1] / shortfall[0])
    assert found["skill"] > 0.05, "there is something to find in this table"
    assert found["skill_interval"][0] < found["skill"] < found["skill_interval"][1]
    assert score_hold_out(model, data, rows) == found
    assert found["test_interval_note"] == found["skill_interval_note"]
    assert found["test_interval_note"].startswith("only 12 dates: if good and bad periods last for weeks, the")


def test_too_few_dates_give_a_note_instead_of_an_interval() -> None:
    data = load("net_profit")
    rows = make_split_rows(data, SplitSettings(test_fraction=0.1))
    found = score_hold_out(train_final_model(best(), data, rows, seed=3), data, rows)
    assert (found["test_interval"], found["skill_interval"]) == (None, None)
    assert found["test_interval_note"] == found["skill_interval_note"] == "only 6 dates: an interval needs 12"
    assert found["test_score"] > 0


def test_without_a_hold_out_there_are_no_test_scores() -> None:
    data = load("net_profit")
    rows = make_split_rows(data, SplitSettings(test_fraction=0))
    found = score_hold_out(train_final_model(best(), data, rows, seed=3), data, rows)
    assert found.pop("baselines") == {}
    assert set(found.values()) == {None}


def test_a_baseline_without_error_leaves_no_skill() -> None:
    """A test period without trades: the forecast by the previous day is exact."""
    data = load("num_trades")
    rows = make_split_rows(data, SplitSettings())
    assert data.dates is not None
    y = data.y.copy()
    y[data.dates >= data.dates[rows.test[0]] - np.timedelta64(7, "D")] = 0
    data = replace(data, y=y)
    found = score_hold_out(train_final_model(best(), data, rows, seed=3), data, rows)
    assert (found["best_baseline"], found["baselines"]["previous_day"]) == ("previous_day", 0)
    assert (found["skill"], found["skill_interval"]) == (None, None)
    assert found["test_score"] > 0


@pytest.mark.parametrize("split", [SplitSettings(), SplitSettings(use_cv=True, n_folds=3)])
def test_validation_baselines_are_averaged_as_the_score_is(split: SplitSettings) -> None:
    data = load("net_profit")
    rows = make_split_rows(data, split)
    found = score_validation(61.0, data, rows)
    constant = [
        mean_absolute_error(data.y[f.valid], np.full(len(f.valid), np.median(data.y[f.train]))) for f in rows.folds
    ]
    assert found["validation_score"] == 61.0
    assert found["validation_baselines"]["median"] == pytest.approx(np.mean(constant))
    reference = min(found["validation_baselines"].values())
    assert found["validation_baselines"][found["validation_best_baseline"]] == reference
    assert found["validation_skill"] == pytest.approx(1 - 61.0 / reference)


def test_a_table_without_dates_or_accounts() -> None:
    data = load("is_profitable", TableConfig(account=None, date=None, drop=("account_id", "date")))
    rows = make_split_rows(data, SplitSettings())
    found = score_hold_out(train_final_model(best(), data, rows, seed=3), data, rows)
    assert found["baselines"] == {"base_rate": 0.5}
    assert 0.5 < found["test_interval"][0] < found["test_score"]


def far_from_zero() -> tuple[Dataset, FrozenTrial]:
    """A case in which LightGBM's dart fails for the absolute error: it drops the first tree, which holds the median."""
    data = load("net_profit")
    trial = best("dart", best_iteration=200)
    trial.params["drop_rate"], trial.params["max_drop"], trial.params["skip_drop"] = 0.2, 50, 0.0
    return replace(data, y=data.y + 10_000), trial


def test_a_dart_far_from_zero_is_trained_to_its_end() -> None:
    data, trial = far_from_zero()
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(trial, data, rows, seed=3)
    assert model.rounds == (final_rounds(trial, rows),)
    near = replace(data, y=data.y - 10_000)
    expected = train_final_model(trial, near, rows, seed=3).predict(near, rows.test) + 10_000
    np.testing.assert_allclose(model.predict(data, rows.test), expected, atol=0.1)


def test_a_dart_that_fails_keeps_the_rounds_before_the_failure() -> None:
    """The required gain of a split grows, until no leaf can be split."""
    data, trial = far_from_zero()
    trial.params["min_gain_to_split"] = 100.0
    rows = make_split_rows(data, SplitSettings())
    model = train_final_model(trial, data, rows, seed=3)
    assert 1 < model.rounds[0] < final_rounds(trial, rows)
    assert np.abs(model.predict(data, rows.test) - data.y[rows.test]).mean() < 200
