"""The part of an ensemble that nobody chose by a score."""

from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from src.config import Direction, Metric
from src.modeling.ensemble_selection import Judge, Selection
from src.modeling.fixed_configs import FIXED_SHARE, compose, find_fixed_configs, is_fixed_config
from src.modeling.sampler import make_sampler
from src.modeling.search_space import suggest_hyperparameters
from src.modeling.starting_points import FIXED_CONFIGS, keep_starting_points, make_starting_sampler


def study_of_starting_points(values: dict[int, float], metric: Metric = "mae", seed: int = 3) -> optuna.Study:
    """A study whose first ten trials are those of every study; trial k has the value `values[k]`, or 1."""
    direction: Direction = "maximize" if metric == "auc" else "minimize"
    study = optuna.create_study(direction=direction, sampler=make_starting_sampler("auto", seed))
    keep_starting_points(study, seed)

    def objective(trial: optuna.Trial) -> float:
        suggest_hyperparameters(trial)
        trial.set_user_attr("best_iteration", 7)
        return values.get(trial.number, 1.0)

    study.optimize(objective, n_trials=12)
    return study


def test_every_study_has_all_of_them_whatever_its_seed() -> None:
    for seed in range(5):
        found = find_fixed_configs(study_of_starting_points({}, seed=seed), "mae")
        assert [trial.params for trial in found] == list(FIXED_CONFIGS)
        assert found[0].number == 0, "LightGBM's own defaults are tried first"


def test_they_are_told_from_their_neighbours() -> None:
    drawn = suggest_hyperparameters(optuna.create_study(sampler=make_sampler("random", 0)).ask())
    assert not is_fixed_config(drawn)
    assert is_fixed_config(FIXED_CONFIGS[1])
    assert not is_fixed_config(FIXED_CONFIGS[1] | {"learning_rate": 0.1001})


@pytest.mark.parametrize(("metric", "good", "bearable", "hopeless"), [("mae", 1, 1.49, 1.51), ("auc", 0.8, 0.71, 0.69)])
def test_a_hopeless_one_is_left_out(metric: Metric, good: float, bearable: float, hopeless: float) -> None:
    plain = dict.fromkeys(range(12), good)
    numbers = [trial.number for trial in find_fixed_configs(study_of_starting_points(plain, metric), metric)]
    values = plain | {numbers[0]: hopeless, numbers[2]: bearable}
    found = find_fixed_configs(study_of_starting_points(values, metric), metric)
    assert [trial.number for trial in found] == numbers[1:]


def test_only_complete_trials_of_our_objective_count() -> None:
    study = optuna.create_study()
    distributions = study_of_starting_points({}).trials[0].distributions
    made: dict[str, Any] = {"params": FIXED_CONFIGS[0], "distributions": distributions}
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={"best_iteration": 3}, **made))
    study.add_trial(create_trial(value=1.0, **made))
    assert find_fixed_configs(study, "mae") == []
    study.add_trial(create_trial(value=1.0, user_attrs={"best_iteration": 3}, **made))
    assert [trial.number for trial in find_fixed_configs(study, "mae")] == [2]


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=4), anchors=st.sets(st.integers(0, 5), max_size=3))
def test_weights_add_up_and_the_score_is_of_the_weighted_mean(counts: list[int], anchors: set[int]) -> None:
    rng = np.random.default_rng(0)
    predictions, y = rng.normal(size=(6, 20)), rng.normal(size=20)
    judge = Judge("mae", y, (slice(0, 20),))
    members = tuple(range(len(counts)))
    made = compose(Selection(members, tuple(counts), 0.0, ()), sorted(anchors), predictions, judge)
    weights = dict(zip(made.rows, made.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(1)
    assert made.rows[0] == 0, "the best trial comes first"
    share = FIXED_SHARE if anchors else 0
    for row in range(6):
        chosen = counts[row] / sum(counts) * (1 - share) if row in members else 0
        assert weights.get(row, 0) == pytest.approx(chosen + (share / len(anchors) if row in anchors else 0))
    expected = np.abs(sum(weight * predictions[row] for row, weight in weights.items()) - y).mean()
    assert made.score == pytest.approx(expected)
