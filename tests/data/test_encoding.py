import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.encoding import (
    MISSING_TEXTS,
    NotANumber,
    encode,
    learn_levels,
    level_codes,
    read_number,
    text_of,
    texts_of,
    to_numbers,
)

TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["1", "01", "1.0", "2", "2.0", "True", "NA", "nan", "1e3", " "]))
VALUES = st.lists(
    st.one_of(st.none(), TEXTS, st.integers(-2, 12), st.booleans(), st.floats(-3, 3), st.sampled_from([1.0, 2.0, 1e3])),
    min_size=1,
    max_size=30,
)


def test_levels_come_from_the_given_rows_only_and_are_sorted() -> None:
    features = pd.DataFrame({"x": [1, 2, 3, 4], "c": pd.Series(["b", "a", None, "z"], dtype="str")})
    assert learn_levels(features, ["c"], np.array([0, 1, 2])) == {"c": ["a", "b"]}


def test_codes_numbers_and_booleans() -> None:
    features = pd.DataFrame(
        {
            "flag": [True, False, True, False],
            "c": pd.Series(["b", "a", None, "z"], dtype="str"),
            "x": [1.5, np.nan, 3, 4],
            "n": pd.array([1, None, 3, 4], dtype="Int64"),
        }
    )
    matrix = encode(features, {"c": ["a", "b"]})
    expected = [[1, 1, 1.5, 1], [0, 0, np.nan, np.nan], [1, np.nan, 3, 3], [0, np.nan, 4, 4]]
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == np.float64
    assert matrix.flags.c_contiguous


def written_rule(value: Any, levels: list[str]) -> float:
    """A second implementation of the rule in the module's docstring, for one value and without libraries."""
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return np.nan
    text = str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
    if text in levels:
        return levels.index(text)
    if isinstance(value, bool):
        return np.nan
    if isinstance(value, str):
        whole = [level for level in levels if {level, value} in ({f"{n}", f"{n}.0"} for n in range(-9, 99))]
        whole += [level for level in levels if level == value]
        return levels.index(whole[0]) if len(whole) == 1 else np.nan
    digits = set("0123456789.-")
    equal = [
        level for level in levels if level and set(level) <= digits and level[-1] != "." and number(level) == value
    ]
    return levels.index(equal[0]) if len(equal) == 1 else np.nan


def number(level: str) -> float | None:
    try:
        return float(level) if not level.startswith((".", "-.")) else None
    except ValueError:
        return None


@given(VALUES, st.lists(TEXTS, unique=True, max_size=8), st.booleans())
def test_codes_follow_the_documented_rule_and_do_not_depend_on_other_rows(
    values: list[Any], levels: list[str], reverse: bool
) -> None:
    levels = sorted(level for level in levels if level.strip())
    expected = [written_rule(value, levels) for value in values]
    np.testing.assert_array_equal(level_codes(pd.Series(values, dtype=object), levels), np.array(expected, dtype=float))
    alone = [level_codes(pd.Series([value]), levels)[0] for value in values]  # pandas' own types
    np.testing.assert_array_equal(alone, np.array(expected, dtype=float))


@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=40))
def test_levels_of_all_rows_round_trip(values: list[str | None]) -> None:
    features = pd.DataFrame({"c": pd.Series(values, dtype="str")})
    levels = learn_levels(features, ["c"], np.arange(len(values)))["c"]
    codes = encode(features, {"c": levels})[:, 0]
    given = [value if value and value.strip() else None for value in values]
    assert [None if np.isnan(code) else levels[int(code)] for code in codes] == given


@pytest.mark.parametrize(
    ("value", "levels", "expected"),
    [
        (12, ["12", "15"], 0),
        (12.0, ["12", "15"], 0),
        (np.float32(12), ["12", "15"], 0),
        (Decimal("12.00"), ["12", "15"], 0),
        ("12.0", ["12", "15"], 0),
        ("12", ["12.0", "15.0"], 0),
        ("12.0", ["12", "12.0"], 1),
        (7, ["007", "12"], 0),
        (7, ["007", "7"], 1),
        (7, ["007", "07"], np.nan),
        ("7", ["007"], np.nan),
        ("007", ["7"], np.nan),
        (0.1, ["0.10"], 0),
        (np.float32(0.1), ["0.1"], 0),
        (2**53, [str(2**53 + 1)], np.nan),
        (True, ["1", "True"], 1),
        (True, ["1"], np.nan),
        (1000, ["1e3"], np.nan),
        (dt.date(2024, 1, 31), ["2024-01-31"], 0),
        (pd.Timestamp("2024-01-31"), ["2024-01-31"], 0),
        (UUID(int=5), [str(UUID(int=5))], 0),
        ("NA", ["NA"], 0),
        (" a", ["a"], np.nan),
    ],
)
def test_the_level_of_a_value(value: Any, levels: list[str], expected: float) -> None:
    np.testing.assert_array_equal(level_codes(pd.Series([value, None], dtype=object), levels), [expected, np.nan])
    if not isinstance(value, Decimal | UUID | dt.date) or isinstance(value, pd.Timestamp):
        np.testing.assert_array_equal(level_codes(pd.Series([value]), levels), [expected])


