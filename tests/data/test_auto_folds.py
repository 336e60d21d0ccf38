from dataclasses import replace

import pytest

from src.config import RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.auto_folds import FOLDS, MIN_TRIALS, SEARCH_SHARE, choose_folds, estimated_seconds
from src.data.split_rows import make_split_rows
from src.data.table import Dataset, load_dataset
from tests.small_table import small_table

AUTO = RunSettings(cv_auto=True)
FOLDED = replace(SplitSettings(), use_cv=True, n_folds=FOLDS)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(small_table(n_days=200), TableConfig(), "net_profit", "t")


def with_timeout(seconds: float, workers: int = 1) -> RunSettings:
    return replace(AUTO, search=SearchSettings(timeout=seconds, max_workers=workers))


def test_without_cv_auto_the_split_is_unchanged(data: Dataset) -> None:
    for split in (SplitSettings(), SplitSettings(use_cv=True, n_folds=7)):
        assert choose_folds(data, RunSettings(split=split)) == split


def test_folds_where_rows_allow_it(data: Dataset) -> None:
    assert choose_folds(data, AUTO) == FOLDED


def test_one_window_where_a_fold_would_be_judged_on_few_rows() -> None:
    few = load_dataset(small_table(n_days=40), TableConfig(), "net_profit", "t")
    assert choose_folds(few, AUTO) == SplitSettings()


def test_one_window_where_dates_make_no_folds() -> None:
    long = load_dataset(small_table(n_days=4, n_accounts=2000), TableConfig(), "net_profit", "t")
    assert choose_folds(long, AUTO) == SplitSettings()


def test_the_budget_decides_too_and_more_workers_are_more_budget(data: Dataset) -> None:
    of_a_trial = estimated_seconds(make_split_rows(data, FOLDED), data.features.shape[1])
    assert choose_folds(data, with_timeout(of_a_trial * (MIN_TRIALS + 1))) == FOLDED
    assert choose_folds(data, with_timeout(of_a_trial * (MIN_TRIALS - 1))) == SplitSettings()
    assert choose_folds(data, with_timeout(of_a_trial * (MIN_TRIALS - 1), workers=2)) == FOLDED


def test_the_total_time_decides_too_and_targets_share_it(data: Dataset) -> None:
    long = load_dataset(small_table(n_days=200, n_accounts=400), TableConfig(), "net_profit", "t")
    of_a_trial = estimated_seconds(make_split_rows(long, FOLDED), long.features.shape[1])
    total = of_a_trial * (MIN_TRIALS + 1) / SEARCH_SHARE
    assert total > 20, "the least that --total-timeout may be"
    limited = replace(AUTO, search=SearchSettings(total_timeout=total))
    assert choose_folds(long, limited) == FOLDED
    assert choose_folds(long, limited, n_targets=2) == SplitSettings()
    assert (
        choose_folds(long, replace(AUTO, search=SearchSettings(timeout=of_a_trial, total_timeout=total)))
        == SplitSettings()
    )
