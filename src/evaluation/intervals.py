"""Confidence intervals: Student's t over groups of consecutive dates.

Rows of one date share that day's market, and consecutive dates are correlated, so neither rows nor single dates are
independent. The contributions of the rows to the error of an estimate (the influence function, its first-order term)
are summed over groups of consecutive dates. Groups that are longer than the correlation are nearly independent and
nearly normal, and the spread of their sums gives a standard error with (groups - 1) degrees of freedom:

- groups of consecutive dates (batch means): B. W. Schmeiser, "Batch size effects in the analysis of simulation
  output", Operations Research 30 (1982); R. Ibragimov and U. K. Müller, "t-statistic based correlation and
  heterogeneity robust inference", Journal of Business & Economic Statistics 28 (2010);
- sums of influence by cluster, also for an AUC: N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve
  data", Biometrics 53 (1997).

Errors are bounded by 0, an AUC by 0 and 1, a skill by 1. Their intervals are computed on an unbounded scale (logarithm,
logit, logarithm of the remaining error) and transformed back, which gives better coverage for skewed losses.

With fewer dates there are fewer groups, so that groups stay long. With too few dates, or too strong autocorrelation,
there is no interval; with less than a year of dates, a note says when the interval may be too narrow. The constants
were chosen by simulation (`benchmarks/coverage.py`, docs/evaluation.md).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtr, stdtrit

from src.config import Metric
from src.evaluation.influence import Dates, Influence, classes, score_influence
from src.evaluation.scoring import Floats, skill

LEVEL = 0.95
GROUPS = (4, 8)
"""Fewest and most groups. Estimating the spread makes intervals wider: by 16 % with 8 groups, by 50 % with 4."""
MIN_UNITS = 12
"""Fewest dates (or rows without dates) for an interval: three per group of the fewest groups; per class for an AUC."""
MIN_EFFECTIVE_DATES = 6.0
"""Smallest effective sample size for an interval, in independent dates."""
RELIABLE_DATES = 250
"""A year of trading; with fewer dates the autocorrelation is estimated too imprecisely."""
ROUNDING = 1e-12
"""Relative to the estimate; smaller contributions of rows are rounding errors."""
PERFECT_RANKING = "an AUC of exactly 0 or 1 has no spread, so it has no interval"


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and confidence interval.

    Attributes:
        value: in its own unit.
        standard_error: of `value`, in the same unit; None if there is no interval.
        degrees: degrees of freedom of the standard error; 0 if there is none.
        low, high: bounds of the 95 % interval; None if there are too few dates.
        n_dates: distinct dates; 0 for rows without dates, which count as independent.
        autocorrelation: lag-1 autocorrelation of the dates' contributions to the error, corrected for bias in short
            series; None if it is unknown or all dates contribute the same.
        note: why there is no interval, or when it may be too narrow; None if it is reliable.
    """

    value: float
    standard_error: float | None
    degrees: int
    low: float | None
    high: float | None
    n_dates: int
    autocorrelation: float | None = None
    note: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def confidence_above(self, bound: float, assumed_autocorrelation: float = 0.0) -> float | None:
        """One-sided confidence, 0 to 1, that the true value exceeds a bound; None without a standard error.

        Args:
            bound: in the unit of the value.
            assumed_autocorrelation: see `dependence_factor`, by which the standard error is multiplied.
        """
        if self.standard_error is None:
            return None
        distance = self.value - bound
        if self.standard_error == 0:
            return 0.5 if distance == 0 else float(distance > 0)
        error = self.standard_error * dependence_factor(self.n_dates, assumed_autocorrelation)
        return float(stdtr(self.degrees, distance / error))


@dataclass(frozen=True)
class _Scale:
    """The scale on which an interval is symmetric: transformation, its derivative, its inverse."""

    transform: Callable[[float], float]
    slope: Callable[[float], float]
    inverse: Callable[[float], float]


_PLAIN = _Scale(lambda x: x, lambda x: 1.0, lambda z: z)
_POSITIVE = _Scale(math.log, lambda x: 1 / x, math.exp)
_SHARE = _Scale(logit, lambda x: 1 / (x * (1 - x)), expit)
_BELOW_ONE = _Scale(lambda x: -math.log1p(-x), lambda x: 1 / (1 - x), lambda z: -math.expm1(-z))


