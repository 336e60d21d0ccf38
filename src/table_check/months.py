"""The months of a table, for checks of what changes over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset

if TYPE_CHECKING:
    from pandas.core.groupby import SeriesGroupBy

LEAST_ROWS = 20
"""Rows of a month that is compared with others."""
MOST_ROWS = 200_000
"""Of a larger table, every second, third, ... row is used."""
LEAST_MONTHS = 3
"""Months on each side of a lasting change."""


@dataclass(frozen=True)
class Months:
    """The months with enough rows.

    Attributes:
        names: such as 2024-03, ascending.
        codes: (n_rows,) month of each row as a position in `names`, -1 for a row that is not used.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]

    def means(self, values: pd.Series) -> NDArray[np.float64]:
        """The mean of each month, shape (n_months,)."""
        return self._ordered(self._grouped(values.to_numpy(dtype=np.float64)).mean())

    def quantiles(self, values: NDArray[np.float64], share: float = 0.5) -> NDArray[np.float64]:
        """The quantile of each month, shape (n_months,); NaN without values."""
        return self._ordered(self._grouped(values).quantile(share))

    def _grouped(self, values: NDArray[np.float64]) -> "SeriesGroupBy[Any, Any]":
        used = self.codes >= 0
        return pd.Series(values[used]).groupby(self.codes[used])

    def _ordered(self, by_code: pd.Series) -> NDArray[np.float64]:
        return by_code.reindex(range(len(self.names))).to_numpy(dtype=np.float64)


def months_of(data: Dataset) -> Months:
    """The months of a table's rows; none for a table without dates."""
    if data.dates is None:
        return Months((), np.full(len(data.y), -1))
    months = data.dates.astype("datetime64[M]")
    names, codes, counts = np.unique(months, return_inverse=True, return_counts=True)
    kept = counts >= LEAST_ROWS
    of_rows = np.where(kept, np.cumsum(kept) - 1, -1)[codes]
    of_rows[np.arange(len(of_rows)) % (1 + len(of_rows) // MOST_ROWS) != 0] = -1
    return Months(tuple(map(str, names[kept])), of_rows)
