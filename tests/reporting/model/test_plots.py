"""Figures of a model's page as data: every number that is drawn is one that was measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.reporting.document.plot import Band, Bars, Line, Plot, Points, Rule
from src.reporting.model import plots as draw
from src.reporting.model.numbers import Bin, Effect, Feature, Groups, GroupScore, Span


def only(plot: Plot, kind: type) -> list:  # type: ignore[type-arg]
    return [mark for mark in plot.marks if isinstance(mark, kind)]


def month(name: str, score: float | None, low: float | None = None) -> GroupScore:
    high = None if low is None else low + 2
    return GroupScore(name, 50, 20, score, low, high, 3.0, None if score is None else 1 - score / 3, low, high)


@pytest.mark.parametrize(
    ("name", "start"), [("2024-03", "2024-03-01"), ("2024 Q1", "2024-01-01"), ("2024 Q4", "2024-10-01"),
                        ("2024", "2024-01-01")],
)  # fmt: skip
def test_a_period_is_drawn_where_it_starts(name: str, start: str) -> None:
    assert draw.period_start(name) == start


def test_periods_of_a_few_days_stand_in_the_table_alone() -> None:
    short = replace(month("2024-03", 9.0), days=9)
    groups = Groups("month", "", (month("2024-01", 2.0, 1.0), month("2024-02", None), short, month("2024-04", 2.0)))
    drawn = [group.name for group in draw.drawn_periods(groups)]
    assert drawn == ["2024-01", "2024-04"], "also a long one that has no interval"
    few = Groups("month", "", (replace(month("2024-01", 2.0), days=9), replace(month("2024-02", 9.0), days=2)))
    assert [group.name for group in draw.drawn_periods(few)] == ["2024-01", "2024-02"], "all, where none has enough"


def test_a_course_shows_model_baseline_and_interval() -> None:
    groups = Groups("month", "", (month("2024-01", 2.0, 1.0), month("2024-02", 2.5, 1.5)))
    plot = draw.periods_plot(groups, "MAE", "naive")
    (band,) = only(plot, Band)
    assert (band.x, band.low, band.high) == (["2024-01-01", "2024-02-01"], [1.0, 1.5], [3.0, 3.5])
    naive, model = only(plot, Line)
    assert (naive.y, model.y, plot.x.scale) == ([3.0, 3.0], [2.0, 2.5], "date")
    skills = draw.period_skills_plot(groups)
    assert only(skills, Line)[0].y == [pytest.approx(1 / 3), pytest.approx(1 / 6)]
    assert only(skills, Rule)[0].at == 0


def test_skill_is_good_or_bad_and_one_without_interval_has_no_width() -> None:
    groups = Groups(
        "account", "", (GroupScore("a", 9, 9, 1, 0, 2, 2, 0.5, 0.1, 0.9), GroupScore("b", 9, 3, 4, skill=-1))
    )
    plot = draw.skill_plot(groups)
    (bars,) = only(plot, Bars)
    assert (list(bars.end), bars.roles, bars.low, bars.high) == ([0.5, -1], ["good", "bad"], [0.1, -1], [0.9, -1])
    assert plot.y.ticks == [(0, "a"), (1, "b")]


def test_bins_have_intervals_or_none() -> None:
    sure = (Bin(5, 5, -1, -2, -3, -1), Bin(5, 5, 1, 2, 1, 3))
    (bars,) = only(draw.bins_plot(sure, "earned"), Bars)
    assert (bars.end, bars.low, bars.high, bars.roles) == ([-2, 2], [-3, 1], [-1, 3], ["bad", "good"])
    unsure = (Bin(5, 5, -1, -2, None, None), Bin(5, 5, 1, 2, None, None))
    plot = draw.bins_plot(unsure, "realised", "predicted")
    (bars,), (points,) = only(plot, Bars), only(plot, Points)
    assert (bars.low, bars.high) == ((), ())
    assert (points.x, points.y) == ([1, 2], [-1, 1])
    assert not only(draw.calibration_plot(unsure), Band)
    assert only(draw.calibration_plot(sure), Band)[0].x == [-1, 1]


def test_a_small_share_is_not_none() -> None:
    features = [Feature(str(share), share, 0, share, None) for share in (0.25, 0.0001, 0.0)]
    (bars,) = only(draw.missing_plot(features), Bars)
    assert bars.texts == ["25.0 %", "<0.1 %", "0.0 %"]


def test_shift_is_marked_by_its_bounds() -> None:
    features = [Feature("x", 0, 0, 0, shift) for shift in (0.3, 0.2, 0.05)]
    plot = draw.shift_plot(features)
    assert only(plot, Bars)[0].roles == ["bad", "accent", "main"]
    assert [rule.at for rule in only(plot, Rule)] == [0.1, 0.25]
    assert not only(draw.shift_plot(features[2:]), Rule), "bounds far off would squeeze the bars"


def test_effects_are_shaded_where_a_value_has_a_place() -> None:
    effects = [Effect("x", (1.0, -1.0), (0.5, None)), Effect("c", (2.0, 3.0), (None, None))]
    plot = draw.effects_plot(effects, "log odds")
    plain, shaded = only(plot, Points)
    assert (sorted(plain.x), shaded.x, shaded.shade) == ([-1.0, 2.0, 3.0], [1.0], [0.5])
    assert all(abs(y - round(y)) < 0.5 for y in [*plain.y, *shaded.y])
    assert plot.y.ticks == [(0, "x"), (1, "c")]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60))
def test_points_of_one_feature_keep_to_its_row(values: list[float]) -> None:
    offsets = draw.spread(values)
    assert len(offsets) == len(values)
    assert all(abs(offset) <= 0.39 for offset in offsets)
    places = list(zip(values, offsets, strict=True))
    assert len(set(places)) == len(places), "equal values lie beside each other"


def test_spans_end_with_their_last_day() -> None:
    spans = (Span("search", "training", "2024-01-01", "2024-01-31"), Span("search", "gap", "2024-02-01", "2024-02-01"),
             Span("final model", "test", "2024-02-02", "2024-02-29"))  # fmt: skip
    plot = draw.spans_plot(spans)
    drawn = {bars.name: (list(bars.start), list(bars.end), list(bars.place)) for bars in only(plot, Bars)}
    assert drawn == {
        "training": (["2024-01-01"], ["2024-02-01"], [0]),
        "gap": (["2024-02-01"], ["2024-02-02"], [0]),
        "test": (["2024-02-02"], ["2024-03-01"], [1]),
    }
