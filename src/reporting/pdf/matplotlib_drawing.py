"""Draws a `Plot` on matplotlib axes: limits, ticks, legend and marks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, Formatter, MaxNLocator

from src.reporting.document.palette import color_of
from src.reporting.document.plot import Band, Bars, Line, Plot, Points
from src.reporting.document.plot_layout import holds_names, limits, place, shorten, ticks, zero_inside
from src.reporting.pdf.matplotlib_marks import FONT_SIZE, INK, PIXEL, SOFT, draw_marks, size_of
from src.reporting.pdf.text import fitted, printable, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = "#dfe3e8"
LEGEND_SHARE = 0.25
"""Maximum share of a figure's height for the legend."""
HANDLE = 26.0
"""Width in points of a legend handle with its gap."""


def draw(plot: Plot, axes: "Axes") -> None:
    """Draws a plot on empty axes of the final size.

    Args:
        plot: what to draw.
        axes: where to draw; the layout of labels depends on the figure's dpi.
    """
    x_limits, y_limits = limits(plot)
    axes.set_xlim(*(x_limits[::-1] if plot.x.reverse else x_limits))
    axes.set_ylim(*(y_limits[::-1] if plot.y.reverse else y_limits))
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    draw_marks(plot, axes)
    axes.set_xlim(*(x_limits[::-1] if plot.x.reverse else x_limits))
    axes.set_ylim(*(y_limits[::-1] if plot.y.reverse else y_limits))
    _axis(plot, axes, upright=False)
    _axis(plot, axes, upright=True)
    if plot.legend:
        _legend(plot, axes)


class Plain(Formatter):
    """Formats ticks with as many digits as make them different."""

    def __init__(self, percent: bool) -> None:
        self.percent = percent

    def __call__(self, value: float, pos: int | None = None) -> str:
        """The label of a single tick."""
        return self.format_ticks([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The labels of all ticks of an axis."""
        almost_zero = max((abs(value) for value in values), default=0.0) * 1e-9
        shown = [0.0 if abs(v) < almost_zero else v * 100 if self.percent else v for v in values]
        labels: list[str] = []
        for digits in range(3, 17):
            labels = [_number(value, digits) for value in shown]
            if len(set(labels)) == len(labels):
                break
        labels = [f"\N{MINUS SIGN}{label[1:]}" if label.startswith("-") else label for label in labels]
        return [f"{label}%" for label in labels] if self.percent else labels


def _number(value: float, digits: int) -> str:
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        text = f"{value:.{digits}g}"
        return f"{float(text):.0f}" if "e" in text else text
    return f"{value:.{digits}g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def _axis(plot: Plot, axes: "Axes", upright: bool) -> None:
    axis = plot.y if upright else plot.x
    side, ends = (axes.yaxis, axes.get_ylim()) if upright else (axes.xaxis, axes.get_xlim())
    named = holds_names(plot, upright)
    side.set_tick_params(labelsize=FONT_SIZE - 0.5, labelcolor=INK, length=0, pad=3)
    if not named:
        side.grid(True, color=GRID, linewidth=0.6)
    title = fitted(axis.title, size_of(axes)[upright] * (0.75 if upright else 1.0), FONT_SIZE)
    side.set_label_text(title, fontsize=FONT_SIZE, color=INK)
    low, high = min(ends), max(ends)
    if fixed := ticks(axis, (low, high)):
        _name_ticks([(place(at, axis.scale), printable(label)) for at, label in fixed], axes, upright)
    elif axis.scale == "date":
        # With maxticks below 7, the locator finds no interval for spans just below three years and warns.
        locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        side.set_major_locator(locator)
        side.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        side.get_offset_text().set(size=FONT_SIZE - 0.5, color=SOFT)
    else:
        side.set_major_locator(MaxNLocator(nbins=_tick_count(axes, upright), steps=[1, 2, 2.5, 5, 10]))
        side.set_major_formatter(Plain(axis.percent))
    if zero_inside(axis, (low, high)) and not named:
        line = axes.axhline if upright else axes.axvline
        line(0.0, color=SOFT, linewidth=0.7, zorder=1.5)


def _tick_count(axes: "Axes", upright: bool) -> int:
    width, height = size_of(axes)
    return max(2, min(7, int(height // 22) if upright else int(width // 45)))


def _name_ticks(names: Sequence[tuple[float | None, str]], axes: "Axes", upright: bool) -> None:
    """Labels at fixed positions: smaller, rotated or fewer if they do not fit side by side."""
    kept = [(at, label) for at, label in names if at is not None]
    ends = axes.get_ylim() if upright else axes.get_xlim()
    length = size_of(axes)[upright]
    whole = abs(ends[1] - ends[0])
    pitch = length * min((abs(b[0] - a[0]) for a, b in pairwise(kept)), default=whole) / whole
    size = FONT_SIZE - 0.5
    if upright:
        kept = [(at, fitted(label, max(60.0, size_of(axes)[0] * 0.6), size)) for at, label in kept]
    widest = max((text_width(label, size) for _, label in kept), default=0.0)
    side = axes.yaxis if upright else axes.xaxis
    turned = not upright and widest + 4 > pitch
    if upright or turned:
        size = min(size, max(pitch * 0.8, 4.0))
        step = max(1, -(-int(size * 1.1 * 100) // max(1, int(pitch * 100))))
        kept = kept[::step]
    side.set_major_locator(FixedLocator([at for at, _ in kept]))
    side.set_major_formatter(FixedFormatter([label for _, label in kept]))
    side.set_tick_params(labelsize=size)
    if turned:
        for label in side.get_ticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")


def _legend(plot: Plot, axes: "Axes") -> None:
    """The legend above the axes, in as many columns as fit, with at most `LEGEND_SHARE` of the height."""
    named = {mark.name: mark for mark in plot.marks if isinstance(mark, Line | Points | Bars | Band) and mark.name}
    if not named:
        return
    size, (width, height) = FONT_SIZE - 0.5, size_of(axes)
    widest = max(text_width(shorten(name), size) for name in named) + HANDLE
    columns = max(1, min(len(named), int(width // widest)))
    most = columns * max(1, int(height * LEGEND_SHARE / (size * 1.5)))
    handles = [_handle(mark) for mark in named.values()]
    names = [fitted(shorten(name), width - HANDLE, size) for name in named]
    if len(named) > most:
        most = max(0, most - 1)
        handles = [*handles[:most], Line2D([], [], linestyle="")]
        names = [*names[:most], f"and {len(named) - most} more"]
    axes.legend(
        handles, names, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False,
        fontsize=size, labelcolor=INK, borderaxespad=0.2, borderpad=0.2, handlelength=1.4, handletextpad=0.5,
        columnspacing=1.2,
    )  # fmt: skip


def _handle(mark: Line | Points | Bars | Band) -> Any:
    color = color_of(mark)
    if isinstance(mark, Line):
        line = Line2D([], [], color=color, linewidth=mark.width * PIXEL, alpha=mark.opacity)
        line.set_linestyle("--" if mark.dashed else "-")
        return line
    if isinstance(mark, Points):
        return Line2D([], [], color=color, linestyle="", marker="x" if mark.cross else "o", markersize=4)
    return Patch(color=color, alpha=mark.opacity if isinstance(mark, Band) else 1.0, linewidth=0)
