"""The best trials across their parameters."""

import pytest

from src.reporting.document.plot import Line
from src.reporting.study.parallel_coordinates import coordinates, coordinates_plot, n_best
from tests.reporting.hand_made import snapshot_of, trial


def test_a_tenth_of_the_trials_is_drawn_within_bounds() -> None:
    assert [n_best(n) for n in (0, 4, 30, 240, 10_000)] == [0, 4, 10, 24, 50]


def test_the_best_trials_lie_on_the_ranges_as_they_were_drawn() -> None:
    trials = [trial(float(20 - i), params={"rate": 0.01 * 30 ** (i / 20), "leaves": 10 + i}) for i in range(21)]
    trials[-1] = trial(0.0, params={"rate": 0.3, "leaves": 200, "kind": "dart"})
    found = coordinates(snapshot_of(*trials), {"leaves": 0.2, "rate": 0.1, "kind": 0.7})
    assert [known.name for known in found.parameters] == ["leaves", "rate", "kind"], "what some lack comes last"
    assert found.numbers == tuple(range(20, 10, -1))
    assert found.shares[0] == pytest.approx((1.0, 1.0, 0.5))
    assert found.shares[1][:2] == pytest.approx((19 / 190, 19 / 20))
    assert found.shares[1][2] is None


def test_a_parameter_that_no_good_trial_has_is_left_out() -> None:
    trials = [trial(float(i), params={"bins": 64} if i > 25 else {}) for i in range(30)]
    assert [p.name for p in coordinates(snapshot_of(*trials), {"bins": 1.0}).parameters] == ["rate", "leaves"]


def test_one_line_per_trial_the_best_on_top() -> None:
    trials = [trial(float(i), params={"leaves": 10 + i}) for i in range(12)]
    plot = coordinates_plot(coordinates(snapshot_of(*trials), {}))
    lines = [mark for mark in plot.marks if isinstance(mark, Line)]
    assert len(lines) == 10
    assert {line.name for line in lines[:-1]} == {"the 9 next best"}
    assert (lines[-1].name, lines[-1].role) == ("best: trial 0", "accent")
    assert [label for _, label in plot.y.ticks] == ["rate: 0.01 to 0.3", "leaves: 10 to 200"]
    assert all(line.y == [0, 1] for line in lines)
