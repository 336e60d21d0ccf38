"""Limits, ticks and coordinates of a plot, the same for HTML and PDF.

Coordinates here are linear along the axis: the number itself, its logarithm to base 10, or days since 1970 for a date.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Mark, Number, Plot, Points, Rule, Scale

DAY = 86_400.0
MARGIN = 0.04
"""Share of an axis left empty beyond the outermost marks, so that none is cut off."""
PHONE, LETTER, GAP = 235.0, 7.0, 10.0
"""Pixels: from the names of bars to the right edge on a phone, of one letter, between a bar and its text."""
MAX_LABEL = 32
Limits = tuple[float, float]


@dataclass(frozen=True)
class _Extent:
    """The extent of a mark along an axis; a hard end needs no margin; `text_*` are lengths of texts beyond it."""

    low: float
    high: float
    hard_low: bool = False
    hard_high: bool = False
    text_low: int = 0
    text_high: int = 0


def place(value: Number, scale: Scale) -> float | None:
    """A value's coordinate; None if it has none, as zero on a logarithmic axis.

    Raises:
        ValueError: a text on a date axis is not an ISO date, or a text on another axis is not a number.
    """
    if value is None:
        return None
    if scale == "date":
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / DAY
    number = float(value)
    if not math.isfinite(number):
        return None
    if scale == "log":
        return math.log10(number) if number > 0 else None
    return number


def places(values: Iterable[Number], scale: Scale) -> list[float | None]:
    """The coordinates of several values."""
    return [place(value, scale) for value in values]


def limits(plot: Plot) -> tuple[Limits, Limits]:
    """Both ends of the x axis and of the y axis as coordinates, the lower end first, with room for all marks."""
    return _limits(plot, upright=False), _limits(plot, upright=True)


def _limits(plot: Plot, upright: bool) -> Limits:
    axis = plot.y if upright else plot.x
    given = [place(bound, axis.scale) for bound in axis.limits or ()]
    if len(given) == 2 and given[0] is not None and given[1] is not None and given[0] != given[1]:
        return min(given[0], given[1]), max(given[0], given[1])
    spans = [span for mark in plot.marks for span in _spans(mark, axis, upright)]
    spans += [_Extent(place_, place_) for place_, _ in _tick_places(axis)]
    return _with_margins(spans, upright) if spans else (0.0, 1.0)


def _tick_places(axis: Axis) -> list[tuple[float, str]]:
    located = ((place(value, axis.scale), label) for value, label in axis.ticks)
    return [(value, label) for value, label in located if value is not None]


def _with_margins(spans: Sequence[_Extent], upright: bool) -> Limits:
    low, high = min(span.low for span in spans), max(span.high for span in spans)
    if low == high:
        reach = abs(low) * 0.05 or 0.5
        return low - reach, high + reach
    width = high - low
    if not math.isfinite(width * 2):
        return low, high
    below = 0.0 if any(span.hard_low and span.low == low for span in spans) else MARGIN
    above = 0.0 if any(span.hard_high and span.high == high for span in spans) else MARGIN
    return _with_texts(spans, (low - below * width, high + above * width), upright)


def _with_texts(spans: Sequence[_Extent], ends: Limits, upright: bool) -> Limits:
    """Wider ends, so that each text fits beyond its bar; room for one text makes all bars shorter."""
    low, high = ends
    for _ in range(12):  # converges, because the shares of both sides add up to less than one
        width = high - low
        low = min([ends[0], *(span.low - _text_share(span.text_low, upright) * width for span in spans)])
        high = max([ends[1], *(span.high + _text_share(span.text_high, upright) * width for span in spans)])
    return low, high


def _text_share(length: int, upright: bool) -> float:
    """Room for a text beyond a bar, as a share of the whole axis, in a figure as narrow as on a phone."""
    if not length:
        return 0.0
    return 0.09 if upright else min((GAP + LETTER * length) / PHONE, 0.45)


def _spans(mark: Mark, axis: Axis, upright: bool) -> Iterator[_Extent]:
    if isinstance(mark, Line | Points):
        yield from _of_values(mark.y if upright else mark.x, axis.scale)
    elif isinstance(mark, Band):
        values = [*mark.low, *mark.high] if upright else mark.x
        yield from _of_values(values, axis.scale)
    elif isinstance(mark, Rule):
        yield from _of_values([mark.at] if mark.upright != upright else [], axis.scale)
    elif isinstance(mark, Heat):
        ends = edges(mark.y if upright else mark.x, axis.scale)
        yield from [_Extent(ends[0], ends[-1], hard_low=True, hard_high=True)] if ends else []
    elif mark.across == upright:
        reach = mark.thickness / 2 + 0.2
        yield from (_Extent(at - reach, at + reach, hard_low=True, hard_high=True) for at in mark.place)
    else:
        yield from _bar_ends(mark, axis.scale)


def _of_values(values: Sequence[Number], scale: Scale) -> Iterator[_Extent]:
    coordinates = [value for value in places(values, scale) if value is not None]
    if coordinates:
        yield _Extent(min(coordinates), max(coordinates))


def _bar_ends(bars: Bars, scale: Scale) -> Iterator[_Extent]:
    """The extent of each bar, from its start to the farther of its end and its interval's end, and its text."""
    for row, end in enumerate(bars.end):
        start = place(bar_start(bars, row, scale), scale)
        reach = [place(values[row], scale) for values in (bars.end, bars.low, bars.high) if values]
        coordinates = [value for value in (start, *reach) if value is not None]
        if not coordinates:
            continue
        low, high, length = min(coordinates), max(coordinates), len(bars.texts[row]) if bars.texts else 0
        falls = start is not None and (place(end, scale) or 0.0) < start
        texts = (length, 0) if falls else (0, length)
        yield _Extent(low, high, low == start, high == start, *texts)


