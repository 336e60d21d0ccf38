"""The first trials of a study: what is known to be good, cheap before dear.

A sampler knows nothing at first and would draw at random; one early draw of dart with 200 leaves and a learning rate of
0.01 can eat a minute. The study begins instead with, in this order,

1. LightGBM's own defaults, as near as the search space comes to them,
2. the best of this target's earlier studies in the same store, and of those behind the registry's models, if they saw
   no day that this search must not see,
3. configurations that do well on many tables: slow ones that sample rows and features, large trees and small ones,
4. random draws, so that the sampler's first ten trials are spread over the space.

The last two are ordered by what they will cost. The list is kept on the study when it is created, and trial k is its
k-th entry: whoever works on the study, and however often it is interrupted, it begins with the same trials.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from src.search.search_space import MAX_BIN_STEP, suggest_hyperparameters
from src.study.sampler import ReseededSampler, make_sampler

Params = dict[str, Any]
N_STARTING_POINTS = 10
"""As many as the sampler's own random trials would be, and as the median pruner waits for."""
N_EARLIER = 2
STARTING_POINTS_ATTR = "starting_points"

_USUAL_BINS = 32 + 2 * MAX_BIN_STEP
LIGHTGBM_DEFAULTS: Params = {
    "boosting_type": "gbdt", "max_depth": 12, "num_leaves": 31, "learning_rate": 0.1, "feature_fraction": 1.0,
    "min_child_samples": 20, "lambda_l1": 1e-8, "lambda_l2": 1e-8, "min_gain_to_split": 0.0, "max_bin": _USUAL_BINS,
    "bagging_fraction": 1.0, "bagging_freq": 1,
}  # fmt: skip
SLOW_AND_SAMPLED = LIGHTGBM_DEFAULTS | {
    "max_depth": 8, "num_leaves": 63, "learning_rate": 0.05, "feature_fraction": 0.7, "min_child_samples": 30,
    "lambda_l2": 1.0, "bagging_fraction": 0.8,
}  # fmt: skip
LARGE_GRADIENTS: Params = {
    **{name: value for name, value in LIGHTGBM_DEFAULTS.items() if not name.startswith("bagging")},
    "boosting_type": "goss", "num_leaves": 63, "learning_rate": 0.05, "feature_fraction": 0.7, "min_child_samples": 30,
    "lambda_l2": 1.0,
}  # fmt: skip
SMALL_AND_REGULAR = LIGHTGBM_DEFAULTS | {
    "max_depth": 6, "learning_rate": 0.03, "feature_fraction": 0.5, "min_child_samples": 100, "lambda_l2": 10.0,
    "bagging_fraction": 0.5,
}  # fmt: skip
LARGE_TREES = LIGHTGBM_DEFAULTS | {
    "num_leaves": 127, "learning_rate": 0.03, "feature_fraction": 0.5, "lambda_l2": 5.0, "bagging_fraction": 0.7,
}  # fmt: skip
FIXED_CONFIGS = (LIGHTGBM_DEFAULTS, SLOW_AND_SAMPLED, LARGE_GRADIENTS, SMALL_AND_REGULAR, LARGE_TREES)
"""Configurations that do well on many tables, each in another way; no score on the table at hand chose them."""


class StartingSampler(ReseededSampler):
    """Proposes the starting points that are kept on the study, and from then on what the sampler behind it proposes."""

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner
        self._points: dict[str, list[Params]] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """As the sampler behind it."""
        if study.study_name not in self._points:
            self._points[study.study_name] = study.user_attrs.get(STARTING_POINTS_ATTR, [])
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing while there are starting points."""
        return {} if self._point(study, trial) else self._inner.infer_relative_search_space(study, trial)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The starting point's value; what it does not say is drawn."""
        point = self._point(study, trial)
        if param_name in point:
            return point[param_name]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def _point(self, study: optuna.Study, trial: FrozenTrial) -> Params:
        points = self._points.get(study.study_name, [])
        return points[trial.number] if trial.number < len(points) else {}


def is_fixed_config(params: Mapping[str, Any]) -> bool:
    """Whether a trial's parameters are one of the fixed configurations."""
    return dict(params) in FIXED_CONFIGS


def make_starting_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler of this name for LightGBM's search space, after the starting points.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    return StartingSampler(make_sampler(name, seed))


def store_starting_points(study: optuna.Study, seed: int, earlier: Sequence[Params] = ()) -> None:
    """Notes on a new study what it begins with."""
    study.set_user_attr(STARTING_POINTS_ATTR, starting_points(seed, earlier))


def starting_points(seed: int, earlier: Sequence[Params] = ()) -> list[Params]:
    """The first trials in their order; equal ones once.

    Args:
        seed: of the random ones.
        earlier: the best parameters of earlier studies.
    """
    first = [FIXED_CONFIGS[0], *earlier[:N_EARLIER]]
    n_random = N_STARTING_POINTS - len(first) - len(FIXED_CONFIGS[1:])
    rest = sorted([*FIXED_CONFIGS[1:], *_random_draws(seed, n_random)], key=estimated_cost)
    chosen: list[Params] = []
    for params in [*first, *rest]:
        if params not in chosen:
            chosen.append(params)
    return chosen


def estimated_cost(params: Mapping[str, Any]) -> float:
    """What a trial costs beside others on the same rows; a rough order, in no unit.

    A round costs the histograms of the rows, level by level, and the search for splits, leaf by leaf; the rounds until
    nothing improves are as many as the steps are short. dart drops and adds trees again in each round, goss looks at
    a part of the rows.
    """
    per_round = math.log2(params["num_leaves"]) + params["num_leaves"] * params["max_bin"] / 5000
    kind = {"gbdt": 1.0, "dart": 2.0, "goss": 0.6}[params["boosting_type"]]
    return float(kind * per_round / params["learning_rate"])


def _random_draws(seed: int, n: int) -> list[Params]:
    sampler = make_sampler("random", seed)
    blank = optuna.create_study(sampler=sampler)
    return [suggest_hyperparameters(blank.ask()) for _ in range(n)]
