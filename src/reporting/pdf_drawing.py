"""The things on a page → a figure of matplotlib as large as the page."""

from collections.abc import Sequence
from functools import cache

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from src.reporting.matplotlib_drawing import draw
from src.reporting.pdf_flow import PAGE_HEIGHT, PAGE_WIDTH, Box, Drawing, Item, Word
from src.reporting.pdf_text import printable, text_width
from src.reporting.plot_layout import shorten, ticks

POINTS_PER_INCH = 72
LABEL_SIZE = 6.5
SMALLEST = 20.0
"""Points that axes keep however long their labels are."""


def draw_page(items: Sequence[Item]) -> Figure:
    """Draws everything at its place; a point is a pixel of the figure."""
    figure = Figure((PAGE_WIDTH / POINTS_PER_INCH, PAGE_HEIGHT / POINTS_PER_INCH), dpi=POINTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    for item in items:
        if isinstance(item, Box):
            corner = item.x, PAGE_HEIGHT - item.y - item.height
            shape = Rectangle(corner, item.width, item.height, facecolor=item.color, linewidth=0, transform=None)
            figure.add_artist(shape)
        elif isinstance(item, Word):
            _draw_word(figure, item)
        else:
            _fit(_draw_plot(figure, item), item, canvas)
    return figure


@cache
def _properties(size: float, bold: bool) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


def _draw_word(figure: Figure, word: Word) -> None:
    figure.text(
        word.x / PAGE_WIDTH, 1 - word.y / PAGE_HEIGHT, word.text, color=word.font.color, ha=word.align, va="baseline",
        fontproperties=_properties(word.font.size, word.font.bold), parse_math=False,
    )  # fmt: skip


def _draw_plot(figure: Figure, item: Drawing) -> Axes:
    """Draws the plot on axes that are about as large as they will be."""
    names = [printable(shorten(label)) for _, label in ticks(item.plot.y, (0.0, 1.0))]
    left = min(max((text_width(name, LABEL_SIZE) for name in names), default=20.0) + 16, item.width * 0.5)
    below, right = min(30.0, item.height * 0.3), min(8.0, item.width * 0.1)
    bottom = PAGE_HEIGHT - item.y - item.height
    width, height = max(item.width - left - right, SMALLEST), max(item.height - below - 14, SMALLEST)
    axes = figure.add_axes(
        ((item.x + left) / PAGE_WIDTH, (bottom + below) / PAGE_HEIGHT, width / PAGE_WIDTH, height / PAGE_HEIGHT)
    )
    draw(item.plot, axes)
    return axes


def _fit(axes: Axes, item: Drawing, canvas: FigureCanvasAgg) -> None:
    """Moves the sides of the axes until labels, legend and all fill the room and no more."""
    room = Bbox.from_bounds(item.x, PAGE_HEIGHT - item.y - item.height, item.width, item.height)
    covered = axes.get_tightbbox(canvas.get_renderer())  # type: ignore[no-untyped-call]
    if covered is None:
        return
    inner = axes.get_window_extent()
    left, bottom = inner.x0 + room.x0 - covered.x0, inner.y0 + room.y0 - covered.y0
    right, top = inner.x1 + room.x1 - covered.x1, inner.y1 + room.y1 - covered.y1
    width, height = max(right - left, SMALLEST), max(top - bottom, SMALLEST)
    axes.set_position((left / PAGE_WIDTH, bottom / PAGE_HEIGHT, width / PAGE_WIDTH, height / PAGE_HEIGHT))
