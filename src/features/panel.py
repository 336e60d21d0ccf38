"""A table's rows in the order that derived features need: by account, then date."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Dates = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Panel:
    """The rows of a table, sorted by account, then date; at most one row per account and date.

    Attributes:
        accounts: codes, non-decreasing: the rank of the account's text among all accounts of the table, (n_rows,).
        dates: datetime64[D], increasing within an account, (n_rows,).
        past: columns that are known only when their day is over; NaN is missing, there are no infinities.
        groups: for each column of peer groups, the code of the row's group; -1 is missing.
    """

    accounts: Integers
    dates: Dates
    past: Mapping[str, Floats]
    groups: Mapping[str, Integers]

    def __len__(self) -> int:
        return len(self.accounts)

    @cached_property
    def positions(self) -> Integers:
        """The number of earlier rows of the row's account, (n_rows,)."""
        rows = np.arange(len(self), dtype=np.int64)
        starts = np.zeros(len(self), dtype=np.int64)
        changed = np.flatnonzero(self.accounts[1:] != self.accounts[:-1]) + 1
        starts[changed] = changed
        return rows - np.maximum.accumulate(starts)

    @cached_property
    def _distinct(self) -> tuple[Dates, Integers]:
        distinct, codes = np.unique(self.dates, return_inverse=True)
        return distinct, codes.astype(np.int64)

    @property
    def distinct_dates(self) -> Dates:
        """All dates of the table, ascending, (n_dates,)."""
        return self._distinct[0]

    @property
    def date_codes(self) -> Integers:
        """The position of the row's date in `distinct_dates`, (n_rows,)."""
        return self._distinct[1]


def make_panel(
    accounts: NDArray[np.object_], dates: Dates, past: Mapping[str, NDArray[Any]], groups: Mapping[str, Integers]
) -> tuple[Panel, Integers]:
    """Sorts the rows of a table.

    Args:
        accounts: the account's text for each row, (n_rows,).
        dates: datetime64[D], (n_rows,).
        past: numeric columns that are known only when their day is over, each (n_rows,); NaN is missing.
        groups: codes of peer groups, each (n_rows,); negative is missing.

    Returns:
        The panel, and the position in the input of each of its rows, (n_rows,).

    Raises:
        ValueError: lengths differ, an account or a date is missing, an account has two rows of the same date, or a
            value is infinite.
    """
    lengths = {"dates": len(dates)} | {name: len(column) for name, column in (*past.items(), *groups.items())}
    for name, length in lengths.items():
        if length != len(accounts):
            raise ValueError(f"{name!r} has {length} rows, the accounts have {len(accounts)}: give one value per row")
    codes, dates = _account_codes(accounts), dates.astype("datetime64[D]")
    if np.isnat(dates).any():
        raise ValueError(f"the date of row {int(np.isnat(dates).argmax())} is missing: give every row a date")
    order = np.lexsort((dates, codes))
    panel = Panel(
        codes[order],
        dates[order],
        {name: _checked(name, column)[order] for name, column in past.items()},
        {name: np.maximum(column, -1).astype(np.int64)[order] for name, column in groups.items()},
    )
    _refuse_repeated(panel, accounts, order)
    return panel, order


def _account_codes(accounts: NDArray[np.object_]) -> Integers:
    codes, texts = pd.factorize(np.asarray(accounts, dtype=object))
    if len(codes) and codes.min() < 0:
        raise ValueError(f"the account of row {int(codes.argmin())} is missing: give every row an account")
    ranks = np.empty(len(texts), dtype=np.int64)
    ranks[sorted(range(len(texts)), key=lambda code: str(texts[code]))] = np.arange(len(texts))
    return ranks[codes]


def _checked(name: str, column: NDArray[Any]) -> Floats:
    # Adding 0 turns -0.0 into 0.0: the minimum of both may be either, depending on their places in the array.
    values: Floats = column.astype(np.float64) + 0.0
    if np.isinf(values).any():
        raise ValueError(f"{name!r} is infinite in row {int(np.isinf(values).argmax())}: make such values missing")
    return values


def _refuse_repeated(panel: Panel, accounts: NDArray[np.object_], order: Integers) -> None:
    repeated = (panel.accounts[1:] == panel.accounts[:-1]) & (panel.dates[1:] == panel.dates[:-1])
    if repeated.any():
        row = int(repeated.argmax())
        raise ValueError(
            f"account {accounts[order[row]]!r} has two rows of {panel.dates[row]}: features of the past need at most "
            "one row per account and date"
        )
