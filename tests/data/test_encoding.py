import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.encoding import encode, learn_levels

VALUES = st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers(-2, 2), st.booleans()), min_size=1, max_size=30)


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


@given(VALUES, st.data(), st.sampled_from(["object", "category"]))
def test_codes_follow_the_written_rule(values: list[object], data: st.DataObject, dtype: str) -> None:
    """The rule of the module's docstring, once more, value by value."""
    rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), unique=True)), dtype=np.int64)
    column = pd.Series(values, dtype=object)
    if dtype == "category":
        column = column.map(lambda value: None if value is None else str(value)).astype("category")
        values = [None if value is None else str(value) for value in values]
    features = pd.DataFrame({"c": column})
    levels = learn_levels(features, ["c"], rows)
    assert levels["c"] == sorted({str(values[row]) for row in rows if values[row] is not None})
    expected = [
        levels["c"].index(str(value)) if value is not None and str(value) in levels["c"] else np.nan for value in values
    ]
    np.testing.assert_array_equal(encode(features, levels)[:, 0], np.array(expected, dtype=np.float64))


@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=40))
def test_levels_of_all_rows_round_trip(values: list[str | None]) -> None:
    features = pd.DataFrame({"c": pd.Series(values, dtype="str")})
    levels = learn_levels(features, ["c"], np.arange(len(values)))["c"]
    codes = encode(features, {"c": levels})[:, 0]
    assert [None if np.isnan(code) else levels[int(code)] for code in codes] == values


def test_an_empty_frame_and_empty_levels() -> None:
    features = pd.DataFrame({"x": np.empty(0), "c": pd.Series([], dtype="str")})
    assert encode(features, {"c": ["a"]}).shape == (0, 2)
    assert np.isnan(encode(pd.DataFrame({"c": ["a", "b"]}), {"c": []})).all()


def test_text_in_a_numeric_column_is_refused() -> None:
    with pytest.raises(ValueError, match="could not convert string to float"):
        encode(pd.DataFrame({"x": ["oops"]}), {})
