"""The study's projection in MLflow: one parent run per study, one child run per finished trial.

One-way and idempotent: the study is the source of truth. A pass writes the missing runs and can be killed and repeated;
runs are identified by (parent run, trial number). Time and step of every metric come from the study, so that writing it
twice changes nothing. A lock in the study's store lets one process at a time run a pass.
"""

import logging
import math
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import optuna
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial, TrialState

from src.errors import StoreError
from src.model_settings import QUANTITIES
from src.names import mlflow_key
from src.study.feasibility import is_feasible
from src.study.trial_times import epoch_ms, seconds_taken
from src.study.worker_identity import worker_identity
from src.tracking.connection.run_tags import origin_tags, source_tags
from src.tracking.connection.session import TrackingSession, shown_uri
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors
from src.tracking.projection.parent_run import OUTCOME_TAG, PARENT_ATTR, SEARCHING

log = logging.getLogger(__name__)

STATUS_OF_STATE = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
STUDY_NAME, STUDY_UID = "optuna.study_name", "optuna.study_uid"
TRIAL_NUMBER, TRIAL_STATE = "optuna.trial_number", "optuna.state"
PROJECTOR_ATTR, UID_ATTR = "mlflow_projector", "uid"
MAX_POINTS = 100
MAX_PARAMS_PER_BATCH = 100
PAGE = 1000
SOURCE = "src.modeling.train_with_optuna"
TRIALS_PER_BATCH = 100
"""Points of the parent's curve per request; MLflow allows 1,000."""


