"""Influence functions: the contribution of each row to the error of a score.

The first-order term of an estimate's error is a sum over rows, the influence function. For a mean it is the row's
distance from the mean; for a root it follows by the delta method; for an AUC it is the structural component of E. R.
DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
characteristic curves", Biometrics 44 (1988).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.config import Metric
from src.evaluation.scoring import Floats, score

Dates = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Influence:
    """Contributions of the rows to the error of an estimate; arrays are (n_rows,).

    Attributes:
        of_row: the contributions; their sum is 0.
        dates: None if rows have no dates.
        needed: masks of the groups of rows that the estimate needs, such as the two classes.
    """

    of_row: Floats
    dates: Dates | None
    needed: tuple[Mask, ...] = ()


def score_influence(metric: Metric, y: Floats, prediction: Floats) -> tuple[float, Floats]:
    """The score, and the contributions of the rows to its error, (n_rows,); arguments and errors as in `score`."""
    value = score(metric, y, prediction)
    if metric == "auc":
        return value, _auc_influence(y == 1, prediction, value)
    error = prediction - y
    if metric == "mae":
        return value, (np.abs(error) - value) / y.size
    return value, (error * error - value * value) / (2 * (value or 1) * y.size)


def classes(metric: Metric, y: Floats) -> tuple[Mask, ...]:
    """Masks of the two classes, both needed for an AUC; empty for other metrics."""
    return (y == 1, y != 1) if metric == "auc" else ()


def _auc_influence(positive: Mask, prediction: Floats, auc: float) -> Floats:
    """The share of the other class that a row is ranked correctly against (ties count half), minus its mean."""
    group = np.unique(prediction, return_inverse=True)[1]
    influence = np.empty(positive.size)
    for own, belongs_above in ((positive, True), (~positive, False)):
        others = np.bincount(group[~own], minlength=int(group.max()) + 1)
        is_above = (np.cumsum(others) - others / 2)[group[own]] / others.sum()
        influence[own] = ((is_above if belongs_above else 1 - is_above) - auc) / np.count_nonzero(own)
    return influence
