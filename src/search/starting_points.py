"""The first trials of a study: known good parameters, ordered by cost.

A sampler without finished trials draws at random, and a random dart trial with 200 leaves and a learning rate of 0.01
can take a minute. The study therefore starts with

1. LightGBM's defaults, or the nearest values in the search space,
2. fixed configurations that do well on many tables: low learning rates with sampling of rows and features, large and
   small trees; they come first, because most of the final model's weight is theirs,
3. random draws, so that the first ten trials cover the space: those that cost at most as much as the median fixed
   configuration, because in a short search a few slow ones would take most of the time.

Groups 2 and 3 are each sorted by estimated cost. The list is stored on the study when it is created, and trial k
takes entry k: the first trials do not depend on the workers or on interruptions.
"""

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from src.search.search_space import MAX_BIN_STEP, SEED_SPACE, SearchSpace, suggest_hyperparameters
from src.study.sampler import ReseededSampler, make_sampler

Params = dict[str, Any]
N_STARTING_POINTS = 10
"""As many as TPE's random startup trials, and as the median pruner's startup trials."""
STARTING_POINTS_ATTR = "starting_points"
DRAWS_PER_POINT = 8
"""Random draws per starting point that is needed: half of them cost more than is allowed."""

_USUAL_BINS = 32 + 2 * MAX_BIN_STEP
LIGHTGBM_DEFAULTS: Params = {
    "boosting_type": "gbdt", "max_depth": 12, "num_leaves": 31, "learning_rate": 0.1, "feature_fraction": 1.0,
    "min_child_samples": 20, "lambda_l1": 1e-8, "lambda_l2": 1e-8, "min_gain_to_split": 0.0, "max_bin": _USUAL_BINS,
    "bagging_fraction": 1.0, "bagging_freq": 1,
}  # fmt: skip
LOW_RATE_SAMPLED = LIGHTGBM_DEFAULTS | {
    "max_depth": 8, "num_leaves": 63, "learning_rate": 0.05, "feature_fraction": 0.7, "min_child_samples": 30,
    "lambda_l2": 1.0, "bagging_fraction": 0.8,
}  # fmt: skip
GOSS_SAMPLED: Params = {
    **{name: value for name, value in LIGHTGBM_DEFAULTS.items() if not name.startswith("bagging")},
    "boosting_type": "goss", "num_leaves": 63, "learning_rate": 0.05, "feature_fraction": 0.7, "min_child_samples": 30,
    "lambda_l2": 1.0,
}  # fmt: skip
STRONGLY_REGULARIZED = LIGHTGBM_DEFAULTS | {
    "max_depth": 6, "learning_rate": 0.03, "feature_fraction": 0.5, "min_child_samples": 100, "lambda_l2": 10.0,
    "bagging_fraction": 0.5,
}  # fmt: skip
LARGE_TREES = LIGHTGBM_DEFAULTS | {
    "num_leaves": 127, "learning_rate": 0.03, "feature_fraction": 0.5, "lambda_l2": 5.0, "bagging_fraction": 0.7,
}  # fmt: skip
FIXED_CONFIGS = (LIGHTGBM_DEFAULTS, LOW_RATE_SAMPLED, GOSS_SAMPLED, STRONGLY_REGULARIZED, LARGE_TREES)
"""Different configurations that do well on many tables; they do not depend on scores on the user's table."""

_NEUTRAL: Params = {"extra_trees": False, "path_smooth": 1e-3}
"""LightGBM's defaults, or the nearest values, of what only `wide` has; then those for category columns."""
_NEUTRAL_CATEGORIES: Params = {
    "cat_smooth": 10.0, "cat_l2": 10.0, "max_cat_to_onehot": 4, "min_data_per_group": 100,
}  # fmt: skip
SMALL_TREES = LIGHTGBM_DEFAULTS | {
    "num_leaves": 7, "learning_rate": 0.05, "feature_fraction": 0.6, "min_child_samples": 10, "lambda_l2": 1.0,
}  # fmt: skip
RANDOM_SPLITS = LIGHTGBM_DEFAULTS | {
    "extra_trees": True, "num_leaves": 21, "learning_rate": 0.0217, "feature_fraction": 0.78, "min_child_samples": 3,
}  # fmt: skip
SMALL_RANDOM_SPLITS = RANDOM_SPLITS | {
    "num_leaves": 7, "learning_rate": 0.03, "feature_fraction": 0.77, "min_child_samples": 4, "lambda_l2": 1.0,
}  # fmt: skip
WIDE_CONFIGS = tuple(
    _NEUTRAL | config | _NEUTRAL_CATEGORIES
    for config in (LIGHTGBM_DEFAULTS, LOW_RATE_SAMPLED, SMALL_TREES, RANDOM_SPLITS, SMALL_RANDOM_SPLITS)
)
"""For the wide space: trees with random thresholds (`extra_trees`), whose errors differ most from the others'.
Chosen by the mean of an ensemble with them on the rows after the search (docs/benchmarks.md, "Wide space")."""
CONFIGS: Mapping[str, tuple[Params, ...]] = {"seed": FIXED_CONFIGS, "wide": WIDE_CONFIGS}
"""The fixed configurations of each search space, as many for each, LightGBM's defaults first."""


