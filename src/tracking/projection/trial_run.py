"""What MLflow shows of a trial, as plain data: name, tags, parameters, metrics and times of its run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial, TrialState

from src.model_settings import QUANTITIES
from src.names import mlflow_key
from src.search.device import DEVICE_ATTR
from src.study.feasibility import is_feasible
from src.study.trial_times import epoch_ms, seconds_taken
from src.tracking.connection.run_tags import source_tags

STATUS_OF_STATE = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
STUDY_NAME, TRIAL_NUMBER, TRIAL_STATE = "optuna.study_name", "optuna.trial_number", "optuna.state"
SOURCE = "src.modeling.train_with_optuna"
MAX_POINTS = 100


@dataclass(frozen=True)
class TrialRun:
    """The run of a finished trial; times are milliseconds since 1970, which are the study's, not the writer's."""

    number: int
    name: str
    status: str
    started: int | None
    ended: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Metric]


def describe_trial(trial: FrozenTrial, study_name: str, parent_id: str, metric_name: str) -> TrialRun:
    """The run of a finished trial.

    Args:
        trial: complete, pruned or failed.
        study_name: for the tag.
        parent_id: id of the study's run.
        metric_name: the validation curve is named `validation_<metric_name>`.
    """
    error = trial.user_attrs.get("error")
    return TrialRun(
        number=trial.number,
        name=f"trial-{trial.number:04d}",
        status=STATUS_OF_STATE[trial.state],
        started=None if trial.datetime_start is None else epoch_ms(trial.datetime_start),
        ended=ended_ms(trial),
        tags=source_tags(SOURCE)
        | {
            MLFLOW_PARENT_RUN_ID: parent_id,
            STUDY_NAME: study_name,
            TRIAL_NUMBER: str(trial.number),
            TRIAL_STATE: trial.state.name,
        }
        | ({"optuna.error": str(error)} if error else {})
        | ({"device": str(trial.user_attrs[DEVICE_ATTR])} if DEVICE_ATTR in trial.user_attrs else {})
        | ({"optuna.is_feasible": str(is_feasible(trial)).lower()} if trial.constraints else {}),
        params={mlflow_key(key): str(value) for key, value in trial.params.items()},
        metrics=trial_metrics(trial, metric_name),
    )


def trial_metrics(trial: FrozenTrial, metric_name: str) -> list[Metric]:
    """A trial's metrics, with the times of the study."""
    end = ended_ms(trial)
    metrics = []
    if trial.value is not None and math.isfinite(trial.value):
        metrics.append(Metric("value", trial.value, end, 0))
    measured = [name for name in ("best_iteration", *QUANTITIES) if name in trial.user_attrs]
    metrics += [Metric(name, float(trial.user_attrs[name]), end, 0) for name in measured]
    if (seconds := seconds_taken(trial)) is not None:
        metrics.append(Metric("duration_seconds", seconds, end, 0))
    return metrics + [Metric(f"validation_{metric_name}", value, end, step) for step, value in trial_curve(trial)]


def trial_curve(trial: FrozenTrial) -> list[tuple[int, float]]:
    """The validation curve, at most 100 points: the one stored on the trial, else the values reported to the pruner."""
    stored = trial.user_attrs.get("curve")
    if isinstance(stored, dict) and "steps" in stored and "values" in stored:
        points = list(zip(stored["steps"], stored["values"], strict=True))
    else:
        points = sorted(trial.intermediate_values.items())
    if len(points) > MAX_POINTS:
        points = [points[round(i * (len(points) - 1) / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]
    return [(int(step), float(value)) for step, value in points if math.isfinite(value)]


def ended_ms(trial: FrozenTrial) -> int:
    """When the trial ended; 0 if the study does not know."""
    return 0 if trial.datetime_complete is None else epoch_ms(trial.datetime_complete)
