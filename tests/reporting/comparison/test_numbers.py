"""Several studies side by side, against numpy, pandas and studies made by hand."""

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.config import Direction
from src.reporting.comparison import numbers
from src.reporting.comparison.numbers import ChoiceSpread, ComparedStudy, NumericSpread
from src.reporting.document.blocks import Table
from src.reporting.study.numbers import Snapshot, take_snapshot

RANGES: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(0.01, 0.3, log=True),
    "leaves": IntDistribution(10, 200),
    "kind": CategoricalDistribution(("gbdt", "dart", None)),
}
MAE: dict[str, Any] = {
    "target": "net_profit",
    "metric": "mae",
    "test_score": 90.0,
    "test_interval": [80.0, 101.0],
    "validation_score": 85.0,
    "baselines": {"median": 110.0, "mean_20_days": 100.0},
    "skill": 0.1,
    "skill_interval": [0.02, 0.17],
}
AUC: dict[str, Any] = {
    "target": "is_profitable",
    "metric": "auc",
    "validation_score": 0.6,
    "validation_baselines": {"base_rate": 0.5},
}


def trial(value: float | None, state: TrialState = TrialState.COMPLETE, **params: Any) -> FrozenTrial:
    return create_trial(state=state, value=value, params=params, distributions={name: RANGES[name] for name in params})


def snapshot(*trials: FrozenTrial, direction: Direction = "minimize") -> Snapshot:
    study = optuna.create_study(direction=direction, study_name="by_hand")
    study.add_trials(trials)
    return take_snapshot(study)


def item(label: str, *trials: FrozenTrial, direction: Direction = "minimize", **metadata: Any) -> ComparedStudy:
    return ComparedStudy(label, snapshot(*trials, direction=direction), metadata)


def test_performance_has_a_row_for_each_study_whatever_is_known_of_it() -> None:
    start = datetime(2024, 1, 1)
    timed, pruned = trial(84.0), trial(None, TrialState.PRUNED)
    for i, entry in enumerate((timed, pruned)):
        entry.datetime_start = start + timedelta(seconds=40 * i)
        entry.datetime_complete = start + timedelta(seconds=40 * i + 50)
    items = [
        ComparedStudy("net_profit", Snapshot("s", "minimize", (timed, pruned)), MAE),
        item("is_profitable", trial(0.6), trial(None, TrialState.FAIL), direction="maximize", **AUC),
        item("mine"),
    ]
    search, found = as_dicts(numbers.searches(items)), as_dicts(numbers.performance(items))
    assert search[0] == {
        "model": "net_profit", "metric": "MAE", "better": "lower", "finished trials": 2, "duration": "1 min 30 s",
        "best in search": 84.0,
    }  # fmt: skip
    assert search[1]["better"] == "higher"
    assert [search[2][name] for name in ("metric", "finished trials", "best in search")] == ["value", 0, None]
    assert found[0] == {
        "model": "net_profit", "validation": 85.0, "test": 90.0, "95 % interval": "80 to 101",
        "best naive baseline": "mean_20_days", "its score": 100.0, "skill": "+10.0 %",
        "95 % interval of the skill": "+2.0 % to +17.0 %",
    }  # fmt: skip
    assert (found[1]["test"], found[1]["best naive baseline"], found[1]["skill"]) == (None, "base_rate", "+20.0 %")
    assert list(found[2].values()) == ["mine", *[None] * 7]


def as_dicts(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_skills_are_in_order_and_say_where_they_come_from() -> None:
    found = numbers.skills([item("a", **MAE), item("mine"), item("b", direction="maximize", **AUC)])
    assert [(entry.label, entry.part, entry.low, entry.high) for entry in found] == [
        ("b", "validation", None, None),
        ("a", "test", 0.02, 0.17),
    ]
    assert [entry.skill for entry in found] == pytest.approx([0.2, 0.1])


def test_convergence_by_hand() -> None:
    trials = [
        trial(None, TrialState.FAIL), trial(10.0), trial(None, TrialState.PRUNED), trial(12.0), trial(4.0),
        trial(None, TrialState.RUNNING), trial(0.2), trial(5.0), trial(0.0), trial(1.0), trial(2.0),
    ]  # fmt: skip
    found = numbers.convergence(item("a", *trials))
    assert found is not None
    assert found.shares == pytest.approx((1 / 9, 4 / 9, 5 / 9, 7 / 9, 1.0))
    assert found.gains == pytest.approx((0.0, 0.6, 0.98, 1.0, 1.0))
    assert (found.n_finished, found.first, found.best) == (9, 10.0, 0.0)
    assert found.most_number == 6
    assert found.most_share == pytest.approx(5 / 9)


def test_a_search_whose_first_trial_stayed_the_best_gained_nothing() -> None:
    found = numbers.convergence(item("a", trial(1.0), trial(3.0), trial(2.0)))
    assert found is not None
    assert (found.gains, found.most_number) == ((1.0, 1.0), 0)
    assert numbers.convergence(item("a", trial(None, TrialState.PRUNED), trial(math.inf))) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30), st.booleans())
