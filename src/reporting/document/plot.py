"""A figure as numbers: what is drawn, not how.

The same `Plot` is drawn by plotly on the page and by matplotlib in the PDF, so that both show the same thing.

All sequences of one mark are equally long. A `None` among the values of a line interrupts it. Dates are ISO strings
on an axis of scale `date`. Texts are as their users wrote them; whoever draws escapes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | int | str | None
"""A place on an axis: a number, or an ISO date on a date axis."""
Role = Literal["main", "accent", "muted", "good", "bad", "series"]
"""What a mark means; whoever draws gives it its colour. `series` takes the colour of `series_index`."""
Scale = Literal["linear", "log", "date"]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: shown beside it.
        scale: `linear`, `log` or `date`.
        ticks: places and their labels; chosen by whoever draws when empty. Categories are places 0, 1, 2, ...
        limits: both ends, in the axis's unit; taken from the marks when None.
        percent: numbers are shares of one and shown as per cent.
        reverse: the first row on top, as a list is read.
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
    """Points; `shade` colours them by a number from light (lowest) to deep, `notes` say what each is."""

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
    """Bars from `start` to `end` at `place`; `across` lays them from left to right, rows being places.

    Attributes:
        place: of each bar on the axis that names them.
        end: where each ends, on the other axis.
        start: where each begins; 0 when empty.
        roles: one per bar, or one for all.
        low, high: bounds of an interval around `end`; none when empty.
        texts: written at the end of each bar, beyond its interval.
        thickness: in units of the axis that names them.
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
    """A matrix of numbers as colours: `z[row][column]` at `y[row]`, `x[column]`; None is left blank.

    `texts`, of the shape of `z`, are written into the cells. `centred` gives zero the colour of the paper.
    """

    x: Sequence[float]
    y: Sequence[float]
    z: Sequence[Sequence[float | None]]
    title: str = ""
    texts: Sequence[Sequence[str]] = ()
    centred: bool = False


@dataclass(frozen=True)
class Rule:
    """A straight line across the figure: upright at an `x`, or level at a `y`, with a word beside it."""

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
        height: in CSS pixels; the PDF keeps the proportion of height to a width of 640.
        legend: names of marks are listed; equal names once.
        zoom: dragging over the figure looks closer.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    height: int = 360
    legend: bool = True
    zoom: bool = False
