"""Axis limits that leave out a few far worse values, which would compress all others into one line."""

from collections.abc import Sequence

MIN_VALUES = 10
TYPICAL = 0.9
FAR, SHOWN = 6.0, 4.0
"""Multiples of the distance from the best value to the 90 % quantile: farther values are outliers; the axis's end."""


def axis_limits(values: Sequence[float], maximize: bool, others: Sequence[float] = ()) -> tuple[float, float] | None:
    """Limits of an axis around the better values; None if all `values` and `others` can be shown.

    Args:
        values: finite; the best 90 % are always shown.
        maximize: whether higher values are better.
        others: finite values on the same axis, which do not count for the quantile.
    """
    if len(values) < MIN_VALUES:
        return None
    ranked = sorted(values, reverse=maximize)
    best, typical = ranked[0], ranked[int(TYPICAL * (len(ranked) - 1))]
    reach = abs(typical - best)
    worst = max(abs(value - best) for value in (ranked[-1], *others))
    if not reach or worst <= FAR * reach:
        return None
    ends = (best - 0.3 * reach, best + SHOWN * reach)
    return (2 * best - ends[1], 2 * best - ends[0]) if maximize else ends


def outside_note(limits: tuple[float, float] | None, values: Sequence[float]) -> str:
    """A caption's sentence on the values outside the axis; empty if there are none."""
    outside = 0 if limits is None else sum(not limits[0] <= value <= limits[1] for value in values)
    if not outside:
        return ""
    return f" {outside:,} far worse {'value is' if outside == 1 else 'values are'} outside the axis."
