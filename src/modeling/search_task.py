"""One target's search as a task, and what a worker process gets of it; without tracking, so that a worker starts soon.

LightGBM is imported where trials are made ready: a command that only hands them to other processes starts without it.
"""

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna

from src.config import RunSettings
from src.data.table import Dataset
from src.modeling.brake import Brake
from src.modeling.optuna_utils import Callback, Objective, OptunaStudyManager, quiet_optuna
from src.modeling.patience import PATIENCE_SECONDS
from src.modeling.pruner import make_pruner
from src.modeling.rows import Rows
from src.modeling.sampler import make_sampler
from src.modeling.shared_table import SharedTable, TableSharer
from src.modeling.starting_points import make_starting_sampler
from src.modeling.trial_loop import WorkerContext, run_trials

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from src.modeling.binned_folds import BinnedFolds
    from src.tracking.earlier_models import EarlierModels

UserObjective = Callable[..., float]


@dataclass(frozen=True)
class SearchTask:
    """What is searched: a table, its rows, and the user's own objective and callbacks if there are any.

    `earlier` is the registry's answer to what it knows of this target, where it was asked in advance.
    """

    data: Dataset
    rows: Rows
    settings: RunSettings
    user_objective: UserObjective | None = None
    callbacks: Sequence[Callback] = ()
    shares_outer_run: bool = False
    earlier: "EarlierModels | None" = None


@dataclass(frozen=True)
class WorkerTask:
    """What a worker needs of a search: the table lies where all of them read it."""

    study_name: str
    table: SharedTable
    settings: RunSettings
    user_objective: UserObjective | None = None
    callbacks: Sequence[Callback] = ()


def share_task(task: SearchTask, study_name: str, sharer: TableSharer) -> WorkerTask:
    """Writes the task's table for workers.

    Raises:
        OSError: the disk is full.
    """
    table = sharer.share(task.data, task.rows.folds, with_frame=task.user_objective is not None)
    return WorkerTask(study_name, table, task.settings, task.user_objective, task.callbacks)


def run_as_worker(task: WorkerTask, brake: Brake) -> None:
    """One of several processes on a study that exists: its own connection, its own sampler, the same trials.

    Raises:
        ConfigError: the store or the study is gone.
        Interrupted: a stop was requested; the running trial was given back.
        SearchError: trial after trial fails.
        StoreError: the store failed.
    """
    quiet_optuna(verbose())
    settings = task.settings.search
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url, PATIENCE_SECONDS)
    study = manager.load_study(task.study_name, task_sampler(task), make_pruner(settings.pruner))
    context = WorkerContext(manager.storage, settings.n_trials, brake, [give_memory_back, *task.callbacks])
    run_trials(study, _objective_on(_shared_folds(task), task, study, brake), context)


def task_sampler(task: SearchTask | WorkerTask) -> "BaseSampler":
    """Who proposes the task's parameters; what is known of LightGBM's is of no use to a user's own objective.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    search = task.settings.search
    if task.user_objective is not None:
        return make_sampler(search.sampler, search.seed, tied=False)
    return make_starting_sampler(search.sampler, search.seed)


def make_task_objective(task: SearchTask, study: optuna.Study, brake: Brake) -> Objective:
    """The objective of the study's trials, the user's own or LightGBM's, on rows that are binned here."""
    from src.modeling.binned_folds import BinnedFolds

    return _objective_on(BinnedFolds(task.data, task.rows.folds), task, study, brake)


def _shared_folds(task: WorkerTask) -> "BinnedFolds":
    from src.modeling.binned_folds import BinnedFolds
    from src.modeling.shared_folds import SharedFolds

    if task.user_objective is not None:
        return BinnedFolds(task.table.data(), task.table.folds())
    return SharedFolds(task.table)


def _objective_on(folds: "BinnedFolds", task: SearchTask | WorkerTask, study: optuna.Study, brake: Brake) -> Objective:
    from src.modeling.objective import ObjectiveSettings, make_objective, make_user_objective
    from src.modeling.validation_predictions import PredictionStore

    if task.user_objective is not None:
        return make_user_objective(folds, task.user_objective, brake)
    predictions = PredictionStore.of(study) if task.settings.ensemble_size > 1 else None
    return make_objective(
        folds, ObjectiveSettings(seed=task.settings.search.seed, brake=brake, predictions=predictions)
    )


def give_memory_back(*_: Any) -> None:
    """Between two trials, as one of Optuna's callbacks: what the last one left goes back to the system.

    glibc keeps freed blocks for its own later use, and a worker's idle megabytes are missing in another one.
    """
    gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none


def verbose() -> bool:
    """Whether `--verbose` was given."""
    return logging.getLogger("src").isEnabledFor(logging.DEBUG)
