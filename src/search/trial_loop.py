"""The loop of a worker: runs trials of a study until the study has its total.

The process of `tune`, the processes of `parallel` and the pods of a Kubernetes Job all run `run_trials`.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from src.errors import DailyProfitError, SearchError
from src.search.stop_flag import StopFlag
from src.study.buffered_storage import TrialLost
from src.study.optuna_internals import id_of_study, id_of_trial
from src.study.studies import FINISHED, Callback, Objective, store_error
from src.study.study_storage import BudgetMet, StudyStorage, requeue_dead_trials

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
MAX_FAILURES_IN_A_ROW = 5


class TrialFailed(Exception):
    """A failure of one trial: it is recorded, and the search continues."""


@dataclass(frozen=True)
class WorkerContext:
    """What a worker needs to run trials.

    Attributes:
        storage: the store of the study.
        n_trials: the study's total of finished trials.
        stop_flag: stops the worker from outside.
        callbacks: Optuna's `(study, trial)` functions, called after each trial.
    """

    storage: StudyStorage
    n_trials: int
    stop_flag: StopFlag
    callbacks: Sequence[Callback] = ()


def run_trials(study: optuna.Study, objective: Objective, context: WorkerContext) -> None:
    """Runs trials until the study has its total, the deadline has passed or a callback stops the study.

    Waits for trials that other processes run, and runs trials of dead processes again.

    Raises:
        Interrupted: a stop was requested; the running trial went back to the queue.
        SearchError: too many trials in a row failed.
        StoreError: the store failed; the study can be resumed.
    """
    context.storage.n_trials = context.n_trials
    context.storage.retry_policy.stop = lambda: context.stop_flag.requested
    callbacks = [_watch_failures(), _stop_between_trials(context.stop_flag), *context.callbacks]
    try:
        while not context.stop_flag.deadline_passed() and not context.stop_flag.study_stopped:
            try:
                study.optimize(
                    _with_trial_outcome(objective, context.storage),
                    timeout=_time_left(context.stop_flag),
                    callbacks=callbacks,
                    catch=(TrialFailed, TrialLost),
                )
                context.stop_flag.study_stopped = not context.stop_flag.deadline_passed()
                return
            except BudgetMet:
                if not _wait_for_others(study, context):
                    return
    except (StorageInternalError, AssertionError, UnboundLocalError) as error:
        failure = _store_failure(error)
        if failure is None:
            raise
        context.stop_flag.raise_if_stopped()  # stopped while it waited for the store: not a failure
        raise store_error(failure, study.study_name) from error
    finally:
        _requeue_own(study, context.storage)


def _store_failure(error: BaseException | None) -> BaseException | None:
    """The store's error, if any; Optuna 5 may raise another error while it handles this one."""
    while error is not None and not isinstance(error, StorageInternalError):
        error = error.__context__
    return error


def _with_trial_outcome(objective: Objective, storage: StudyStorage) -> Objective:
    """Handles exceptions of a trial: pruned, back to the queue (a stop, a failing store), or failed."""

    def guarded(trial: optuna.Trial) -> float:
        log.info("trial %d starts", trial.number)
        try:
            return objective(trial)
        except optuna.TrialPruned:
            raise
        except TrialLost as lost:  # this process sent no heartbeat for so long that it counted as dead
            log.warning("%s; this worker continues with the next trial", lost)
            raise
        except (DailyProfitError, StorageInternalError, KeyboardInterrupt):
            storage.requeue_trial(id_of_trial(trial))
            raise
        except Exception as error:  # the boundary to LightGBM and to a user's objective, which may raise anything
            reason = f"{type(error).__name__}: {error}"
            log.warning("trial %d failed: %s", trial.number, reason)
            log.debug("trial %d failed", trial.number, exc_info=True)
            trial.set_user_attr("error", reason[:500])
            raise TrialFailed(reason) from error

    return guarded


def _watch_failures() -> Callback:
    in_a_row = 0

    def callback(study: optuna.Study, trial: FrozenTrial) -> None:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if trial.state == TrialState.FAIL else 0
        if in_a_row >= MAX_FAILURES_IN_A_ROW:
            reason = trial.user_attrs.get("error", "a value that is not a number")
            raise SearchError(f"{in_a_row} trials in a row failed, the last one with {reason}")

    return callback


def _stop_between_trials(stop_flag: StopFlag) -> Callback:
    """Stops between two trials, for objectives that do not check the stop flag themselves."""

    def callback(study: optuna.Study, trial: FrozenTrial) -> None:
        stop_flag.raise_if_stopped()
        if stop_flag.study_stopped:
            study.stop()

    return callback


def _wait_for_others(study: optuna.Study, context: WorkerContext) -> bool:
    """Waits while other workers run the last trials; True if trials are left again, because one died or failed."""
    logged = False
    while True:
        requeue_dead_trials(study)
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        finished = sum(state in FINISHED for state in states)
        if finished >= context.n_trials:
            return False
        running = states.count(TrialState.RUNNING)
        if finished + running < context.n_trials:
            return True
        if not logged:
            log.info("waiting for %d trials that other workers run", running)
            logged = True
        context.stop_flag.raise_if_stopped()
        if context.stop_flag.deadline_passed() or context.stop_flag.study_stopped:
            return False
        time.sleep(POLL_SECONDS)


def _time_left(stop_flag: StopFlag) -> float | None:
    return None if stop_flag.deadline is None else max(0.0, stop_flag.deadline - time.monotonic())


def _requeue_own(study: optuna.Study, storage: StudyStorage) -> None:
    try:
        storage.requeue_own_trials(id_of_study(study))
    except StorageInternalError as error:  # the store is unavailable; another worker will find the owner dead
        log.debug("could not put the running trial back into the queue: %s", error)
