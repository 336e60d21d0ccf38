"""Round bins that hold everything."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.reporting.document.histogram import count_axis, counts, round_edges, round_width


@pytest.mark.parametrize(("least", "width"), [(0.03, 0.05), (1, 1), (1.01, 2), (12.5, 20), (50, 50), (501, 1000)])
def test_round_widths(least: float, width: float) -> None:
    assert round_width(least) == pytest.approx(width)


@given(st.floats(1e-9, 1e12))
def test_a_round_width_is_the_next_one(least: float) -> None:
    width = round_width(least)
    assert least <= width <= 2.6 * least
    assert f"{width:.0e}"[0] in "125"


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.integers(1, 30), st.sampled_from([0.0, 1.0, 10.0]))
def test_the_bins_hold_all_values_and_are_not_too_many(values: list[float], most: int, least: float) -> None:
    edges = round_edges(values, most, least)
    assert edges == sorted(set(edges))
    assert len(edges) - 1 <= most + 2
    reach = 1e-6 * max(1.0, *(abs(value) for value in values))
    assert edges[0] <= min(values) + reach
    assert max(values) <= edges[-1] + reach


def test_whole_numbers_lie_in_bins_of_their_own() -> None:
    edges = round_edges([1, 2, 3, 5], most=20, least_width=1.0)
    assert edges == [1, 2, 3, 4, 5]
    assert counts([1, 2, 3, 5], edges) == [1, 1, 1, 1]
    assert math.isclose(sum(counts([7], round_edges([7], 20, 1.0))), 1)


def test_few_are_counted_by_whole_numbers() -> None:
    assert [label for _, label in count_axis("trials", [1, 3]).ticks] == ["0", "1", "2", "3"]
    assert count_axis("trials", [1, 30]).ticks == ()
    assert count_axis("trials", []).title == "trials"
