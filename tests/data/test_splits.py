from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import SplitSettings
from src.data.splits import Dates, RowIndices, search_folds, split_holdout
from src.errors import DataError

SPLITS = st.builds(
    SplitSettings,
    test_fraction=st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.9]),
    valid_fraction=st.sampled_from([0.01, 0.2, 0.5, 0.9]),
    use_cv=st.booleans(),
    n_folds=st.integers(2, 6),
    purge_days=st.integers(0, 4),
    seed=st.integers(0, 3),
)


@st.composite
def tables(draw: st.DrawFn) -> Dates:
    """Dates in any order, repeated any number of times, with gaps of any length between."""
    days = draw(st.lists(st.integers(0, 400), min_size=1, max_size=50, unique=True))
    rows = draw(st.permutations([day for day in days for _ in range(draw(st.integers(1, 3)))]))
    return np.array(rows, dtype="datetime64[D]")


def numbered(dates: Dates) -> RowIndices:
    """The place of each row's date among the table's dates, counted by hand."""
    places = {day: place for place, day in enumerate(sorted(set(dates.tolist())))}
    return np.array([places[day] for day in dates.tolist()], dtype=np.int64)


@given(tables(), SPLITS)
def test_training_and_judged_rows_share_no_date(dates: Dates, split: SplitSettings) -> None:
    place = numbered(dates)
    n = place.max() + 1
    try:
        search, test = split_holdout(dates, len(dates), split)
    except DataError as error:
        assert f"{n} dates are too few" in str(error)
        return
    folds = search_folds(dates, search, split)
    if split.test_fraction:
        n_test = max(1, round(n * split.test_fraction))
        assert set(place[test]) == set(range(n - n_test, n))
        assert set(place[search]) == set(range(n - n_test - split.purge_days))
    else:
        assert len(test) == 0
        np.testing.assert_array_equal(search, np.arange(len(dates)))
    for fold in folds:
        assert len(fold.train)
        assert len(fold.valid)
        assert place[fold.train].max() + split.purge_days < place[fold.valid].min()
        # Whole dates: no row of a date that occurs is left behind, and nothing but the purge gap is.
        train, valid = set(place[fold.train]), set(place[fold.valid])
        assert train == set(range(min(valid) - split.purge_days))
        assert valid == set(range(min(valid), max(valid) + 1))
        for part, rows in ((train, fold.train), (valid, fold.valid)):
            np.testing.assert_array_equal(rows, [row for row in search if place[row] in part])


@given(tables(), SPLITS)
def test_walk_forward_folds_are_ordered_complete_and_even(dates: Dates, split: SplitSettings) -> None:
    split = replace(split, use_cv=True)
    place = numbered(dates)
    try:
        search, _ = split_holdout(dates, len(dates), split)
    except DataError as error:
        assert "--n-folds" in str(error)
        return
    folds = search_folds(dates, search, split)
    assert len(folds) == split.n_folds
    windows = [sorted(set(place[fold.valid])) for fold in folds]
    judged = [date for window in windows for date in window]
    assert judged == list(range(windows[0][0], place[search].max() + 1))
    lengths = [windows[0][0], *map(len, windows)]
    assert max(lengths) - min(lengths) <= 1


@given(tables(), SPLITS)
def test_equal_input_gives_equal_rows(dates: Dates, split: SplitSettings) -> None:
    for known in (dates, None):
        try:
            first, second = (split_holdout(known, len(dates), split) for _ in range(2))
        except DataError:
            with pytest.raises(DataError, match="too few"):
                split_holdout(known, len(dates), split)
            continue
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)
        for one_fold, other_fold in zip(
            search_folds(known, first[0], split), search_folds(known, first[0], split), strict=True
        ):
            np.testing.assert_array_equal(one_fold.train, other_fold.train)
            np.testing.assert_array_equal(one_fold.valid, other_fold.valid)


@given(st.integers(1, 60), SPLITS)
def test_without_dates_rows_are_shuffled_disjoint_and_complete(n_rows: int, split: SplitSettings) -> None:
    try:
        search, test = split_holdout(None, n_rows, split)
    except DataError as error:
        assert f"{n_rows} rows are too few" in str(error)
        return
    folds = search_folds(None, search, split)
    assert sorted([*search, *test]) == list(range(n_rows))
    assert len(test) == (max(1, round(n_rows * split.test_fraction)) if split.test_fraction else 0)
    for fold in folds:
        assert sorted([*fold.train, *fold.valid]) == list(search)
        assert np.all(np.diff(fold.train) > 0)
        assert np.all(np.diff(fold.valid) > 0)
    if split.use_cv:
        assert len(folds) == split.n_folds
        assert sorted(row for fold in folds for row in fold.valid) == list(search)
        assert max(len(fold.valid) for fold in folds) - min(len(fold.valid) for fold in folds) <= 1


@given(SPLITS, st.booleans())
def test_the_number_that_the_message_asks_for_is_the_least(split: SplitSettings, dated: bool) -> None:
    with pytest.raises(DataError) as caught:
        split_holdout(np.array(["2024-01-01"], "datetime64[D]") if dated else None, 1, split)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    for n, fits in ((least - 1, False), (least, True)):
        days = np.arange(n).astype("datetime64[D]") if dated else None
        if fits:
            search, _ = split_holdout(days, n, split)
            assert all(len(fold.train) and len(fold.valid) for fold in search_folds(days, search, split))
        else:
            with pytest.raises(DataError, match="too few"):
                split_holdout(days, n, split)


def test_the_seed_shuffles() -> None:
    one, other = (split_holdout(None, 100, SplitSettings(seed=seed))[1] for seed in (1, 2))
    assert len(set(one) - set(other)) > 5


def test_the_message_names_what_can_be_changed() -> None:
    dates = np.arange(5).astype("datetime64[D]")
    with pytest.raises(DataError) as caught:
        split_holdout(dates, 5, SplitSettings(use_cv=True, n_folds=5, purge_days=2))
    assert str(caught.value) == (
        "5 dates are too few for this split, at least 19 are needed: add dates, or lower "
        "--test-fraction, --n-folds, --purge-days"
    )
    with pytest.raises(
        DataError, match=r"2 dates are too few .* or lower --test-fraction, --valid-fraction, --purge-days"
    ):
        search_folds(dates, np.array([0, 1]), SplitSettings(purge_days=3))
    with pytest.raises(DataError, match="no number is enough"):
        split_holdout(dates, 5, SplitSettings(test_fraction=1 - 1e-12))
