import numpy as np
import pandas as pd
import pytest

from src.data.suspicious_texts import check_texts
from src.errors import DataError


def warnings(values: list[str | None]) -> list[str]:
    return check_texts("c", pd.Series(values, dtype="str"), np.arange(len(values)))


def test_ordinary_categories_cause_no_warning() -> None:
    assert warnings(["momentum", "reversal", None, "NA"] * 30) == []
    assert warnings(["007", "123", "456"] * 30) == []
    assert warnings(["X1", "X2", "12"] * 30) == []
    assert warnings([f"name {row % 60}" for row in range(100)]) == []
    assert warnings(["a", "b", "c"]) == []


def test_most_values_that_look_like_numbers_or_dates_are_told_with_three_of_them_and_the_key() -> None:
    (numbers,) = warnings(["12", "15", "X1"] * 30)
    assert "feature 'c' holds texts, 66.7 % of which look like numbers ('12', '15')" in numbers
    assert "under numbers: in --config to read them, under drop: or under categories: to keep it" in numbers
    (dates,) = warnings(["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "perpetual"] * 9)
    assert "80 % of which look like dates ('2024-01-31', '2024-02-29', '2024-03-31')" in dates
    assert "drop: in --config, or under categories:" in dates


def test_a_column_of_numbers_with_a_bad_row_is_refused_with_that_row() -> None:
    values: list[str | None] = [*map(str, range(100, 119)), None, "#DIV/0!"]
    with pytest.raises(DataError, match=r"95 % of which look like numbers .* does not is '#DIV/0!' in row 21: correct"):
        warnings(values)


def test_nearly_distinct_texts_are_likely_an_identifier() -> None:
    (warning,) = warnings([f"order-{row}" for row in range(40)])
    assert "40 different texts in 40 rows ('order-0', 'order-1', 'order-2') and is likely an identifier" in warning
    assert "name it under drop: in --config, or under categories:" in warning


def test_a_mark_of_a_missing_value_is_a_level_and_told() -> None:
    (warning,) = warnings(["NULL", "EU", "US"] * 10)
    assert "has the text 'NULL' in 10 rows, which is an ordinary category level" in warning
