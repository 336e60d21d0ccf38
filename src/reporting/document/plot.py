"""A figure as data: what is drawn, not how.

The same `Plot` is drawn by plotly in HTML and by matplotlib in the PDF, so that both show the same.

All sequences of one mark have the same length. A `None` among the values of a line interrupts it. Dates are ISO
strings on an axis of scale `date`. Texts are as the user wrote them; the drawing code escapes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | int | str | None
"""A position on an axis: a number, or an ISO date on a date axis."""
Role = Literal["main", "accent", "muted", "good", "bad", "series"]
"""What a mark means, which decides its colour. `series` takes the colour of `series_index`."""
Scale = Literal["linear", "log", "date"]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: shown beside the axis.
        scale: `linear`, `log` or `date`.
        ticks: positions and labels; if empty, the drawing code chooses. Categories have positions 0, 1, 2, ...
        limits: both ends, in the axis's unit; None derives them from the marks.
        percent: numbers are shares of one, shown in per cent.
        reverse: the first row is at the top, as in a list.
    """

    title: str = ""
    scale: Scale = "linear"
    ticks: Sequence[tuple[float, str]] = ()
    limits: tuple[float, float] | None = None
    percent: bool = False
    reverse: bool = False


@dataclass(frozen=True)
class Line:
    """A line through points; `step` holds each value until the next."""

    x: Sequence[Number]
    y: Sequence[Number]
    name: str = ""
    role: Role = "main"
    series_index: int = 0
    width: float = 2.0
    opacity: float = 1.0
    dashed: bool = False
    step: bool = False


@dataclass(frozen=True)
class Points:
    """Points; `shade` colours them by a number, from light (lowest) to dark; `notes` are shown on hover."""

    x: Sequence[Number]
    y: Sequence[Number]
    name: str = ""
    role: Role = "main"
    series_index: int = 0
    size: float = 7.0
    opacity: float = 0.8
    cross: bool = False
    shade: Sequence[float] = ()
    shade_title: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Bars:
    """Bars from `start` to `end` at `place`; with `across` they are horizontal.

    Attributes:
        place: position of each bar on the axis with the bars' names.
        end: where each bar ends, on the other axis.
        start: where each bar begins; 0 if empty.
        roles: one per bar, or one for all.
        low, high: bounds of an interval around `end`; no interval if empty.
        texts: written at the end of each bar, beyond its interval.
        thickness: in units of the axis with the bars' names.
    """

    place: Sequence[float]
    end: Sequence[Number]
    start: Sequence[Number] = ()
    name: str = ""
    roles: Sequence[Role] = ("main",)
    series_index: int = 0
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    texts: Sequence[str] = ()
    across: bool = False
    thickness: float = 0.7


@dataclass(frozen=True)
class Band:
    """An area between `low` and `high`."""

    x: Sequence[Number]
    low: Sequence[float]
    high: Sequence[float]
    name: str = ""
    role: Role = "main"
    opacity: float = 0.2


@dataclass(frozen=True)
class Heat:
    """A heat map: `z[row][column]` at `y[row]`, `x[column]`; None is left blank.

    `texts`, of the shape of `z`, are written into the cells. `centred` gives zero the background colour.
    """

    x: Sequence[float]
    y: Sequence[float]
    z: Sequence[Sequence[float | None]]
    title: str = ""
    texts: Sequence[Sequence[str]] = ()
    centred: bool = False


@dataclass(frozen=True)
class Rule:
    """A straight line across the figure, vertical (`upright`) at an `x` or horizontal at a `y`, with a label."""

    at: Number
    upright: bool = False
    label: str = ""
    role: Role = "muted"


Mark = Line | Points | Bars | Band | Heat | Rule


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        x: the lower axis.
        y: the left axis.
        marks: drawn in this order, the last on top.
        height: in CSS pixels; the PDF keeps the ratio of height to a width of 640.
        legend: whether the names of marks are listed, equal names once.
        zoom: whether dragging over the figure zooms in.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    height: int = 360
    legend: bool = True
    zoom: bool = False
