from dataclasses import replace

import numpy as np
import pytest

from src.config import SplitSettings, TableConfig
from src.data.split_rows import make_split_rows, split_record
from src.data.table import Dataset, load_dataset
from src.errors import DataError
from tests.small_table import small_table

CV = SplitSettings(use_cv=True, n_folds=3)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(small_table(), TableConfig(), "is_profitable")


def with_class(data: Dataset, rows: np.ndarray, value: float) -> Dataset:
    y = data.y.copy()
    y[rows] = value
    return replace(data, y=y)


@pytest.mark.parametrize("split", [SplitSettings(), CV, SplitSettings(test_fraction=0)], ids=["one", "cv", "all"])
def test_training_rows_come_before_validation_and_test_rows(data: Dataset, split: SplitSettings) -> None:
    rows = make_split_rows(data, split)
    assert data.dates is not None
    for fold in rows.folds:
        assert set(fold.train) | set(fold.valid) <= set(rows.search)
        assert data.dates[fold.train].max() < data.dates[fold.valid].min()
    if split.test_fraction:
        assert data.dates[rows.search].max() < data.dates[rows.test].min()
        assert len(rows.test) == 12 * 8, "the last 20 % of 60 dates"
    else:
        assert len(rows.search) == len(data.y)
        assert len(rows.test) == 0


def test_growth_is_of_the_mean_number_of_training_rows(data: Dataset) -> None:
    rows = make_split_rows(data, CV)
    assert rows.growth == pytest.approx(3 * len(rows.search) / sum(len(fold.train) for fold in rows.folds))


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("part", ["test", "training", "validation"])
def test_a_window_of_one_class_is_refused_before_anything_is_searched(data: Dataset, part: str, value: float) -> None:
    rows = make_split_rows(data, SplitSettings())
    window = {"test": rows.test, "training": rows.folds[0].train, "validation": rows.folds[0].valid}[part]
    assert data.dates is not None
    span = f"{data.dates[window[0]]} to {data.dates[window[-1]]}"
    with pytest.raises(DataError) as caught:
        make_split_rows(with_class(data, window, value), SplitSettings())
    assert f"target 'is_profitable' is always {value:g} in the {part} rows ({span})" in str(caught.value)
    assert "--valid-fraction" in str(caught.value)


def test_the_fold_is_named(data: Dataset) -> None:
    window = make_split_rows(data, CV).folds[1].valid
    with pytest.raises(DataError, match="always 1 in the validation of fold 2 rows"):
        make_split_rows(with_class(data, window, 1), CV)


def test_a_regression_target_may_be_constant_in_a_window() -> None:
    data = load_dataset(small_table(), TableConfig(), "num_trades")
    rows = make_split_rows(data, SplitSettings())
    assert len(make_split_rows(with_class(data, rows.test, 1), SplitSettings()).test) == len(rows.test)


@pytest.mark.parametrize("split", [SplitSettings(), CV])
def test_the_record_says_settings_counts_and_dates(data: Dataset, split: SplitSettings) -> None:
    rows = make_split_rows(data, split)
    record = split_record(data, rows, split)
    assert record["test_fraction"] == 0.2
    assert (record["use_cv"], record["seed"]) == (split.use_cv, 42)
    assert (record["search_rows"], record["test_rows"]) == (len(rows.search), len(rows.test))
    days = np.unique(small_table()["date"]).astype("datetime64[D]").astype(str)
    assert record["test_dates"] == [days[48], days[59]]
    assert record["search_dates"] == [days[0], days[46]], "a purge gap of one date lies between"
    assert len(record["folds"]) == len(rows.folds)
    assert record["folds"][-1]["valid"][1] == days[46]
    for fold in record["folds"]:
        assert days[0] == fold["train"][0] <= fold["train"][1] < fold["valid"][0] <= fold["valid"][1]


def test_without_a_hold_out_there_are_no_test_dates(data: Dataset) -> None:
    split = SplitSettings(test_fraction=0)
    record = split_record(data, make_split_rows(data, split), split)
    assert (record["test_dates"], record["test_rows"]) == (None, 0)


def test_without_dates_there_are_none_in_the_record() -> None:
    table = TableConfig(date=None, account=None, drop=("account_id", "date"))
    data = load_dataset(small_table(), table, "is_profitable")
    record = split_record(data, make_split_rows(data, SplitSettings()), SplitSettings())
    assert not {"search_dates", "test_dates", "folds"} & set(record)
    with pytest.raises(DataError, match="in the test rows: change"):
        make_split_rows(with_class(data, make_split_rows(data, SplitSettings()).test, 0), SplitSettings())
