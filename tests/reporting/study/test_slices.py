"""Slices: which trials are on them, and how they are drawn."""

from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from src.reporting.document.plot import Points
from src.reporting.study.slices import Slice, slice_plot, slices
from tests.reporting.hand_made import snapshot_of, trial


def test_slices_hold_the_complete_trials_that_have_the_parameter() -> None:
    snapshot = snapshot_of(
        trial(1.0, params={"kind": "dart"}),
        trial(2.0),
        trial(3.0, TrialState.PRUNED),
        trial(4.0, params={"kind": None}),
    )
    rate, leaves, kind = slices(snapshot)
    assert (rate.name, rate.scale, rate.xs, rate.ys) == ("rate", "log", (0.1, 0.1, 0.1), (1.0, 2.0, 4.0))
    assert (leaves.scale, leaves.numbers) == ("linear", (0, 1, 3))
    assert (kind.scale, kind.xs, kind.ys) == ("category", ("dart", "None"), (1.0, 4.0))
    assert kind.order == ("gbdt", "dart", "None")
    assert slices(snapshot_of()) == []


def test_a_range_that_became_logarithmic_is_drawn_as_all_its_values_allow() -> None:
    ranges = [FloatDistribution(-1, 1), FloatDistribution(0.1, 1, log=True)]
    values = [-0.5, 0.5]
    trials = [
        create_trial(value=1.0, params={"x": value}, distributions={"x": drawn})
        for value, drawn in zip(values, ranges, strict=True)
    ]
    (found,) = slices(snapshot_of(*trials))
    assert (found.scale, found.xs) == ("linear", (-0.5, 0.5))


def test_a_category_is_drawn_at_the_places_of_its_choices() -> None:
    cut = Slice("kind", ("dart", "gbdt", "dart"), (3.0, 1.0, 2.0), (0, 1, 2), "category", ("gbdt", "dart"))
    plot = slice_plot(cut, "MAE", maximize=False, limit=100)
    (points,) = plot.marks
    assert isinstance(points, Points)
    assert (list(points.x), list(points.y), list(points.shade)) == ([1.0, 0.0, 1.0], [3.0, 1.0, 2.0], [0, 1, 2])
    assert list(points.notes) == ["trial 0", "trial 1", "trial 2"]
    assert list(plot.x.ticks) == [(0, "gbdt"), (1, "dart")]


def test_of_many_points_the_best_stay() -> None:
    values = tuple(float(i * 61 % 1009) for i in range(1000))
    cut = Slice("rate", tuple(0.1 + i for i in range(1000)), values, tuple(range(1000)), "log")
    for maximize in (False, True):
        plot = slice_plot(cut, "MAE", maximize, limit=200)
        (points,) = plot.marks
        assert isinstance(points, Points)
        assert len(points.y) == 200
        assert set(sorted(values, reverse=maximize)[:20]) <= set(points.y)
        assert plot.x.scale == "log"