def score_estimate(
    metric: Metric, y: Floats, prediction: Floats, dates: Dates | None, autocorrelation: float | None = None
) -> Estimate:
    """A prediction's score.

    Args:
        metric: the metric.
        y: true values, shape (n_rows,).
        prediction: shape (n_rows,); any increasing scale for `auc`.
        dates: shape (n_rows,), in any order; None if rows have no dates.
        autocorrelation: if these dates are part of a longer series, that series' more precise autocorrelation.

    Raises:
        ValueError: no rows, shapes that differ, a NaN, or one class only under `auc`.
    """
    value, influence = score_influence(metric, y, prediction)
    if metric == "auc" and value in (0, 1):
        return _without(value, dates, PERFECT_RANKING)
    scale = _SHARE if metric == "auc" else _POSITIVE if value > 0 else _PLAIN
    return _estimate(value, Influence(influence, dates, classes(metric, y)), scale, autocorrelation)


def skill_estimate(
    metric: Metric,
    y: Floats,
    prediction: Floats,
    reference: Floats,
    dates: Dates | None,
    autocorrelation: float | None = None,
) -> Estimate | None:
    """A prediction's skill over a reference forecast; effects of a date on both cancel out.

    Arguments and errors as in `score_estimate`.

    Returns:
        None if the reference is perfect, so that the skill is undefined.
    """
    (value, influence), (other, of_other) = (score_influence(metric, y, p) for p in (prediction, reference))
    gained = skill(metric, value, other)
    if gained is None:
        return None
    if metric == "auc" and value == 1:
        return _without(gained, dates, PERFECT_RANKING)
    # A skill is 1 minus a ratio: of two errors, or of two distances of an AUC from 1.
    left = 1 - other if metric == "auc" else other
    sign = 1 if metric == "auc" else -1
    of_skill = Influence(sign * (influence - (1 - gained) * of_other) / left, dates, classes(metric, y))
    return _estimate(gained, of_skill, _BELOW_ONE if gained < 1 else _PLAIN, autocorrelation)


def difference_estimate(
    metric: Metric, y: Floats, prediction: Floats, reference: Floats, dates: Dates | None
) -> Estimate:
    """The score of a prediction minus that of a reference, paired on the same rows.

    The prediction is better if an error difference is negative or an AUC difference positive. Arguments and errors as
    in `score_estimate`.
    """
    (value, influence), (other, of_other) = (score_influence(metric, y, p) for p in (prediction, reference))
    return _estimate(value - other, Influence(influence - of_other, dates, classes(metric, y)))


def mean_estimate(values: Floats, dates: Dates | None, weights: Floats | None = None) -> Estimate:
    """The mean over rows, weighted if weights are given.

    Args:
        values: shape (n_rows,), at least one.
        dates: shape (n_rows,), in any order; None if rows have no dates. Dates with weight 0 count too.
        weights: shape (n_rows,), 0 or more, not all 0.
    """
    weight = np.ones(values.size) if weights is None else weights
    total = weight.sum()
    mean = float(weight @ values / total)
    return _estimate(mean, Influence(weight * (values - mean) / total, dates, (weight > 0,)))


def daily_estimate(values: Floats, dates: Dates) -> Estimate:
    """The mean over dates of the dates' sums; dates with zeros only count too.

    Args:
        values: shape (n_rows,), at least one.
        dates: shape (n_rows,), in any order.
    """
    distinct, unit = np.unique(dates, return_inverse=True)
    sums = np.bincount(unit, weights=values)
    mean = float(sums.mean())
    return _estimate(mean, Influence((sums - mean) / sums.size, distinct))


def _estimate(
    value: float, influence: Influence, scale: _Scale = _PLAIN, autocorrelation: float | None = None
) -> Estimate:
    dates = influence.dates
    unit = np.arange(influence.of_row.size) if dates is None else np.unique(dates, return_inverse=True)[1]
    by_unit = np.bincount(unit, weights=influence.of_row).astype(np.float64)
    n_units = by_unit.size
    fewest = min((int(np.count_nonzero(np.bincount(unit[rows]))) for rows in influence.needed), default=n_units)
    if fewest < MIN_UNITS:
        name = f"{'row' if dates is None else 'date'}{'' if fewest == 1 else 's'}"
        of_class = " with each class" if len(influence.needed) > 1 else ""
        return _without(value, dates, f"only {fewest} {name}{of_class}: an interval needs {MIN_UNITS}")
    if np.abs(by_unit).max() * n_units <= ROUNDING * abs(value):  # all dates (or rows) contribute the same
        return Estimate(value, 0.0, fewest - 1, value, value, 0 if dates is None else n_units)
    if dates is None:
        return _with_interval(value, by_unit, fewest - 1, scale)
    r = autocorrelation_of(by_unit) if autocorrelation is None else autocorrelation
    n_effective = n_units * (1 - max(r, 0.0)) / (1 + max(r, 0.0))
    if n_effective < MIN_EFFECTIVE_DATES:
        reason = f"{n_units} dates are so strongly correlated that they count as {n_effective:.1f} independent ones"
        return _without(value, dates, f"{reason}: an interval needs {MIN_EFFECTIVE_DATES:g}", r)
    sums = _group_sums(by_unit)
    estimate = _with_interval(value, sums, min(sums.size, fewest) - 1, scale)
    note = None if n_units >= RELIABLE_DATES or autocorrelation is not None else _few_dates(n_units)
    return replace(estimate, n_dates=n_units, autocorrelation=r, note=note)


