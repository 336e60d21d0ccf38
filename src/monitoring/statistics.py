"""How far a block of dates lies from the other dates, column by column."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from src.evaluation.scoring import Floats
from src.evaluation.stability import bin_codes, quantile_cuts, stability_index
from src.monitoring.periods import Blocks, Periods, Positions, histograms, share_in_blocks, sums_of

PSI_BINS, KS_BINS = 10, 100
MAX_LEVELS = 50
"""Categories beyond the most frequent ones are one bin."""
Measure = Literal["psi", "ks", "missing", "outside", "unseen", "mean"]
SMALLEST_SCALE: dict[Measure, float] = {
    "psi": 0.02, "ks": 0.01, "missing": 0.005, "outside": 0.06, "unseen": 0.02, "mean": 0.01,
}  # fmt: skip
"""Smallest standard deviation between blocks, on the scale of `calibration.ROOTS`, so that a value that never varied
may vary a little."""


@dataclass(frozen=True, eq=False)
class Statistic:
    """One measure of one column.

    Attributes:
        column: its name.
        kind: of the column.
        measure: `psi`: population stability index; `ks`: Kolmogorov-Smirnov distance; `missing`: change of the share of
            missing values; `outside`: share of rows outside the range of the other dates; `unseen`: share of rows with
            a category or an account that the other dates lack; `mean`: change of the mean in standard deviations.
        values: (n_blocks,) the new period is last.
    """

    column: str
    kind: str
    measure: Measure
    values: Floats


def all_statistics(periods: Periods, blocks: Blocks) -> list[Statistic]:
    """The statistics of all columns; a past column without any known value has none."""
    statistics = []
    for column in periods.columns:
        values, row_day = column.values, periods.row_day
        if column.kind == "past":
            known = ~np.isnan(values)
            values, row_day = values[known], row_day[known]
        if len(values):
            rows = _Rows(values, row_day, periods.n_reference, len(periods.dates), blocks)
            statistics += [
                Statistic(column.name, column.kind, measure, compute(rows))
                for measure, compute in _OF_KIND[column.kind]
            ]
    return statistics


@dataclass(frozen=True, eq=False)
class _Rows:
    """The values of a column with the positions of their dates, and the blocks to compare."""

    values: Floats
    row_day: Positions
    n_reference: int
    n_dates: int
    blocks: Blocks

    def histograms(self, codes: Positions) -> tuple[Floats, Floats]:
        """(n_blocks, n_bins) of the sides and of the blocks."""
        return (
            histograms(self.blocks.side, codes, self.row_day, self.n_dates),
            histograms(self.blocks.block, codes, self.row_day, self.n_dates),
        )

    def quantile_codes(self, n_bins: int) -> Positions:
        """Bins of equal size in the reference; missing values have a bin of their own."""
        return bin_codes(self.values, quantile_cuts(self.values[self.row_day < self.n_reference], n_bins))

    def means(self, values: Floats) -> tuple[Floats, Floats]:
        """(n_blocks,) means over the rows of the sides and of the blocks."""
        sums = [
            sums_of(ranges, self.row_day, self.n_dates, values)
            / np.maximum(sums_of(ranges, self.row_day, self.n_dates), 1)
            for ranges in (self.blocks.side, self.blocks.block)
        ]
        return sums[0], sums[1]


def _psi_of_numbers(rows: _Rows) -> Floats:
    return _psi(rows, rows.quantile_codes(PSI_BINS))


def _psi(rows: _Rows, codes: Positions) -> Floats:
    """The index with half a row more in each bin that has rows: in a short block an empty bin is chance."""
    before, after = rows.histograms(codes)
    used = ((before + after).sum(axis=0) > 0) / 2
    return stability_index(before + used, after + used)


def _psi_of_categories(rows: _Rows) -> Floats:
    known = ~np.isnan(rows.values)
    given = rows.values[known].astype(np.int64)
    counts = np.bincount(given, minlength=1)
    rank = np.argsort(np.argsort(-counts, kind="stable"))
    codes = np.full(len(rows.values), MAX_LEVELS, dtype=np.int64)
    codes[known] = np.minimum(rank[given], MAX_LEVELS - 1)
    return _psi(rows, codes)


def _distance(rows: _Rows) -> Floats:
    """The Kolmogorov-Smirnov statistic of the values at the bins' edges; missing values are left out."""
    cumulated = []
    for counts in rows.histograms(rows.quantile_codes(KS_BINS)):
        known = counts[:, :-1] if np.isnan(rows.values).any() else counts
        cumulated.append(np.cumsum(known, axis=1) / np.maximum(known.sum(1, keepdims=True), 1))
    both = (cumulated[0][:, -1] > 0) & (cumulated[1][:, -1] > 0)
    distance: Floats = np.abs(cumulated[0] - cumulated[1]).max(axis=1) * both
    return distance


def _missing(rows: _Rows) -> Floats:
    before, after = rows.means(np.isnan(rows.values).astype(np.float64))
    return np.abs(after - before)


def _outside(rows: _Rows) -> Floats:
    values = rows.values

    def applies(block: slice, side: slice) -> NDArray[np.bool_]:
        # fmin ignores NaN; without a known value the bounds are infinite and no row lies outside.
        low = np.fmin.reduce(values[side], initial=np.inf)
        high = np.fmax.reduce(values[side], initial=-np.inf)
        beyond: NDArray[np.bool_] = (values[block] < low) | (values[block] > high)
        return beyond if low <= high else np.zeros_like(beyond)

    return share_in_blocks(rows.blocks, rows.row_day, applies)


def _unseen(rows: _Rows) -> Floats:
    known = ~np.isnan(rows.values)
    codes = np.where(known, rows.values, 0).astype(np.int64)
    n_levels = int(codes.max()) + 1

    def applies(block: slice, side: slice) -> NDArray[np.bool_]:
        seen = np.zeros(n_levels, dtype=bool)
        seen[codes[side][known[side]]] = True
        new: NDArray[np.bool_] = known[block] & ~seen[codes[block]]
        return new

    return share_in_blocks(rows.blocks, rows.row_day, applies)


def _mean_change(rows: _Rows) -> Floats:
    before, after = rows.means(rows.values)
    spread = float(rows.values[rows.row_day < rows.n_reference].std())
    return np.abs(after - before) / (spread or 1.0)


_OF_KIND: dict[str, tuple[tuple[Measure, Callable[[_Rows], Floats]], ...]] = {
    "number": (("psi", _psi_of_numbers), ("ks", _distance), ("outside", _outside), ("missing", _missing)),
    "past": (("psi", _psi_of_numbers), ("ks", _distance), ("outside", _outside)),
    "category": (("psi", _psi_of_categories), ("unseen", _unseen), ("missing", _missing)),
    "account": (("unseen", _unseen),),
    "prediction": (("mean", _mean_change),),
}
