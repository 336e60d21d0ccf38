"""Values of account and date columns as every version read them: studies and digests depend on it."""

import datetime as dt
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.key_values import BadKey, read_accounts, read_days
from src.data.keys import parse_days
from src.errors import DataError

NEW_YEAR = np.array(["2024-01-01", "2024-12-31"], dtype="datetime64[D]")
UUIDS = [UUID(int=1), UUID(int=2)]


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-01", "2024-12-31"],
        [" 2024-01-01", "2024-12-31 "],
        ["20240101", "20241231"],
        ["2024-01-01T23:59:59", "2024-12-31 00:00:00.5"],
        ["2024-01-01T23:00:00+05:00", "2024-12-31T01:00:00-05:00"],
        [20240101, 20241231],
        [20240101.0, 20241231.0],
        pd.array([20240101, 20241231], dtype="Int64"),
        [dt.date(2024, 1, 1), dt.date(2024, 12, 31)],
        [dt.datetime(2024, 1, 1, 23, 59), dt.datetime(2024, 12, 31)],
        pd.to_datetime(["2024-01-01 23:59", "2024-12-31 00:00"]),
        pd.to_datetime(["2024-01-01 23:59", "2024-12-31 00:00"]).tz_localize("America/New_York"),
        pd.to_datetime(["2024-01-01 01:00", "2024-12-31 00:00"]).tz_localize("Asia/Tokyo"),
        pd.Categorical(["2024-01-01", "2024-12-31"]),
    ],
)
def test_dates(values: Any) -> None:
    """Of pandas' types too; a time with a zone has the date of its own zone."""
    found = read_days(pd.Series(values))
    assert found.dtype == np.dtype("datetime64[D]")
    np.testing.assert_array_equal(found, NEW_YEAR)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["a", " b "], ["a", " b "]),
        (["007", "7"], ["007", "7"]),
        ([7, 12], ["7", "12"]),
        ([7.0, 12.0], ["7", "12"]),
        (np.array([7, 12], dtype="float32"), ["7", "12"]),
        (pd.array([7, 12], dtype="Int64"), ["7", "12"]),
        ([2**53 + 1, 1], ["9007199254740993", "1"]),
        ([True, False], ["True", "False"]),
        (UUIDS, ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]),
        (pd.Series(["a", 7], dtype=object), ["a", "7"]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
    ],
)
def test_accounts(values: Any, labels: list[str]) -> None:
    assert read_accounts(pd.Series(values)).tolist() == labels


@pytest.mark.parametrize(
    ("values", "row", "said"),
    [
        (["2024-01-01", None, None], 1, "column 'k' (the date) is missing in 2 rows, the first is row 2: fill in"),
        (["2024-01-01", "  "], 1, "is missing in 1 rows, the first is row 2"),
        (pd.to_datetime(["2024-01-01", "NaT"]), 1, "is missing in 1 rows, the first is row 2"),
        (pd.to_datetime(["2024-01-01", "NaT"]).tz_localize("UTC"), 1, "is missing in 1 rows"),
        (["2024-01-01", "2024-13-01"], 1, "'2024-13-01' in row 2 is not a date: write it as 2024-01-31"),
        (["2024-01"], 0, "'2024-01' in row 1 is not a date"),
        ([20240101, 20249999], 1, "'20249999' in row 2 is not a date"),
        ([20240101.5], 0, "'20240101.5' in row 1 is not a date"),
        ([1704067200000], 0, "'1704067200000' in row 1 is not a date"),
        (["x {row} y"], 0, "'x { row } y' in row 1 is not a date"),
        ([True], 0, "is not a date"),
    ],
)
def test_a_bad_date_is_named(values: Any, row: int, said: str) -> None:
    with pytest.raises(BadKey) as caught:
        read_days(pd.Series(values, name="k"))
    assert caught.value.row == row
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a", None], "column 'k' (the account) is missing in 1 rows, the first is row 2"),
        (["a", " "], "is missing in 1 rows, the first is row 2"),
        ([1.0, np.nan], "is missing in 1 rows"),
        ([1.5, 2.0], "'1.5' in row 1 is not an account: give texts or integers"),
        ([np.inf], "'inf' in row 1 is not an account"),
        ([dt.date(2024, 1, 1)], "'2024-01-01' in row 1 is not an account"),
    ],
)
def test_a_bad_account_is_named(values: Any, said: str) -> None:
    with pytest.raises(BadKey) as caught:
        read_accounts(pd.Series(values, name="k"))
    assert said in str(caught.value)


def test_training_names_the_row_of_the_table_that_was_read() -> None:
    with pytest.raises(DataError, match="'never' in row 41 is not a date"):
        parse_days(pd.Series(["2024-01-01", "never"], name="day"), np.array([7, 40]))


@given(
    st.lists(st.one_of(st.integers(20240101, 20240131), st.dates(dt.date(2024, 1, 1)).map(str)), min_size=1), st.data()
)
def test_a_date_does_not_depend_on_other_rows(values: list[Any], data: st.DataObject) -> None:
    together = read_days(pd.Series(values, dtype=object))
    order = data.draw(st.permutations(range(len(values))))
    shuffled = read_days(pd.Series([values[place] for place in order], dtype=object))
    np.testing.assert_array_equal(shuffled, together[list(order)])
    np.testing.assert_array_equal(together[:1], read_days(pd.Series(values[:1])))
