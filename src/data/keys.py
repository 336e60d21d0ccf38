"""The account and the date of each row, and the order of the rows by them."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.key_values import BadKey, read_accounts, read_days
from src.errors import DataError
from src.suggest import one_line

RowIndices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Keys:
    """Accounts and dates of the rows, in the final order.

    Attributes:
        order: (n_rows,) positions in the input, stably sorted by (date, account); without dates, the input order.
        dates: (n_rows,) datetime64[D], non-decreasing; None for a table without dates.
        accounts: (n_rows,) text; None when rows belong to no account.
        warnings: one line per possible mistake of the user.
    """

    order: RowIndices
    dates: NDArray[np.datetime64] | None
    accounts: NDArray[np.object_] | None
    warnings: tuple[str, ...]


def sort_by_keys(dates: pd.Series | None, accounts: pd.Series | None, rows: RowIndices) -> Keys:
    """Parses accounts and dates, and sorts the rows.

    Args:
        dates: (n_rows,) raw values: dates or times, ISO texts, integers such as 20240131. A time with a zone has the
            date of its own zone.
        accounts: (n_rows,) raw values, texts or integers.
        rows: (n_rows,) positions of the values in the table as it was read.

    Raises:
        DataError: a value is missing or is not a date, or an account has two rows for one date.
    """
    days = None if dates is None else parse_days(dates, rows)
    labels = None if accounts is None else parse_accounts(accounts, rows)
    if days is None:
        return Keys(np.arange(len(rows)), None, labels, ())
    assert dates is not None
    warnings = _unlikely_days(days, str(dates.name), rows)
    # lexsort needs numbers, so accounts are replaced by their ranks.
    ranks = np.zeros(len(rows), dtype=np.int64) if labels is None else _ranks(labels)
    order = np.lexsort((ranks, days))
    if labels is not None:
        _check_duplicates(days, labels, order, rows)
    warnings += _order_warnings(days, ranks)
    return Keys(order, days[order], None if labels is None else labels[order], warnings)


def parse_days(dates: pd.Series, rows: RowIndices) -> NDArray[np.datetime64]:
    """The date of each row, (n_rows,) datetime64[D]; arguments and errors as in `sort_by_keys`."""
    with _errors_of_table(rows):
        return read_days(dates)


def parse_accounts(accounts: pd.Series, rows: RowIndices) -> NDArray[np.object_]:
    """The account of each row as text; arguments and errors as in `sort_by_keys`."""
    with _errors_of_table(rows):
        return read_accounts(accounts)


@contextmanager
def _errors_of_table(rows: RowIndices) -> Iterator[None]:
    """Numbers the row of an error as in the table that was read."""
    try:
        yield
    except BadKey as error:
        raise DataError(f"the table's keys cannot be read: {error.message(int(rows[error.row]) + 1)}") from error


def _ranks(labels: NDArray[np.object_]) -> RowIndices:
    codes, uniques = pd.factorize(labels)
    return np.argsort(np.argsort(np.asarray(uniques, dtype=object)))[codes]


def check_one_row_per_day(days: NDArray[Any], labels: NDArray[Any]) -> None:
    """Refuses a whole table in which an account has two rows for one date.

    Args:
        days: (n_rows,) datetime64[D].
        labels: (n_rows,) account of each row, equal texts where rows belong to no account.

    Raises:
        DataError: names the first such account and date.
    """
    _check_duplicates(days, labels, np.lexsort((_ranks(labels), days)), np.arange(len(days)))


def _check_duplicates(days: NDArray[Any], labels: NDArray[Any], order: RowIndices, rows: RowIndices) -> None:
    same = (np.diff(days[order]).astype(np.int64) == 0) & (labels[order][1:] == labels[order][:-1])
    if not same.any():
        return
    at = int(np.argmax(same))
    first, second = order[at], order[at + 1]
    rows_of_both = f"(rows {rows[first] + 1} and {rows[second] + 1})"
    if not labels[first]:
        raise DataError(
            f"{np.count_nonzero(same)} rows repeat the date of another row, the first is {days[first]} {rows_of_both}, "
            "and the rows belong to no account: name the account column with account: in --config, or keep one row "
            "per day"
        )
    raise DataError(
        f"{np.count_nonzero(same)} rows repeat the account and date of another row, the first is account "
        f"{one_line(labels[first], 60)!r} on {days[first]} {rows_of_both}: keep one row per account and day"
    )


def _unlikely_days(days: NDArray[Any], name: str, rows: RowIndices) -> tuple[str, ...]:
    """Warns of dates before 1970 or in the future, which a wrong unit or a mistyped year gives."""
    tomorrow = np.datetime64(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1), "D")
    warnings = []
    for odd, when in ((days < np.datetime64("1970-01-01"), "before 1970"), (days > tomorrow, "after tomorrow")):
        if odd.any():
            first = int(np.argmax(odd))
            warnings.append(
                f"column {name!r} (the date) has {np.count_nonzero(odd)} rows {when}, the first is {days[first]} in "
                f"row {rows[first] + 1}: check the years"
            )
    return tuple(warnings)


def _order_warnings(days: NDArray[Any], ranks: RowIndices) -> tuple[str, ...]:
    """Warns if the dates of an account do not ascend. Rows may be grouped by account or by date."""
    by_account = np.argsort(ranks, kind="stable")
    backwards = np.diff(days[by_account]).astype(np.int64) < 0
    n_backwards = int(np.count_nonzero(backwards & (np.diff(ranks[by_account]) == 0)))
    return (f"the dates were not in order ({n_backwards} steps back): the rows were sorted",) if n_backwards else ()
