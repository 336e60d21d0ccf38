"""Limits the number of points in a figure, so that figures stay readable and files small."""

from collections.abc import Sequence
from itertools import islice

MAX_POINTS = 2000


def downsampled(n: int, best: Sequence[int] = (), limit: int = MAX_POINTS) -> list[int]:
    """Indices of the points to draw, in order: all `n`, or the best ones and an evenly spaced part of the others.

    Args:
        n: number of points.
        best: indices of the points to keep, the most important first; at most a tenth of `limit` is kept, because
            more would suggest that most points are good.
        limit: maximum number of points drawn.
    """
    if n <= limit:
        return list(range(n))
    kept = set(islice(best, limit // 10))
    rest = [place for place in range(n) if place not in kept]
    room = limit - len(kept)
    spread = (rest[i * (len(rest) - 1) // max(1, room - 1)] for i in range(room))
    return sorted({*kept, *spread})


def downsampling_note(n: int, shown: int) -> str:
    """A caption's sentence on it; empty if all points are drawn."""
    return f" {shown:,} of {n:,} points are drawn, including the best ones." if shown < n else ""
