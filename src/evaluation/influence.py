"""What each row contributes to the error of a score.

The first-order term of an estimate's error is a sum over rows: its influence function. Of a mean it is the row's
distance from the mean; of a root it follows by the delta method; of an AUC it is the structural component of E. R.
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
    """What each row contributes to the error of a value; arrays are (n_rows,).

    Attributes:
        of_row: the contributions, which add up to 0.
        dates: None where rows have no dates.
        needed: rows of each kind without which there would be no value, such as those of each class.
    """

    of_row: Floats
    dates: Dates | None
    needed: tuple[Mask, ...] = ()


def score_influence(metric: Metric, y: Floats, prediction: Floats) -> tuple[float, Floats]:
    """The score, and what each row contributes to its error, shape (n_rows,); arguments and errors as in `score`."""
    value = score(metric, y, prediction)
    if metric == "auc":
        return value, _auc_influence(y == 1, prediction, value)
    error = prediction - y
    if metric == "mae":
        return value, (np.abs(error) - value) / y.size
    return value, (error * error - value * value) / (2 * (value or 1) * y.size)


def classes(metric: Metric, y: Floats) -> tuple[Mask, ...]:
    """The rows of each class, of which an AUC needs some; none for other metrics."""
    return (y == 1, y != 1) if metric == "auc" else ()


def _auc_influence(positive: Mask, prediction: Floats, auc: float) -> Floats:
    """The share of the other class that a row is on the right side of, ties half, less its mean."""
    group = np.unique(prediction, return_inverse=True)[1]
    influence = np.empty(positive.size)
    for own, belongs_above in ((positive, True), (~positive, False)):
        others = np.bincount(group[~own], minlength=int(group.max()) + 1)
        is_above = (np.cumsum(others) - others / 2)[group[own]] / others.sum()
        influence[own] = ((is_above if belongs_above else 1 - is_above) - auc) / np.count_nonzero(own)
    return influence
