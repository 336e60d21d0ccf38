"""Converts the marks of a plot to plotly traces, as plain dictionaries for plotly.js."""

import html
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from src.reporting.document.palette import BLUE, GREY, HEAT_OPACITY, ORANGE, SHADES, color_of, rgba
from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Mark, Number, Points
from src.reporting.document.plot_layout import DAY, Limits, bar_start, place, shorten

Spec = dict[str, Any]
INK = "#1c2128"
EPOCH = datetime(1970, 1, 1)
TEXT_POSITIONS = {
    (True, False): "middle right", (True, True): "middle left", (False, False): "top center",
    (False, True): "bottom center",
}  # fmt: skip


class Digits:
    """Rounds the values of an axis to six digits of its length, more than a screen can show."""

    def __init__(self, axis: Axis, ends: Limits) -> None:
        width, largest = ends[1] - ends[0], max(abs(end) for end in ends)
        more = math.log10(largest / width) if axis.scale == "linear" and width > 0 and largest > width else 0.0
        self.digits = min(6 + math.ceil(more), 17)
        self.scale = axis.scale

    def number(self, value: Number) -> Number:
        """The rounded value; None if it has no coordinate on the axis."""
        where = place(value, self.scale)
        if where is None:
            return None
        if self.scale == "date":
            return moment(where)
        if isinstance(value, int):
            return value
        return float(f"{float(value or 0.0):.{self.digits}g}")

    def all(self, values: Sequence[Number]) -> list[Number]:
        """Several rounded values."""
        return [self.number(value) for value in values]


def moment(days: float) -> str:
    """Days since 1970 as a date for plotly: in UTC, without a time zone."""
    return (EPOCH + timedelta(days=days)).isoformat(timespec="milliseconds")


def traces(mark: Mark, x: Digits, y: Digits) -> list[Spec]:
    """The traces of a mark, with names for the legend; empty for a rule, which is a shape."""
    if isinstance(mark, Line):
        return [_line(mark, x, y)]
    if isinstance(mark, Points):
        return [_points(mark, x, y)]
    if isinstance(mark, Bars):
        return _bars(mark, x, y)
    if isinstance(mark, Band):
        return _band(mark, x, y)
    return [_heat(mark, x, y)] if isinstance(mark, Heat) else []


def _named(mark: Line | Points | Bars | Band, spec: Spec) -> Spec:
    return {**spec, "name": plain_text(mark.name), "legendgroup": plain_text(mark.name)} if mark.name else spec


def _line(mark: Line, x: Digits, y: Digits) -> Spec:
    color, ys = color_of(mark), y.all(mark.y)
    alone = sum(value is not None for value in ys) == 1
    line: Spec = {"color": color, "width": mark.width, "shape": "hv" if mark.step else "linear"}
    if mark.dashed:
        line["dash"] = "dash"
    spec = {
        "type": "scatter", "mode": "markers" if alone else "lines", "x": x.all(mark.x), "y": ys,
        "opacity": mark.opacity, "line": line, "marker": {"color": color, "size": 5},
    }  # fmt: skip
    return _named(mark, spec) if mark.name else {**spec, "hoverinfo": "x+y"}


def _points(mark: Points, x: Digits, y: Digits) -> Spec:
    color = color_of(mark)
    marker: Spec = {"size": mark.size, "color": color, "opacity": mark.opacity}
    if mark.cross:
        marker = {
            "symbol": "x-thin",
            "size": mark.size,
            "opacity": mark.opacity,
            "line": {"color": color, "width": 1.5},
        }
    if mark.shade:
        shades = [float(f"{value:.6g}") if math.isfinite(value) else None for value in mark.shade]
        marker |= {"color": shades, "colorscale": [[0, SHADES[0]], [1, SHADES[1]]]}
    if mark.shade and mark.shade_title:
        marker |= {"showscale": True, "colorbar": _colorbar(mark.shade_title)}
    spec: Spec = {"type": "scatter", "mode": "markers", "x": x.all(mark.x), "y": y.all(mark.y), "marker": marker}
    if mark.notes:
        notes = [plain_text(note, short=False) for note in mark.notes]
        spec |= {"text": notes, "hovertemplate": "%{text}: %{y}<extra></extra>"}
    return _named(mark, spec) if mark.name or mark.notes else {**spec, "hoverinfo": "x+y"}


def _bars(mark: Bars, x: Digits, y: Digits) -> list[Spec]:
    along, value = ("y", "x") if mark.across else ("x", "y")
    digits = x if mark.across else y
    starts = [bar_start(mark, row, digits.scale) for row in range(len(mark.end))]
    colors = [color_of(mark, role) for role in mark.roles]
    spec: Spec = {
        "type": "bar", "orientation": "h" if mark.across else "v", along: list(mark.place), "width": mark.thickness,
        value: [_length(a, b, digits) for a, b in zip(starts, mark.end, strict=True)],
        "marker": {"color": colors if len(colors) > 1 else colors[0]},
    }  # fmt: skip
    if mark.start:
        spec["base"] = digits.all(starts)
        notes = mark.texts or [f"{_plain(a)} to {_plain(b)}" for a, b in zip(starts, mark.end, strict=True)]
        spec |= {"hovertext": [plain_text(note, short=False) for note in notes], "hoverinfo": "text"}
    more = [_intervals(mark, digits)] if mark.low and mark.high else []
    return [_named(mark, spec), *more, *([_bar_texts(mark, digits)] if mark.texts else [])]


