"""Values of the account and date columns. Training, prediction and serving share it.

Registered models with derived features contain a copy of this file, so it imports the standard library, numpy and
pandas only. The value of a row does not depend on other rows.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class BadKey(ValueError):
    """Values of a key column are missing, or one is not a date or an account.

    Attributes:
        row: position of the first such value.
        problem: the message without the row; `{row}` stands for its number.
    """

    def __init__(self, row: int, problem: str) -> None:
        self.row, self.problem = row, problem
        super().__init__(self.message(row + 1))

    def message(self, row_number: int) -> str:
        """The message with the number of the row in the user's table."""
        return self.problem.replace("{row}", str(row_number))


def read_days(column: pd.Series) -> NDArray[np.datetime64]:
    """The date of each row, (n_rows,) datetime64[D].

    Args:
        column: (n_rows,) dates or times, ISO texts, integers such as 20240131. A time with a zone has the date of its
            own zone.

    Raises:
        BadKey: a value is missing, or is not a date.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        _check_given(column, column.isna().to_numpy(), "date")
        return column.to_numpy().astype("datetime64[D]")
    return _convert(column, "date", _day).astype("datetime64[D]")


def read_accounts(column: pd.Series) -> NDArray[np.object_]:
    """The account of each row as text, (n_rows,) objects; whole numbers have no `.0`.

    Args:
        column: (n_rows,) texts or integers.

    Raises:
        BadKey: a value is missing, or is neither text nor integer.
    """
    return _convert(column, "account", _label)


def _convert(column: pd.Series, role: str, convert: Callable[[Any], Any]) -> NDArray[Any]:
    """Converts distinct values once: a table has far fewer dates and accounts than rows."""
    codes, uniques = pd.factorize(column)
    blank = [isinstance(value, str) and not value.strip() for value in uniques]
    _check_given(column, np.array([*blank, True])[codes], role)
    converted = np.empty(len(uniques), dtype=object)
    for position, value in enumerate(uniques):
        try:
            converted[position] = convert(value)
        except ValueError as error:  # not a date, or not an account
            shown = " ".join(str(value).split()).replace("{row}", "{ row }")[:60]
            problem = f"column {column.name!r} (the {role}): {shown!r} in row {{row}} {error}"
            raise BadKey(int(np.argmax(codes == position)), problem) from error
    return converted[codes]


def _check_given(column: pd.Series, missing: NDArray[np.bool_], role: str) -> None:
    if missing.any():
        problem = (
            f"column {column.name!r} (the {role}) is missing in {np.count_nonzero(missing)} rows, the first is row "
            "{row}: fill in the values, or remove these rows"
        )
        raise BadKey(int(np.argmax(missing)), problem)


def _day(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    text = value.strip() if isinstance(value, str) else str(_integer(value))
    try:
        if len(text) < len("20240131"):  # fromisoformat accepts some shorter texts too
            raise ValueError(text)
        return dt.datetime.fromisoformat(text).date()
    except ValueError as error:
        raise ValueError("is not a date: write it as 2024-01-31, or give the integer 20240131") from error


def _label(value: Any) -> str:
    if isinstance(value, str | UUID | bool | np.bool_):
        return str(value)
    number = _integer(value)
    if number is None:
        raise ValueError("is not an account: give texts or integers")
    return str(number)


def _integer(value: Any) -> int | None:
    """A whole number as int, also if it is a float: pandas turns integers into floats where a value is missing."""
    if isinstance(value, int | float | np.number) and float(value).is_integer():
        return int(value)
    return None
