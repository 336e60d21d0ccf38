"""Plots on axes of matplotlib: the same numbers at the same places, as vectors."""

from datetime import datetime
from typing import Any

import matplotlib.dates
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from src.reporting.document.plot import Axis, Bars, Heat, Line, Plot, Points, Rule
from src.reporting.document.plot_layout import limits
from src.reporting.pdf.matplotlib_drawing import Plain, draw
from tests.reporting.demo_document import contour, drift, figures, history, matrix, scores, series, timeline
from tests.reporting.nasty_documents import strange_plots


def _drawn(plot: Plot) -> Axes:
    axes = Figure((6.4, plot.height / 100), dpi=72).add_axes((0.2, 0.2, 0.7, 0.7))
    draw(plot, axes)
    return axes


def _bars(axes: Axes) -> list[Rectangle]:
    return [bar for container in axes.containers if isinstance(container, BarContainer) for bar in container.patches]


@pytest.mark.parametrize("plot", [f.plot for f in figures()], ids=[f.key for f in figures()])
def test_every_plot_shows_the_limits_that_all_drawings_share(plot: Plot) -> None:
    axes = _drawn(plot)
    x_limits, y_limits = limits(plot)
    assert sorted(axes.get_xlim()) == pytest.approx(x_limits)
    assert sorted(axes.get_ylim()) == pytest.approx(y_limits)
    assert axes.yaxis_inverted() == plot.y.reverse


def test_points_and_steps_lie_at_their_numbers() -> None:
    pruned, complete = [c for c in _drawn(history()).collections if isinstance(c, PathCollection)]
    source = history().marks[1]
    assert isinstance(source, Points)
    assert np.asarray(complete.get_offsets()).tolist() == [[x, y] for x, y in zip(source.x, source.y, strict=True)]
    assert len(np.asarray(pruned.get_offsets())) == 12
    assert "steps-post" in [line.get_drawstyle() for line in _drawn(history()).get_lines()]


def test_dates_lie_where_matplotlib_itself_puts_them() -> None:
    bars = _bars(_drawn(timeline()))
    days = matplotlib.dates.date2num([datetime(2024, 1, 1), datetime(2024, 4, 1)])  # type: ignore[no-untyped-call]
    assert [bars[0].get_x(), bars[0].get_x() + bars[0].get_width()] == pytest.approx(days.tolist())


def test_lines_break_where_a_value_is_missing() -> None:
    broken = np.asarray(_drawn(drift()).get_lines()[0].get_ydata(), dtype=float)
    assert np.flatnonzero(np.isnan(broken)).tolist() == [5, 6]


def test_logarithmic_axes_show_logarithms() -> None:
    axes = _drawn(series())
    assert np.asarray(axes.get_lines()[0].get_xdata()).tolist() == pytest.approx(list(range(-6, 2)))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-6", "1e-4", "0.01", "1"]


def test_bars_have_their_names_texts_and_intervals() -> None:
    axes = _drawn(scores())
    assert [bar.get_width() for bar in _bars(axes)] == [104.0, 100.0, 110.0, 119.5, 131.0]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["the model", "account_mean"]
    assert [text.get_text() for text in axes.texts] == ["104", "100", "110", "119.5", "131"]
    segments = [np.asarray(path.vertices).tolist() for c in axes.collections for path in c.get_paths()]
    assert segments == [[[95.0, 0.0], [112.0, 0.0]]]


def test_bars_of_a_logarithmic_axis_begin_at_its_end() -> None:
    axes = _drawn(Plot(Axis(), Axis(scale="log"), [Bars((0, 1), (10.0, 1000.0))]))
    assert [bar.get_y() for bar in _bars(axes)] == pytest.approx([min(axes.get_ylim())] * 2)
    assert [bar.get_y() + bar.get_height() for bar in _bars(axes)] == pytest.approx([1.0, 3.0])


