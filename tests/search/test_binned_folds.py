from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from src.config import SplitSettings, TableConfig
from src.data.encoding import encode, learn_levels
from src.data.split_rows import make_split_rows
from src.data.table import Dataset, load_dataset
from src.search.binned_folds import BinnedFolds, make_lightgbm_dataset
from src.search.search_space import lightgbm_params
from tests.small_table import small_table

CV = SplitSettings(use_cv=True, n_folds=3)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(small_table(), TableConfig(), "net_profit")


def changed(data: Dataset, rows: np.ndarray) -> Dataset:
    """The same table with other features in these rows: new numbers and levels that occur nowhere else."""
    features = data.features.copy()
    for name in ("signal", "noise"):
        features.loc[rows, name] = features.loc[rows, name].to_numpy() * 1000 + 5e6
    features.loc[rows, "style"] = "aaa-new"
    features.loc[rows, "is_open"] = ~features.loc[rows, "is_open"].to_numpy()
    return replace(data, features=features)


def train(folds: BinnedFolds, number: int, max_bin: int = 64) -> str:
    params = lightgbm_params({"boosting_type": "gbdt", "max_bin": max_bin}, folds.data.config, seed=1)
    return lgb.train(params, folds.datasets(max_bin)[number][0], num_boost_round=5).model_to_string()


@pytest.mark.parametrize("number", range(3))
def test_validation_rows_do_not_influence_the_training(data: Dataset, number: int) -> None:
    folds = make_split_rows(data, CV).folds
    others = np.setdiff1d(np.arange(len(data.y)), folds[number].train)
    before, after = BinnedFolds(data, folds), BinnedFolds(changed(data, others), folds)
    assert train(before, number) == train(after, number)


def test_training_rows_influence_the_training(data: Dataset) -> None:
    folds = make_split_rows(data, CV).folds
    assert train(BinnedFolds(data, folds), 0) != train(BinnedFolds(changed(data, folds[0].train[:40]), folds), 0)


def test_a_dataset_is_built_once_per_number_of_bins(data: Dataset) -> None:
    folds = BinnedFolds(data, make_split_rows(data, CV).folds)
    first = folds.datasets(64)
    assert len(first) == 3
    assert [id(item) for pair in folds.datasets(64) for item in pair] == [id(item) for pair in first for item in pair]
    assert folds.datasets(32)[0][0] is not first[0][0]
    assert folds.datasets(64) is first, "another number of bins takes nothing away"


def test_the_datasets_are_the_folds_rows(data: Dataset) -> None:
    rows = make_split_rows(data, CV)
    for fold, (train_set, valid_set) in zip(rows.folds, BinnedFolds(data, rows.folds).datasets(64), strict=True):
        assert train_set.get_label() == pytest.approx(data.y[fold.train], rel=1e-6)  # LightGBM keeps 32 bits
        assert valid_set.get_label() == pytest.approx(data.y[fold.valid], rel=1e-6)
        assert train_set.num_feature() == valid_set.num_feature() == data.features.shape[1]


def test_validation_rows_are_binned_by_the_training_rows_borders(data: Dataset) -> None:
    """A booster scores its validation set as it would score the raw rows."""
    folds = BinnedFolds(data, make_split_rows(data, SplitSettings()).folds)
    train_set, valid_set = folds.datasets(64)[0]
    params = lightgbm_params({"boosting_type": "gbdt", "max_bin": 64}, data.config, seed=1)
    booster = lgb.Booster(params, train_set).add_valid(valid_set, "valid")
    for _ in range(10):
        booster.update()
    fold = folds.folds[0]
    valid, levels = fold.valid, learn_levels(data.features, data.categorical, fold.train)
    raw = booster.predict(encode(data.features, levels)[valid])
    assert booster.eval_valid()[0][2] == pytest.approx(np.abs(raw - data.y[valid]).mean(), rel=1e-6)


def test_frames_for_a_users_objective(data: Dataset) -> None:
    rows = make_split_rows(data, SplitSettings())
    (fold,) = rows.folds
    features = data.features.copy()
    features.loc[fold.valid[:3], "style"] = "aaa-new"
    folds = BinnedFolds(replace(data, features=features), rows.folds)
    x_train, y_train, x_valid, y_valid = folds.frames(0)
    assert x_train.index.tolist() == fold.train.tolist()
    assert x_valid.index.tolist() == fold.valid.tolist()
    assert list(x_train) == list(x_valid) == list(data.features), "the table's own columns, in its order"
    np.testing.assert_array_equal(y_train, data.y[fold.train])
    np.testing.assert_array_equal(y_valid, data.y[fold.valid])
    levels = sorted(data.features["style"].iloc[fold.train].unique())
    assert list(x_train["style"].cat.categories) == list(x_valid["style"].cat.categories) == levels
    assert x_valid["style"].isna().tolist() == [True] * 3 + [False] * (len(fold.valid) - 3)
    pd.testing.assert_series_equal(x_train["signal"], data.features["signal"].iloc[fold.train])
    assert isinstance(features["style"].dtype, pd.StringDtype), "the table itself is left as it was"


def test_any_column_name_is_allowed(data: Dataset) -> None:
    """LightGBM refuses names with JSON's own characters, and pandas' `assign` one called `self`."""
    names = {"signal": 'a "quoted", [listed]: name', "noise": "self", "style": "stíl {x}"}
    renamed = replace(data, features=data.features.rename(columns=names), categorical=("stíl {x}",))
    rows = make_split_rows(data, SplitSettings())
    folds = BinnedFolds(renamed, rows.folds)
    assert train(folds, 0) == train(BinnedFolds(data, rows.folds), 0)
    assert list(folds.frames(0)[0]) == list(renamed.features)


def test_categories_are_told_by_position(data: Dataset) -> None:
    matrix = BinnedFolds(data, make_split_rows(data, SplitSettings()).folds)._matrix(
        {"style": ["breakout", "momentum"]}
    )
    made = make_lightgbm_dataset(data, matrix, np.arange(100), 32).construct()
    assert made.feature_name == ["f0", "f1", "f2", "f3"]
    assert made.categorical_feature == [list(data.features).index("style")]
