"""The grid of two parameters, against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binned_statistic_2d

from src.reporting.document.plot import Heat, Points
from src.reporting.study.pairs import cell_means, most_important_pair, n_cells, pair_plot
from tests.reporting.hand_made import snapshot_of, trial

RNG = np.random.default_rng(0)
TRIALS = [
    trial(float(RNG.normal()), params={"rate": float(0.01 * 30 ** RNG.random()), "leaves": int(RNG.integers(10, 201))})
    for _ in range(200)
]


def test_cell_means_are_scipys() -> None:
    pair = most_important_pair(snapshot_of(*TRIALS), {"rate": 0.7, "leaves": 0.3})
    assert pair is not None
    side = n_cells(len(TRIALS))
    edges = [np.linspace(10, 200, side + 1), np.linspace(np.log(0.01), np.log(0.3), side + 1)]
    expected = binned_statistic_2d(pair.ys, np.log(pair.xs), pair.values, "mean", bins=edges).statistic
    assert np.array([[np.nan if v is None else v for v in row] for row in pair.means]) == pytest.approx(
        expected, nan_ok=True
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(-100, 100)), min_size=1, max_size=30))
def test_the_cells_hold_every_trial(drawn: list[tuple[int, int, float]]) -> None:
    columns, rows, values = (list(part) for part in zip(*drawn, strict=True))
    means = cell_means(columns, rows, values)
    for row, column in {(r, c) for c, r, _ in drawn}:
        inside = [v for c, r, v in drawn if (r, c) == (row, column)]
        assert means[row][column] == pytest.approx(np.mean(inside))
    assert sum(v is not None for line in means for v in line) == len({(r, c) for c, r, _ in drawn})


def test_the_two_most_important_numbers_that_trials_have_together() -> None:
    some = [trial(float(i), params={"bins": 32 * (1 + i % 8), "kind": "dart"} if i < 5 else {}) for i in range(30)]
    pair = most_important_pair(snapshot_of(*some), {"kind": 0.5, "bins": 0.3, "leaves": 0.15, "rate": 0.05})
    assert pair is not None
    assert (pair.x.name, pair.y.name) == ("leaves", "rate"), "five trials with bins are too few, kind is no number"
    assert len(pair.numbers) == 30


def test_without_two_numbers_there_is_no_pair() -> None:
    assert most_important_pair(snapshot_of(), {}) is None
    assert most_important_pair(snapshot_of(*(trial(float(i)) for i in range(9))), {}) is None


def test_cells_become_more_with_trials_but_not_too_many() -> None:
    assert [n_cells(n) for n in (10, 36, 100, 10_000)] == [3, 3, 5, 12]


def test_the_plot_shows_cells_trials_and_the_best_one() -> None:
    pair = most_important_pair(snapshot_of(*TRIALS), {"rate": 0.7, "leaves": 0.3})
    assert pair is not None
    plot = pair_plot(pair, "MAE", maximize=False)
    heat, others, best = plot.marks
    assert isinstance(heat, Heat)
    assert isinstance(others, Points)
    assert isinstance(best, Points)
    assert (plot.x.scale, plot.y.scale) == ("log", "linear")
    assert heat.y[0] == pytest.approx(10 + 190 / n_cells(200) / 2)
    assert len(others.x) == 199
    assert best.name == f"best: trial {min(range(200), key=lambda i: TRIALS[i].value or 0.0)}"
