"""How sure an estimate is: Student's t over groups of consecutive dates.

Rows of one day share that day's market, and days in a row resemble each other, so neither rows nor single days are
independent. What each row contributes to an estimate (its influence, the first-order term of the estimate's error) is
added up over groups of consecutive dates. Groups that are longer than the memory of the days are nearly independent
and nearly normal; the spread of their sums gives a standard error with (groups - 1) degrees of freedom:

- groups of consecutive dates: the method of batch means (B. W. Schmeiser, "Batch size effects in the analysis of
  simulation output", Operations Research 1982: more than about 30 groups gain nothing, few are safe); R. Ibragimov and
  U. K. Müller, "t-statistic based correlation and heterogeneity robust inference", JBES 2010;
- influence of a row on an AUC: E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or
  more correlated receiver operating characteristic curves", Biometrics 1988; added up by cluster as in N. A.
  Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 1997; on ratios and roots: delta method.

Errors are positive, an AUC lies in [0, 1], a skill ends at 1: their intervals are computed on a scale without ends
(logarithm, logit, logarithm of what is left) and transformed back, which also covers better where losses are skewed.
Coverage was measured: `benchmarks/coverage.py`, docs/evaluation.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from src.config import Metric
from src.modeling.scoring import Floats, check_rows, score, skill

Dates = npt.NDArray[np.datetime64]
Codes = npt.NDArray[np.int64]
LEVEL = 0.95
MAX_GROUPS = 8
MIN_DATES = 10


@dataclass(frozen=True)
class Estimate:
    """A number, and how sure it is.

    Attributes:
        value: in its own unit.
        standard_error: of `value`, in the same unit; None where there is no interval.
        degrees: of freedom of the standard error; 0 where there is none.
        low, high: bounds of the 95 % interval; None where no honest one can be given.
        n_dates: distinct dates; 0 for rows without dates, each of which counts as independent.
        note: why there is no interval; None where there is one.
    """

    value: float
    standard_error: float | None
    degrees: int
    low: float | None
    high: float | None
    n_dates: int
    note: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def confidence_above(self, bound: float) -> float | None:
        """One-sided confidence, 0 to 1, that the true value lies above a bound; None without a standard error."""
        if self.standard_error is None:
            return None
        distance = self.value - bound
        if self.standard_error == 0:
            return 0.5 if distance == 0 else float(distance > 0)
        return float(stdtr(self.degrees, distance / self.standard_error))


@dataclass(frozen=True)
class _Scale:
    """Where an interval is symmetric: to that scale, the slope there, and back."""

    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]


_PLAIN = _Scale(lambda x: x, lambda x: 1.0, lambda x: x)
_POSITIVE = _Scale(math.log, lambda x: 1 / x, math.exp)
_SHARE = _Scale(lambda x: math.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), lambda z: 1 / (1 + math.exp(-z)))
_BELOW_ONE = _Scale(lambda x: -math.log(1 - x), lambda x: 1 / (1 - x), lambda z: 1 - math.exp(-z))


def score_estimate(metric: Metric, y: Floats, prediction: Floats, dates: Dates | None) -> Estimate:
    """A prediction's score with its interval.

    Args:
        metric: what is scored.
        y: true values, shape (n_rows,).
        prediction: shape (n_rows,); any increasing scale for `auc`.
        dates: shape (n_rows,), in any order; None where rows have no dates.

    Raises:
        ValueError: no rows, shapes that differ, a NaN, or one class only under `auc`.
    """
    value, influence = _score_influence(metric, y, prediction)
    if metric == "auc":
        if value in (0, 1):
            return _without(value, dates, "an AUC of exactly 0 or 1 has no interval")
        return _estimate(value, influence, dates, _SHARE)
    return _estimate(value, influence, dates, _POSITIVE if value > 0 else _PLAIN)


def skill_estimate(
    metric: Metric, y: Floats, prediction: Floats, reference: Floats, dates: Dates | None
) -> Estimate | None:
    """A prediction's skill over a reference forecast, with its interval; what a day does to both cancels out.

    Arguments and errors as in `score_estimate`.

    Returns:
        None where the reference is perfect, so that no skill is defined.
    """
    (value, influence), (other, of_other) = (_score_influence(metric, y, each) for each in (prediction, reference))
    gained = skill(metric, value, other)
    if gained is None:
        return None
    if metric == "auc" and value in (0, 1):
        return _without(gained, dates, "an AUC of exactly 0 or 1 has no interval")
    left, of_left, of_all = (1 - other, -influence, -of_other) if metric == "auc" else (other, influence, of_other)
    return _estimate(gained, -(of_left - (1 - gained) * of_all) / left, dates, _BELOW_ONE if gained < 1 else _PLAIN)


def difference_estimate(
    metric: Metric, y: Floats, prediction: Floats, reference: Floats, dates: Dates | None
) -> Estimate:
    """The score of a prediction less that of a reference, paired on the same rows; arguments as in `score_estimate`.

    For errors, below zero is better for the prediction; for `auc`, above zero.
    """
    (value, influence), (other, of_other) = (_score_influence(metric, y, each) for each in (prediction, reference))
    return _estimate(value - other, influence - of_other, dates, _PLAIN)


def mean_estimate(values: Floats, dates: Dates | None, weights: Floats | None = None) -> Estimate:
    """The mean of rows, weighted where weights are given; both of shape (n_rows,), as `dates`."""
    weight = np.ones(values.size) if weights is None else weights
    total = weight.sum()
    mean = float(weight @ values / total)
    return _estimate(mean, weight * (values - mean) / total, dates, _PLAIN)


def daily_estimate(values: Floats, dates: Dates) -> Estimate:
    """The mean over dates of each date's sum; a row that does not count is 0, so that its date counts all the same."""
    distinct, unit = np.unique(dates, return_inverse=True)
    sums = np.bincount(unit, weights=values)
    mean = float(sums.mean())
    return _estimate(mean, (sums - mean) / sums.size, distinct, _PLAIN)


