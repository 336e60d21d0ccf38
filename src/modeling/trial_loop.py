"""A worker: runs trials of a study until the study's budget is met, then leaves.

The one process of `tune`, the processes of `parallel` and the pods of a Kubernetes Job all run `run_trials`.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from src.errors import DailyProfitError, SearchError
from src.modeling.brake import Brake
from src.modeling.buffered_storage import TrialLost
from src.modeling.optuna_internals import id_of_study, id_of_trial
from src.modeling.studies import FINISHED, Callback, Objective, store_error
from src.modeling.study_storage import BudgetMet, StudyStorage, take_over_dead_trials

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
MAX_FAILURES_IN_A_ROW = 5


class TrialFailed(Exception):
    """A trial's own failure: recorded, and the search goes on."""


@dataclass(frozen=True)
class WorkerContext:
    """What a worker runs trials with.

    Attributes:
        storage: the store that the study lives in.
        n_trials: the study's total of finished trials.
        brake: stops the worker from outside.
        callbacks: Optuna's `(study, trial)` functions, called after each trial.
    """

    storage: StudyStorage
    n_trials: int
    brake: Brake
    callbacks: Sequence[Callback] = ()


def run_trials(study: optuna.Study, objective: Objective, context: WorkerContext) -> None:
    """Runs trials until the study has its total, the deadline has passed or a callback stops the study.

    Trials that other processes run are waited for; those of dead processes are run again here.

    Raises:
        Interrupted: a stop was requested; the running trial went back to the queue.
        SearchError: trial after trial fails.
        StoreError: the store failed; the study can be gone on with.
    """
    context.storage.n_trials = context.n_trials
    context.storage.patience.stop = lambda: context.brake.requested
    callbacks = [_watch_failures(), _watch_brake(context.brake), *context.callbacks]
    try:
        while not context.brake.deadline_passed() and not context.brake.leaving:
            try:
                study.optimize(
                    _guarded(objective, context.storage),
                    timeout=_time_left(context.brake),
                    callbacks=callbacks,
                    catch=(TrialFailed, TrialLost),
                )
                context.brake.leaving = not context.brake.deadline_passed()
                return
            except BudgetMet:
                if not _wait_for_others(study, context):
                    return
    except (StorageInternalError, AssertionError, UnboundLocalError) as error:
        failure = _store_failure(error)
        if failure is None:
            raise
        context.brake.raise_if_stopped()  # asked to stop while it waited for the store: that is why it leaves
        raise store_error(failure, study.study_name) from error
    finally:
        _release(study, context.storage)


def _store_failure(error: BaseException | None) -> BaseException | None:
    """What the store raised, if it did; Optuna 5 trips over its own feet while such an error is on its way."""
    while error is not None and not isinstance(error, StorageInternalError):
        error = error.__context__
    return error


def _guarded(objective: Objective, storage: StudyStorage) -> Objective:
    """Sorts what a trial raises: pruned, given back (a stop, a failing store), or failed by its own fault."""

    def guarded(trial: optuna.Trial) -> float:
        log.info("trial %d starts", trial.number)
        try:
            return objective(trial)
        except optuna.TrialPruned:
            raise
        except TrialLost as lost:  # this process was silent for so long that it was taken for dead
            log.warning("%s; this one goes on with the next trial", lost)
            raise
        except (DailyProfitError, StorageInternalError, KeyboardInterrupt):
            storage.give_back(id_of_trial(trial))
            raise
        except Exception as error:  # the boundary to LightGBM and to a user's own objective: anything may come
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
            reason = trial.user_attrs.get("error", "its value was not a number")
            raise SearchError(f"{in_a_row} trials in a row failed, the last one with {reason}")

    return callback


def _watch_brake(brake: Brake) -> Callback:
    """For objectives that do not look at the brake themselves: stops between two trials."""

    def callback(study: optuna.Study, trial: FrozenTrial) -> None:
        brake.raise_if_stopped()
        if brake.leaving:
            study.stop()

    return callback


def _wait_for_others(study: optuna.Study, context: WorkerContext) -> bool:
    """Waits while others run the last trials; True when there is work again, because one of them died or failed."""
    said = False
    while True:
        take_over_dead_trials(study)
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        finished = sum(state in FINISHED for state in states)
        if finished >= context.n_trials:
            return False
        running = states.count(TrialState.RUNNING)
        if finished + running < context.n_trials:
            return True
        if not said:
            log.info("waiting for %d trials that other workers run", running)
            said = True
        context.brake.raise_if_stopped()
        if context.brake.deadline_passed() or context.brake.leaving:
            return False
        time.sleep(POLL_SECONDS)


def _time_left(brake: Brake) -> float | None:
    return None if brake.deadline is None else max(0.0, brake.deadline - time.monotonic())


def _release(study: optuna.Study, storage: StudyStorage) -> None:
    try:
        storage.give_back_own(id_of_study(study))
    except StorageInternalError as error:  # the store is gone; whoever opens it next finds the owner dead
        log.debug("could not give back the running trial: %s", error)
