"""Draws a plot as SVG with matplotlib: lines and areas as vectors, texts as text."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from src.reporting.document.plot import Plot
from src.reporting.document.plot_layout import shorten, ticks
from src.reporting.pdf.matplotlib_drawing import draw
from src.reporting.pdf.text import printable, text_width

SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "daily-profit", "font.family": ["DejaVu Sans"], "text.parse_math": False,
    "text.usetex": False, "text.hinting": "none",
    "path.simplify": True,
}  # fmt: skip
"""Texts stay text in the SVG, equal plots give equal bytes, a dollar sign in a user's name is not mathematics, and
letters have their unhinted width."""
POINTS_PER_INCH = 72
LABEL_SIZE = 6.5
SMALLEST = 20.0
"""Minimum size of the axes in points, however long their labels are."""


def draw_svg(plot: Plot, width: float, height: float) -> bytes:
    """Draws a plot with its axes, labels and legend into `width` by `height` points."""
    content = io.BytesIO()
    with mpl.rc_context(_settings()):
        # One point is one pixel of the figure.
        figure = Figure((width / POINTS_PER_INCH, height / POINTS_PER_INCH), dpi=POINTS_PER_INCH)
        axes, canvas = _draw(plot, figure), FigureCanvasAgg(figure)
        _fit(axes, canvas)
        if axes.child_axes:  # a colour bar is as wide as a share of the axes; other margins do not follow their size
            _fit(axes, canvas)
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _settings() -> Any:
    """Matplotlib's default settings, without the user's own, so that every machine gives the same pages."""
    defaults: Any = mpl.rcParamsDefault
    kept = {key: value for key, value in defaults.items() if not key.startswith(("backend", "date.epoch"))}
    return {**kept, **SETTINGS}


def _draw(plot: Plot, figure: Figure) -> Axes:
    """Draws the plot on axes of about the final size."""
    names = [printable(shorten(label)) for _, label in ticks(plot.y, (0.0, 1.0))]
    width, height = figure.bbox.width, figure.bbox.height
    left = min(max((text_width(name, LABEL_SIZE) for name in names), default=20.0) + 16, width * 0.5)
    below, right = min(30.0, height * 0.3), min(8.0, width * 0.1)
    across, upwards = max(width - left - right, SMALLEST), max(height - below - 14, SMALLEST)
    axes = figure.add_axes((left / width, below / height, across / width, upwards / height))
    draw(plot, axes)
    return axes


def _fit(axes: Axes, canvas: FigureCanvasAgg) -> None:
    """Resizes the axes so that axes, labels and legend together fill the figure."""
    room = canvas.figure.bbox.padded(-1.0)  # typst clips at the edge
    covered = axes.get_tightbbox(canvas.get_renderer())  # type: ignore[no-untyped-call]
    if covered is None:
        return
    inner = axes.get_window_extent()
    left, bottom = inner.x0 + room.x0 - covered.x0, inner.y0 + room.y0 - covered.y0
    right, top = inner.x1 + room.x1 - covered.x1, inner.y1 + room.y1 - covered.y1
    place = Bbox.from_bounds(left, bottom, max(right - left, SMALLEST), max(top - bottom, SMALLEST))
    axes.set_position(place.transformed(canvas.figure.transFigure.inverted()))
