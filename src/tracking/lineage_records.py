"""Follows a registered version to its run, study, trials, data and commit, and a run or a study to its versions.

MLflow, its artifact store and the store of the study may be three machines. What one of them would have said is
replaced by a note, and the rest is shown.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from src.errors import DailyProfitError, UserError
from src.suggest import shorten
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")
_VERSION = re.compile(r"models:/+(?P<name>[^@/]+)(?:/(?P<number>\d+)|@(?P<alias>[^@/]+))")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class Lineage:
    """What belongs together; each part is JSON values, and empty where nothing is known.

    Attributes:
        subject: what was asked for.
        versions: registered versions of the run, the newest first, or the one asked for.
        run: the study's MLflow run.
        study: the Optuna study.
        trials: the trials that the model is made of.
        data: the table.
        code: commit, and who ran it where.
        notes: what could not be read, one line each.
    """

    subject: str
    versions: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    study: dict[str, Any] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note_errors(self, what: str, read: Callable[[], T], default: T) -> T:
        """What a function reads; where it fails, a note and the default."""
        try:
            return read()
        except DailyProfitError as error:  # the message says which store, what is wrong with it, and the remedy
            self.notes.append(f"{what} cannot be shown: {shorten(error, 400)}")
            return default


def trace(subject: str, storage_url: str | None, storage_dir: Path) -> Lineage:
    """Everything that belongs to a registered version, a run or a study.

    Args:
        subject: `models:/<name>@<alias>`, `models:/<name>/<version>`, a run id (also of a trial), or a study name.
        storage_url: URL of the store of the studies; None as for the commands that tune.
        storage_dir: folder of the embedded store.

    Raises:
        UserError: there is no such version, run or study.
        TrackingError: MLflow cannot be reached, and the subject is in MLflow.
    """
    found = Lineage(subject)
    is_study = not subject.startswith("models:") and not _RUN_ID.fullmatch(subject)
    if is_study:
        found.study = found.note_errors("the study", lambda: study_record(subject, storage_url, storage_dir), {})
        found.note_errors("the run", lambda: _follow_mlflow(found, storage_url, storage_dir), None)
        if not (found.study or found.run or found.versions):
            raise UserError(found.notes[0] if found.notes else f"there is no run of a study {subject!r} in MLflow")
    else:
        _follow_mlflow(found, storage_url, storage_dir)
    found.data = found.data or found.study.get("data", {})
    return found


def _follow_mlflow(found: Lineage, storage_url: str | None, storage_dir: Path) -> None:
    from src.tracking.connection.session import TrackingSession
    from src.tracking.projection.parent_run import refuse_missing_store

    session = TrackingSession()
    refuse_missing_store("set MLFLOW_TRACKING_URI to the store that has the model")
    client = session.client
    with tracking_errors(f"follow {found.subject!r}"):
        versions, run = _start(client, found.subject)
        found.versions = [version_record(client, version) for version in versions]
        if run is not None:
            found.run, found.code = run_record(client, run), code_record(run)
        elif versions:
            found.notes.append(f"the run cannot be shown: MLflow has no run {versions[0].run_id} any more")
    name = found.run.get("study_name") or (found.versions[0]["study_name"] if found.versions else None)
    if name and not found.study:
        found.study = found.note_errors("the study", lambda: study_record(name, storage_url, storage_dir), {})
    metadata: dict[str, Any] = {}
    if versions:
        uri = found.versions[0]["uri"]
        metadata = found.note_errors("the model's metadata", lambda: read_metadata(uri), {})
    with tracking_errors(f"follow {found.subject!r}"):
        found.trials = trial_records(client, metadata, run)
        found.data = data_record(metadata, run)
        found.code |= {"libraries": metadata["versions"]} if "versions" in metadata else {}


def _start(client: "MlflowClient", subject: str) -> "tuple[list[ModelVersion], Run | None]":
    """The versions and the study's run that a subject names."""
    if subject.startswith("models:"):
        version = _version(client, subject)
        return [version], none_if_absent(client.get_run, version.run_id) if version.run_id else None
    run = _run(client, subject) if _RUN_ID.fullmatch(subject) else _run_of_study(client, subject)
    if run is None:
        return [], None
    if "daily_profit.challenger" in run.data.tags:  # the decision of `promote`
        return _start(client, run.data.tags["daily_profit.challenger"])
    versions = client.search_model_versions(f"run_id='{run.info.run_id}'")
    return sorted(versions, key=lambda version: -int(version.version)), run


