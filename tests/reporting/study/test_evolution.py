"""What was tried over time, against pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from src.reporting.document.plot import Band, Line, Rule
from src.reporting.study.evolution import evolution_plot, evolutions, windows
from tests.reporting.hand_made import snapshot_of, trial

RNG = np.random.default_rng(1)
VALUES = [int(value) for value in RNG.integers(10, 201, 300)]
KINDS = [("gbdt", "dart", None)[i] for i in RNG.integers(0, 3, 300)]
TRIALS = [
    trial(None if i % 3 else 1.0, TrialState.PRUNED if i % 3 else TrialState.COMPLETE, params={"leaves": v, "kind": k})
    for i, (v, k) in enumerate(zip(VALUES, KINDS, strict=True))
]


def test_running_quartiles_are_pandas() -> None:
    found = {one.known.name: one for one in evolutions(snapshot_of(*TRIALS))}["leaves"]
    assert found.window == 30
    rolled = pd.Series(VALUES).rolling(30)
    for quantile, values in ((0.25, found.low), (0.5, found.median), (0.75, found.high)):
        expected = rolled.quantile(quantile)
        ends = [number + 30 // 2 - 1 for number in found.numbers]
        assert list(values) == pytest.approx(expected.iloc[ends].tolist())


def test_running_shares_of_choices_are_pandas() -> None:
    found = {one.known.name: one for one in evolutions(snapshot_of(*TRIALS))}["kind"]
    ends = [number + 30 // 2 - 1 for number in found.numbers]
    for choice, shares in zip(("gbdt", "dart", None), found.shares, strict=True):
        expected = pd.Series([float(kind == choice) for kind in KINDS]).rolling(30).mean()
        assert list(shares) == pytest.approx(expected.iloc[ends].tolist())
    assert np.sum(found.shares, axis=0) == pytest.approx(1.0)


@given(st.integers(10, 20_000))
def test_windows_begin_at_the_first_and_end_with_the_last_trial(n: int) -> None:
    length, starts = windows(n)
    assert starts[0] == 0
    assert starts[-1] + length == n
    assert starts == sorted(set(starts))
    assert len(starts) <= 50


def test_a_parameter_of_few_trials_has_no_course() -> None:
    some = [trial(1.0, params={"bins": 64} if i < 13 else {}) for i in range(20)]
    assert [one.known.name for one in evolutions(snapshot_of(*some))] == ["rate", "leaves"]
    assert evolutions(snapshot_of()) == []


def test_a_fixed_parameter_has_no_course() -> None:
    ranges: dict[str, BaseDistribution] = {"fixed": FloatDistribution(2, 2), "only": CategoricalDistribution(("a",))}
    trials = [create_trial(value=1.0, params={"fixed": 2.0, "only": "a"}, distributions=ranges) for _ in range(20)]
    assert evolutions(snapshot_of(*trials)) == []


def test_a_number_is_drawn_as_a_band_on_its_whole_range() -> None:
    leaves = {one.known.name: one for one in evolutions(snapshot_of(*TRIALS))}["leaves"]
    plot = evolution_plot(leaves, best=31)
    assert [type(mark) for mark in plot.marks] == [Band, Line, Rule]
    assert plot.y.limits == (10.0, 200.0)
    rule = plot.marks[-1]
    assert isinstance(rule, Rule)
    assert rule.at == 31.0
    assert len(evolution_plot(leaves).marks) == 2


def test_a_category_is_drawn_as_a_line_per_choice() -> None:
    kind = {one.known.name: one for one in evolutions(snapshot_of(*TRIALS))}["kind"]
    plot = evolution_plot(kind)
    assert {mark.name for mark in plot.marks if isinstance(mark, Line)} == {"gbdt", "dart", "None"}
    assert plot.y.percent
