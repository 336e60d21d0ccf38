"""Rows of similar prediction: what was predicted against what came true, and what it earned."""

import numpy as np
from numpy.typing import NDArray

from src.config import BOOTSTRAP_RESAMPLES
from src.modeling.bootstrap import draw_units, percentile_interval
from src.modeling.scoring import Floats
from src.reporting.hold_out import MIN_DAYS, HoldOut
from src.reporting.model_numbers import Bin, Choice, Money

N_BINS = 10
MIN_ROWS_PER_BIN = 5
MAX_WORK = 20_000_000
"""Units times resamples, where single rows are drawn for want of dates."""
MIN_RESAMPLES = 200
Codes = NDArray[np.int64]
Bounds = list[tuple[float | None, float | None]]


def bin_by_rank(prediction: Floats, n_bins: int = N_BINS) -> Codes:
    """The bin of each row: equally many rows in each, as far as ties allow.

    Equal predictions share a bin, that of their mean rank, so that the order of rows decides nothing. Where many are
    equal, or rows are few, there are fewer bins.

    Args:
        prediction: (n_rows,).
        n_bins: at most so many.

    Returns:
        (n_rows,) codes from 0, the lowest predictions, without holes.
    """
    n_bins = max(1, min(n_bins, prediction.size // MIN_ROWS_PER_BIN))
    _, group, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # of the ranks that a value takes up
    codes = np.minimum(middle * n_bins // prediction.size, n_bins - 1).astype(np.int64)
    return np.unique(codes[group], return_inverse=True)[1].astype(np.int64)


def bin_means(tested: HoldOut, realised: Floats) -> tuple[Bin, ...]:
    """Mean prediction against the mean of what came true, the lowest predictions first."""
    codes = bin_by_rank(tested.prediction)
    rows = np.bincount(codes)
    days = _days(tested, codes)
    means = [np.bincount(codes, weights=values) / rows for values in (tested.prediction, realised)]
    enough = [n >= MIN_DAYS for n in (rows if days is None else days)]
    bounds = _mean_bounds(tested, codes, realised, enough)
    listed = [None] * len(rows) if days is None else days
    return tuple(
        Bin(int(n), n_days, float(predicted), float(mean), *bound)
        for n, n_days, predicted, mean, bound in zip(rows, listed, *means, bounds, strict=True)
    )


def measure_money(tested: HoldOut) -> Money | None:
    """Net profit by prediction; None where no test row says what it earned."""
    if tested.net_profit is None:
        return None
    known = tested.take(~np.isnan(tested.net_profit))
    earned = known.net_profit
    if earned is None or not earned.size:
        return None
    choices = () if known.dates is None else _choices(known, earned)
    return Money(earned.size, known.n_days, float(earned.mean()), bin_means(known, earned), choices)


def _days(tested: HoldOut, codes: Codes) -> list[int] | None:
    if tested.dates is None:
        return None
    day = np.unique(tested.dates, return_inverse=True)[1]
    pairs = np.unique(np.stack([codes, day]), axis=1)
    return [int(n) for n in np.bincount(pairs[0])]


def _mean_bounds(tested: HoldOut, codes: Codes, values: Floats, enough: list[bool]) -> Bounds:
    """95 % intervals of the bins' means."""
    n_units = len(values) if tested.n_days is None else tested.n_days
    n_resamples = max(MIN_RESAMPLES, min(BOOTSTRAP_RESAMPLES, MAX_WORK // n_units))
    unit, draws = draw_units(len(values), tested.dates, tested.seed, n_resamples)
    n_bins = int(codes.max()) + 1
    counts, sums = (_by_unit(codes, unit, weights, n_bins) for weights in (None, values))
    means = np.full((n_bins, n_resamples), np.nan)
    for i, drawn in enumerate(draws):
        rows = counts @ drawn
        np.divide(sums @ drawn, rows, out=means[:, i], where=rows > 0)
    return [_bounds(of_bin, is_enough) for of_bin, is_enough in zip(means, enough, strict=True)]


def _by_unit(codes: Codes, unit: Codes, weights: Floats | None, n_bins: int) -> Floats:
    """(n_bins, n_units) numbers of rows, or sums of their weights."""
    n_units = int(unit.max()) + 1
    flat = np.bincount(codes * n_units + unit, weights=weights, minlength=n_bins * n_units)
    return flat.reshape(n_bins, n_units).astype(np.float64)


def _choices(tested: HoldOut, earned: Floats) -> tuple[Choice, ...]:
    """From the highest bin alone to all bins; per day of the whole period, also of those on which nothing is taken."""
    codes = bin_by_rank(tested.prediction)
    unit, draws = draw_units(len(earned), tested.dates, tested.seed, BOOTSTRAP_RESAMPLES)
    n_bins = int(codes.max()) + 1
    if tested.n_days == 1:  # the one date, although single rows would be drawn
        unit = np.zeros_like(unit)
    earned_of_bin, rows_of_bin = (_by_unit(codes, unit, weights, n_bins)[::-1] for weights in (earned, None))
    sums, rows = earned_of_bin.cumsum(axis=0), rows_of_bin.sum(axis=1).cumsum()
    # What is left out is added up by itself: a difference of two large sums would not be 0 where nothing is lost.
    left_out = np.vstack([earned_of_bin[::-1].cumsum(axis=0)[::-1][1:], np.zeros_like(sums[:1])])
    enough = (tested.n_days or 0) >= MIN_DAYS
    n_days = sums.shape[1]
    drawn = list(draws) if enough else [np.ones(n_days, np.int64)]
    taken, lost = (np.stack([each @ times for times in drawn], axis=1) / n_days for each in (sums, left_out))
    return tuple(
        Choice(
            k + 1, int(rows[k]), float(sums[k].sum() / rows[k]), float(sums[k].mean()), *_bounds(taken[k], enough),
            float(-left_out[k].mean()) + 0.0, *_bounds(-lost[k] + 0.0, enough and k + 1 < n_bins),
        )
        for k in range(n_bins)
    )  # fmt: skip


def _bounds(values: Floats, enough: bool) -> tuple[float | None, float | None]:
    if not enough or np.isnan(values).all():
        return None, None
    found = percentile_interval(values, 0)
    return found.low, found.high
