"""How sure a score is: a circular block bootstrap over dates.

Rows of one day share that day's market, and days in a row resemble each other, so neither rows nor single days are
independent. Whole blocks of consecutive dates are drawn with replacement instead, the last date being followed by
the first, until as many dates are drawn as there are (H. R. Künsch, "The jackknife and the bootstrap for general
stationary observations", 1989; D. N. Politis and J. P. Romano, "A circular block-resampling procedure for stationary
data", 1992). The block length is the cube root of the number of dates, rounded up: the order at which the error of
the variance estimate is smallest (Künsch 1989; Hall, Horowitz and Jing 1995).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.config import BOOTSTRAP_RESAMPLES, Metric
from src.modeling.scoring import Floats, check_rows, skill

Dates = npt.NDArray[np.datetime64]
Counts = npt.NDArray[np.int64]
Scorer = Callable[[Counts], Floats]
INTERVAL_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: lower bound, in the score's unit.
        high: upper bound, in the score's unit.
        level: the share of resamples between the bounds.
        block_days: dates per block; 0 says that single rows were drawn, for want of dates.
        n_resamples: resamples that the bounds rest on.
        n_skipped: resamples left out because they had no value (one class only under AUC, a perfect reference).
    """

    low: float
    high: float
    level: float
    block_days: int
    n_resamples: int
    n_skipped: int