class StudyProjection:
    """Writes one study to MLflow.

    Args:
        study: the study to project.
        session: connection to MLflow.
        lock: creates the lock that a pass holds.
        shares_outer_run: several studies run inside one `mlflow run`; each study then has its own parent run below it.
        metric_name: the validation curve is named `validation_<metric_name>`.
    """

    def __init__(
        self,
        study: optuna.Study,
        session: TrackingSession,
        lock: Callable[[], AbstractContextManager[None]],
        shares_outer_run: bool = False,
        metric_name: str = "value",
    ) -> None:
        self.study = study
        self.session = session
        self._lock = lock
        self._shares_outer_run = shares_outer_run
        self._metric_name = metric_name
        self.ends_early: Callable[[], bool] = lambda: False
        """Whether the running pass has to end after its current trial."""
        self._parent_id: str | None = None
        self._written: set[int] = set()
        self._unfinished: dict[int, str] = {}
        self._parent_is_open = False

    def project(self) -> str:
        """Runs one pass: finds or creates the parent run and writes every finished trial that MLflow lacks.

        Returns:
            The parent's run id.

        Raises:
            TrackingError: MLflow cannot be reached or refuses; the next pass writes the missing runs.
            StoreError: another process has started a pass, because the database that held the lock restarted.
        """
        states = tuple(STATUS_OF_STATE)
        finished = self.study.get_trials(deepcopy=False, states=states)
        pending = [trial for trial in finished if trial.number not in self._written]
        if self._parent_id is not None and not pending:
            return self._parent_id
        with self._lock(), tracking_errors(f"write study {self.study.study_name!r}"):
            self._parent_id = self._find_or_create_parent()
            self._read_children_if_another_wrote()
            best = best_values(finished, self.study.direction.name == "MAXIMIZE")
            missing = [trial for trial in pending if trial.number not in self._written]
            if missing:
                self._open_parent(self._parent_id)
            for start in range(0, len(missing), TRIALS_PER_BATCH):
                self._write(missing[start : start + TRIALS_PER_BATCH], best)
        return self._parent_id

    def _write(self, trials: list[FrozenTrial], best: dict[int, float | None]) -> None:
        """Writes missing trials; their points of the parent's curve go in one request.

        The curve is written before the children: a pass killed in between starts with the same trials again, and MLflow
        stores a repeated point once. In the other order the points of the last children would be lost.
        """
        if self.ends_early():
            return
        self._check_lock()
        points = [
            Metric("best_value", value, _completed_ms(t), t.number)
            for t in trials
            if (value := best[t.number]) is not None
        ]
        if points:
            self.session.client.log_batch(str(self._parent_id), metrics=points)
        for trial in trials:
            if self.ends_early():
                return
            self._check_lock()
            self._write_child(trial)
            self._written.add(trial.number)

    def _find_or_create_parent(self) -> str:
        if self._parent_id is not None:
            return self._parent_id
        attrs = self.study.user_attrs
        uid = attrs.get(UID_ATTR)
        if uid is None:
            uid = uuid.uuid4().hex
            self.study.set_user_attr(UID_ATTR, uid)
        run = self._stored_parent(attrs) or self._tagged_parent(uid) or self._new_parent(uid)
        self.study.set_user_attr(PARENT_ATTR, {"tracking_uri": shown_uri(), "run_id": run.info.run_id})
        outer = self.session.outer_run
        if outer is not None and outer.info.run_id not in (run.info.run_id, run.data.tags.get(MLFLOW_PARENT_RUN_ID)):
            self.session.client.set_tag(outer.info.run_id, "daily_profit.continues_run", run.info.run_id)
            self.session.client.update_run(outer.info.run_id, name=f"{self.study.study_name} (continued)")
        return str(run.info.run_id)

    def _open_parent(self, run_id: str) -> None:
        """Sets the parent run to RUNNING; called only if there are new trials to write."""
        if not self._parent_is_open:
            self.session.client.set_tag(run_id, OUTCOME_TAG, SEARCHING)
            self.session.client.update_run(run_id, status="RUNNING")
            self._parent_is_open = True

    def _stored_parent(self, attrs: dict[str, Any]) -> Run | None:
        """The run stored on the study, if this tracking store has it."""
        stored = attrs.get(PARENT_ATTR)
        run = none_if_absent(self.session.client.get_run, stored["run_id"]) if stored else None
        return run if run is not None and run.info.lifecycle_stage == "active" else None

    def _tagged_parent(self, uid: str) -> Run | None:
        """The run of a pass that was killed before it stored the run id on the study."""
        runs = self.session.client.search_runs(
            [self.session.experiment_id], f"tags.`{STUDY_UID}` = '{uid}'", max_results=1
        )
        return runs[0] if runs else None

    def _new_parent(self, uid: str) -> Run:
        client, outer = self.session.client, self.session.outer_run
        tags = {OUTCOME_TAG: SEARCHING, STUDY_UID: uid, STUDY_NAME: self.study.study_name}
        tags["optuna.direction"] = self.study.direction.name.lower()
        if outer is not None and not self._shares_outer_run and STUDY_UID not in outer.data.tags:
            client.update_run(outer.info.run_id, name=self.study.study_name)
            for key, value in tags.items():
                client.set_tag(outer.info.run_id, key, value)
            return outer
        if outer is not None and self._shares_outer_run:
            tags[MLFLOW_PARENT_RUN_ID] = outer.info.run_id
        return client.create_run(
            self.session.experiment_id, run_name=self.study.study_name, tags=tags | origin_tags(SOURCE)
        )

    def _read_children_if_another_wrote(self) -> None:
        identity = worker_identity()
        if self.study.user_attrs.get(PROJECTOR_ATTR) == identity and (self._written or self._unfinished):
            return
        self.study.set_user_attr(PROJECTOR_ATTR, identity)  # a pass that lost its lock now stops
        self._written, self._unfinished = set(), {}
        token = None
        while True:
            page = self.session.client.search_runs(
                [self.session.experiment_id],
                f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self._parent_id}'",
                max_results=PAGE,
                page_token=token,
            )
            for run in page:
                if TRIAL_NUMBER in run.data.tags:
                    self._record_child(int(run.data.tags[TRIAL_NUMBER]), run)
            token = page.token
            if not token:
                break

    def _check_lock(self) -> None:
        """Stops if another pass has started: a database restart releases the lock of a running pass."""
        if self.study.user_attrs.get(PROJECTOR_ATTR) != worker_identity():
            self._written, self._unfinished = set(), {}
            raise StoreError("another process writes the study to MLflow now: this pass stops")

    def _record_child(self, number: int, run: Run) -> None:
        if number in self._written or number in self._unfinished:  # a duplicate run of two overlapping passes
            self.session.client.delete_run(run.info.run_id)
        elif run.info.status == "RUNNING":  # started by a pass that was killed
            self._unfinished[number] = run.info.run_id
        else:
            self._written.add(number)

    def _write_child(self, trial: FrozenTrial) -> None:
        client = self.session.client
        run_id = self._unfinished.get(trial.number)
        if run_id is None:
            tags = {
                MLFLOW_PARENT_RUN_ID: str(self._parent_id),
                STUDY_NAME: self.study.study_name,
                TRIAL_NUMBER: str(trial.number),
                TRIAL_STATE: trial.state.name,
            }
            run = client.create_run(
                self.session.experiment_id,
                start_time=_started_ms(trial),
                tags=tags | source_tags(SOURCE),
                run_name=f"trial-{trial.number:04d}",
            )
            run_id = self._unfinished[trial.number] = run.info.run_id
        params = [Param(mlflow_key(key), str(value)) for key, value in trial.params.items()]
        error = trial.user_attrs.get("error")
        tags_later = [RunTag("optuna.error", str(error))] if error else []
        if trial.constraints:
            tags_later.append(RunTag("optuna.is_feasible", str(is_feasible(trial)).lower()))
        client.log_batch(run_id, trial_metrics(trial, self._metric_name), params[:MAX_PARAMS_PER_BATCH], tags_later)
        for start in range(MAX_PARAMS_PER_BATCH, len(params), MAX_PARAMS_PER_BATCH):
            client.log_batch(run_id, params=params[start : start + MAX_PARAMS_PER_BATCH])
        client.set_terminated(run_id, STATUS_OF_STATE[trial.state], end_time=_completed_ms(trial))
        del self._unfinished[trial.number]


def trial_metrics(trial: FrozenTrial, metric_name: str) -> list[Metric]:
    """A trial's metrics, with the times of the study."""
    end = _completed_ms(trial)
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


def best_values(finished: list[FrozenTrial], maximize: bool) -> dict[int, float | None]:
    """By trial number: the best value of all feasible trials that were complete when this trial ended, or None.

    A later pass computes the same values, so that writing them twice changes nothing.
    """
    best_by_number: dict[int, float | None] = {}
    best: float | None = None
    for _, ended_together in groupby(sorted(finished, key=_completed_ms), key=_completed_ms):
        together = list(ended_together)
        usable = [t for t in together if t.state == TrialState.COMPLETE and is_feasible(t)]
        values = [t.value for t in usable if t.value is not None]
        known = values if best is None else [best, *values]
        if known:
            best = max(known) if maximize else min(known)
        best_by_number |= dict.fromkeys((t.number for t in together), best)
    return best_by_number


def _started_ms(trial: FrozenTrial) -> int | None:
    return None if trial.datetime_start is None else epoch_ms(trial.datetime_start)


def _completed_ms(trial: FrozenTrial) -> int:
    return 0 if trial.datetime_complete is None else epoch_ms(trial.datetime_complete)
