"""How sure an estimate is: Student's t over groups of consecutive dates.

Rows of one date share that day's market, and dates in a row resemble each other, so that neither rows nor single dates
are independent. What each row contributes to the error of an estimate (its influence, the first-order term) is added
up over groups of consecutive dates. Groups that are longer than the memory of the market are nearly independent and
nearly normal, and the spread of their sums gives a standard error with (groups - 1) degrees of freedom:

- groups of consecutive dates, or batch means: B. W. Schmeiser, "Batch size effects in the analysis of simulation
  output", Operations Research 30 (1982); R. Ibragimov and U. K. Müller, "t-statistic based correlation and
  heterogeneity robust inference", Journal of Business & Economic Statistics 28 (2010);
- adding up influence by cluster, of an AUC too: N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve
  data", Biometrics 53 (1997).

Errors end at 0, an AUC at 0 and 1, a skill at 1. Their intervals are made on a scale without ends (logarithm, logit,
logarithm of the error that is left) and transformed back, which covers better where losses are skewed.

The fewer dates, the fewer groups, so that these stay long. Too few dates, or dates that resemble each other too much
for their number, have no interval; up to a year of dates, a note says when the interval would be too narrow. The
constants were chosen by simulation (`benchmarks/coverage.py`, docs/evaluation.md).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit, stdtr, stdtrit

from src.config import Metric
from src.evaluation.influence import Dates, Influence, classes, score_influence
from src.evaluation.scoring import Floats, skill

LEVEL = 0.95
GROUPS = (4, 8)
"""Fewest and most groups. The unknown spread makes an interval wider: by 16 % with 8 groups, by 50 % with 4."""
MIN_UNITS = 12
"""Dates, or rows without dates: three for each of the fewest groups. Of each class for an AUC."""
MIN_INDEPENDENT = 6.0
"""Independent dates that the dates have to be worth."""
RELIABLE_DATES = 250
"""A year of trading: fewer dates show too little of how long they resemble each other."""
ROUNDING = 1e-12
"""Relative to the estimate: what rows contribute below this is the computer's rounding."""
FLAWLESS = "a ranking without one mistake, or without one success, shows no spread to make an interval of"


