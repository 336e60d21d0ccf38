"""Public helpers of the Python API: the studies of a store, and ready-made callbacks."""

import logging

import optuna
from optuna.trial import FrozenTrial, TrialState

from src.errors import ConfigError
from src.study.feasibility import is_feasible
from src.study.studies import FINISHED, Callback, OptunaStudyManager
from src.study.trial_times import epoch_ms

__all__ = ["OptunaCallbacks", "OptunaStudyManager"]

log = logging.getLogger(__name__)


class OptunaCallbacks:
    """Ready-made `(study, trial)` callbacks for `callbacks=`."""

    @staticmethod
    def early_stopping(patience: int, min_delta: float = 0.0) -> Callback:
        """Stops the study when the best value has not improved by more than `min_delta` in `patience` finished trials.

        Raises:
            ConfigError: `patience` is less than 1.
        """
        if patience < 1:
            raise ConfigError(f"patience {patience} is too small: use 1 or more")

        def callback(study: optuna.Study, trial: FrozenTrial) -> None:
            finished = sorted(study.get_trials(deepcopy=False, states=FINISHED), key=_completed_at)
            values = [t.value if t.state == TrialState.COMPLETE and is_feasible(t) else None for t in finished]
            if _trials_since_improvement(values, study.direction.name == "MAXIMIZE", min_delta) >= patience:
                log.info("study %s: no improvement in %d trials, stopping", study.study_name, patience)
                study.stop()

        return callback

    @staticmethod
    def target_value(value: float) -> Callback:
        """Stops the study as soon as its best value is at least as good as `value`."""

        def callback(study: optuna.Study, trial: FrozenTrial) -> None:
            if trial.state != TrialState.COMPLETE or trial.value is None or not is_feasible(trial):
                return
            if trial.value >= value if study.direction.name == "MAXIMIZE" else trial.value <= value:
                study.stop()

        return callback

    @staticmethod
    def log_best(logger: logging.Logger = log) -> Callback:
        """Logs each new best trial at INFO."""

        def callback(study: optuna.Study, trial: FrozenTrial) -> None:
            if trial.state != TrialState.COMPLETE or not is_feasible(trial):
                return
            if study.best_trial.number == trial.number:
                logger.info("study %s: trial %d is the best so far, %s", study.study_name, trial.number, trial.value)

        return callback


def _completed_at(trial: FrozenTrial) -> tuple[int, int]:
    return (0 if trial.datetime_complete is None else epoch_ms(trial.datetime_complete), trial.number)


def _trials_since_improvement(values: list[float | None], maximize: bool, min_delta: float) -> int:
    best, since = None, 0
    for value in values:
        gain = None if value is None else (value if maximize else -value)
        if gain is not None and (best is None or gain > best + min_delta):
            best, since = gain, 0
        else:
            since += 1
    return since if best is not None else 0
