"""Axes that a few hopeless values do not spoil."""

from hypothesis import given
from hypothesis import strategies as st

from src.reporting.focus import beyond_note, focus


def test_only_far_values_are_left_out_on_the_worse_side() -> None:
    usual = [1.0 + i / 20 for i in range(20)]
    assert focus(usual, maximize=False) is None
    low, high = focus([*usual, 500.0], maximize=False) or (0.0, 0.0)
    assert low < 1.0 < 2.0 < high < 500.0
    mirrored = focus([-value for value in [*usual, 500.0]], maximize=True)
    assert mirrored == (-high, -low)
    assert focus(usual, maximize=False, others=[500.0]) is not None


@given(st.lists(st.floats(-1e9, 1e9), min_size=10, max_size=200), st.booleans())
def test_the_best_nine_tenths_are_always_shown(values: list[float], maximize: bool) -> None:
    limits = focus(values, maximize)
    if limits is not None:
        shown = sum(limits[0] <= value <= limits[1] for value in values)
        assert shown >= 0.9 * (len(values) - 1)
        assert limits[0] <= (max(values) if maximize else min(values)) <= limits[1]


def test_what_lies_beyond_is_counted() -> None:
    assert beyond_note((0.0, 1.0), [0.5, 2.0, 3.0]) == " 2 far worse values lie beyond the axis."
    assert beyond_note((0.0, 1.0), [2.0]) == " 1 far worse value lies beyond the axis."
    assert beyond_note((0.0, 1.0), [0.5]) == beyond_note(None, [9.0]) == ""
