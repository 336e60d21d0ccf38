from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, TrialState

from src.config import MODEL_CONFIGS
from src.modeling.optuna_utils import OptunaStudyManager
from src.modeling.search_space import lightgbm_params, suggest_hyperparameters
from src.modeling.starting_points import (
    KNOWN,
    LARGE_TREES,
    LIGHTGBM_DEFAULTS,
    N_STARTING_POINTS,
    SEARCH_UNTIL_ATTR,
    SLOW_AND_SAMPLED,
    best_of_earlier_studies,
    keep_starting_points,
    make_starting_sampler,
    reckoned_cost,
    starting_points,
)

SAME = {"target": "net_profit", "objective": "lightgbm"}


@pytest.mark.parametrize("known", KNOWN)
def test_what_is_known_lies_in_the_search_space(known: dict[str, Any]) -> None:
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
def test_the_rest_is_cheap_before_dear_and_all_are_different(seed: int) -> None:
    points = starting_points(seed)
    assert points[0] == LIGHTGBM_DEFAULTS
    assert all(known in points for known in KNOWN)
    costs = [reckoned_cost(each) for each in points[1:]]
    assert costs == sorted(costs)
    assert len(points) == N_STARTING_POINTS == len({str(each) for each in points})
    assert all(suggest_hyperparameters(FixedTrial(each)) == each for each in points)
    assert points == starting_points(seed)


def test_cost_follows_what_a_trial_does() -> None:
    dear = LIGHTGBM_DEFAULTS | {"num_leaves": 200, "learning_rate": 0.01, "max_bin": 512}
    assert reckoned_cost(LIGHTGBM_DEFAULTS) < reckoned_cost(SLOW_AND_SAMPLED) < reckoned_cost(LARGE_TREES)
    assert reckoned_cost(LARGE_TREES) < reckoned_cost(dear)
    assert reckoned_cost(dear) < reckoned_cost(dear | {"boosting_type": "dart"})


def test_the_best_of_earlier_studies_come_right_after_the_defaults() -> None:
    earlier = [SLOW_AND_SAMPLED | {"num_leaves": leaves} for leaves in (11, 12, 13)]
    points = starting_points(1, earlier)
    assert points[:3] == [LIGHTGBM_DEFAULTS, *earlier[:2]]
    assert len(points) == N_STARTING_POINTS
    assert len(starting_points(1, [LIGHTGBM_DEFAULTS])) == N_STARTING_POINTS - 1, "what is known twice is tried once"


def test_a_study_begins_with_them_and_goes_on_with_its_sampler(tmp_path: Path) -> None:
    drawn = []
    for pieces in ([12], [1, 5, 12]):
        for total in pieces:
            manager = OptunaStudyManager(tmp_path / str(len(pieces)))
            study = manager.create_or_load_study("s", sampler=make_starting_sampler("tpe", 1))
            if not study.trials:
                keep_starting_points(study, seed=1)
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


def an_earlier_study(folder: Path, name: str, until: str | None, value: float | None, **settings: str) -> None:
    study = OptunaStudyManager(folder).create_or_load_study(name, user_attrs={"settings": SAME | settings})
    if until is not None:
        study.set_user_attr(SEARCH_UNTIL_ATTR, until)
    if value is not None:
        distributions: dict[str, BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 9)}
        study.add_trial(optuna.trial.create_trial(params={"x": value}, distributions=distributions, value=value))


def test_only_studies_that_saw_no_later_day_are_learned_from(tmp_path: Path) -> None:
    an_earlier_study(tmp_path, "old", "2020-01-01", 1.0)
    an_earlier_study(tmp_path, "same_day", "2020-06-30", 2.0)
    an_earlier_study(tmp_path, "leaks", "2020-07-01", 3.0)
    an_earlier_study(tmp_path, "unknown", None, 4.0)
    an_earlier_study(tmp_path, "other_target", "2020-01-01", 5.0, target="gross_profit")
    an_earlier_study(tmp_path, "nothing_complete", "2020-01-01", None)
    study = OptunaStudyManager(tmp_path).create_or_load_study("new")
    assert best_of_earlier_studies(study, SAME, "2020-06-30") == [{"x": 2.0}, {"x": 1.0}]
    assert best_of_earlier_studies(study, SAME, "2019-12-31") == []
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
