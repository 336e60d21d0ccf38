"""The front and the choice against direct definitions, one trial at a time."""

import math
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from src.study.pareto_front import Candidate, candidates_of, choose, pareto_front

NUMBERS = st.sampled_from([0.1, 0.2, 0.201, 0.3, 0.5])
CANDIDATES = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(1, 6)), min_size=1, max_size=25)


def made(rows: list[tuple[float, float, int]]) -> list[Candidate]:
    return [Candidate(number, loss, spread, leaves) for number, (loss, spread, leaves) in enumerate(rows)]


def dominates(one: Candidate, other: Candidate) -> bool:
    pairs = [(one.loss, other.loss), (one.spread, other.spread), (one.leaves, other.leaves)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(CANDIDATES)
def test_the_front_has_what_nothing_dominates(rows: list[tuple[float, float, int]]) -> None:
    candidates = made(rows)
    front = {each.number for each in pareto_front(candidates)}
    assert front == {each.number for each in candidates if not any(dominates(other, each) for other in candidates)}


@given(CANDIDATES, st.sampled_from(["score", "stable", "small"]))
def test_the_choice_is_that_of_its_definition(rows: list[tuple[float, float, int]], select: str) -> None:
    candidates = made(rows)
    chosen = choose(candidates, select)
    best = min(each.loss for each in candidates)
    near = [each for each in candidates if each.loss <= best * 1.01]
    if select == "score":
        assert chosen.loss == best
    elif select == "stable":
        assert chosen.spread == min(each.spread for each in near)
    else:
        assert chosen.leaves == min(each.leaves for each in near)
    assert not any(dominates(other, chosen) for other in candidates)


def test_ties_go_to_the_earlier_trial() -> None:
    rows = [(0.2, 0.1, 3), (0.2, 0.1, 3), (0.2, 0.1, 4)]
    assert {choose(made(rows), select).number for select in ("score", "stable", "small")} == {0}


def test_the_tolerance_is_a_standard_error_and_at_most_a_percent() -> None:
    even = (1.0, 1.002, 1.004)
    assert Candidate(0, mean(even), 0.0, 5, even).tolerance == pytest.approx(stdev(even) / math.sqrt(3))
    assert Candidate(0, 2.0, 0.5, 5, (1.0, 2.0, 3.0)).tolerance == pytest.approx(0.02)
    assert Candidate(0, 2.0, 0.0, 5).tolerance == pytest.approx(0.02)


def test_candidates_are_feasible_complete_and_measured() -> None:
    measures = {"leaves": 40.0, "fold_spread": 0.1, "fold_values": [0.8, 0.6]}
    trials = [
        create_trial(value=0.7, user_attrs=measures),
        create_trial(value=0.7, user_attrs=measures, constraints={"leaves<=30": 0.3}),
        create_trial(state=TrialState.PRUNED, value=0.7, user_attrs=measures),
        create_trial(value=0.7, user_attrs={}),
        create_trial(value=float("inf"), user_attrs=measures),
    ]
    (found,) = candidates_of(trials, maximize=True)
    assert found.loss == pytest.approx(0.3)
    assert found.fold_losses == pytest.approx((0.2, 0.4))
    assert (found.spread, found.leaves) == (0.1, 40.0)