def _score_influence(metric: Metric, y: Floats, prediction: Floats) -> tuple[float, Floats]:
    """The score, and what each row contributes to its error; the contributions add up to 0."""
    value = score(metric, y, prediction)
    if metric == "auc":
        return value, _auc_influence(y, prediction, value)
    error = prediction - y
    if metric == "mae":
        return value, (np.abs(error) - value) / y.size
    slope = 2 * value if value else 1.0
    return value, (error * error - value * value) / (slope * y.size)


def _auc_influence(y: Floats, prediction: Floats, auc: float) -> Floats:
    """DeLong's structural components: the share of the other class that a row is ranked right against, ties half."""
    check_rows(y, prediction)
    positive = y == 1
    influence = np.empty(y.size)
    for own, sign in ((positive, 1), (~positive, -1)):
        others = np.sort(sign * prediction[~own])
        mine = sign * prediction[own]
        below = np.searchsorted(others, mine, side="left") + np.searchsorted(others, mine, side="right")
        influence[own] = (below / (2 * others.size) - auc) / mine.size
    return influence


def _estimate(value: float, influence: Floats, dates: Dates | None, scale: _Scale) -> Estimate:
    if dates is None:
        sums, n_dates = influence, 0
    else:
        distinct, unit = np.unique(dates, return_inverse=True)
        n_dates = distinct.size
        if n_dates < MIN_DATES:
            return _without(value, dates, f"only {n_dates} dates: too few for an interval")
        sums = _group_sums(np.bincount(unit, weights=influence).astype(np.float64))
    k = sums.size
    if k < 2:
        return _without(value, dates, "only one row: too few for an interval")
    error = math.sqrt(k / (k - 1) * float(np.sum((sums - sums.mean()) ** 2)))
    reach = float(stdtrit(k - 1, (1 + LEVEL) / 2)) * error * scale.slope(value)
    low, high = (value, value) if error == 0 else (scale.back(scale.to(value) + side * reach) for side in (-1, 1))
    return Estimate(value, error, k - 1, low, high, n_dates)


def _group_sums(by_date: Floats) -> Floats:
    """(n_groups,) sums of values by date over groups of consecutive dates of nearly equal number."""
    n_groups = min(MAX_GROUPS, by_date.size)
    starts = np.arange(n_groups) * by_date.size // n_groups
    sums: Floats = np.add.reduceat(by_date, starts)
    return sums


def _without(value: float, dates: Dates | None, note: str) -> Estimate:
    n_dates = 0 if dates is None else int(np.unique(dates).size)
    return Estimate(value, None, 0, None, None, n_dates, note)