def block_length(n_dates: int) -> int:
    """Dates per block: the cube root of `n_dates`, rounded up, but never so long that one block is the whole."""
    return max(1, min(math.ceil(round(math.cbrt(n_dates), 9)), n_dates // 2))


def bootstrap_interval(
    metric: Metric,
    y: Floats,
    prediction: Floats,
    dates: Dates | None,
    seed: int,
    n_resamples: int = BOOTSTRAP_RESAMPLES,
) -> Interval:
    """The 95 % interval of a prediction's score; arguments and errors as in `bootstrap_scores`."""
    scores = bootstrap_scores(metric, y, [prediction], dates, seed, n_resamples)
    return percentile_interval(scores[0], _block_days(dates))


def bootstrap_skill_interval(
    metric: Metric, y: Floats, prediction: Floats, reference: Floats, dates: Dates | None, seed: int
) -> Interval:
    """The 95 % interval of a prediction's skill over a reference forecast.

    Both are judged on the same resamples: what a day does to both cancels out. The reference is the one that was
    best on the true rows; it is not chosen anew in each resample. Other arguments and errors as in
    `bootstrap_scores`.
    """
    scores = bootstrap_scores(metric, y, [prediction, reference], dates, seed)
    skills = [skill(metric, value, other) for value, other in scores.T.tolist()]
    return percentile_interval(np.array(skills, np.float64), _block_days(dates))


def percentile_interval(values: Floats, block_days: int, level: float = INTERVAL_LEVEL) -> Interval:
    """The middle `level` of resampled values.

    Args:
        values: shape (n_resamples,); NaN marks a resample without a value.
        block_days: passed on to the result.
        level: between 0 and 1.

    Raises:
        ValueError: not one value.
    """
    kept = values[~np.isnan(values)]
    if kept.size == 0:
        raise ValueError(f"none of {values.size} resamples has a score: judge on more rows")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, block_days, kept.size, values.size - kept.size)


def bootstrap_scores(
    metric: Metric,
    y: Floats,
    predictions: Sequence[Floats],
    dates: Dates | None,
    seed: int,
    n_resamples: int = BOOTSTRAP_RESAMPLES,
) -> Floats:
    """Score several predictions on the same resamples.

    Args:
        metric: what is scored.
        y: true values, shape (n_rows,).
        predictions: each of shape (n_rows,).
        dates: shape (n_rows,), in any order; None, or a single date, makes every row a block of its own.
        seed: equal seeds give equal resamples.
        n_resamples: how many.

    Returns:
        Scores, shape (n_predictions, n_resamples); NaN where a resample drew one class only under AUC.

    Raises:
        ValueError: no rows, shapes that differ, a NaN, or fewer than one resample.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples {n_resamples} is too few: use 1 or more")
    for prediction in predictions:
        check_rows(y, prediction)
    unit, draws = draw_units(y.size, dates, seed, n_resamples)
    scorer = _auc_scorer(y, predictions, unit) if metric == "auc" else _error_scorer(metric, y, predictions, unit)
    scores = np.empty((len(predictions), n_resamples))
    for i, counts in enumerate(draws):
        scores[:, i] = scorer(counts)
    return scores


def draw_units(n_rows: int, dates: Dates | None, seed: int, n_resamples: int) -> tuple[Counts, Iterator[Counts]]:
    """The resamples that all scores rest on, for statistics of other kinds.

    Args:
        n_rows: rows, at least 1.
        dates: shape (n_rows,), in any order; None, or a single date, makes every row a block of its own.
        seed: equal seeds give equal resamples.
        n_resamples: how many.

    Returns:
        The unit (date, in their order, or row) of each row, shape (n_rows,); and for each resample how often each unit
        is drawn, shape (n_units,).
    """
    unit, n_units = _units(n_rows, dates)
    rng = np.random.default_rng(seed)
    length = max(1, _block_days(dates))
    return unit, (_draw(rng, n_units, length) for _ in range(n_resamples))


def _n_dates(dates: Dates | None) -> int:
    return 0 if dates is None else int(np.unique(dates).size)


def _block_days(dates: Dates | None) -> int:
    n_dates = _n_dates(dates)
    return block_length(n_dates) if n_dates > 1 else 0


def _units(n_rows: int, dates: Dates | None) -> tuple[Counts, int]:
    """What is drawn: the unit of each row, and how many units there are."""
    # A single date could only be drawn again and again: an interval of no width would claim to be certain.
    if dates is None or _n_dates(dates) < 2:
        return np.arange(n_rows), n_rows
    distinct, unit = np.unique(dates, return_inverse=True)
    return unit.astype(np.int64), distinct.size


def _draw(rng: np.random.Generator, n_units: int, length: int) -> Counts:
    """How often each unit is drawn, shape (n_units,); the counts add up to n_units."""
    starts = rng.integers(0, n_units, size=math.ceil(n_units / length))
    drawn = (starts[:, np.newaxis] + np.arange(length)).ravel()[:n_units] % n_units
    return np.bincount(drawn, minlength=n_units)


def _error_scorer(metric: Metric, y: Floats, predictions: Sequence[Floats], unit: Counts) -> Scorer:
    """MAE and RMSE need only each unit's number of rows and sum of losses."""
    n_rows = np.bincount(unit)
    losses = [np.abs(p - y) if metric == "mae" else (p - y) ** 2 for p in predictions]
    sums = np.stack([np.bincount(unit, weights=loss) for loss in losses])

    def scorer(counts: Counts) -> Floats:
        means: Floats = sums @ counts / (n_rows @ counts)
        return means if metric == "mae" else np.sqrt(means)

    return scorer


def _auc_scorer(y: Floats, predictions: Sequence[Floats], unit: Counts) -> Scorer:
    one_each = [_auc_of_counts(y, prediction, unit) for prediction in predictions]

    def scorer(counts: Counts) -> Floats:
        return np.array([auc(counts) for auc in one_each])

    return scorer


def _auc_of_counts(y: Floats, prediction: Floats, unit: Counts) -> Callable[[Counts], float]:
    """AUC with each row weighted by its unit's count; sorted once, then linear in the rows for each resample.

    A positive row beats the negatives below its tie group and half of those inside it, which is the mean of the
    negatives' running total before the group and after it.
    """
    order = np.argsort(prediction, kind="stable")
    ordered, positive = prediction[order], y[order] == 1
    unit_of_positive, unit_of_negative = unit[order][positive], unit[order][~positive]
    negatives, positives = ordered[~positive], ordered[positive]
    below = np.searchsorted(negatives, positives, side="left")
    up_to = np.searchsorted(negatives, positives, side="right")
    total = np.zeros(negatives.size + 1, np.int64)

    def auc(counts: Counts) -> float:
        np.cumsum(counts[unit_of_negative], out=total[1:])
        weight = counts[unit_of_positive]
        pairs = int(total[-1]) * int(weight.sum())
        return float(weight @ (total[below] + total[up_to])) / (2 * pairs) if pairs else math.nan

    return auc
