"""Importances are Optuna's own, and their spread is that of trials drawn anew."""

import math
import warnings

import numpy as np
import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.config import Direction
from src.reporting.document.plot import Bars
from src.reporting.study import importances as study_importances
from src.reporting.study.importances import importances, importances_plot
from tests.reporting.hand_made import snapshot_of, study_of, trial


def deciding(n: int, seed: int = 0) -> list[FrozenTrial]:
    """The rate decides the value, leaves do not."""
    rng = np.random.default_rng(seed)
    rates, leaves = 0.01 * 30 ** rng.random(n), rng.integers(10, 201, n)
    return [
        trial(float(abs(math.log(r) + 3) + 0.1 * rng.random()), params={"rate": float(r), "leaves": int(k)})
        for r, k in zip(rates, leaves, strict=True)
    ]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_shares_are_optunas_on_the_study_itself(direction: Direction) -> None:
    trials = deciding(60)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.1)
    expected = get_param_importances(study_of(*trials, direction=direction), evaluator=evaluator)
    found = importances(snapshot_of(*trials, direction=direction))
    assert found.shares == pytest.approx(expected)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_the_parameter_that_decides_is_first_and_surely_so() -> None:
    found = importances(snapshot_of(*deciding(200)))
    assert list(found.shares) == ["rate", "leaves"]
    assert found.spread["rate"][0] > found.spread["leaves"][1]
    assert importances(snapshot_of(*deciding(200))) == found


def test_spread_holds_the_share_and_is_wider_with_fewer_trials() -> None:
    few, many = (importances(snapshot_of(*deciding(n))) for n in (15, 600))
    for found in (few, many):
        for name, (low, high) in found.spread.items():
            assert 0 <= low <= found.shares[name] <= high <= 1
    widths = [found.spread["leaves"][1] - found.spread["leaves"][0] for found in (few, many)]
    assert widths[0] > 2 * widths[1]


def test_large_studies_have_the_spread_of_all_their_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = snapshot_of(*deciding(800))
    whole = importances(snapshot)
    monkeypatch.setattr(study_importances, "MAX_RESAMPLE", 200)
    scaled = importances(snapshot)
    assert scaled.shares == whole.shares
    low, high = whole.spread["rate"]
    assert 0.4 < (scaled.spread["rate"][1] - scaled.spread["rate"][0]) / (high - low) < 2.5


def test_parameters_of_some_trials_only_cause_no_warning() -> None:
    trials = [
        trial(float(i), params={"kind": "dart", "bins": 32 * (1 + i)} if i in (3, 7, 9) else {}) for i in range(15)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = importances(snapshot_of(*trials)).shares
    assert shares.keys() == {"rate", "leaves", "kind", "bins"}


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([trial(float(i)) for i in range(9)], "Too few trials"),
        ([trial(None, TrialState.PRUNED)] * 30, "there are 0"),
        ([trial(1.0) for _ in range(12)], "same value"),
        ([create_trial(value=float(i)) for i in range(12)], "no parameters"),
    ],
)
def test_it_is_said_why_there_are_none(trials: list[FrozenTrial], reason: str) -> None:
    found = importances(snapshot_of(*trials))
    assert not found.shares
    assert reason in found.why_not


def test_infinite_values_and_other_states_are_left_out() -> None:
    trials = deciding(20)
    extra = [trial(math.inf), trial(None, TrialState.FAIL), trial(None, TrialState.RUNNING)]
    assert importances(snapshot_of(*trials, *extra)).shares == importances(snapshot_of(*trials)).shares


def test_the_plot_shows_share_and_spread_the_most_important_on_top() -> None:
    found = importances(snapshot_of(*deciding(30)))
    plot = importances_plot(found)
    (bars,) = plot.marks
    assert isinstance(bars, Bars)
    assert [name for _, name in plot.y.ticks] == list(found.shares)
    assert plot.y.reverse
    assert list(bars.end) == list(found.shares.values())
    assert list(zip(bars.low, bars.high, strict=True)) == list(found.spread.values())


def test_optuna_is_left_as_it_was() -> None:
    study = optuna.create_study()
    study.add_trials(deciding(12))
    before = study.get_trials()
    importances(snapshot_of(*before))
    assert study.get_trials() == before


def test_nothing_is_said_on_the_way(caplog: pytest.LogCaptureFixture) -> None:
    snapshot = snapshot_of(*deciding(12))
    caplog.clear()
    with caplog.at_level("DEBUG"):
        importances(snapshot)
    assert not caplog.records
