"""The study's projection in MLflow: one parent run per study, one child run per finished trial.

One-way and idempotent: the study is the record. A pass writes what MLflow lacks and can be repeated, killed and
repeated again; runs are found by (parent run, trial number), and every metric carries the time and the step that the
study gives it, so that writing it twice changes nothing. Passes of several processes exclude each other by a lock in
the study's own store.
"""

import getpass
import logging
import math
import threading
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import optuna
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_SOURCE_NAME, MLFLOW_USER
from optuna.trial import FrozenTrial, TrialState

from src.errors import StoreError
from src.names import mlflow_key
from src.study.trial_times import epoch_ms, seconds_taken
from src.study.worker_identity import worker_identity
from src.tracking.connection.session import TrackingSession, shown_uri
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.projection.parent_run import OUTCOME_TAG, PARENT_ATTR, SEARCHING

log = logging.getLogger(__name__)

STATUS_OF_STATE = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
STUDY_NAME, STUDY_UID = "optuna.study_name", "optuna.study_uid"
TRIAL_NUMBER, TRIAL_STATE = "optuna.trial_number", "optuna.state"
PROJECTOR_ATTR, UID_ATTR = "mlflow_projector", "uid"
MAX_POINTS = 100
MAX_PARAMS_PER_BATCH = 100
PAGE = 1000
TRIALS_PER_BATCH = 100
"""So many points of the parent's curve go in one request; MLflow takes 1,000."""


class StudyProjection:
    """Writes one study into MLflow.

    Args:
        study: the record.
        session: where to.
        lock: gives the lock under which a pass runs.
        shares_outer_run: several studies run inside one `mlflow run`; each then has a parent of its own below it.
        metric_name: names the validation curve, `validation_<metric_name>`.
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
        self.hurry = threading.Event()
        """Set from another thread: the pass under way ends after the trial that it writes."""
        self._parent_id: str | None = None
        self._done: set[int] = set()
        self._open: dict[int, str] = {}
        self._is_open = False

    def project(self) -> str:
        """One pass: finds or makes the parent, and writes every finished trial that MLflow lacks.

        Returns:
            The parent's run id.

        Raises:
            TrackingError: MLflow cannot be reached or refuses; what is missing is written by the next pass.
            StoreError: another process has begun a pass, because the database that kept the lock restarted.
        """
        states = tuple(STATUS_OF_STATE)
        finished = self.study.get_trials(deepcopy=False, states=states)
        pending = [trial for trial in finished if trial.number not in self._done]
        if self._parent_id is not None and not pending:
            return self._parent_id
        with self._lock(), tracking_errors(f"write study {self.study.study_name!r}"):
            self._parent_id = self._find_or_make_parent()
            self._read_children_if_another_wrote()
            best = best_values(finished, self.study.direction.name == "MAXIMIZE")
            missing = [trial for trial in pending if trial.number not in self._done]
            if missing:
                self._open_parent(self._parent_id)
            for start in range(0, len(missing), TRIALS_PER_BATCH):
                self._write(missing[start : start + TRIALS_PER_BATCH], best)
        return self._parent_id

    def _write(self, trials: list[FrozenTrial], best: dict[int, float | None]) -> None:
        """Trials that MLflow lacks, those of the parent's curve in one request.

        The curve comes before the children: a pass that is killed in between begins with the same trials again, and
        MLflow keeps a point that comes twice once. The other way round it would lack the points of the last children.
        """
        if self.hurry.is_set():
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
            if self.hurry.is_set():
                return
            self._check_lock()
            self._write_child(trial)
            self._done.add(trial.number)

    def _find_or_make_parent(self) -> str:
        if self._parent_id is not None:
            return self._parent_id
        attrs = self.study.user_attrs
        uid = attrs.get(UID_ATTR)
        if uid is None:
            uid = uuid.uuid4().hex
            self.study.set_user_attr(UID_ATTR, uid)
        run = self._noted_parent(attrs) or self._tagged_parent(uid) or self._new_parent(uid)
        self.study.set_user_attr(PARENT_ATTR, {"tracking_uri": shown_uri(), "run_id": run.info.run_id})
        outer = self.session.outer_run
        if outer is not None and outer.info.run_id not in (run.info.run_id, run.data.tags.get(MLFLOW_PARENT_RUN_ID)):
            self.session.client.set_tag(outer.info.run_id, "daily_profit.continues_run", run.info.run_id)
            self.session.client.update_run(outer.info.run_id, name=f"{self.study.study_name} (continued)")
        return str(run.info.run_id)

    def _open_parent(self, run_id: str) -> None:
        """Only for new trials: a study that is looked at again, when all is done, is not being searched."""
        if not self._is_open:
            self.session.client.set_tag(run_id, OUTCOME_TAG, SEARCHING)
            self.session.client.update_run(run_id, status="RUNNING")
            self._is_open = True

    def _noted_parent(self, attrs: dict[str, Any]) -> Run | None:
        """The run noted on the study, if this tracking store has it."""
        noted = attrs.get(PARENT_ATTR)
        if not noted:
            return None
        try:
            run = self.session.client.get_run(noted["run_id"])
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):  # another tracking store than last time
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def _tagged_parent(self, uid: str) -> Run | None:
        """The run that a pass made, and was killed before it could note it on the study."""
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
        return client.create_run(self.session.experiment_id, run_name=self.study.study_name, tags=tags | _source_tags())

    def _read_children_if_another_wrote(self) -> None:
        me = worker_identity()
        if self.study.user_attrs.get(PROJECTOR_ATTR) == me and (self._done or self._open):
            return
        self.study.set_user_attr(PROJECTOR_ATTR, me)  # from here on a pass that lost its lock writes no more
        self._done, self._open = set(), {}
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
                    self._note_child(int(run.data.tags[TRIAL_NUMBER]), run)
            token = page.token
            if not token:
                break

    def _check_lock(self) -> None:
        """A database that restarts frees the lock of a pass that goes on; another pass may have begun since."""
        if self.study.user_attrs.get(PROJECTOR_ATTR) != worker_identity():
            self._done, self._open = set(), {}
            raise StoreError("another process writes the study into MLflow now: this pass leaves it to that one")

    def _note_child(self, number: int, run: Run) -> None:
        if number in self._done or number in self._open:  # two passes met in spite of all: the later one's is too much
            self.session.client.delete_run(run.info.run_id)
        elif run.info.status == "RUNNING":  # begun by a pass that did not live to end it
            self._open[number] = run.info.run_id
        else:
            self._done.add(number)

    def _write_child(self, trial: FrozenTrial) -> None:
        client = self.session.client
        run_id = self._open.get(trial.number)
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
                tags=tags | _source_tags(),
                run_name=f"trial-{trial.number:04d}",
            )
            run_id = self._open[trial.number] = run.info.run_id
        params = [Param(mlflow_key(key), str(value)) for key, value in trial.params.items()]
        error = trial.user_attrs.get("error")
        tags_later = [RunTag("optuna.error", str(error))] if error else []
        client.log_batch(run_id, trial_metrics(trial, self._metric_name), params[:MAX_PARAMS_PER_BATCH], tags_later)
        for start in range(MAX_PARAMS_PER_BATCH, len(params), MAX_PARAMS_PER_BATCH):
            client.log_batch(run_id, params=params[start : start + MAX_PARAMS_PER_BATCH])
        client.set_terminated(run_id, STATUS_OF_STATE[trial.state], end_time=_completed_ms(trial))
        del self._open[trial.number]


def trial_metrics(trial: FrozenTrial, metric_name: str) -> list[Metric]:
    """A trial's metrics, with the times that the study gives them."""
    end = _completed_ms(trial)
    metrics = []
    if trial.value is not None and math.isfinite(trial.value):
        metrics.append(Metric("value", trial.value, end, 0))
    if "best_iteration" in trial.user_attrs:
        metrics.append(Metric("best_iteration", float(trial.user_attrs["best_iteration"]), end, 0))
    if (seconds := seconds_taken(trial)) is not None:
        metrics.append(Metric("duration_seconds", seconds, end, 0))
    return metrics + [Metric(f"validation_{metric_name}", value, end, step) for step, value in trial_curve(trial)]


def trial_curve(trial: FrozenTrial) -> list[tuple[int, float]]:
    """The validation curve, at most 100 points: the one kept on the trial, else what was reported to the pruner."""
    kept = trial.user_attrs.get("curve")
    if isinstance(kept, dict) and "steps" in kept and "values" in kept:
        points = list(zip(kept["steps"], kept["values"], strict=True))
    else:
        points = sorted(trial.intermediate_values.items())
    if len(points) > MAX_POINTS:
        points = [points[round(i * (len(points) - 1) / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]
    return [(int(step), float(value)) for step, value in points if math.isfinite(value)]


def best_values(finished: list[FrozenTrial], maximize: bool) -> dict[int, float | None]:
    """By trial number: the best value of all trials that were complete when this one ended; None if none was.

    A later pass finds the same, so that writing it twice changes nothing.
    """
    found: dict[int, float | None] = {}
    best: float | None = None
    for _, ended_together in groupby(sorted(finished, key=_completed_ms), key=_completed_ms):
        together = list(ended_together)
        values = [t.value for t in together if t.state == TrialState.COMPLETE and t.value is not None]
        known = values if best is None else [best, *values]
        if known:
            best = max(known) if maximize else min(known)
        found |= dict.fromkeys((t.number for t in together), best)
    return found


def _started_ms(trial: FrozenTrial) -> int | None:
    return None if trial.datetime_start is None else epoch_ms(trial.datetime_start)


def _completed_ms(trial: FrozenTrial) -> int:
    return 0 if trial.datetime_complete is None else epoch_ms(trial.datetime_complete)


def _source_tags() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = "unknown"
    return {MLFLOW_USER: user, MLFLOW_SOURCE_NAME: "src.modeling.train_with_optuna"}
