"""Bins of a histogram that begin and end at round numbers."""

import math
from collections.abc import Sequence

import numpy as np

from src.reporting.document.plot import Axis

MAX_WHOLE_TICKS = 4


def round_width(least: float) -> float:
    """The smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ... that is not below `least`, which is positive."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def round_edges(values: Sequence[float], most: int, least_width: float = 0.0) -> list[float]:
    """Edges of bins that hold all values, at multiples of a round width.

    Args:
        values: finite, one at least.
        most: how many bins there may be, up to two more where the round width calls for it.
        least_width: a bin is no narrower, as that of whole numbers should not be.
    """
    low, high = min(values), max(values)
    # Bins narrower than the numbers' own digits would have equal edges.
    finest = max(least_width, 1e-9 * max(abs(low), abs(high)), 1e-300)
    width = round_width(max((high - low) / most, finest))
    first, last = math.floor(low / width), math.ceil(high / width)
    return [width * place for place in range(first, max(last, first + 1) + 1)]


def counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values lie in each bin, its lower edge with it, the last bin's upper edge too."""
    return list(np.histogram(values, edges)[0].tolist())


def count_axis(title: str, found: Sequence[int]) -> Axis:
    """An axis for these counts; few are counted by whole numbers."""
    most = max(found, default=0)
    return Axis(title, ticks=[(n, str(n)) for n in range(most + 1)] if most <= MAX_WHOLE_TICKS else ())
