"""Features from when an account had rows, whatever their values."""

import numpy as np

from .catalogue import LONGEST_WINDOW, MOST_DAYS
from .panel import Floats, Panel


def gap_values(panel: Panel, statistic: str) -> Floats:
    """`rows_so_far` or `days_since_last_row` for each row of the panel, (n_rows,)."""
    if statistic == "rows_so_far":
        return np.minimum(panel.positions, LONGEST_WINDOW).astype(np.float64)
    days = np.diff(panel.dates.astype(np.int64), prepend=0)
    return np.where(panel.positions > 0, np.minimum(days, MOST_DAYS), np.nan)