def _version(client: "MlflowClient", uri: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    match = _VERSION.fullmatch(uri)
    if match is None:
        raise UserError(
            f"{uri!r} names no registered version: write models:/<name>@champion or models:/<name>/<number>"
        )
    try:
        if match["alias"]:
            return client.get_model_version_by_alias(match["name"], match["alias"])
        return client.get_model_version(match["name"], match["number"])
    except MlflowException as error:  # the registry calls an unknown alias an "invalid value"
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"):
            raise
        raise UserError(f"model {uri!r} cannot be found: give an existing version or alias") from error


def _run(client: "MlflowClient", run_id: str) -> "Run":
    """The run of a study, also for the run of one of its trials."""
    run = none_if_absent(client.get_run, run_id)
    if run is None:
        raise UserError(
            f"MLflow has no run {run_id}: give the id of an existing run, a study name or models:/<name>@champion"
        )
    parent = run.data.tags.get("mlflow.parentRunId") if "optuna.trial_number" in run.data.tags else None
    return client.get_run(parent) if parent else run


def _run_of_study(client: "MlflowClient", study_name: str) -> "Run | None":
    quote = '"' if "'" in study_name else "'"
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    only_parents = "tags.`optuna.study_uid` != ''"
    runs = client.search_runs(experiments, f"tags.`optuna.study_name` = {quote}{study_name}{quote} AND {only_parents}")
    return client.get_run(runs[0].info.run_id) if runs else None  # a search leaves out the inputs


def version_record(client: "MlflowClient", version: "ModelVersion") -> dict[str, Any]:
    """A registered version, with its aliases and the latest decision on it."""
    number, tags = int(version.version), version.tags
    aliases = client.get_registered_model(version.name).aliases
    keys = ("study_name", "model_sha256", "promoted_at", "replaced_at", "rolled_back_at", "decision_run")
    return {
        "uri": f"models:/{version.name}/{number}",
        "aliases": sorted(alias for alias, of in aliases.items() if int(of) == number),
        "registered_at": utc_text(version.creation_timestamp),
        "run_id": version.run_id,
        **{key: tags.get(key) for key in keys},
    }


def run_record(client: "MlflowClient", run: "Run") -> dict[str, Any]:
    """The study's run."""
    experiment = client.get_experiment(run.info.experiment_id)
    return {
        "run_id": run.info.run_id, "name": run.info.run_name, "experiment": experiment.name,
        "status": run.info.status, "is_deleted": run.info.lifecycle_stage != "active",
        "started_at": utc_text(run.info.start_time), "study_name": run.data.tags.get("optuna.study_name"),
        "outcome": run.data.tags.get("daily_profit.outcome"), "user": run.data.tags.get("mlflow.user"),
    }  # fmt: skip


def code_record(run: "Run") -> dict[str, Any]:
    """Which code made the model; `commit` is None where the run was not started from a git checkout."""
    tags = run.data.tags
    return {
        "commit": tags.get("mlflow.source.git.commit"), "repository": tags.get("mlflow.source.git.repoURL"),
        "module": tags.get("mlflow.source.name"), "user": tags.get("mlflow.user"),
        "host": tags.get("daily_profit.host"),
    }  # fmt: skip


def read_metadata(uri: str) -> dict[str, Any]:
    """The training metadata that is stored with a registered model.

    Raises:
        TrackingError: the artifact store cannot be reached, or holds no such file.
    """
    import mlflow.artifacts

    with tracking_errors(f"read the metadata of {uri}"):
        metadata: dict[str, Any] = mlflow.artifacts.load_dict(f"{uri}/artifacts/metadata.json")
    return metadata


def trial_records(client: "MlflowClient", metadata: dict[str, Any], run: "Run | None") -> list[dict[str, Any]]:
    """The trials that a model is made of, with the runs that MLflow has of them."""
    members = metadata.get("members") or ([metadata["best_trial"]] if "best_trial" in metadata else [])
    if "trial" in metadata:  # not always the best one
        members = [{"trial": metadata["trial"], "value": metadata.get("validation_score")}]
    records = []
    for member in members:
        number = member.get("trial", member.get("number"))
        records.append({"number": number, "weight": member.get("weight", 1.0), "value": member.get("value")})
        if run is not None:
            child = f"tags.`mlflow.parentRunId` = '{run.info.run_id}' AND tags.`optuna.trial_number` = '{number}'"
            runs = client.search_runs([run.info.experiment_id], child, max_results=1)
            records[-1]["run_id"] = runs[0].info.run_id if runs else None
    return records


def data_record(metadata: dict[str, Any], run: "Run | None") -> dict[str, Any]:
    """The table: from the metadata, else from the run's data set."""
    if "data_digest" in metadata:
        split = metadata.get("split") or {}
        return {
            "digest": metadata["data_digest"], "source": metadata.get("data"),
            "training_rows": metadata.get("training_samples"), "training_dates": split.get("search_dates"),
        }  # fmt: skip
    inputs = run.inputs.dataset_inputs if run is not None and run.inputs is not None else []
    return {"digest": inputs[0].dataset.digest, "source": inputs[0].dataset.name} if inputs else {}


def study_record(name: str, storage_url: str | None, storage_dir: Path) -> dict[str, Any]:
    """The Optuna study.

    Raises:
        ConfigError: there is no such store or study, or it cannot be reached.
        StoreError: the store failed.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    from src.study.store_location import store_url
    from src.study.studies import OptunaStudyManager, set_optuna_verbosity, store_error

    set_optuna_verbosity()
    url = store_url(storage_url, storage_dir, os.environ)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():  # opening it would create it
        option = "--storage-url" if storage_url else "--storage-dir"
        raise UserError(f"there is no store {url.database}: pass the {option} that the search used")
    try:
        manager = OptunaStudyManager(storage_dir, storage_url)
        study = manager.load_study(name)
        states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
        settings = study.user_attrs.get("settings") or {}
    except (SQLAlchemyError, StorageInternalError) as error:
        raise store_error(error, name) from error
    return {
        "name": name, "store": manager.shown, "direction": study.direction.name.lower(), "trials": dict(states),
        "data": {"digest": settings.get("data_digest"), "source": settings.get("described_source")},
    }  # fmt: skip


def utc_text(milliseconds: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
