"""Colours by meaning."""

from src.reporting.document.palette import BLUE, GREY, ORANGE, SERIES, color_of, on_white, rgba
from src.reporting.document.plot import Bars, Line


def test_a_mark_has_the_colour_of_its_role_or_of_its_place_in_a_series() -> None:
    assert color_of(Line([], [])) == BLUE
    assert color_of(Line([], [], role="muted")) == GREY
    assert color_of(Line([], [], role="series", series_index=1)) == SERIES[1]
    assert color_of(Line([], [], role="series", series_index=len(SERIES))) == SERIES[0]
    assert color_of(Bars((0, 1), (1, 2), roles=("main", "accent")), "accent") == ORANGE


def test_colours_that_let_the_paper_through() -> None:
    assert rgba("#ff8000", 0.5) == "rgba(255,128,0,0.5)"
    assert on_white("#000000", 0.5) == "#808080"
    assert on_white("#123456", 1.0) == "#123456"
    assert on_white("#123456", 0.0) == "#ffffff"