@dataclass(frozen=True)
class Estimate:
    """A number, and how sure it is.

    Attributes:
        value: in its own unit.
        standard_error: of `value`, in the same unit; None where there is no interval.
        degrees: of freedom of the standard error; 0 where there is none.
        low, high: bounds of the 95 % interval; None where the dates are too few for any.
        n_dates: distinct dates; 0 for rows without dates, which count as independent.
        autocorrelation: of a date and the next in what they contribute to the error, corrected for the shortness of
            the series; None where it is unknown or no date differs from another.
        note: why there is no interval, or when it would be too narrow; None where it can be relied on.
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

    def confidence_above(self, bound: float) -> float | None:
        """One-sided confidence, 0 to 1, that the true value is above a bound; None without a standard error."""
        if self.standard_error is None:
            return None
        distance = self.value - bound
        if self.standard_error == 0:
            return 0.5 if distance == 0 else float(distance > 0)
        return float(stdtr(self.degrees, distance / self.standard_error))


@dataclass(frozen=True)
class _Scale:
    """The scale on which an interval is symmetric: the way there, the slope of that way, the way back."""

    there: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]


_PLAIN = _Scale(lambda x: x, lambda x: 1.0, lambda z: z)
_POSITIVE = _Scale(math.log, lambda x: 1 / x, math.exp)
_SHARE = _Scale(logit, lambda x: 1 / (x * (1 - x)), expit)
_BELOW_ONE = _Scale(lambda x: -math.log1p(-x), lambda x: 1 / (1 - x), lambda z: -math.expm1(-z))


def score_estimate(
    metric: Metric, y: Floats, prediction: Floats, dates: Dates | None, autocorrelation: float | None = None
) -> Estimate:
    """A prediction's score.

    Args:
        metric: what is scored.
        y: true values, shape (n_rows,).
        prediction: shape (n_rows,); any increasing scale for `auc`.
        dates: shape (n_rows,), in any order; None where rows have no dates.
        autocorrelation: where these dates are part of a longer series, that of its estimate, which is surer.

    Raises:
        ValueError: no rows, shapes that differ, a NaN, or one class only under `auc`.
    """
    value, influence = score_influence(metric, y, prediction)
    if metric == "auc" and value in (0, 1):
        return _without(value, dates, FLAWLESS)
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
    """A prediction's skill over a reference forecast; what a date does to both cancels out.

    Arguments and errors as in `score_estimate`.

    Returns:
        None where the reference is perfect, so that no skill is defined.
    """
    (value, influence), (other, of_other) = (score_influence(metric, y, each) for each in (prediction, reference))
    gained = skill(metric, value, other)
    if gained is None:
        return None
    if metric == "auc" and value == 1:
        return _without(gained, dates, FLAWLESS)
    # A skill is 1 less a ratio of what is left to be gained: of two errors, or of two distances of an AUC from 1.
    left = 1 - other if metric == "auc" else other
    sign = 1 if metric == "auc" else -1
    of_skill = Influence(sign * (influence - (1 - gained) * of_other) / left, dates, classes(metric, y))
    return _estimate(gained, of_skill, _BELOW_ONE if gained < 1 else _PLAIN, autocorrelation)


def difference_estimate(
    metric: Metric, y: Floats, prediction: Floats, reference: Floats, dates: Dates | None
) -> Estimate:
    """The score of a prediction less that of a reference, paired on the same rows.

    Below zero the prediction is better in its errors, above zero in its AUC. Arguments and errors as in
    `score_estimate`.
    """
    (value, influence), (other, of_other) = (score_influence(metric, y, each) for each in (prediction, reference))
    return _estimate(value - other, Influence(influence - of_other, dates, classes(metric, y)))


def mean_estimate(values: Floats, dates: Dates | None, weights: Floats | None = None) -> Estimate:
    """The mean of rows, weighted where weights are given.

    Args:
        values: shape (n_rows,), at least one.
        dates: shape (n_rows,), in any order; None where rows have no dates. All count, also those of no weight.
        weights: shape (n_rows,), from 0, not all 0.
    """
    weight = np.ones(values.size) if weights is None else weights
    total = weight.sum()
    mean = float(weight @ values / total)
    return _estimate(mean, Influence(weight * (values - mean) / total, dates, (weight > 0,)))


def daily_estimate(values: Floats, dates: Dates) -> Estimate:
    """The mean over dates of each date's sum; a date counts that has nothing but zeros.

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
    if np.abs(by_unit).max() * n_units <= ROUNDING * abs(value):  # no date, or row, differs from another
        return Estimate(value, 0.0, fewest - 1, value, value, 0 if dates is None else n_units)
    if dates is None:
        return _with_interval(value, by_unit, fewest - 1, scale)
    follows = autocorrelation_of(by_unit) if autocorrelation is None else autocorrelation
    worth = n_units * (1 - max(follows, 0.0)) / (1 + max(follows, 0.0))
    if worth < MIN_INDEPENDENT:
        said = f"dates follow each other so closely that {n_units} are worth {worth:.1f} independent ones"
        return _without(value, dates, f"{said}: an interval needs {MIN_INDEPENDENT:g}", follows)
    sums = _group_sums(by_unit)
    found = _with_interval(value, sums, min(sums.size, fewest) - 1, scale)
    note = None if n_units >= RELIABLE_DATES or autocorrelation is not None else _few_dates(n_units)
    return replace(found, n_dates=n_units, autocorrelation=follows, note=note)


def _few_dates(n_dates: int) -> str:
    return (
        f"only {n_dates} dates: where good and bad times last for weeks, the interval is too narrow; it can be relied "
        f"on from {RELIABLE_DATES} dates on"
    )


def _with_interval(value: float, sums: Floats, degrees: int, scale: _Scale) -> Estimate:
    """From independent sums of influence."""
    k = sums.size
    error = math.sqrt(k / (k - 1) * float(np.sum((sums - sums.mean()) ** 2)))
    reach = float(stdtrit(degrees, (1 + LEVEL) / 2)) * error * scale.slope(value)
    low, high = (float(scale.back(scale.there(value) + side * reach)) for side in (-1, 1))
    return Estimate(value, error, degrees, low, high, 0)


def _without(value: float, dates: Dates | None, note: str, autocorrelation: float | None = None) -> Estimate:
    n_dates = 0 if dates is None else int(np.unique(dates).size)
    return Estimate(value, None, 0, None, None, n_dates, autocorrelation, note)


def autocorrelation_of(by_date: Floats) -> float:
    """Correlation of a value and the next; -1 to 1.

    In n values it comes out too small by about (1 + 3 r) / n, which is added (M. G. Kendall, "Note on bias in the
    estimation of autocorrelation", Biometrika 41, 1954). If each date follows the one before it alone, n dates are
    worth n (1 - r) / (1 + r) independent ones.

    Args:
        by_date: shape (n_dates,), in the order of dates, not all equal.
    """
    centred = by_date - by_date.mean()
    r = float(centred[1:] @ centred[:-1] / (centred @ centred))
    return min(r + (1 + 3 * r) / by_date.size, 1.0)


def _group_sums(by_date: Floats) -> Floats:
    """(n_groups,) sums over groups of consecutive dates of nearly equal number."""
    fewest, most = GROUPS
    n_groups = min(max(round(math.sqrt(by_date.size) / 4), fewest), most)
    sums: Floats = np.add.reduceat(by_date, np.arange(n_groups) * by_date.size // n_groups)
    return sums
