"""Features of an account from its own past of one column."""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np

from .catalogue import DECAYS, WINDOWS, Feature
from .panel import Floats, Integers
from .states import decayed_sums, drawdowns, largest, moments, ordered, runs, smallest, sums
from .windows import Rows, Windows


class OwnPast:
    """The past of one column: every window ends at the row before the one that it is for.

    A missing value is skipped inside a window, but its row counts. All results are (n_rows,), NaN is missing.

    Args:
        rows: rows of accounts.
        values: of the column, of these rows, (n_rows,).
    """

    def __init__(self, rows: Rows, values: Floats) -> None:
        self.rows, self.values = rows, rows.earlier(values, 1, np.nan)

    @cached_property
    def _counts(self) -> Windows:
        return sums(self.rows, (~np.isnan(self.values)).astype(np.float64))

    @cached_property
    def _sums(self) -> Windows:
        return sums(self.rows, np.where(np.isnan(self.values), 0.0, self.values))

    @cached_property
    def _positives(self) -> Windows:
        return sums(self.rows, (self.values > 0).astype(np.float64))

    @cached_property
    def _moments(self) -> Windows:
        return moments(self.rows, self.values)

    @cached_property
    def _smallest(self) -> Windows:
        return smallest(self.rows, self.values)

    @cached_property
    def _largest(self) -> Windows:
        return largest(self.rows, self.values)

    @cached_property
    def _drawdowns(self) -> Windows:
        return drawdowns(self.rows, self.values)

    @cached_property
    def _ordered(self) -> Windows:
        return ordered(self.rows, self.values)

    @cached_property
    def _row_numbers(self) -> Integers:
        return np.arange(len(self.values), dtype=np.int64)

    def lag(self, feature: Feature) -> Floats:
        """The value `window` rows ago."""
        return self.rows.earlier(self.values, feature.window - 1, np.nan)

    def mean(self, feature: Feature) -> Floats:
        """The mean of the window."""
        return self._mean(feature.window)

    def std(self, feature: Feature) -> Floats:
        """The sample standard deviation of the window; it needs two values."""
        return self._std(feature.window)

    def _mean(self, window: int) -> Floats:
        return self._sums[window][0] / self._counts[window][0]

    def _std(self, window: int) -> Floats:
        count, _, squares = self._moments[window]
        return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1.0)), np.nan)

    def min(self, feature: Feature) -> Floats:
        """The smallest value of the window."""
        return self._known(self._smallest[feature.window][0], feature.window)

    def max(self, feature: Feature) -> Floats:
        """The largest value of the window."""
        return self._known(self._largest[feature.window][0], feature.window)

    def share_positive(self, feature: Feature) -> Floats:
        """The share of the window's values that are above 0."""
        return self._positives[feature.window][0] / self._counts[feature.window][0]

    def quantile(self, feature: Feature) -> Floats:
        """The window's quantile of level `parameter`, linear between two values."""
        count, (values, row) = (
            self._counts[feature.window][0],
            (np.stack(self._ordered[feature.window]), self._row_numbers),
        )
        place = (feature.parameter or 0.0) * np.maximum(count - 1, 0.0)
        below = place.astype(np.int64)
        low, high = values[below, row], values[np.minimum(below + 1, len(values) - 1), row]
        between = place - below
        # Of a place without a remainder, the next value may be infinity, which stands for a missing one.
        return self._known(np.where(between > 0, low + (high - low) * between, low), feature.window)

    def exponential_mean(self, feature: Feature) -> Floats:
        """The mean of the window with weights that halve every `parameter` rows."""
        total, weight = decayed_sums(self.rows, self.values, DECAYS[int(feature.parameter or 0)])[feature.window]
        return total / weight

    def streak(self, feature: Feature) -> Floats:
        """How many of the window's last values are all positive, or, negated, all negative; 0 after a value of 0."""
        up, down = (runs(self.rows, self.values, sign)[feature.window][0] for sign in (1, -1))
        return self._known(up - down, feature.window)

    def drawdown(self, feature: Feature) -> Floats:
        """How far the window's cumulative sum, which starts at 0, ends below its peak; at least 0."""
        return self._known(0.0 - self._drawdowns[feature.window][1], feature.window)

    def ratio(self, feature: Feature) -> Floats:
        """The mean of the shortest window less that of this one, per standard deviation; missing if that is 0."""
        spread = self._std(feature.window)
        gap = self._mean(WINDOWS[0]) - self._mean(feature.window)
        return np.where(spread > 0, gap / spread, np.nan)

    def _known(self, values: Floats, window: int) -> Floats:
        return np.where(self._counts[window][0] > 0, values, np.nan)


OWN_STATISTICS: Final[Mapping[str, Callable[[OwnPast, Feature], Floats]]] = MappingProxyType(
    {
        "lag": OwnPast.lag,
        "mean": OwnPast.mean,
        "std": OwnPast.std,
        "min": OwnPast.min,
        "max": OwnPast.max,
        "share_positive": OwnPast.share_positive,
        "quantile": OwnPast.quantile,
        "exponential_mean": OwnPast.exponential_mean,
        "streak": OwnPast.streak,
        "drawdown": OwnPast.drawdown,
        "ratio": OwnPast.ratio,
    }
)
