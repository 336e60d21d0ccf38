"""One target's search as a task that travels to another process; without tracking, so that a worker starts soon."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from src.config import RunSettings
from src.data.table import Dataset
from src.modeling.binned_folds import BinnedFolds
from src.modeling.brake import Brake
from src.modeling.objective import ObjectiveSettings, UserObjective, make_objective, make_user_objective
from src.modeling.optuna_utils import Callback, Objective, OptunaStudyManager, quiet_optuna
from src.modeling.rows import Rows
from src.modeling.sampler import NumberedTPESampler
from src.modeling.trial_loop import WorkerContext, run_trials


@dataclass(frozen=True)
class SearchTask:
    """What is searched: a table, its rows, and the user's own objective and callbacks if there are any."""

    data: Dataset
    rows: Rows
    settings: RunSettings
    user_objective: UserObjective | None = None
    callbacks: Sequence[Callback] = ()
    shares_outer_run: bool = False


def run_as_worker(task: SearchTask, study_name: str, brake: Brake) -> None:
    """One of several processes on a study that exists: its own connection, its own sampler, the same trials.

    Raises:
        ConfigError: the store or the study is gone.
        Interrupted: a stop was requested; the running trial was given back.
        SearchError: trial after trial fails.
        StoreError: the store failed.
    """
    quiet_optuna(verbose())
    settings = task.settings.search
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url)
    study = manager.load_study(study_name, NumberedTPESampler(settings.seed))
    context = WorkerContext(manager.storage, settings.n_trials, brake, task.callbacks)
    run_trials(study, make_task_objective(task, brake), context)


def make_task_objective(task: SearchTask, brake: Brake) -> Objective:
    """The objective of the task, the user's own or LightGBM's, on rows that are binned here."""
    folds = BinnedFolds(task.data, task.rows.folds)
    if task.user_objective is not None:
        return make_user_objective(folds, task.user_objective, brake)
    return make_objective(folds, replace(ObjectiveSettings(), seed=task.settings.search.seed, brake=brake))


def verbose() -> bool:
    """Whether `--verbose` was given."""
    return logging.getLogger("src").isEnabledFor(logging.DEBUG)
