"""After the search: the model's files, its registration, then its report and everything else that MLflow is to show."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from src.data.split_rows import split_record
from src.data.table import Dataset
from src.errors import RunError, TrackingError
from src.final.final_model import FinalModel, score_hold_out, score_validation
from src.final.model_files import library_versions, write_metadata, write_model_text
from src.modeling.open_study import OpenStudy
from src.modeling.run_ending import failure_text
from src.reporting.final_report import FinalReport, same_command, write_final_report
from src.reporting.summary import Outcome
from src.search.earlier_searches import last_search_day
from src.search.search_task import SearchTask
from src.study.studies import FINISHED
from src.study.study_options import table_as_json
from src.tracking.projection.final_record import log_dataset, log_files, log_final_scores, report_page
from src.tracking.projection.parent_run import REGISTERED, REPORT_FOLDER, TRAINED
from src.tracking.registry.model_versions import register_model
from src.tracking.registry.served_model import ModelCard

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class SavedModel:
    """What has to be on disk before a model can be registered."""

    metadata: dict[str, Any]
    model_path: Path
    metadata_path: Path


def write_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> SavedModel:
    """Judges the final model and writes it and its metadata, in this order.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    output_dir, target = task.settings.output_dir, task.data.target
    model_path = write_model_text(model.booster.model_to_string(), output_dir, target)
    metadata = describe_outcome(task, opened, best, model) | {"model_file": str(model_path)}
    return SavedModel(metadata, model_path, write_metadata(metadata, output_dir, target))


def describe_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> dict[str, Any]:
    """The metadata of contract section 8, and what `retrain` needs to train the same model again.

    Every top-level number describes the registered model; what the best trial had stands under `best_trial`.
    """
    data, rows = task.data, task.rows
    scores = score_validation(model.validation_score, data, rows) | score_hold_out(model, data, rows)
    return scores | {
        "target": data.target,
        **asdict(data.config),
        "direction": data.config.direction,
        "training_samples": len(rows.search),
        "test_samples": len(rows.test),
        "feature_names": list(data.features.columns),
        "categorical_levels": model.levels,
        "boolean_features": list(data.booleans),
        "decimal_marks": dict(data.decimal_marks),
        "hyperparameters": model.heaviest.hyperparameters,
        "best_iteration": sum(model.rounds),
        **_describe_members(model),
        "best_trial": _describe_best_trial(best),
        "study_name": opened.study.study_name,
        "store": opened.manager.shown,
        "n_trials": len(opened.study.get_trials(deepcopy=False, states=FINISHED)),
        **_describe_training(task, model),
        "warnings": list(data.warnings),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }


def _describe_training(task: SearchTask, model: FinalModel) -> dict[str, Any]:
    """What `retrain` needs beside the table, and what a later search has to know of this one."""
    data = task.data
    return {
        "seed": task.settings.search.seed,
        "split": split_record(data, task.rows, task.settings.split),
        "search_until": last_search_day(task),
        "data": data.source,
        "data_digest": data.digest,
        "table": table_as_json(task.settings.data.table),
        "fits": [asdict(member.fit) for member in model.members],
    }


def _describe_members(model: FinalModel) -> dict[str, Any]:
    """The trials that the model is made of, the best one first; nothing for a model of one trial."""
    if len(model.members) == 1:
        return {}
    members = [
        {
            "trial": member.trial,
            "weight": member.fit.weight,
            "value": member.value,
            "rounds": rounds,
            "is_fixed_config": member.is_fixed_config,
            "hyperparameters": member.hyperparameters,
        }
        for member, rounds in zip(model.members, model.rounds, strict=True)
    ]
    return {"members": members, "rounds_factor": model.rounds_factor}


def _describe_best_trial(best: FrozenTrial) -> dict[str, Any]:
    """The study's best trial by itself, as the search left it."""
    return {
        "number": best.number,
        "value": best.value,
        "hyperparameters": dict(best.params),
        "best_iteration": best.user_attrs.get("best_iteration"),
    }


def record_outcome(task: SearchTask, opened: OpenStudy, model: FinalModel, written: SavedModel) -> Outcome:
    """Registers the model, then writes its report and uploads all files: what may not fit on a disk comes last.

    Raises:
        TrackingError: MLflow is away; the message says where the results lie and how to register them later.
    """
    study_name, parent, page, version = opened.study.study_name, "", "", ""
    away: TrackingError | None = None
    try:
        parent = opened.projection.project()
        page = report_page(opened.session, parent)
        version = _register(task, opened, written, parent)
    except TrackingError as error:  # no reason to leave the report unwritten
        away = error
    folder = task.settings.output_dir / "reports" / study_name
    report = write_final_report(task, opened.study, model, written.metadata, folder)
    if away is not None:
        saved = _saved(written, report)
        raise TrackingError(f"{away}; {saved}: {same_command(study_name)} registers them later") from away
    failure = _upload(opened, parent, written, report)
    if failure is None and report.write_errors:
        failure = report.failure(report.retry_command)
    ended = None if failure is None else RunError(f"{written.model_path} is saved ({version}), but {failure}")
    _note_ending(task, opened, ended)
    return Outcome(written.metadata, report.page, version, ended, page)


def _note_ending(task: SearchTask, opened: OpenStudy, failure: RunError | None) -> None:
    ending = opened.ending
    ending.outcome = REGISTERED if task.settings.register else TRAINED
    if failure is not None:
        ending.status, ending.outcome = "FAILED", failure_text(failure, opened.manager.url)


def _register(task: SearchTask, opened: OpenStudy, written: SavedModel, parent: str) -> str:
    """Logs scores and data set to the parent run and registers: the version in words.

    Raises:
        TrackingError: MLflow is away, or refuses.
    """
    data = task.data
    log_final_scores(opened.session, parent, written.metadata)
    log_dataset(opened.session, parent, _table(data), data.target, data.source, data.digest)
    if not task.settings.register:
        return "not registered"
    example = data.features.iloc[task.rows.search[-EXAMPLE_ROWS:]]
    registered = register_model(parent, ModelCard(data.target, written.model_path, written.metadata, example))
    alias = f" @{registered.alias}" if registered.alias else " (replaced since)"
    return f"{registered.name} v{registered.version}{alias}"


def _saved(written: SavedModel, report: FinalReport) -> str:
    if not report.write_errors:
        return f"model and report are saved ({written.model_path}, {report.folder})"
    return f"the model is saved ({written.model_path}), {report.write_errors[0].filename} is not"


def _upload(opened: OpenStudy, parent: str, written: SavedModel, report: FinalReport) -> str | None:
    """Adds the files to the parent run; what went wrong, because the model is registered by now."""
    files = [("", written.metadata_path), ("", written.model_path), *((REPORT_FOLDER, path) for path in report.files)]
    files += [] if report.trials is None else [("study", report.trials)]
    try:
        log_files(opened.session, parent, files)
    except TrackingError as error:
        unsaved = f"{report.write_errors[0].filename} is not, and " if report.write_errors else ""
        again = same_command(opened.study.study_name)
        return f"{unsaved}its MLflow run lacks files: {error}: {again} adds what is missing"
    return None


def _table(data: Dataset) -> pd.DataFrame:
    table = data.features.copy(deep=False)
    table[data.target] = data.y
    return table
