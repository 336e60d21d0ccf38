"""Draws the marks of a plot on matplotlib axes.

The matplotlib axes are linear: values on a logarithmic or date axis are drawn at their coordinates
(`plot_layout.place`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize

from src.reporting.document.palette import BLUE, HEAT_OPACITY, ORANGE, SHADES, color_of, on_white
from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Mark, Number, Plot, Points, Rule
from src.reporting.document.plot_layout import Limits, bar_start, edges, place, places, rules_of, shorten
from src.reporting.pdf.text import fitted, printable, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

Numbers = np.ndarray[Any, np.dtype[np.float64]]
INK, SOFT = "#1c2128", "#59626e"
PIXEL = 0.72
"""Points per CSS pixel: lines in the PDF are a little thinner than on the screen."""
FONT_SIZE = 7.0
SMALLEST_SIZE = 3.0


def draw_marks(plot: Plot, axes: "Axes") -> None:
    """Draws all marks in order; rules are on top."""
    for order, mark in enumerate(plot.marks):
        _draw(mark, plot, axes, 2 + order / 100)
    for row, rule in enumerate(rules_of(plot)):
        _rule(rule, plot, axes, row)


def _draw(mark: Mark, plot: Plot, axes: "Axes", order: float) -> None:
    if isinstance(mark, Line):
        _line(mark, plot, axes, order)
    elif isinstance(mark, Points):
        _points(mark, plot, axes, order)
    elif isinstance(mark, Bars):
        _bars(mark, plot.x if mark.across else plot.y, axes, order)
    elif isinstance(mark, Band):
        _band(mark, plot, axes, order)
    elif isinstance(mark, Heat):
        _heat(mark, plot, axes)


def size_of(axes: "Axes") -> Limits:
    """Width and height of the axes in points."""
    figure = axes.get_figure(root=True)
    scale = 72.0 / (figure.dpi if figure else 72.0)
    return axes.bbox.width * scale, axes.bbox.height * scale


def _floats(values: Sequence[Number], axis: Axis) -> Numbers:
    """Coordinates; NaN for a value without one, which interrupts a line."""
    return np.array([np.nan if at is None else at for at in places(values, axis.scale)], dtype=float)


def _line(mark: Line, plot: Plot, axes: "Axes", order: float) -> None:
    ys = _floats(mark.y, plot.y)
    alone = np.isfinite(ys).sum() == 1
    axes.plot(
        _floats(mark.x, plot.x), ys, color=color_of(mark), linewidth=mark.width * PIXEL, alpha=mark.opacity,
        linestyle="--" if mark.dashed else "-", drawstyle="steps-post" if mark.step else "default", zorder=order,
        marker="o" if alone else "", markersize=4, solid_joinstyle="round", solid_capstyle="butt",
    )  # fmt: skip


def _points(mark: Points, plot: Plot, axes: "Axes", order: float) -> None:
    xs, ys = _floats(mark.x, plot.x), _floats(mark.y, plot.y)
    style: dict[str, Any] = {"color": color_of(mark)}
    if mark.shade:
        shades = np.array(mark.shade, dtype=float)
        style = {"c": shades, "cmap": LinearSegmentedColormap.from_list("shade", SHADES)}
    # Smaller in a small figure, as everything except lines and letters.
    size = mark.size * min(PIXEL, max(0.4, size_of(axes)[0] / 400))
    drawn = axes.scatter(
        xs, ys, s=size**2, alpha=mark.opacity, zorder=order, marker="x" if mark.cross else "o",
        linewidths=1.0 if mark.cross else 0.0, **style,
    )  # fmt: skip
    if mark.shade and mark.shade_title:
        _colorbar(drawn, axes, mark.shade_title)


def _bars(mark: Bars, axis: Axis, axes: "Axes", order: float) -> None:
    ends, where = _floats(mark.end, axis), np.array(mark.place, dtype=float)
    starts = _floats([bar_start(mark, row, axis.scale) for row in range(len(ends))], axis)
    # A bar without a start coordinate, as zero on a logarithmic axis, begins at the lower end of the axis.
    starts = np.where(np.isnan(starts), min(axes.get_xlim() if mark.across else axes.get_ylim()), starts)
    colors = [color_of(mark, role) for role in mark.roles] * (len(ends) if len(mark.roles) == 1 else 1)
    bar = axes.barh if mark.across else axes.bar
    kept = np.isfinite(ends)
    bar(
        where[kept], (ends - starts)[kept], mark.thickness, starts[kept], zorder=order, linewidth=0,
        color=[color for color, keep in zip(colors, kept, strict=True) if keep],
    )  # fmt: skip
    low, high = (_floats(mark.low, axis), _floats(mark.high, axis)) if mark.low and mark.high else (ends, ends)
    _intervals(mark.across, where, (low, high), axes)
    size = _text_size(_pitch(where, axes, mark.across), 1.0) if mark.across else FONT_SIZE - 0.5
    for row, text in enumerate(mark.texts):
        falls = bool(ends[row] < starts[row])
        beyond = np.fmin(ends[row], low[row]) if falls else np.fmax(ends[row], high[row])
        if kept[row] and size:
            _bar_text((text, size), (where[row], float(beyond)), (mark.across, falls), axes)


def _intervals(across: bool, where: Numbers, bounds: tuple[Numbers, Numbers], axes: "Axes") -> None:
    low, high = bounds
    real = high > low
    middles, reach = (low + high)[real] / 2, (high - low)[real] / 2
    style: dict[str, Any] = {"fmt": "none", "ecolor": INK, "elinewidth": 1.2, "capsize": 2.5, "zorder": 3}
    if across:
        axes.errorbar(middles, where[real], xerr=reach, **style)
    else:
        axes.errorbar(where[real], middles, yerr=reach, **style)


def _bar_text(text: tuple[str, float], at: Limits, how: tuple[bool, bool], axes: "Axes") -> None:
    (words, size), (across, falls) = text, how
    gap = -3 if falls else 3
    side: dict[str, Any] = {"ha": "right" if falls else "left", "va": "center"}
    side = side if across else {"ha": "center", "va": "top" if falls else "bottom"}
    axes.annotate(
        printable(shorten(words)), at[::-1] if across else at, (gap, 0) if across else (0, gap),
        textcoords="offset points",
        fontsize=size, color=INK, zorder=4, annotation_clip=False, **side,
    )  # fmt: skip


def _band(mark: Band, plot: Plot, axes: "Axes", order: float) -> None:
    xs, low, high = _floats(mark.x, plot.x), _floats(mark.low, plot.y), _floats(mark.high, plot.y)
    kept = np.isfinite(xs + low + high)
    axes.fill_between(
        xs[kept], low[kept], high[kept], color=color_of(mark), alpha=mark.opacity, linewidth=0, zorder=order
    )


def _heat(mark: Heat, plot: Plot, axes: "Axes") -> None:
    cells = np.ma.masked_invalid(np.array([[np.nan if v is None else v for v in row] for row in mark.z], dtype=float))
    faint, deep = HEAT_OPACITY
    colors = [on_white(ORANGE, deep), "#ffffff", on_white(BLUE, deep)]
    colors = colors if mark.centred else [on_white(BLUE, faint), on_white(BLUE, deep)]
    reach = (float(abs(cells).max()) or 1.0) if cells.count() else 1.0
    drawn = axes.pcolormesh(
        edges(mark.x, plot.x.scale), edges(mark.y, plot.y.scale), cells, edgecolors="white", linewidth=0.5, zorder=1,
        cmap=LinearSegmentedColormap.from_list("heat", colors), norm=Normalize(-reach, reach) if mark.centred else None,
    )  # fmt: skip
    _colorbar(drawn, axes, mark.title)
    texts = [printable(text) for row in mark.texts for text in row]
    size = _cell_text_size(mark, plot, texts, axes)
    at = [(x, y) for y in places(mark.y, plot.y.scale) for x in places(mark.x, plot.x.scale)]
    for (x, y), text in zip(at, texts, strict=False):
        if x is not None and y is not None and size:
            axes.text(x, y, text, ha="center", va="center", fontsize=size, color=INK, zorder=4)


def _cell_text_size(mark: Heat, plot: Plot, texts: Sequence[str], axes: "Axes") -> float:
    """The font size at which the longest text fits into a cell; 0 if it would be illegible."""
    width = _pitch(_floats(mark.x, plot.x), axes, upright=False)
    height = _pitch(_floats(mark.y, plot.y), axes, upright=True)
    longest = max((text_width(text, 1.0) for text in texts), default=0.0)
    return min(_text_size(width * 0.9, longest), _text_size(height, 1.0))


def _pitch(where: Numbers, axes: "Axes", upright: bool) -> float:
    """The smallest distance in points between neighbours on an axis."""
    low, high = axes.get_ylim() if upright else axes.get_xlim()
    gaps = np.abs(np.diff(np.sort(where)))
    return size_of(axes)[upright] * float(gaps.min() / abs(high - low) if len(gaps) else 1.0)


def _text_size(room: float, extent: float) -> float:
    """The font size at which a text of length `extent` at size 1 fits into `room`; 0 if that is illegible."""
    size = min(FONT_SIZE - 0.5, room * 0.85 / extent if extent else FONT_SIZE)
    return size if size >= SMALLEST_SIZE else 0.0


def _colorbar(drawn: "ScalarMappable", axes: "Axes", title: str) -> None:
    figure: Any = axes.get_figure(root=True)
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.02, 0.05, 0.02, 0.9)))
    bar.outline.set_visible(False)
    bar.solids.set(alpha=1.0, rasterized=False, edgecolor="face")
    bar.ax.tick_params(labelsize=FONT_SIZE - 1, labelcolor=SOFT, length=2, color=SOFT)
    bar.set_label(fitted(title, size_of(axes)[1], FONT_SIZE), fontsize=FONT_SIZE, color=INK)


def _rule(rule: Rule, plot: Plot, axes: "Axes", row: int) -> None:
    """The line, and its label on the side with more room; each label one line below the previous one."""
    at = place(rule.at, (plot.x if rule.upright else plot.y).scale) or 0.0
    style: dict[str, Any] = {"color": color_of(rule), "linewidth": 1.0, "linestyle": ":", "zorder": 3}
    text: dict[str, Any] = {"fontsize": FONT_SIZE - 0.5, "color": INK, "zorder": 5, "textcoords": "offset points"}
    text["bbox"] = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
    label = printable(shorten(rule.label))
    right = at > sum(axes.get_xlim()) / 2 if rule.upright else True
    text["ha"] = "right" if right else "left"
    if rule.upright:
        axes.axvline(at, **style)
        text |= {"va": "top", "xycoords": axes.get_xaxis_transform(), "xytext": (-3 if right else 3, -2 - 9 * row)}
    else:
        axes.axhline(at, **style)
        text |= {"va": "bottom", "xycoords": axes.get_yaxis_transform(), "xytext": (-2, 2)}
    if label:
        axes.annotate(label, (at, 1.0) if rule.upright else (1.0, at), **text)
