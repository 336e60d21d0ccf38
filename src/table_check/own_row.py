"""Features that show by their values alone that they contain the target of their own row.

Two signs need no assumption on how strong an honest feature can be: the feature equals a target whose values hardly
ever repeat, or it always moves towards the row's own target, as a mean does when the row is added to it.
"""

import numpy as np

from src.table_check.history import Floats, History

LEAST_EQUAL = 0.05
"""Share of the rows with a value of their own in which the feature equals the target."""
LEAST_TOWARDS = 0.995
LEAST_ROWS = 100
LEAST_VALUES = 20


def share_equal(feature: Floats, y: Floats) -> float:
    """Share of rows in which the feature equals the target or its negative; 0 if most target values repeat.

    Only rows count whose target value occurs once: counts of trades may equal a plan by chance, profits in cents do
    not.
    """
    _, codes, counts = np.unique(np.abs(y), return_inverse=True, return_counts=True)
    rows = np.flatnonzero((counts[codes] == 1) & ~np.isnan(feature))
    if len(rows) < LEAST_ROWS or len(rows) * 3 < len(y):
        return 0.0
    equal = np.abs(np.abs(feature[rows]) - np.abs(y[rows])) <= 1e-9 * np.abs(y[rows])
    return float(equal.mean())


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
