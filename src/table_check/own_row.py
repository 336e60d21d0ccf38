"""Features that show by their values alone that they contain the target of their own row.

None of these signs needs an assumption on how strong an honest feature can be: the feature equals a target whose
values hardly ever repeat, it always moves towards the row's own target, as a mean does when the row is added to it, or
it tells without error on which side of zero the target lies.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.table_check.history import Floats, History, Indices

LEAST_EQUAL = 0.05
"""Share of the rows with a value of their own in which the feature equals the target."""
LEAST_TOWARDS = 0.995
LEAST_AUC = 0.999
LEAST_ROWS = 100
LEAST_VALUES = 20


def rows_with_own_target(y: Floats) -> Indices:
    """Rows whose target value, without its sign, occurs once; none if these are few of the rows.

    Counts of trades may equal a plan by chance, profits in cents do not.
    """
    _, codes, counts = np.unique(np.abs(y), return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[codes] == 1)
    return rows if len(rows) * 3 >= len(y) else rows[:0]


def share_equal(feature: Floats, y: Floats, rows: Indices) -> float:
    """Share of the rows of `rows_with_own_target` in which the feature equals the target or its negative."""
    rows = rows[~np.isnan(feature[rows])]
    if len(rows) < LEAST_ROWS:
        return 0.0
    target = np.abs(y[rows])
    return float(np.mean(np.abs(np.abs(feature[rows]) - target) <= 1e-9 * target))


def share_towards(history: History, feature: Floats) -> float:
    """Share of rows in which a feature moved part of the way to the target of its own row.

    1 for every kind of mean or rate that includes the row: expanding, exponential, or of a category. Where the target
    of the row before lies on the other side of the feature's previous value, a mean of earlier rows moves the other
    way: the share of these rows alone counts if it is lower. 0 with too few such rows, and for a feature with few
    values, such as a switch that turns the target off.
    """
    before, last = history.lag(feature, 1), history.lag(history.y, 1)
    with np.errstate(invalid="ignore"):  # NaN compares as false
        moved = np.abs((history.y - before) * (feature - before)) > 0
        differs = (history.y[moved] - before[moved]) * (last[moved] - before[moved]) < 0
    if np.count_nonzero(differs) < LEAST_ROWS or len(np.unique(feature[moved])) < LEAST_VALUES:
        return 0.0
    step = (feature[moved] - before[moved]) / (history.y[moved] - before[moved])
    towards = (step > 0) & (step < 1)
    return float(min(towards.mean(), towards[differs].mean()))


def side_auc(history: History, feature: Floats) -> tuple[float, float]:
    """How well the feature tells on which side of a border (0 or the median) the target lies: the AUC, and the border.

    Of the feature or its negative, over all rows or over those in which the account changed the side, whichever is
    lower: a lasting level fails in the latter, the target of the row before in both. A plan not to trade does not
    count: both sides need many target values. (0, 0) with too few changes.
    """
    return max(_auc_at(border, history, feature) for border in (0.0, float(np.median(history.y))))


def _auc_at(border: float, history: History, feature: Floats) -> tuple[float, float]:
    y, last = history.y, history.lag(history.y, 1)
    rows = (y != border) & ~np.isnan(feature)
    changed = rows & ((y - border) * (last - border) < 0)
    sides = (y[changed & (y > border)], y[changed & (y < border)])
    if min(map(len, sides)) * 2 < LEAST_ROWS or min(len(np.unique(side)) for side in sides) < LEAST_VALUES:
        return 0.0, 0.0
    everywhere, there = (_auc(feature[where], y[where] > border) for where in (rows, changed))
    return max(min(everywhere, there), min(1 - everywhere, 1 - there)), border


def _auc(feature: Floats, above: NDArray[np.bool_]) -> float:
    ranks = pd.Series(feature).rank().to_numpy()
    n_above = int(np.count_nonzero(above))
    return float((ranks[above].sum() - n_above * (n_above + 1) / 2) / (n_above * (len(above) - n_above)))
