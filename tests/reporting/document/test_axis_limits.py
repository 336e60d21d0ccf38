"""Axes that a few hopeless values do not spoil."""

from hypothesis import given
from hypothesis import strategies as st

from src.reporting.document.axis_limits import axis_limits, outside_note


def test_only_far_values_are_left_out_on_the_worse_side() -> None:
    usual = [1.0 + i / 20 for i in range(20)]
    assert axis_limits(usual, maximize=False) is None
    low, high = axis_limits([*usual, 500.0], maximize=False) or (0.0, 0.0)
    assert low < 1.0 < 2.0 < high < 500.0
    mirrored = axis_limits([-value for value in [*usual, 500.0]], maximize=True)
    assert mirrored == (-high, -low)
    assert axis_limits(usual, maximize=False, others=[500.0]) is not None


@given(st.lists(st.floats(-1e9, 1e9), min_size=10, max_size=200), st.booleans())
def test_the_best_nine_tenths_are_always_shown(values: list[float], maximize: bool) -> None:
    limits = axis_limits(values, maximize)
    if limits is not None:
        shown = sum(limits[0] <= value <= limits[1] for value in values)
        assert shown >= 0.9 * (len(values) - 1)
        assert limits[0] <= (max(values) if maximize else min(values)) <= limits[1]


def test_values_outside_the_axis_are_counted() -> None:
    assert outside_note((0.0, 1.0), [0.5, 2.0, 3.0]) == " 2 far worse values are outside the axis."
    assert outside_note((0.0, 1.0), [2.0]) == " 1 far worse value is outside the axis."
    assert outside_note((0.0, 1.0), [0.5]) == outside_note(None, [9.0]) == ""