def _length(start: Number, end: Number, digits: Digits) -> Number:
    """A bar's length, which plotly adds to its base; in milliseconds on a date axis."""
    a, b = place(start, digits.scale), place(end, digits.scale)
    if digits.scale == "date":
        return None if a is None or b is None else round((b - a) * DAY * 1000)
    if b is None:
        return None
    return digits.number(float(end or 0.0) - float(start or 0.0))


def _intervals(mark: Bars, digits: Digits) -> Spec:
    """Error bars of invisible points; without empty intervals, because plotly would draw their ends."""
    rows = [row for row in range(len(mark.end)) if mark.high[row] > mark.low[row]]
    ends = [mark.end[row] for row in rows]
    up = [_reach(mark.high[row], end) for row, end in zip(rows, ends, strict=True)]
    down = [_reach(end, mark.low[row]) for row, end in zip(rows, ends, strict=True)]
    along, value = ("y", "x") if mark.across else ("x", "y")
    lines = {"type": "data", "symmetric": False, "color": INK, "width": 5, "thickness": 2}
    return {
        "type": "scatter", "mode": "markers", value: digits.all(ends), along: [mark.place[row] for row in rows],
        "marker": {"opacity": 0}, "hoverinfo": "skip", f"error_{value}": {**lines, "array": up, "arrayminus": down},
    }  # fmt: skip


def _reach(high: Number, low: Number) -> float | None:
    reach = float(high or 0.0) - float(low or 0.0)
    return float(f"{reach:.6g}") if math.isfinite(reach) else None


def _bar_texts(mark: Bars, digits: Digits) -> Spec:
    """Texts of invisible points beyond the bars; unlike annotations they move when the figure is zoomed."""
    beyond: list[Number] = []
    positions = []
    for row, end in enumerate(mark.end):
        falls = _falls(mark, row, digits)
        bounds = (mark.low if falls else mark.high) or mark.end
        outer = [value for value in (end, bounds[row]) if place(value, digits.scale) is not None]
        order = sorted(outer, key=lambda value: place(value, digits.scale) or 0.0, reverse=not falls)
        beyond.append(digits.number(order[0]) if order else None)
        positions.append(TEXT_POSITIONS[mark.across, falls])
    along, value = ("y", "x") if mark.across else ("x", "y")
    return {
        "type": "scatter", "mode": "markers+text", "marker": {"size": 9, "opacity": 0}, "hoverinfo": "skip",
        value: beyond, along: list(mark.place),
        "text": [plain_text(text) for text in mark.texts], "textposition": positions, "cliponaxis": False,
    }  # fmt: skip


def _falls(mark: Bars, row: int, digits: Digits) -> bool:
    start, end = place(bar_start(mark, row, digits.scale), digits.scale), place(mark.end[row], digits.scale)
    return start is not None and end is not None and end < start


def _plain(value: Number) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _band(mark: Band, x: Digits, y: Digits) -> list[Spec]:
    """One closed outline around the finite values."""
    rows = zip(x.all(mark.x), y.all(mark.low), y.all(mark.high), strict=True)
    kept = [row for row in rows if None not in row]
    if not kept:
        return []
    xs, low, high = (list(values) for values in zip(*kept, strict=True))
    fill = rgba(color_of(mark), mark.opacity)
    spec = {
        "type": "scatter", "mode": "lines", "x": xs + xs[::-1], "y": high + low[::-1], "fill": "toself",
        "fillcolor": fill, "line": {"width": 0, "color": fill}, "hoverinfo": "skip",
    }  # fmt: skip
    return [_named(mark, spec)]


def _heat(mark: Heat, x: Digits, y: Digits) -> Spec:
    cells = [[None if v is None or not math.isfinite(v) else float(f"{v:.6g}") for v in row] for row in mark.z]
    spec: Spec = {
        "type": "heatmap", "x": x.all(mark.x), "y": y.all(mark.y), "z": cells, "xgap": 1, "ygap": 1,
        "colorscale": _heat_scale(mark.centred), "colorbar": _colorbar(mark.title), "hoverongaps": False,
    }  # fmt: skip
    if mark.centred:
        reach = max((abs(v) for row in cells for v in row if v is not None), default=1.0) or 1.0
        spec |= {"zmin": -reach, "zmax": reach}
    if mark.texts:
        spec |= {"text": [[plain_text(text) for text in row] for row in mark.texts], "texttemplate": "%{text}"}
    return spec


def _heat_scale(centred: bool) -> list[tuple[float, str]]:
    faint, deep = HEAT_OPACITY
    if centred:
        return [(0.0, rgba(ORANGE, deep)), (0.5, rgba(GREY, 0.0)), (1.0, rgba(BLUE, deep))]
    return [(0.0, rgba(BLUE, faint)), (1.0, rgba(BLUE, deep))]


def _colorbar(title: str) -> Spec:
    bar: Spec = {"thickness": 10, "outlinewidth": 0, "len": 0.9, "xpad": 6}
    return {**bar, "title": {"text": plain_text(title), "side": "right"}} if title else bar


def plain_text(name: str, short: bool = True) -> str:
    """A user's text escaped for plotly, and shortened if it is a name."""
    return html.escape(shorten(name) if short else name)