def bar_start(bars: Bars, row: int, scale: Scale) -> Number:
    """Where a bar begins; None on a logarithmic axis for a bar that begins at zero."""
    if bars.start:
        return bars.start[row]
    return 0.0 if scale == "linear" else None


def edges(centres: Sequence[Number], scale: Scale) -> list[float]:
    """The edges of cells around their centres as coordinates, one more than there are cells."""
    coordinates = [value for value in places(centres, scale) if value is not None]
    if len(coordinates) < 2:
        return [bound for value in coordinates for bound in (value - 0.5, value + 0.5)]
    middles = [(a + b) / 2 for a, b in pairwise(coordinates)]
    return [2 * coordinates[0] - middles[0], *middles, 2 * coordinates[-1] - middles[-1]]


def ticks(axis: Axis, ends: Limits) -> list[tuple[float, str]]:
    """Positions and labels of fixed ticks: given ones, or those of a logarithmic axis; empty for automatic ticks."""
    if axis.ticks:
        return [(value, shorten(label)) for value, label in axis.ticks]
    if axis.scale == "log":
        return [(tick, log_label(tick)) for tick in _log_ticks(*ends)]
    return []


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, at most six; on a short axis also multiples of them."""
    first, last = math.ceil(low), math.floor(high)
    if last - first >= 2:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first + 1) / 6))]
    factors = (1, 3) if high - low > 1 else (1, 1.5, 2, 3, 5, 7)
    candidates = [factor * 10.0**power for power in range(first - 1, last + 2) for factor in factors]
    inside = [tick for tick in candidates if low <= math.log10(tick) <= high]
    return inside if len(inside) > 1 else [10.0**low, 10.0**high]


def log_label(value: float) -> str:
    """`0.001`, `1e-8`, `3`, `1e6`: short, and the same in HTML and PDF."""
    if 1e-4 < value < 1e5:
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def shorten(label: str) -> str:
    """A user's name on one line, cut to the length that a figure has room for."""
    line = " ".join(label.split()) if not label.isprintable() else label
    return line if len(line) <= MAX_LABEL else f"{line[: MAX_LABEL - 1]}…"


def holds_names(plot: Plot, upright: bool) -> bool:
    """Whether an axis has the names of bars or cells, where a grid would only cross them."""
    return any(isinstance(mark, Heat) or (isinstance(mark, Bars) and mark.across == upright) for mark in plot.marks)


def rules_of(plot: Plot) -> list[Rule]:
    """The rules that have a coordinate on their axis."""
    rules = [mark for mark in plot.marks if isinstance(mark, Rule)]
    return [rule for rule in rules if place(rule.at, (plot.x if rule.upright else plot.y).scale) is not None]


def zero_inside(axis: Axis, ends: Limits) -> bool:
    """Whether zero is between the marks, not in the margin beyond them, and gets a line."""
    low, high = ends
    return axis.scale == "linear" and not axis.ticks and low < -1.5 * MARGIN * (high - low) and high > 0