def _few_dates(n_dates: int) -> str:
    return (
        f"only {n_dates} dates: if good and bad periods last for weeks, the interval is too narrow; it is reliable "
        f"from {RELIABLE_DATES} dates on"
    )


def _with_interval(value: float, sums: Floats, degrees: int, scale: _Scale) -> Estimate:
    """An estimate with an interval, from independent sums of influence."""
    k = sums.size
    error = math.sqrt(k / (k - 1) * float(np.sum((sums - sums.mean()) ** 2)))
    reach = float(stdtrit(degrees, (1 + LEVEL) / 2)) * error * scale.slope(value)
    low, high = (float(scale.inverse(scale.transform(value) + side * reach)) for side in (-1, 1))
    return Estimate(value, error, degrees, low, high, 0)


def _without(value: float, dates: Dates | None, note: str, autocorrelation: float | None = None) -> Estimate:
    n_dates = 0 if dates is None else int(np.unique(dates).size)
    return Estimate(value, None, 0, None, None, n_dates, autocorrelation, note)


def autocorrelation_of(by_date: Floats) -> float:
    """Lag-1 autocorrelation, -1 to 1, corrected for bias.

    The estimate from n values is too small by about (1 + 3 r) / n, which is added (M. G. Kendall, "Note on bias in the
    estimation of autocorrelation", Biometrika 41, 1954). In an AR(1) series, n dates have the effective sample size
    n (1 - r) / (1 + r).

    Args:
        by_date: shape (n_dates,), in the order of dates, not all equal.
    """
    centred = by_date - by_date.mean()
    r = float(centred[1:] @ centred[:-1] / (centred @ centred))
    return min(r + (1 + 3 * r) / by_date.size, 1.0)


def dependence_factor(n_dates: int, autocorrelation: float) -> float:
    """How much larger the standard error of autocorrelated dates is than their groups show.

    Groups of dates are a little correlated themselves, so their spread is too small. At an autocorrelation of 0.94 the
    factor is 1.09 for 650 dates, 1.38 for 130 and 1.84 for 60. Few dates do not show their own autocorrelation, least
    of all under the noise of single rows, so it is assumed here instead of estimated.

    Args:
        n_dates: 0 for rows without dates, which count as independent.
        autocorrelation: at lag 1, 0 or more and below 1.

    Returns:
        1 or more: the root of the variance of the sum of all dates, over its expected estimate.
    """
    if n_dates < MIN_UNITS or autocorrelation == 0:
        return 1.0
    sizes = np.diff([*_group_starts(n_dates), n_dates])
    of_all = _variance_of_sum(n_dates, autocorrelation)
    of_groups = sum(_variance_of_sum(int(size), autocorrelation) for size in sizes)
    estimated = sizes.size / (sizes.size - 1) * (of_groups - of_all / sizes.size)
    return math.sqrt(of_all / estimated)


def _variance_of_sum(n: int, autocorrelation: float) -> float:
    """Variance of the sum of n consecutive values of an AR(1) series with variance 1."""
    lags = np.arange(1, n)
    return float(n + 2 * np.sum((n - lags) * autocorrelation**lags))


def _group_starts(n_dates: int) -> NDArray[np.int64]:
    fewest, most = GROUPS
    n_groups = min(max(round(math.sqrt(n_dates) / 4), fewest), most)
    return np.arange(n_groups) * n_dates // n_groups


def _group_sums(by_date: Floats) -> Floats:
    """(n_groups,) sums over groups of consecutive dates of nearly equal size."""
    sums: Floats = np.add.reduceat(by_date, _group_starts(by_date.size))
    return sums
