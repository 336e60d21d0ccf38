"""The task of a worker process, and the function that runs its trials; imports no tracking, to start fast."""

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from src.config import RunSettings
from src.search.finish_time import DeadlineUpdate, TimeLimit
from src.search.search_task import SearchTask, UserObjective, objective_on, task_sampler, verbose
from src.search.stop_flag import StopFlag
from src.search.trial_loop import WorkerContext, run_trials
from src.study.pruner import make_pruner
from src.study.retry_policy import RETRY_SECONDS
from src.study.studies import Callback, OptunaStudyManager, set_optuna_verbosity
from src.workers.shared_table import SharedTable, TableSharer

if TYPE_CHECKING:
    from src.search.binned_folds import BinnedFolds


@dataclass(frozen=True)
class WorkerTask:
    """The part of a search that a worker needs; all workers read the same shared table."""

    study_name: str
    table: SharedTable
    settings: RunSettings
    growth: float
    user_objective: UserObjective | None = None
    callbacks: Sequence[Callback] = ()
    limit: TimeLimit | None = None


def share_task(task: SearchTask, study_name: str, sharer: TableSharer) -> WorkerTask:
    """Writes the task's table for workers.

    Raises:
        OSError: the disk is full.
    """
    table = sharer.share(task.data, task.rows.folds, with_frame=task.user_objective is not None)
    user = task.user_objective
    return WorkerTask(study_name, table, task.settings, task.rows.growth, user, task.callbacks, task.limit)


def run_as_worker(task: WorkerTask, stop_flag: StopFlag) -> None:
    """Runs trials of an existing study in a worker process, with its own connection and sampler.

    Raises:
        ConfigError: the store or the study no longer exists.
        Interrupted: a stop was requested; the running trial is queued again.
        SearchError: too many trials in a row fail.
        StoreError: the store failed.
    """
    set_optuna_verbosity(verbose())
    settings = task.settings.search
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url, RETRY_SECONDS)
    sampler = task_sampler(settings, task.user_objective)
    study = manager.load_study(task.study_name, sampler, make_pruner(settings.pruner))
    callbacks = [release_memory, *task.callbacks]
    if task.limit is not None:
        callbacks.append(DeadlineUpdate(task.limit, stop_flag))
    context = WorkerContext(manager.storage, settings.n_trials, stop_flag, callbacks)
    folds = _shared_folds(task)
    objective = objective_on(folds, task.settings, task.user_objective, study, stop_flag, task.growth)
    run_trials(study, objective, context)


def _shared_folds(task: WorkerTask) -> "BinnedFolds":
    from src.search.binned_folds import BinnedFolds
    from src.workers.shared_folds import SharedFolds

    if task.user_objective is not None:
        return BinnedFolds(task.table.data(), task.table.folds())
    return SharedFolds(task.table, device=task.settings.search.device)


def release_memory(*_: Any) -> None:
    """An Optuna callback that returns the memory of the last trial to the system.

    glibc keeps freed blocks for later use, and other workers need this memory.
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
