import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from src.config import TableConfig
from src.data.table import load_dataset
from tests.data.account_days import BARE, N, feature, one_column, refused, table


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2] * 6, "int64", [1, 2] * 6),
        (pd.array([1, 2] * 6, dtype="Int64"), "int64", [1, 2] * 6),
        (pd.array([1, None] * 6, dtype="Int64"), "float64", [1, np.nan] * 6),
        (np.array([1, 2] * 6, dtype="float32"), "float32", [1, 2] * 6),
        ([True, False] * 6, "bool", [True, False] * 6),
        (pd.array([True, False] * 6, dtype="boolean"), "bool", [True, False] * 6),
        ([True, None] * 6, "float64", [1, np.nan] * 6),
        ([Decimal("1.5"), None] * 6, "float64", [1.5, np.nan] * 6),
        ([Decimal("1.5"), 2.5] * 6, "float64", [1.5, 2.5] * 6),
        (["1.5", " 2 ", ""] * 4, "float64", [1.5, 2, np.nan] * 4),
        (["1"] * 11 + ["n/a"], "float64", [1] * 11 + [np.nan]),
        (["true", "FALSE"] * 6, "bool", [True, False] * 6),
        (["True", "", "False", "NA"] * 3, "float64", [1, np.nan, 0, np.nan] * 3),
    ],
)
def test_numbers(values: Any, dtype: str, expected: list[float]) -> None:
    column = feature(values)
    assert str(column.dtype) == dtype
    np.testing.assert_array_equal(column.to_numpy(dtype=float), np.array(expected, dtype=float))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"] * 6, ["a", "b"] * 6),
        (pd.array(["a", None] * 6, dtype="string"), ["a", None] * 6),
        (["007", "010"] * 6, ["007", "010"] * 6),
        (["1", "two"] * 6, ["1", "two"] * 6),
        ([1, "two"] * 6, ["1", "two"] * 6),
        (pd.Categorical([1, 2] * 6), ["1", "2"] * 6),
        (pd.Categorical(["1", None] * 6), ["1", None] * 6),
        (["a", ""] * 6, ["a", None] * 6),
        (["EU", "NA"] * 6, ["EU", "NA"] * 6),
        ([UUID(int=1), UUID(int=2)] * 6, [str(UUID(int=1)), str(UUID(int=2))] * 6),
    ],
)
def test_categories(values: Any, expected: list[str | None]) -> None:
    column = feature(values)
    assert isinstance(column.dtype, pd.StringDtype)
    assert [None if pd.isna(value) else value for value in column] == expected


def test_suspicious_texts_are_warned_of() -> None:
    data = load_dataset(one_column(["1.5", "2"] * 6), TableConfig(), "net_profit")
    assert len(data.warnings) == 1
    assert "feature 'x' holds numbers as text: they are read as numbers" in data.warnings[0]
    n = 3000
    many = pd.DataFrame({"pnl": np.arange(n) % 7, "id": [f"key-{row}" for row in range(n)]})
    assert "3000 different texts in 3000 rows ('key-0'" in load_dataset(many, BARE, "pnl").warnings[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.inf, -np.inf] + [2.0] * 9, "feature 'x' holds 2 infinite values, the first in row 2"),
        (["1", "inf"] * 6, "feature 'x' holds 6 infinite values, the first in row 2"),
        (["1"] * 11 + ["oops"], "91.7 % of which look like numbers ('1'), the first that does not is 'oops' in row 12"),
        (
            ["1,234.50", "12%"] * 6,
            "100 % of which look like numbers ('1,234.50', '12%'): name the column under numbers:",
        ),
        (["2024-01-31 09:30", "31.12.2024"] * 6, "100 % of which look like dates ('2024-01-31 09:30', '31.12.2024')"),
        ([None] * 12, "features without any value: 'x'"),
        (pd.date_range("2024-01-01", periods=12), "feature 'x' holds values of type datetime64"),
        (pd.to_timedelta(range(12), unit="D"), "feature 'x' holds values of type timedelta64"),
        ([dt.date(2024, 1, 1)] * 12, "feature 'x' holds values of type date"),
        ([[1, 2]] * 12, "feature 'x' holds values of type list"),
        ([{"a": 1}] * 12, "feature 'x' holds values of type dict"),
        ([b"abc"] * 12, "feature 'x' holds values of type bytes"),
        ([1 + 2j] * 12, "feature 'x' holds values of type complex128"),
        ([10**400] * 12, "feature 'x' holds a number too large"),
    ],
)
def test_features_that_are_refused(values: Any, message: str) -> None:
    assert message in refused(one_column(values))


def test_declared_columns_are_what_they_are_declared_to_be() -> None:
    frame = table(
        code=[12, 15] * 6, when=pd.date_range("2024-01-01", periods=N), balance=["1,234.50", "(12)", "3.2%"] * 4
    )
    config = TableConfig(categories=("code", "when"), numbers={"balance": None})
    data = load_dataset(frame, config, "net_profit")
    assert data.categorical == ("c", "code", "when")
    assert data.features["code"].tolist() == ["12", "15"] * 6
    assert data.features["when"].tolist()[:2] == ["2024-01-01", "2024-01-02"]
    assert data.features["balance"].tolist()[:3] == [1234.5, -12, 0.032]
    assert data.decimal_marks == {"balance": "."}
    assert data.warnings == ()


@pytest.mark.parametrize(
    ("balance", "mark", "message"),
    [
        (["1,234", "56"] * 6, None, "'1,234' may have a decimal mark or a thousands separator"),
        (["1,5", "2.5"] * 6, None, "'2.5' has a decimal point, '1,5' a decimal comma"),
        (
            ["1,5", "oops"] * 6,
            None,
            "numeric except for 6 values, the first 'oops' in row 2, with ',' as the decimal mark",
        ),
        (["1,5", "inf"] * 6, ",", "feature 'balance' holds 6 infinite values, the first in row 2"),
        ([dt.date(2024, 1, 1)] * 12, None, "numeric except for 12 values, the first '2024-01-01' in row 1"),
    ],
)
def test_declared_numbers_that_cannot_be_read(balance: list[Any], mark: str | None, message: str) -> None:
    assert message in refused(table(balance=balance), TableConfig(numbers={"balance": mark}))


def test_a_stated_decimal_mark_settles_what_the_values_do_not() -> None:
    for mark, expected in ((",", [1.234, 56]), (".", [1234, 56])):
        data = load_dataset(table(balance=["1,234", "56"] * 6), TableConfig(numbers={"balance": mark}), "net_profit")
        assert data.features["balance"].tolist()[:2] == expected


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["12.0", "15.0", None] * 4, ["12", "15"]),
        ([12.0, 15.0, None] * 4, ["12", "15"]),
        (["1.0", "1.1", "2.0"] * 4, ["1.0", "1.1", "2.0"]),
        (["12.0", "X1", None] * 4, ["12", "X1"]),
        (["12.0", "15", None] * 4, ["12.0", "15"]),
    ],
)
def test_whole_numbers_with_missing_values_get_no_decimals(values: list[Any], levels: list[str]) -> None:
    data = load_dataset(one_column(values), TableConfig(categories=("x",)), "net_profit")
    assert sorted(data.features["x"].dropna().unique()) == levels
