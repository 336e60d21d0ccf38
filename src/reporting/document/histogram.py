"""Histogram bins with round edges."""

import math
from collections.abc import Sequence

import numpy as np

from src.reporting.document.plot import Axis

MAX_WHOLE_TICKS = 4


def round_width(least: float) -> float:
    """The smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ... that is at least `least` > 0."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def round_edges(values: Sequence[float], most: int, least_width: float = 0.0) -> list[float]:
    """Edges of bins that contain all values, at multiples of a round width.

    Args:
        values: finite, at least one.
        most: maximum number of bins; the round width may add up to two.
        least_width: minimum width of a bin, 1 for whole numbers.
    """
    low, high = min(values), max(values)
    # Bins narrower than the precision of a float would have equal edges.
    finest = max(least_width, 1e-9 * max(abs(low), abs(high)), 1e-300)
    width = round_width(max((high - low) / most, finest))
    first, last = math.floor(low / width), math.ceil(high / width)
    return [width * place for place in range(first, max(last, first + 1) + 1)]


def counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Number of values in each bin, including its lower edge; the last bin includes its upper edge too."""
    return list(np.histogram(values, edges)[0].tolist())


def count_axis(title: str, bin_counts: Sequence[int]) -> Axis:
    """An axis for these counts; small counts get a tick at every whole number."""
    most = max(bin_counts, default=0)
    return Axis(title, ticks=[(n, str(n)) for n in range(most + 1)] if most <= MAX_WHOLE_TICKS else ())