def test_convergence_climbs_from_the_first_value_to_the_best(values: list[float], maximize: bool) -> None:
    direction: Direction = "maximize" if maximize else "minimize"
    found = numbers.convergence(item("a", *(trial(value) for value in values), direction=direction))
    assert found is not None
    assert list(found.shares) == sorted(found.shares)
    assert list(found.gains) == sorted(found.gains)
    assert found.gains[-1] == 1.0
    assert found.shares[-1] == 1.0
    assert found.best == (max if maximize else min)(values)
    assert 0 < found.most_share <= 1


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (9, 0), (10, 5), (50, 5), (51, 6), (1000, 100)])
def test_good_trials_are_a_tenth_and_at_least_five(n: int, expected: int) -> None:
    found = numbers.good_trials(snapshot(*(trial(float(-i)) for i in range(n))))
    assert [entry.value for entry in found] == [float(-i) for i in range(n - 1, n - 1 - expected, -1)]


def draws(n: int, seed: int) -> list[FrozenTrial]:
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        params: dict[str, Any] = {"rate": float(rng.uniform(0.01, 0.3)), "leaves": int(rng.integers(10, 200))}
        found.append(trial(float(rng.normal()), **params | ({"kind": (None, "dart")[i % 2]} if seed else {})))
    return found


def test_quartiles_are_numpys() -> None:
    items = [item("a", *draws(80, 0)), item("b", *draws(60, 1)), item("few", *draws(9, 2))]
    found = {spread.name: spread for spread in numbers.spreads(items)}
    assert list(found) == ["rate", "leaves", "kind"]
    rate, kind = found["rate"], found["kind"]
    assert isinstance(rate, NumericSpread)
    assert (rate.log, rate.limits) == (True, (0.01, 0.3))
    assert [row.label for row in rate.rows] == ["a", "b"]
    for row, entry, n in zip(rate.rows, items, (8, 6), strict=False):
        best = sorted(entry.snapshot.complete, key=lambda t: t.value or 0.0)[:n]
        expected = np.percentile([t.params["rate"] for t in best], [0, 25, 50, 75, 100])
        assert (row.low, row.first, row.median, row.third, row.high) == pytest.approx(tuple(expected))
        assert row.n == n
    assert isinstance(kind, ChoiceSpread)
    assert (kind.choices, kind.labels) == (("gbdt", "dart", "None"), ("b",))
    best = sorted(items[1].snapshot.complete, key=lambda t: t.value or 0.0)[:6]
    darts = sum(t.params["kind"] == "dart" for t in best) / 6
    assert list(kind.shares[0]) == pytest.approx([0.0, darts, 1 - darts])


def test_a_parameter_that_is_a_number_here_and_a_word_there_is_a_category() -> None:
    words = CategoricalDistribution(("small", 3))
    other = [create_trial(value=1.0, params={"leaves": "small"}, distributions={"leaves": words}) for _ in range(10)]
    (found,) = numbers.spreads([item("a", *(trial(1.0, leaves=20) for _ in range(10))), item("b", *other)])
    assert isinstance(found, ChoiceSpread)
    assert found.choices == ("small", "3", "20")
    assert found.shares == ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))


def test_trials_without_parameters_have_no_spread() -> None:
    assert numbers.spreads([item("a", *(trial(1.0) for _ in range(12))), item("b")]) == []


def test_other_data_and_another_test_period_are_told() -> None:
    split = {"test_dates": ["2024-01-01", "2024-03-01"]}
    a: dict[str, Any] = {"data": "t.parquet", "split": split}
    b = dict(a)
    assert numbers.differences([item("a", **a), item("b", **b), item("mine")]) == []
    b["split"] = {"test_dates": ["2024-01-01", "2024-04-01"]}
    (found,) = numbers.differences([item("a", **a), item("b", **b)])
    assert found == ("test period", [("a", "2024-01-01 to 2024-03-01"), ("b", "2024-01-01 to 2024-04-01")])


def test_the_validation_score_is_the_registered_models_not_the_best_trials() -> None:
    together = MAE | {"members": [{"trial": 0, "weight": 1.0}], "validation_score": 83.5, "best_trial": {"value": 84.0}}
    (found,) = as_dicts(numbers.performance([item("net_profit", trial(84.0), **together)]))
    (search,) = as_dicts(numbers.searches([item("net_profit", trial(84.0), **together)]))
    assert (found["validation"], search["best in search"]) == (83.5, 84.0)
