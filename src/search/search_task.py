"""The search of one target as a task, with its sampler and its objective.

LightGBM is imported only where an objective is made, so that commands that only start other processes do without it.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import optuna

from src.config import RunSettings, SearchSettings
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.errors import ConfigError
from src.model_settings import ModelSettings, SpaceSettings
from src.search.derived_features import DerivedFeatures
from src.search.device import GPU, check_levels, opencl_device
from src.search.finish_time import TimeLimit
from src.search.search_space import make_space
from src.search.starting_points import make_starting_sampler
from src.search.stop_flag import StopFlag
from src.study.sampler import make_sampler
from src.study.studies import Callback, Objective
from src.suggest import did_you_mean, listing

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from src.search.binned_folds import BinnedFolds

UserObjective = Callable[..., float]


@dataclass(frozen=True)
class SearchTask:
    """Table, split and settings of a search, and the user's objective and callbacks if given.

    Attributes:
        derived: the derived features of the study, which `data` has after its own columns; None without them.
        limit: when the command has to end; None without `--total-timeout`.
    """

    data: Dataset
    rows: SplitRows
    settings: RunSettings
    user_objective: UserObjective | None = None
    callbacks: Sequence[Callback] = ()
    shares_outer_run: bool = False
    derived: DerivedFeatures | None = None
    limit: TimeLimit | None = None


def task_sampler(search: SearchSettings, user_objective: UserObjective | None) -> "BaseSampler":
    """The sampler; starting points and the depth limit apply to LightGBM only, not to a user's objective.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    if user_objective is not None:
        return make_sampler(search.sampler, search.seed, limit_depth=False)
    return make_starting_sampler(search.sampler, search.seed)


def make_task_objective(task: SearchTask, study: optuna.Study, stop_flag: StopFlag) -> Objective:
    """The objective of the study's trials, the user's or LightGBM's; bins the rows."""
    from src.search.binned_folds import BinnedFolds

    folds = BinnedFolds(task.data, task.rows.folds, device=task.settings.search.device)
    return objective_on(folds, task.settings, task.user_objective, study, stop_flag, task.rows.growth)


def objective_on(
    folds: "BinnedFolds",
    settings: RunSettings,
    user_objective: UserObjective | None,
    study: optuna.Study,
    stop_flag: StopFlag,
    growth: float,
) -> Objective:
    """The user's objective or LightGBM's, on these folds; `growth` as in `SplitRows`."""
    from src.search.objective import ObjectiveSettings, make_objective, make_user_objective
    from src.study.validation_predictions import PredictionStore

    if user_objective is not None:
        return make_user_objective(folds, user_objective, stop_flag)
    predictions = PredictionStore.of(study) if settings.ensemble_size > 1 else None
    return make_objective(
        folds,
        ObjectiveSettings(
            seed=settings.search.seed,
            stop_flag=stop_flag,
            predictions=predictions,
            growth=growth,
            constraints=settings.model.constraints,
            space=settings.model.space,
        ),
    )


def check_model_settings(task: SearchTask) -> None:
    """Refuses a search space, constraints, selections and a device that do not fit the trials of this task.

    Raises:
        ConfigError: the search space is wrong, folds are needed, the objective is the user's, or there is no GPU.
    """
    model = task.settings.model
    make_space(model.space)
    asked = [f"--constraint {each}" for each in model.constraint]
    asked += [f"--select {model.select}"] if model.select != ModelSettings.select else []
    asked += [f"--monotone {name}" for name in model.monotone]
    asked += [f"--device {GPU}"] if task.settings.search.device == GPU else []
    asked += [f"--space {model.space}"] if model.space != SpaceSettings() else []
    if asked and task.user_objective is not None:
        raise ConfigError(
            f"{asked[0]} applies to LightGBM's trials: remove it, your own objective may call trial.set_constraint(...)"
        )
    on_folds = [text for text in asked if "fold_spread" in text or text == "--select stable"]
    if on_folds and len(task.rows.folds) < 2:
        raise ConfigError(f"{on_folds[0]} compares folds, and the split has one validation window: add --use-cv")
    if task.settings.search.device == GPU:
        check_levels(task.data)
        opencl_device()


def with_monotone_features(data: Dataset, signs: Mapping[str, int], derived: Collection[str] = ()) -> Dataset:
    """The table with its monotone features.

    Args:
        data: the table.
        signs: 1 or -1 by feature.
        derived: names of features that the study may derive.

    Raises:
        ConfigError: LightGBM cannot keep them: with absolute error it replaces leaf values after each tree, and a
            category has no order; or the table has no such feature.
    """
    known = [*data.features.columns, *derived]
    for name in signs:
        if name not in known:
            raise ConfigError(
                f"--monotone {name!r} is no feature of target {data.target!r}{did_you_mean(name, known)}: use one of "
                f"{listing(known)}"
            )
        if name in data.categorical:
            raise ConfigError(f"--monotone {name!r} is a category, which has no order: use a numeric feature")
    if signs and data.config.metric == "mae":
        raise ConfigError(
            f"--monotone does not work with MAE, the metric of {data.target!r}: LightGBM refuses it with absolute "
            f"error; set `targets: {{{data.target}: {{task: regression, metric: rmse}}}}` in --config, or name other "
            "--targets"
        )
    return replace(data, monotone=dict(signs))


def verbose() -> bool:
    """Whether `--verbose` was given."""
    return logging.getLogger("src").isEnabledFor(logging.DEBUG)
