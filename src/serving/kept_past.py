"""The past that a model with derived features needs, kept while a table is read in blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.keys import parse_accounts, parse_days
from src.data.sources.blocks import TableBlocks
from src.errors import DataError

REMEDY = "sort it by date (ORDER BY in --query)"


class KeptPast:
    """The last rows of each account and the last dates: what derived features depend on.

    Attributes:
        frame: the kept rows, in the order of the table; None before the first block.
        dates: all distinct dates of the table so far, ascending.
    """

    def __init__(self, history: Mapping[str, Any], n_rows: int) -> None:
        """Keeps no rows yet.

        Args:
            history: of the model's metadata: names of the account column (or None) and the date column.
            n_rows: how much past the model needs: rows of each account, and dates.
        """
        self._account, self._date, self._n_rows = history["account"], history["date"], n_rows
        self.frame: pd.DataFrame | None = None
        self.dates = np.empty(0, dtype="datetime64[D]")
        self._days = self.dates
        self._accounts = np.empty(0, dtype=object)

    def extend(self, block: pd.DataFrame, start: int) -> tuple[pd.DataFrame, int]:
        """Adds the next rows of the table; rows that no later block needs are forgotten.

        Args:
            block: (n_rows, at least the model's input columns), not earlier than former blocks, in any order.
            start: the number of rows before the block.

        Returns:
            The kept rows of former blocks followed by the block, and the position of the block's first row.

        Raises:
            DataError: a date or an account cannot be read, or the block has a date before those of former blocks.
        """
        rows = np.arange(start, start + len(block))
        days = parse_days(block[self._date], rows)
        if len(days) and len(self.dates) and days.min() < self.dates[-1]:
            raise DataError(
                f"the table is not sorted by date: {days.min()} comes after {self.dates[-1]}; {REMEDY}, because the "
                "model needs the past of each row"
            )
        accounts = np.full(len(block), "", dtype=object)
        if self._account is not None:
            accounts = parse_accounts(block[self._account], rows)
        n_kept = 0 if self.frame is None else len(self.frame)
        longer = block if self.frame is None else pd.concat([self.frame, block], ignore_index=True)
        self._days, self._accounts = np.append(self._days, days), np.append(self._accounts, accounts)
        self.dates = np.union1d(self.dates, days)
        kept = self._needed_later()
        self.frame, self._days, self._accounts = longer[kept], self._days[kept], self._accounts[kept]
        return longer, n_kept

    def _needed_later(self) -> NDArray[np.bool_]:
        order = np.argsort(self._days, kind="stable")
        later_of_account = pd.Series(order).groupby(self._accounts[order], sort=False).cumcount(ascending=False)
        kept = np.zeros(len(order), dtype=bool)
        kept[order] = later_of_account.to_numpy() < self._n_rows
        # The last date may go on in the next block.
        if len(self.dates):
            kept |= self._days >= self.dates[-(self._n_rows + 1) :][0]
        return kept


def is_sorted_by_date(table: TableBlocks, date: str, n_rows: int) -> bool:
    """Whether no block of a table has a date before those of former blocks; reads the date column.

    Raises:
        DataError: a date is missing or cannot be read.
    """
    last, start = None, 0
    for block in table.blocks(n_rows, [date]):
        days = parse_days(block[date], np.arange(start, start + len(block)))
        if len(days):
            if last is not None and days.min() < last:
                return False
            last = days.max()
        start += len(block)
    return True
