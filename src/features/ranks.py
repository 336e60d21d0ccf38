"""The account's place among all accounts by its own past."""

from collections.abc import Iterator

import numpy as np

from .blocks import blocks
from .panel import Floats, Integers, Panel
from .states import sums

CHUNK_ROWS = 1 << 14
"""Dates are taken together up to so many rows."""


class DateRanks:
    """Ranks among the accounts that have a row on the previous date of the table.

    Args:
        panel: the rows.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._by_date = np.argsort(panel.date_codes, kind="stable")
        n_dates = len(panel.distinct_dates)
        self._starts = np.searchsorted(panel.date_codes[self._by_date], np.arange(n_dates + 1))

    def of_means(self, column: str, window: int) -> Floats:
        """Ranks of the account's mean over its last `window` rows.

        An account's mean counts up to and including its row on the previous date.

        Returns:
            The share of these accounts whose mean is lower, where an equal one counts half, (n_rows,). NaN if the
            row's account has no past value, or no account of the previous date has a mean.
        """
        means = _means_so_far(self._panel, column, window)
        own = np.full(len(means), np.nan)
        later = np.flatnonzero(self._panel.positions > 0)
        own[later] = means[later - 1]
        ranks = np.full(len(means), np.nan)
        for low, high in self._chunks():
            asked = self._by_date[self._starts[low] : self._starts[high]]
            others = self._by_date[self._starts[low - 1] : self._starts[high - 1]]
            others = others[~np.isnan(means[others])]
            dates = self._panel.date_codes
            ranks[asked] = _ranks_by_date(own[asked], dates[asked], means[others], dates[others] + 1)
        return ranks

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of date codes; the first date has no previous one."""
        low, n_dates = 1, len(self._starts) - 1
        while low < n_dates:
            limit = self._starts[low] + CHUNK_ROWS
            high = max(low + 1, int(np.searchsorted(self._starts, limit, side="right")) - 1)
            yield low, high
            low = high


def _means_so_far(panel: Panel, column: str, window: int) -> Floats:
    """The mean of the account's last `window` rows, the row itself included; NaN without values, (n_rows,)."""
    found = np.empty(len(panel))
    for block in blocks(panel, window):
        rows, values = block.make_rows(), block.values(column)
        missing = np.isnan(values)
        total = sums(rows, np.where(missing, 0.0, values))[window][0]
        count = sums(rows, (~missing).astype(np.float64))[window][0]
        block.write(total / count, found)
    return found


def _ranks_by_date(own: Floats, own_dates: Integers, others: Floats, other_dates: Integers) -> Floats:
    """The share of the other values of the same date that are lower, where equal ones count half; own dates ascend."""
    distinct, codes = np.unique(np.concatenate([own, others]), return_inverse=True)
    keys = codes + np.concatenate([own_dates, other_dates]) * len(distinct)
    own_keys, other_keys = keys[: len(own)], np.sort(keys[len(own) :])
    dates = np.arange(own_dates[0], own_dates[-1] + 2)
    starts = np.searchsorted(other_keys, dates * len(distinct))
    first, last = (starts[own_dates - own_dates[0] + later] for later in (0, 1))
    below, until = (np.searchsorted(other_keys, own_keys, side) for side in ("left", "right"))
    return np.where(np.isnan(own), np.nan, ((below - first) + 0.5 * (until - below)) / (last - first))
