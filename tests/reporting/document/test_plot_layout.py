"""Where marks lie: limits hold them, ticks are legible, coordinates are those of the axis."""

import math
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Plot, Points, Rule
from src.reporting.document.plot_layout import (
    LETTER,
    MAX_LABEL,
    PHONE,
    edges,
    limits,
    log_label,
    place,
    rules_of,
    shorten,
    ticks,
    zero_inside,
)

NUMBERS = st.floats(-1e300, 1e300)
DAY = 86_400


@pytest.mark.parametrize("value", ["2024-03-01", "2024-03-01T12:30:00", "2024-03-01 12:30:00.250000+02:00"])
def test_dates_are_days_since_1970_as_pandas_counts_them(value: str) -> None:
    moment = pd.Timestamp(value)
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment
    assert place(value, "date") == pytest.approx(moment.timestamp() / DAY, abs=1e-9)


def test_what_has_no_place_on_its_axis_has_none() -> None:
    assert [place(value, "log") for value in (0, -1.0, math.inf, math.nan, None, 100)] == [None] * 5 + [2.0]
    assert [place(value, "linear") for value in (0, math.inf, math.nan, None)] == [0.0, None, None, None]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_limits_hold_every_point_and_have_a_length(points: list[tuple[float, float]]) -> None:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_limits, y_limits = limits(Plot(Axis(), Axis(), [Points(xs, ys)]))
    for (low, high), values in ((x_limits, xs), (y_limits, ys)):
        assert low <= min(values)
        assert max(values) <= high
        assert low < high


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_limits_of_a_logarithmic_axis_are_powers_of_ten(values: list[float]) -> None:
    low, high = limits(Plot(Axis(scale="log"), Axis(), [Line(values, values)]))[0]
    assert low < high
    assert low <= math.log10(min(values))
    assert math.log10(max(values)) <= high


def test_limits_of_bars_begin_where_the_bars_do_and_leave_room_for_texts() -> None:
    plain = limits(Plot(Axis(), Axis(), [Bars((0, 1), (5.0, 10.0), across=True)]))[0]
    written = limits(Plot(Axis(), Axis(), [Bars((0, 1), (5.0, 10.0), texts=("12345", "1"), across=True)]))[0]
    falling = limits(Plot(Axis(), Axis(), [Bars((0, 1), (-5.0, -10.0), across=True)]))[0]
    assert plain[0] == written[0] == falling[1] == 0.0
    assert written[1] > plain[1] > 10.0
    assert falling[0] < -10.0


def test_limits_hold_intervals_bands_cells_and_rules() -> None:
    bars = Bars((1,), (5.0,), low=(-3.0,), high=(20.0,))
    y_limits = limits(Plot(Axis(), Axis(), [bars, Rule(30.0)]))[1]
    assert y_limits[0] <= -3.0
    assert y_limits[1] >= 30.0
    assert limits(Plot(Axis(), Axis(), [Band((1, 2), (0.0, 1.0), (5.0, 9.0))]))[1][1] >= 9.0
    assert limits(Plot(Axis(), Axis(), [Heat((0, 1), (0, 1, 2), [[1.0] * 2] * 3)])) == ((-0.5, 1.5), (-0.5, 2.5))


def test_given_limits_count_and_useless_ones_do_not() -> None:
    marks = [Points([1.0, 2.0], [1.0, 2.0])]
    assert limits(Plot(Axis(limits=(0.0, 100.0), scale="log"), Axis(limits=(5.0, -5.0)), marks))[1] == (-5.0, 5.0)
    assert limits(Plot(Axis(limits=(3.0, 3.0)), Axis(), marks))[0][1] < 3.0


def test_a_plot_of_nothing_has_limits() -> None:
    assert limits(Plot(Axis(), Axis("y", "log"), [Line([], []), Rule(math.nan)])) == ((0.0, 1.0), (0.0, 1.0))


@given(st.floats(-290, 290), st.floats(0.02, 20))
def test_logarithmic_ticks_are_two_to_seven_and_inside(low: float, width: float) -> None:
    found = [value for value, _ in ticks(Axis(scale="log"), (low, low + width))]
    assert 2 <= len(found) <= 8
    assert all(low - 1e-9 <= math.log10(value) <= low + width + 1e-9 for value in found)
    assert all(a < b for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("value", "label"), [(1e-8, "1e-8"), (0.001, "0.001"), (0.03, "0.03"), (1, "1"), (300, "300"), (1e6, "1e6")]
)
def test_labels_of_logarithmic_ticks(value: float, label: str) -> None:
    assert log_label(value) == label


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20, unique=True))
def test_every_cell_holds_its_centre(centres: list[float]) -> None:
    bounds = edges(sorted(centres), "linear")
    assert len(bounds) == len(centres) + 1
    assert all(low <= centre <= high for (low, high), centre in zip(pairwise(bounds), sorted(centres), strict=True))


def test_cells_of_a_logarithmic_axis_are_equally_wide_where_their_centres_are() -> None:
    assert edges((0.01, 0.1, 1.0), "log") == pytest.approx([-2.5, -1.5, -0.5, 0.5])


def test_rules_without_a_place_are_left_out() -> None:
    rules = [Rule(0.0, upright=True), Rule(5.0, upright=True), Rule(math.inf), Rule(0.0)]
    assert rules_of(Plot(Axis(scale="log"), Axis(), rules)) == [rules[1], rules[3]]


def test_names_are_short_and_on_one_line() -> None:
    assert shorten("a\n b") == "a b"
    assert len(shorten("x" * 1000)) == MAX_LABEL


def test_zero_is_a_line_only_between_marks() -> None:
    assert zero_inside(Axis(), (-5.0, 5.0))
    assert not zero_inside(Axis(), (-0.04, 1.0))
    assert not zero_inside(Axis(scale="log"), (-5.0, 5.0))


def test_every_text_has_room_beyond_its_own_bar_on_a_phone() -> None:
    """A long text beyond a short bar takes none from the longest bar, and texts to both sides each have theirs."""
    bars = Bars(
        (0, 1, 2), (-2.8, 7.2, 0.5), low=(-11.8, 2.4, 0.4), high=(5.4, 11.7, 0.6), texts=("-2.8 %",) * 3, across=True
    )
    low, high = limits(Plot(Axis(), Axis(), [bars]))[0]
    needed = (len("-2.8 %") * LETTER) / PHONE * (high - low)
    assert high - 11.7 > needed
    assert -11.8 - low > needed
    short = limits(Plot(Axis(), Axis(), [Bars((0, 1), (1.0, 10.0), texts=("a" * 14, "1"), across=True)]))[0]
    assert short[1] == pytest.approx(
        limits(Plot(Axis(), Axis(), [Bars((0,), (10.0,), texts=("1",), across=True)]))[0][1]
    )
