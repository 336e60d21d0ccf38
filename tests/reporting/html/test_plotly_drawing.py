"""Plots as plotly reads them: valid, with the plot's own numbers, and harmless."""

import json
import math

import plotly.graph_objects as go
import pytest

from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Mark, Plot, Points, Rule
from src.reporting.html.plotly_drawing import plotly_spec
from tests.reporting.demo_document import drift, figures, history, scores, series, timeline
from tests.reporting.nasty_documents import strange_plots


def _plots() -> list[Plot]:
    return [figure.plot for figure in figures()]


@pytest.mark.parametrize("plot", _plots(), ids=[figure.key for figure in figures()])
def test_plotly_accepts_every_property(plot: Plot) -> None:
    spec = plotly_spec(plot)
    drawn = json.loads(str(go.Figure(plotly_spec(plot)).to_json()))
    assert len(drawn["data"]) == len(spec["data"])
    assert drawn["layout"]["height"] == plot.height


def test_points_keep_their_numbers_and_lines_their_gaps() -> None:
    pruned, complete, best = plotly_spec(history())["data"]
    source = history().marks
    assert complete["y"] == pytest.approx(list(source[1].y), rel=1e-6)  # type: ignore[union-attr]
    assert complete["text"][0] == "trial 1"
    assert pruned["marker"]["symbol"] == "x-thin"
    assert best["line"]["shape"] == "hv"
    _, broken, dashed = plotly_spec(drift())["data"]
    assert [i for i, y in enumerate(broken["y"]) if y is None] == [5, 6]
    assert broken["x"][0] == "2024-01-01T00:00:00.000"
    assert dashed["line"]["dash"] == "dash"


def test_narrow_axes_keep_the_digits_that_tell_values_apart() -> None:
    values = [1234567.125, 1234567.25, 1234567.5]
    trace = plotly_spec(Plot(Axis(), Axis(), [Points([1.0, 2.0, 3.0], values)]))["data"][0]
    assert trace["y"] == pytest.approx(values, abs=1e-4)


def test_bars_have_intervals_only_where_there_are_any_and_texts_beyond_them() -> None:
    bars, intervals, texts = plotly_spec(scores())["data"]
    assert bars["x"] == [104.0, 100.0, 110.0, 119.5, 131.0]
    assert bars["orientation"] == "h"
    assert intervals["x"] == [104.0]
    assert intervals["error_x"]["array"] == [8.0]
    assert intervals["error_x"]["arrayminus"] == [9.0]
    assert texts["x"] == [112.0, 100.0, 110.0, 119.5, 131.0]
    assert texts["text"][3] == "119.5"


def test_bars_of_dates_are_as_long_as_the_time_between() -> None:
    bars = plotly_spec(timeline())["data"][0]
    assert bars["base"][1] == "2024-04-01T00:00:00.000"
    assert bars["x"][1] == 10 * 86_400_000


def test_bars_below_zero_are_written_below() -> None:
    texts = plotly_spec(Plot(Axis(), Axis(), [Bars((0, 1), (-2.0, 2.0), texts=("a", "b"))]))["data"][1]
    assert texts["textposition"] == ["bottom center", "top center"]


def test_a_bar_on_a_logarithmic_axis_needs_no_start() -> None:
    bars = plotly_spec(Plot(Axis(), Axis(scale="log"), [Bars((0, 1), (0.0, 100.0))]))["data"][0]
    assert bars["y"] == [None, 100.0]
    assert "base" not in bars


def test_equal_names_are_listed_once_and_none_where_there_is_no_legend() -> None:
    marks = [Line([1, 2], [1.0, 2.0], "one"), Line([1, 2], [2.0, 3.0], "one"), Line([1, 2], [2.0, 3.0])]
    assert [trace["showlegend"] for trace in plotly_spec(Plot(Axis(), Axis(), marks))["data"]] == [True, False, False]
    assert plotly_spec(Plot(Axis(), Axis(), marks))["layout"]["showlegend"]
    assert not plotly_spec(Plot(Axis(), Axis(), marks, legend=False))["layout"]["showlegend"]
    assert not plotly_spec(Plot(Axis(), Axis(), marks[2:]))["layout"]["showlegend"]


def test_a_line_of_one_point_is_a_point() -> None:
    assert plotly_spec(Plot(Axis(), Axis(), [Line([1, 2], [1.0, None])]))["data"][0]["mode"] == "markers"


def test_rules_stand_at_their_place_with_their_word() -> None:
    layout = plotly_spec(Plot(Axis(scale="log"), Axis(), [Rule(100, True, "here"), Rule(3.0)]))["layout"]
    assert (layout["shapes"][0]["x0"], layout["shapes"][0]["yref"]) == (100, "paper")
    assert layout["annotations"][0]["x"] == 2.0  # annotations take logarithms where shapes take numbers
    assert len(layout["annotations"]) == 1
    assert plotly_spec(drift())["layout"]["shapes"][0]["x0"].startswith("2024-05-21")


def test_axes_say_how_they_are_read() -> None:
    layout = plotly_spec(scores())["layout"]
    assert layout["yaxis"]["range"][0] > layout["yaxis"]["range"][1]
    assert layout["yaxis"]["ticktext"][0] == "the model"
    assert plotly_spec(drift())["layout"]["yaxis"]["tickformat"] == "~%"
    assert plotly_spec(series())["layout"]["xaxis"]["type"] == "log"


def test_no_infinity_reaches_the_page() -> None:
    inf, nan = math.inf, math.nan
    marks: list[Mark] = [
        Points([1, inf, 3], [nan, 1.0, 2.0], shade=[nan, 1.0, inf]), Band([1, 2, 3], [0.0, nan, 1.0], [1.0, 1.0, inf]),
        Bars((0, 1), (inf, 1.0), low=(0.0, 0.0), high=(inf, nan), texts=("a", "b")), Heat((0, 1), (0,), [[inf, nan]]),
    ]  # fmt: skip
    spec = plotly_spec(Plot(Axis(), Axis(), marks))
    assert json.dumps(spec, allow_nan=False)
    assert spec["data"][0]["x"] == [1, None, 3]
    assert spec["data"][1]["x"] == [1, 1]


def test_markup_of_users_stays_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    marks: list[Mark] = [
        Line([1, 2], [1.0, 2.0], evil), Points([1], [1.0], notes=[evil], shade=[1.0], shade_title=evil),
        Rule(1.0, label=evil), Bars((0,), (1.0,), (0.0,), texts=(evil,)), Heat((0,), (0,), [[1.0]], evil, [[evil]]),
    ]  # fmt: skip
    text = json.dumps(plotly_spec(Plot(Axis(evil, ticks=((0, evil),)), Axis(evil), marks)))
    assert "<img" not in text
    assert "&lt;img" in text


@pytest.mark.parametrize("key", strange_plots())
def test_strange_plots_are_drawn(key: str) -> None:
    plot = strange_plots()[key]
    assert json.dumps(plotly_spec(plot), allow_nan=False)
    assert go.Figure(plotly_spec(plot)).data