def test_cells_keep_their_values_blanks_and_texts() -> None:
    axes = _drawn(matrix())
    cells: Any = np.ma.asarray(axes.collections[0].get_array()).reshape(3, 3)
    assert cells.mask.tolist() == [[False, False, False], [False, False, True], [False, True, False]]
    assert cells[0].tolist() == [1.0, 0.4, -0.3]
    assert [text.get_text() for text in axes.texts] == [
        "1.00",
        "0.40",
        "-0.30",
        "0.40",
        "1.00",
        "",
        "-0.30",
        "",
        "1.00",
    ]
    low, high = axes.collections[0].get_clim()
    assert (low, high) == (-1.0, 1.0)
    assert len(_drawn(contour()).collections) == 2


def test_texts_of_small_cells_are_left_out() -> None:
    heat = Heat(range(60), range(60), [[1.0] * 60] * 60, texts=[["1234.5678"] * 60] * 60)
    assert not _drawn(Plot(Axis(), Axis(), [heat])).texts


def test_legends_are_no_higher_than_a_part_of_the_figure() -> None:
    legend = _drawn(strange_plots()["crowd"]).get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) < 30
    assert names[-1] == f"and {60 - len(names) + 1} more"
    assert _drawn(Plot(Axis(), Axis(), [Line([1, 2], [1.0, 2.0], "one")], legend=False)).get_legend() is None


def test_many_names_are_turned_and_thinned() -> None:
    names = tuple((i, f"category {i}") for i in range(200))
    labels = _drawn(Plot(Axis(ticks=names), Axis(), [Points(range(200), range(200))])).get_xticklabels()
    assert 20 < len(labels) < 100
    assert {label.get_rotation() for label in labels} == {40.0}


@pytest.mark.parametrize("key", strange_plots())
def test_strange_plots_are_drawn(key: str) -> None:
    axes = _drawn(strange_plots()[key])
    assert all(np.isfinite([*axes.get_xlim(), *axes.get_ylim()]))


@pytest.mark.parametrize(
    ("values", "percent", "labels"),
    [
        ([0.0, 50.0, 100.0], False, ["0", "50", "100"]),
        ([-0.5, 0.0, 0.5], True, ["\N{MINUS SIGN}50%", "0%", "50%"]),
        ([100.0001, 100.0002], False, ["100.0001", "100.0002"]),
        ([0.0, 2e6, 4e6], False, ["0", "2e6", "4e6"]),
        ([0.0, 12000.0], False, ["0", "12000"]),
        ([1e-17, 0.1, 0.30000000000000004], False, ["0", "0.1", "0.3"]),
        ([1e-8, 2e-8], False, ["1e-8", "2e-8"]),
    ],
)
def test_labels_of_ticks_tell_them_apart(values: list[float], percent: bool, labels: list[str]) -> None:
    assert Plain(percent).format_ticks(values) == labels


def test_a_rules_word_stands_on_the_side_with_room() -> None:
    axes = _drawn(Plot(Axis(), Axis(), [Line([0, 10], [0, 1]), Rule(1, True, "left"), Rule(9, True, "right")]))
    assert [(text.get_text(), text.get_horizontalalignment()) for text in axes.texts] == [
        ("left", "left"),
        ("right", "right"),
    ]


@pytest.mark.parametrize("days", [1, 2, 10, 40, 89, 93, 200, 700, 900, 1000, 1090, 1200, 3000, 4800, 20_000])
def test_an_axis_of_dates_finds_its_ticks_for_any_span(days: int) -> None:
    first = np.datetime64("2000-01-03")
    dates = [str(first), str(first + np.timedelta64(days, "D"))]
    figure = Figure()
    draw(Plot(Axis(scale="date"), Axis(), [Line(dates, [0.0, 1.0])]), figure.add_subplot())
    figure.draw_without_rendering()
    ticks = figure.axes[0].get_xticks()
    assert 2 <= len(ticks) <= 12
