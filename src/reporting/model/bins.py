"""Bins of rows with similar predictions: predicted against realised values, and net profit."""

import numpy as np
from numpy.typing import NDArray

from src.evaluation.intervals import Estimate, daily_estimate, mean_estimate
from src.evaluation.scoring import Floats
from src.reporting.model.hold_out import HoldOut
from src.reporting.model.numbers import Bin, Choice, ProfitByPrediction

N_BINS = 10
MIN_ROWS_PER_BIN = 5
Codes = NDArray[np.int64]


def bin_by_rank(prediction: Floats, n_bins: int = N_BINS) -> Codes:
    """The bin of each row: bins of equal size, as far as ties allow.

    Equal predictions share the bin of their mean rank, so that the order of rows does not matter. With many equal
    predictions or few rows there are fewer bins.

    Args:
        prediction: (n_rows,).
        n_bins: maximum number of bins.

    Returns:
        (n_rows,) codes 0, 1, 2, ..., 0 for the lowest predictions; none is skipped.
    """
    n_bins = max(1, min(n_bins, prediction.size // MIN_ROWS_PER_BIN))
    _, group, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # mean rank of each distinct value
    codes = np.minimum(middle * n_bins // prediction.size, n_bins - 1).astype(np.int64)
    return np.unique(codes[group], return_inverse=True)[1].astype(np.int64)


def bin_means(tested: HoldOut, realised: Floats) -> tuple[Bin, ...]:
    """Mean prediction and mean realised value of each bin, the lowest predictions first."""
    codes = bin_by_rank(tested.prediction)
    rows = np.bincount(codes)
    predicted = np.bincount(codes, weights=tested.prediction) / rows
    means, days = _means(tested, codes, realised)
    return tuple(
        Bin(int(n), n_days, float(prediction), mean.value, mean.low, mean.high)
        for n, n_days, prediction, mean in zip(rows, days, predicted, means, strict=True)
    )


def _means(tested: HoldOut, codes: Codes, values: Floats) -> tuple[list[Estimate], list[int] | list[None]]:
    """The mean of each bin and its number of dates; summed by date first, because many rows have few dates."""
    bins = range(int(codes.max()) + 1)
    if tested.dates is None:
        return [mean_estimate(values[codes == code], None) for code in bins], [None] * len(bins)
    dates, unit = np.unique(tested.dates, return_inverse=True)
    counts, sums = (_by_date(codes, unit, weights) for weights in (None, values))
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    estimates = [mean_estimate(means[code], dates, counts[code]) for code in bins]
    return estimates, [int(n) for n in np.count_nonzero(counts, axis=1)]


def measure_profit(tested: HoldOut) -> ProfitByPrediction | None:
    """Net profit by prediction; None if no test row has a net profit."""
    if tested.net_profit is None:
        return None
    known = tested.take(~np.isnan(tested.net_profit))
    earned = known.net_profit
    if earned is None or not earned.size:
        return None
    choices = () if known.dates is None else _choices(known, earned)
    return ProfitByPrediction(earned.size, known.n_days, float(earned.mean()), bin_means(known, earned), choices)


def _by_date(codes: Codes, unit: Codes, weights: Floats | None) -> Floats:
    """(n_bins, n_dates) counts of rows, or sums of their weights."""
    n_bins, n_dates = int(codes.max()) + 1, int(unit.max()) + 1
    flat = np.bincount(codes * n_dates + unit, weights=weights, minlength=n_bins * n_dates)
    return flat.reshape(n_bins, n_dates).astype(np.float64)


def _choices(tested: HoldOut, earned: Floats) -> tuple[Choice, ...]:
    """From the highest bin alone to all bins; per day of the whole period, also of days without a taken row."""
    codes = bin_by_rank(tested.prediction)
    dates, unit = np.unique(np.asarray(tested.dates), return_inverse=True)
    of_bin = _by_date(codes, unit, earned)[::-1]
    rows, taken = np.bincount(codes)[::-1].cumsum(), of_bin.cumsum(axis=0)
    # Rows left out are summed separately: the difference of two large sums would not be exactly 0.
    left_out = np.vstack([of_bin[::-1].cumsum(axis=0)[::-1][1:], np.zeros_like(of_bin[:1])])
    choices = []
    for k, (of_taken, of_left) in enumerate(zip(taken, left_out, strict=True)):
        day, gain = daily_estimate(of_taken, dates), daily_estimate(0.0 - of_left, dates)
        bounds = (gain.low, gain.high) if k + 1 < len(taken) else (None, None)  # taking all gains 0 by definition
        per_row = float(of_taken.sum() / rows[k])
        choices.append(Choice(k + 1, int(rows[k]), per_row, day.value, day.low, day.high, gain.value, *bounds))
    return tuple(choices)