class StartingSampler(ReseededSampler):
    """Proposes the starting points that the study stores, then the proposals of the wrapped sampler."""

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner
        self._points: dict[str, list[Params]] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """As in the wrapped sampler."""
        if study.study_name not in self._points:
            self._points[study.study_name] = study.user_attrs.get(STARTING_POINTS_ATTR, [])
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Empty while there are starting points."""
        return {} if self._point(study, trial) else self._inner.infer_relative_search_space(study, trial)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The starting point's value; parameters that it lacks are drawn."""
        point = self._point(study, trial)
        if param_name in point:
            return point[param_name]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def _point(self, study: optuna.Study, trial: FrozenTrial) -> Params:
        points = self._points.get(study.study_name, [])
        return points[trial.number] if trial.number < len(points) else {}


def is_fixed_config(params: Mapping[str, Any]) -> bool:
    """Whether a trial's parameters are one of the fixed configurations."""
    return config_position(params) is not None


def config_position(params: Mapping[str, Any]) -> int | None:
    """The position of a fixed configuration in `CONFIGS` of its search space; None for other parameters."""
    for configs in CONFIGS.values():
        for position, config in enumerate(configs):
            if any(_for_table(config, has_categories) == params for has_categories in (False, True)):
                return position
    return None


def _for_table(config: Params, has_categories: bool) -> Params:
    return {name: value for name, value in config.items() if has_categories or name not in _NEUTRAL_CATEGORIES}


def make_starting_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler of this name for LightGBM's search space, after the starting points.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    return StartingSampler(make_sampler(name, seed))


def store_starting_points(study: optuna.Study, seed: int, space: SearchSpace = SEED_SPACE) -> None:
    """Stores the starting points on a new study."""
    study.set_user_attr(STARTING_POINTS_ATTR, starting_points(seed, space))


def starting_points(seed: int, space: SearchSpace = SEED_SPACE) -> list[Params]:
    """The parameters of the first trials, in order, with random draws from a seed.

    Fixed configurations outside a narrowed space are left out.
    """
    configs = [_for_table(config, space.has_categories) for config in CONFIGS[space.base]]
    inside = [config for config in configs if space.contains(config)]
    cheap = median(map(estimated_cost, configs))
    random = _random_draws(seed, N_STARTING_POINTS - len(configs), space, cheap)
    first = inside[:1] if inside[:1] == configs[:1] else []
    return [*first, *sorted(inside[len(first) :], key=estimated_cost), *sorted(random, key=estimated_cost)]


def estimated_cost(params: Mapping[str, Any]) -> float:
    """Rough relative cost of a trial, to order trials on the same rows.

    A round costs the histograms (per tree level) and the split search (per leaf and bin); the number of rounds is about
    inversely proportional to the learning rate. dart drops and adds trees in each round; goss uses a part of the rows.
    """
    per_round = math.log2(params["num_leaves"]) + params["num_leaves"] * params["max_bin"] / 5000
    kind = {"gbdt": 1.0, "dart": 2.0, "goss": 0.6}[params["boosting_type"]]
    return float(kind * per_round / params["learning_rate"])


def _random_draws(seed: int, n: int, space: SearchSpace, cheap: float) -> list[Params]:
    """The first draws that cost at most `cheap`; in a narrowed space with too few of them, also the next cheapest."""
    sampler = make_sampler("random", seed)
    empty = optuna.create_study(sampler=sampler)
    draws = [suggest_hyperparameters(empty.ask(), space) for _ in range(DRAWS_PER_POINT * n)]
    return sorted(draws, key=lambda params: max(cheap, estimated_cost(params)))[:n]  # equal keys keep their order
