"""An axis for values of which a few are so bad that they would press all others into one line."""

from collections.abc import Sequence

MIN_VALUES = 10
TYPICAL = 0.9
FAR, SHOWN = 6.0, 4.0
"""Beyond so many times the distance from the best value to the typical worst one, values are far; so much is shown."""


def axis_limits(values: Sequence[float], maximize: bool, others: Sequence[float] = ()) -> tuple[float, float] | None:
    """Limits of an axis around the better values; None where all of them, and the others, can be shown.

    Args:
        values: finite; nine tenths of them are shown for certain.
        maximize: whether higher ones are better.
        others: finite values on the same axis that do not decide what is typical.
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
    """What a caption says of the values that the axis leaves out."""
    outside = 0 if limits is None else sum(not limits[0] <= value <= limits[1] for value in values)
    if not outside:
        return ""
    return f" {outside:,} far worse {'value lies' if outside == 1 else 'values lie'} beyond the axis."