def test_lists_and_bytes_cannot_be_levels() -> None:
    for value in ([1], b"a", {"a": 1}, pd.Timedelta("1D"), 1j):
        with pytest.raises(ValueError, match=f"type {type(value).__name__}"):
            text_of(value)


@given(
    st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, places=3))
)
def test_the_text_of_a_number_reads_back_as_it(value: Any) -> None:
    assert type(value)(text_of(value)) == value
    assert not text_of(value).endswith(".0")


def test_an_empty_frame_and_empty_levels() -> None:
    features = pd.DataFrame({"x": np.empty(0), "c": pd.Series([], dtype="str")})
    assert encode(features, {"c": ["a"]}).shape == (0, 2)
    assert np.isnan(encode(pd.DataFrame({"c": ["a", "b"]}), {"c": []})).all()
    assert texts_of(pd.Series([], dtype="str")).empty


def test_a_value_that_is_not_a_number_is_named_with_its_row() -> None:
    with pytest.raises(NotANumber, match="column 'x' holds 2 values that are not numbers, the first 'oops' in row 2"):
        encode(pd.DataFrame({"x": ["1", "oops", None, "007"]}), {})
    with pytest.raises(NotANumber, match="not true, false, 1 or 0, the first '2' in row 1"):
        encode(pd.DataFrame({"x": [2, 1]}), {}, booleans=["x"])
    for value in (dt.date(2024, 1, 1), b"1", [1], 1j, 10**400):
        with pytest.raises(NotANumber, match="row 1"):
            to_numbers(pd.Series([value, None], dtype=object), "x")
    with pytest.raises(NotANumber, match="row 1"):
        to_numbers(pd.Series(pd.date_range("2024-01-01", periods=2)), "x")


@pytest.mark.parametrize(
    ("text", "mark", "expected"),
    [
        ("12", None, 12),
        (" -1.5e3 ", None, -1500),
        ("+.5", None, 0.5),
        ("-inf", None, -np.inf),
        ("007", None, None),
        ("1_000", None, None),
        ("\u0661\u0662", None, None),
        ("12,345.67", None, None),
        ("12,345.67", ".", 12345.67),
        ("12,345.67", ",", None),
        ("12.345,67", ",", 12345.67),
        ("12.345,67", ".", None),
        ("1,234,567", ".", 1234567),
        ("1.234.567", ",", 1234567),
        ("12,34,567.5", ".", 1234567.5),
        ("1,23", ".", None),
        ("1234.50", ".", 1234.5),
        ("1234,50", ",", 1234.5),
        ("1.50", ",", None),
        ("1 234,5", ",", 1234.5),
        ("1\u00a0234\u202f567", ".", None),
        ("1'234'567.5", ".", 1234567.5),
        ("3.2%", ".", 0.032),
        ("-3.2 %", ".", -0.032),
        ("$1,234.56", ".", 1234.56),
        ("-$1,234.56", ".", -1234.56),
        ("$-5", ".", -5),
        ("(1,234.00)", ".", -1234),
        ("($5.00)", ".", -5),
        ("12-", ".", -12),
        ("\u22125", ".", -5),
        ("1,50 €", ",", 1.5),
        ("USD 1,234", ".", 1234),
        ("1e-3", ".", 0.001),
        ("(-5)", ".", None),
        ("ABC123", ".", None),
        ("12.", ".", 12),
        ("1..2", ".", None),
        ("2024-01-31", ".", None),
        ("", ".", np.nan),
        ("n/a", ",", np.nan),
    ],
)
def test_formatted_numbers(text: str, mark: str | None, expected: float | None) -> None:
    found = read_number(text, mark)
    assert (found is None) == (expected is None)
    if expected is not None and found is not None:
        np.testing.assert_equal(found, expected)


NUMBERS = st.one_of(
    st.none(), st.floats(allow_nan=False).map(repr), st.integers().map(str), st.sampled_from(sorted(MISSING_TEXTS))
)


@given(st.lists(st.one_of(NUMBERS, st.sampled_from(["1_0", "007", "nAn", " 5 ", "", "oops", "\uff11"])), min_size=1))
def test_a_text_is_the_same_number_alone_and_beside_others(texts: list[str | None]) -> None:
    """Columns of plain numbers have a separate fast path."""
    alone = [np.nan if text is None else read_number(text) for text in texts]
    column = pd.Series(texts, dtype="str")
    if None in alone:
        with pytest.raises(NotANumber, match=f"in row {alone.index(None) + 1}"):
            to_numbers(column, "x")
    else:
        np.testing.assert_array_equal(to_numbers(column, "x"), np.array(alone, dtype=float))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_has_the_same_bits_as_text(value: float) -> None:
    for text in (repr(value), f"{value:.17g}"):
        assert to_numbers(pd.Series([text], dtype="str"), "x")[0] == value
