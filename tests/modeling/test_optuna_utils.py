import optuna
import pytest
from optuna.trial import TrialState, create_trial

from src.config import Direction
from src.errors import ConfigError
from src.modeling.optuna_utils import OptunaCallbacks


def run(callback: object, values: list[float | None], direction: Direction = "minimize") -> int:
    """How many trials run before the callback stops a study whose trials have these values; None is pruned."""
    study = optuna.create_study(direction=direction)

    def objective(trial: optuna.Trial) -> float:
        value = values[trial.number]
        if value is None:
            raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=len(values), callbacks=[callback])  # type: ignore[list-item]
    return len(study.trials)


def test_early_stopping_counts_finished_trials_without_improvement() -> None:
    values = [3.0, 2.0, 2.5, None, 2.1, 1.0]
    assert run(OptunaCallbacks.early_stopping(3), values) == 5
    assert run(OptunaCallbacks.early_stopping(4), values) == 6
    assert run(OptunaCallbacks.early_stopping(1, min_delta=1.5), values) == 2
    assert run(OptunaCallbacks.early_stopping(1), [1.0, 2.0, 3.0], "maximize") == 3


def test_early_stopping_waits_for_a_first_value() -> None:
    assert run(OptunaCallbacks.early_stopping(2), [None, None, None, 1.0]) == 4


def test_early_stopping_refuses_a_patience_below_one() -> None:
    with pytest.raises(ConfigError, match="patience 0"):
        OptunaCallbacks.early_stopping(0)


def test_target_value_stops_in_the_studys_direction() -> None:
    assert run(OptunaCallbacks.target_value(2.0), [3.0, 2.0, 1.0]) == 2
    assert run(OptunaCallbacks.target_value(2.0), [1.0, None, 3.0, 1.0], "maximize") == 3


def test_failed_trials_do_not_count() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(value=1.0))
    study.add_trial(create_trial(state=TrialState.FAIL))
    OptunaCallbacks.early_stopping(1)(study, study.trials[-1])
    assert len(study.trials) == 2, "stop() outside of optimize would have raised"
