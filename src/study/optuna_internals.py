"""All private names of Optuna that this project uses.

The lock file pins Optuna to an exact version. Check this list when you raise it; the tests of the storages and of the
sampler cover what is used.

- `optuna.storages._rdb.models`: the tables, with the columns `_datetime_start_utc` and `_datetime_complete_utc`
- `optuna.storages._rdb.storage._create_scoped_session`: one transaction
- `optuna.storages._CachedStorage._backend`: the storage behind the cache that Optuna puts in front of it
- `optuna.samplers._tpe.sampler`: `_split_trials`, `default_gamma`
- `optuna.study._frozen.FrozenStudy`: what `get_all_studies` of a storage returns
- `Study._study_id`, `Study._storage`, `FrozenStudy._study_id`, `Trial._trial_id`, `FrozenTrial._trial_id`
- `FrozenTrial._params`, `_distributions`, `_user_attrs`, `_system_attrs`
- the system attributes `constraints:<name>` that `set_constraint` writes

Four classes override or call private methods of their base class:

- `BufferedStorage` (of `RDBStorage`): `_set_trial_param`, `_get_trials`, `_build_frozen_trial_from_trial_model`,
  `_set_trial_value_without_commit`
- `StudyStorage`: `_create_new_trial`, `_get_prepared_new_trial`, `_get_stale_trial_ids`,
  `_set_trial_attr_without_commit`, and `_get_best_trial_id` in `RETRIED_METHODS`
- `TrialSeededTPESampler` (of `TPESampler`): `_sample`, `_build_parzen_estimator`, `_compute_acquisition_func`,
  `_compare`, `_rng`, `_random_sampler`, `_n_ei_candidates`
- `FeasibleHyperbandPruner` (of `HyperbandPruner`): `_try_initialization`, `_pruners`, `_min_resource`
"""

import copy
from datetime import datetime
from typing import Any

import optuna
from optuna.samplers._tpe.sampler import _split_trials as split_trials
from optuna.samplers._tpe.sampler import default_gamma
from optuna.storages import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session as transaction
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

__all__ = [
    "COMPLETED_UTC",
    "CONSTRAINT_PREFIX",
    "FrozenStudy",
    "completed_utc",
    "copy_of_trial",
    "default_gamma",
    "id_of_study",
    "id_of_trial",
    "models",
    "split_trials",
    "started_utc",
    "storage_behind_cache",
    "transaction",
]

COMPLETED_UTC: Any = models.TrialModel._datetime_complete_utc
"""The column with the end of a trial; the attribute `datetime_complete` is not a column."""
CONSTRAINT_PREFIX = "constraints:"
"""Of the system attributes that `set_constraint` writes."""


def id_of_study(study: optuna.Study | FrozenStudy) -> int:
    """The study's id in its store; ids increase in the order of creation."""
    return study._study_id


def id_of_trial(trial: optuna.Trial | FrozenTrial) -> int:
    """The trial's id in its store."""
    return trial._trial_id


def storage_behind_cache(study: optuna.Study) -> Any:
    """The storage that the study was opened with."""
    storage = study._storage
    return storage._backend if isinstance(storage, _CachedStorage) else storage


def started_utc(row: models.TrialModel) -> datetime | None:
    """When the trial of this row began, in naive UTC."""
    stored: Any = row
    started: datetime | None = stored._datetime_start_utc
    return started


def completed_utc(row: models.TrialModel) -> datetime | None:
    """When the trial of this row ended, in naive UTC."""
    stored: Any = row
    completed: datetime | None = stored._datetime_complete_utc
    return completed


def copy_of_trial(trial: FrozenTrial) -> FrozenTrial:
    """A copy that later reports and parameters do not change; the values are never mutated."""
    copied = copy.copy(trial)
    for name in ("_params", "_distributions", "_user_attrs", "_system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied
