"""The study's projection in MLflow: one parent run per study, one child run per finished trial.

One-way and idempotent: the study is the source of truth. A pass writes the missing runs and can be killed and repeated;
runs are identified by (parent run, trial number). Time and step of every metric come from the study, so that writing it
twice changes nothing. A lock in the study's store lets one process at a time run a pass.
"""

import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import optuna
from mlflow.entities import Metric, Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial, TrialState

from src.errors import StoreError
from src.study.feasibility import is_feasible
from src.study.worker_identity import worker_identity
from src.tracking.connection.run_tags import origin_tags
from src.tracking.connection.session import TrackingSession, shown_uri
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors
from src.tracking.projection.parent_run import OUTCOME_TAG, PARENT_ATTR, SEARCHING
from src.tracking.projection.sql_runs import fits, insert_runs, sql_store_of
from src.tracking.projection.trial_run import (
    SOURCE,
    STATUS_OF_STATE,
    STUDY_NAME,
    TRIAL_NUMBER,
    TrialRun,
    describe_trial,
    ended_ms,
)

log = logging.getLogger(__name__)

STUDY_UID = "optuna.study_uid"
PROJECTOR_ATTR, UID_ATTR = "mlflow_projector", "uid"
MAX_PARAMS_PER_BATCH = 100
PAGE = 1000
TRIALS_PER_BATCH = 100
"""Points of the parent's curve per request; MLflow allows 1,000."""
RUNS_PER_TRANSACTION = 25
"""Runs that a database gets at once: SQLite lets other processes wait for a transaction."""


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

    def parent(self) -> str:
        """Finds or creates the parent run, and writes no trial; returns its run id.

        Raises:
            TrackingError: MLflow cannot be reached or refuses.
        """
        if self._parent_id is None:
            with self._lock(), tracking_errors(f"write study {self.study.study_name!r}"):
                self._parent_id = self._find_or_create_parent()
        return self._parent_id

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
            Metric("best_value", value, ended_ms(t), t.number) for t in trials if (value := best[t.number]) is not None
        ]
        if points:
            self.session.client.log_batch(str(self._parent_id), metrics=points)
        for start in range(0, len(trials), RUNS_PER_TRANSACTION):
            if self.ends_early():
                return
            self._check_lock()
            self._write_children(trials[start : start + RUNS_PER_TRANSACTION])

    def _write_children(self, trials: list[FrozenTrial]) -> None:
        """Writes the runs of some trials: at once where the store is a database, else one after the other."""
        names = self.study.study_name, str(self._parent_id), self._metric_name
        children = [describe_trial(trial, *names) for trial in trials]
        store = sql_store_of(self.session.client)
        if store is not None:
            at_once = [child for child in children if child.number not in self._unfinished and fits(child)]
            insert_runs(store, self.session.experiment_id, at_once)
            self._written |= {child.number for child in at_once}
        for child in children:
            if child.number in self._written:
                continue
            if self.ends_early():
                return
            self._check_lock()
            self._write_child(child)
            self._written.add(child.number)

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

    def _write_child(self, child: TrialRun) -> None:
        client = self.session.client
        run_id = self._unfinished.get(child.number)
        if run_id is None:
            tags = dict(child.tags)
            run = client.create_run(self.session.experiment_id, child.started, tags, child.name)
            run_id = self._unfinished[child.number] = run.info.run_id
        params = [Param(key, value) for key, value in child.params.items()]
        client.log_batch(run_id, child.metrics, params[:MAX_PARAMS_PER_BATCH])
        for start in range(MAX_PARAMS_PER_BATCH, len(params), MAX_PARAMS_PER_BATCH):
            client.log_batch(run_id, params=params[start : start + MAX_PARAMS_PER_BATCH])
        client.set_terminated(run_id, child.status, end_time=child.ended)
        del self._unfinished[child.number]


def best_values(finished: list[FrozenTrial], maximize: bool) -> dict[int, float | None]:
    """By trial number: the best value of all feasible trials that were complete when this trial ended, or None.

    A later pass computes the same values, so that writing them twice changes nothing.
    """
    best_by_number: dict[int, float | None] = {}
    best: float | None = None
    for _, ended_together in groupby(sorted(finished, key=ended_ms), key=ended_ms):
        together = list(ended_together)
        usable = [t for t in together if t.state == TrialState.COMPLETE and is_feasible(t)]
        values = [t.value for t in usable if t.value is not None]
        known = values if best is None else [best, *values]
        if known:
            best = max(known) if maximize else min(known)
        best_by_number |= dict.fromkeys((t.number for t in together), best)
    return best_by_number
