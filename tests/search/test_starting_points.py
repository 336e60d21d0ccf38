from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from src.config import MODEL_CONFIGS
from src.model_settings import SpaceSettings
from src.search.search_space import SearchSpace, lightgbm_params, make_space, suggest_hyperparameters
from src.search.starting_points import (
    CONFIGS,
    FIXED_CONFIGS,
    LARGE_TREES,
    LIGHTGBM_DEFAULTS,
    LOW_RATE_SAMPLED,
    N_STARTING_POINTS,
    config_position,
    estimated_cost,
    is_fixed_config,
    make_starting_sampler,
    starting_points,
    store_starting_points,
)
from src.study.sampler import make_sampler
from src.study.studies import OptunaStudyManager

SAME = {"target": "net_profit", "objective": "lightgbm"}


@pytest.mark.parametrize("known", FIXED_CONFIGS)
def test_fixed_configurations_are_in_the_search_space(known: dict[str, Any]) -> None:
    assert suggest_hyperparameters(FixedTrial(known)) == known


def test_the_first_trial_is_lightgbm_with_its_defaults() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 6))
    y = x[:, 0] * x[:, 1] + rng.normal(size=3000)
    config = MODEL_CONFIGS["num_trades"]
    ours = lightgbm_params(LIGHTGBM_DEFAULTS, config, seed=1)
    # The space knows no unbounded depth; all else is LightGBM's own.
    theirs = {
        "objective": "regression",
        "max_depth": 12,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "seed": 1,
    }
    predictions = []
    for params in (ours, theirs | {"force_row_wise": True}):
        data = lgb.Dataset(x, y, params={"max_bin": LIGHTGBM_DEFAULTS["max_bin"], "verbosity": -1})
        predictions.append(lgb.train(params, data, num_boost_round=30).predict(x))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_fixed_configurations_come_first_and_cheap_ones_before_dear_ones(seed: int) -> None:
    points = starting_points(seed)
    assert points[0] == LIGHTGBM_DEFAULTS
    fixed, random = points[: len(FIXED_CONFIGS)], points[len(FIXED_CONFIGS) :]
    assert all(known in fixed for known in FIXED_CONFIGS)
    for each in (fixed, random):
        costs = [estimated_cost(point) for point in each]
        assert costs == sorted(costs)
    assert len(points) == N_STARTING_POINTS == len({str(each) for each in points})
    assert all(suggest_hyperparameters(FixedTrial(each)) == each for each in points)
    assert points == starting_points(seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from(["seed", "wide"]))
def test_random_draws_are_the_first_that_cost_no_more_than_the_median_fixed_configuration(seed: int, base: str) -> None:
    space = make_space(SpaceSettings(base))
    fixed, random = starting_points(seed, space)[:5], starting_points(seed, space)[5:]
    study = optuna.create_study(sampler=make_sampler("random", seed))
    draws = [suggest_hyperparameters(study.ask(), space) for _ in range(40)]
    cheap = [each for each in draws if estimated_cost(each) <= np.median([estimated_cost(config) for config in fixed])]
    assert len(cheap) >= 5
    assert random == sorted(cheap[:5], key=estimated_cost)


def test_a_narrowed_space_without_cheap_parameters_gets_its_cheapest_draws() -> None:
    space = make_space(SpaceSettings("seed", {"learning_rate": 0.01, "boosting_type": ("dart",)}))
    costs = [estimated_cost(each) for each in starting_points(3, space)]
    study = optuna.create_study(sampler=make_starting_sampler("random", 9))
    usual = [estimated_cost(suggest_hyperparameters(study.ask(), space)) for _ in range(40)]
    assert len(costs) == 5
    assert max(costs) < np.median(usual)


def test_cost_follows_what_a_trial_does() -> None:
    dear = LIGHTGBM_DEFAULTS | {"num_leaves": 200, "learning_rate": 0.01, "max_bin": 512}
    assert estimated_cost(LIGHTGBM_DEFAULTS) < estimated_cost(LOW_RATE_SAMPLED) < estimated_cost(LARGE_TREES)
    assert estimated_cost(LARGE_TREES) < estimated_cost(dear)
    assert estimated_cost(dear) < estimated_cost(dear | {"boosting_type": "dart"})


def test_a_study_begins_with_them_and_goes_on_with_its_sampler(tmp_path: Path) -> None:
    drawn = []
    for pieces in ([12], [1, 5, 12]):
        for total in pieces:
            manager = OptunaStudyManager(tmp_path / str(len(pieces)))
            study = manager.create_or_load_study("s", sampler=make_starting_sampler("tpe", 1))
            if not study.trials:
                store_starting_points(study, seed=1)
            done = len(study.trials)
            study.optimize(lambda trial: float(len(suggest_hyperparameters(trial))), n_trials=total - done)
        drawn.append([trial.params for trial in study.trials])
    assert drawn[0][:N_STARTING_POINTS] == starting_points(1)
    assert len({str(params) for params in drawn[0]}) == 12
    assert drawn[0] == drawn[1], "in one go or in pieces"


def test_a_study_without_them_is_left_to_its_sampler() -> None:
    study = optuna.create_study(sampler=make_starting_sampler("random", 1))
    study.optimize(lambda trial: float(len(suggest_hyperparameters(trial))), n_trials=2)
    assert study.trials[0].params != LIGHTGBM_DEFAULTS


def wide(has_categories: bool, **parameters: Any) -> SearchSpace:
    return make_space(SpaceSettings("wide", parameters), has_categories)


@pytest.mark.parametrize("has_categories", [False, True])
def test_the_wide_space_has_its_own_configurations(has_categories: bool) -> None:
    space = wide(has_categories)
    points = starting_points(3, space)
    assert len(points) == N_STARTING_POINTS
    assert all(suggest_hyperparameters(FixedTrial(each), space) == each for each in points)
    positions = [config_position(each) for each in points]
    assert positions[0] == 0, "LightGBM's defaults"
    assert sorted(position for position in positions if position is not None) == list(range(len(CONFIGS["wide"])))
    assert not any(is_fixed_config(each | {"path_smooth": 5.0}) for each in points)


def test_configurations_outside_of_a_narrowed_space_are_left_out() -> None:
    space = wide(False, learning_rate=(0.02, 0.04))
    points = starting_points(3, space)
    kept = [each for each in points if is_fixed_config(each)]
    assert [each["learning_rate"] for each in kept] == [0.03, 0.0217]
    assert all(0.02 <= each["learning_rate"] <= 0.04 for each in points)
    assert len(points) == N_STARTING_POINTS - len(CONFIGS["wide"]) + 2
    assert points[: len(kept)] == kept
    assert [estimated_cost(each) for each in kept] == sorted(estimated_cost(each) for each in kept)
