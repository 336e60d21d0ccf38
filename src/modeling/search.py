"""One target's search: open its study, run trials beside the projection, keep the honest settings on the study."""

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from time import monotonic
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from src.errors import ConfigError, Interrupted, SearchError, TrackingError
from src.modeling.brake import Brake
from src.modeling.optuna_utils import (
    FINISHED,
    OptunaStudyManager,
    new_study_name,
    quiet_optuna,
    store_error,
)
from src.modeling.progress import SearchProgress
from src.modeling.sampler import NumberedTPESampler
from src.modeling.search_task import SearchTask, make_task_objective, run_as_worker, verbose
from src.modeling.store_location import store_lock
from src.modeling.trial_loop import WorkerContext, run_trials
from src.modeling.worker_pool import WorkerPool
from src.tracking.background import BackgroundProjector
from src.tracking.projection import StudyProjection
from src.tracking.session import TrackingSession, end_parent_run

log = logging.getLogger(__name__)

SETTINGS_ATTR = "settings"


@dataclass(frozen=True)
class OpenStudy:
    """A study with its store and its projection."""

    study: optuna.Study
    manager: OptunaStudyManager
    session: TrackingSession
    projection: StudyProjection


def open_study(task: SearchTask) -> OpenStudy:
    """Creates the target's study or goes on with it.

    Raises:
        ConfigError: the store cannot be used, or the study was made from other data, another split or another seed.
    """
    quiet_optuna(verbose())
    settings, data = task.settings.search, task.data
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url)
    study = manager.create_or_load_study(
        settings.study_name or new_study_name(data.target),
        data.config.direction,
        sampler=NumberedTPESampler(settings.seed),
    )
    _note_or_compare(study, settings_record(task))
    session = TrackingSession()
    lock = partial(store_lock, manager.url, f"projection-{study.study_name}")
    projection = StudyProjection(study, session, lock, task.shares_outer_run, data.config.metric)
    return OpenStudy(study, manager, session, projection)


def run_search(task: SearchTask, opened: OpenStudy) -> None:
    """Runs trials until the study has its total; MLflow is written beside them and never holds them up.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved and projected, the running one waits again.
        SearchError: no trial is complete.
        StoreError: the store failed.
    """
    study, settings = opened.study, task.settings.search
    brake = Brake(deadline=None if settings.timeout is None else monotonic() + settings.timeout)
    progress = SearchProgress(study, settings.n_trials, task.data.config.metric)
    try:
        with stop_on_signals(brake), BackgroundProjector(opened.projection), progress:
            _run_here_or_in_processes(task, opened, brake, progress)
        if _n_finished(study) < settings.n_trials:  # the time is up, or a callback stopped the study
            log.warning("%s", _so_far(study, settings.n_trials))
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(f"stopped: {_so_far(study, settings.n_trials)}") from None


def _so_far(study: optuna.Study, n_trials: int) -> str:
    return (
        f"{_n_finished(study)} of {n_trials} trials are done and saved; "
        f"the same command with --study-name {study.study_name} goes on"
    )


def _n_finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def _run_here_or_in_processes(task: SearchTask, opened: OpenStudy, brake: Brake, progress: SearchProgress) -> None:
    settings = task.settings.search
    if settings.max_workers > 1:
        work = partial(run_as_worker, task, opened.study.study_name)
        WorkerPool(work, settings.max_workers, brake, verbose()).run(progress.update)
        return
    callbacks = [*task.callbacks, lambda study, trial: progress.update()]
    context = WorkerContext(opened.manager.storage, settings.n_trials, brake, callbacks)
    run_trials(opened.study, make_task_objective(task, brake), context)


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The study's best complete trial.

    Raises:
        SearchError: there is none.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise SearchError(
            f"study {study.study_name!r} has no complete trial: give it more --timeout or --n-trials "
            f"and go on with --study-name {study.study_name}"
        )
    return study.best_trial


def settings_record(task: SearchTask) -> dict[str, Any]:
    """What makes two scores comparable, as kept on the study; nothing secret is in it."""
    split = asdict(task.settings.split)
    del split["valid_fraction" if split["use_cv"] else "n_folds"]  # the one that says nothing here may be anything
    return {
        "target": task.data.target,
        "task": task.data.config.task,
        "metric": task.data.config.metric,
        "objective": "lightgbm" if task.user_objective is None else "user",
        "seed": task.settings.search.seed,
        "data": task.data.source,
        "data_digest": task.data.digest,
        "split": split,
    }


def _note_or_compare(study: optuna.Study, settings: dict[str, Any]) -> None:
    noted = study.user_attrs.get(SETTINGS_ATTR)
    if noted is None:
        if study.get_trials(deepcopy=False):
            raise ConfigError(
                f"study {study.study_name!r} has trials of unknown data and split: use another --study-name"
            )
        study.set_user_attr(SETTINGS_ATTR, settings)
        return
    for name, before, now in _differences(noted, settings):
        raise ConfigError(
            f"study {study.study_name!r} was made with {name} {before!r}, now it is {now!r}: "
            f"give the same again, or use another --study-name"
        )


def _differences(noted: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of what differs, what says most first; a table of the same content may lie elsewhere."""
    for name in dict.fromkeys([*now, *noted]):
        before, after = noted.get(name), now.get(name)
        if before == after or name == "data":
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif name == "data_digest":
            yield "data", f"{noted.get('data')} ({before})", f"{now.get('data')} ({after})"
        else:
            yield name, before, after


@contextlib.contextmanager
def parent_run(opened: OpenStudy) -> Iterator[None]:
    """Whatever ends the block, finished trials are projected and the parent run ends with the right status.

    Raises:
        StoreError: the store failed inside the block.
    """
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    except StorageInternalError as error:
        raise store_error(error, opened.study.study_name) from error
    finally:
        try:
            end_parent_run(opened.session, opened.projection.project(), status)
        except (TrackingError, StorageInternalError) as error:
            log.warning("%s; what MLflow lacks is written when the study is gone on with", error)


@contextlib.contextmanager
def stop_on_signals(brake: Brake) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the search to stop at the next boosting round; a second one stops at once.

    A flag instead of an exception: a KeyboardInterrupt may come in the middle of a transaction.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        if brake.requested:
            raise KeyboardInterrupt
        brake.requested = True
        sys.stderr.write("\nstopping: saving what is done (again to stop at once)\n")

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
