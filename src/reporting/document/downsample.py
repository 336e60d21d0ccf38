"""Fewer points where there are more than an eye, or a file that has to be sent, can take."""

from collections.abc import Sequence
from itertools import islice

MAX_POINTS = 2000


def downsampled(n: int, best: Sequence[int] = (), limit: int = MAX_POINTS) -> list[int]:
    """Places of the points to draw, in order: all `n`, or the best ones and an even choice of the others.

    Args:
        n: how many there are.
        best: places of the points that must stay, the most important first; at most a tenth of `limit` is kept,
            since more would look as if most points were good.
        limit: how many may be drawn.
    """
    if n <= limit:
        return list(range(n))
    kept = set(islice(best, limit // 10))
    rest = [place for place in range(n) if place not in kept]
    room = limit - len(kept)
    spread = (rest[i * (len(rest) - 1) // max(1, room - 1)] for i in range(room))
    return sorted({*kept, *spread})


def downsampling_note(n: int, shown: int) -> str:
    """What a caption says of it; nothing where all are drawn."""
    return f" {shown:,} of {n:,} points are drawn, the best ones among them." if shown < n else ""
