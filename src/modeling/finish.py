"""After the search: writes the model's files, registers the model, writes its report and uploads all to MLflow."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
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
from src.search.derived_features import describe_features, input_example
from src.search.search_task import SearchTask
from src.study.pareto_front import candidates_of, pareto_front
from src.study.studies import FINISHED
from src.study.study_settings import as_json
from src.tracking.projection.final_record import log_dataset, log_files, log_final_scores, report_page, tag_front
from src.tracking.projection.parent_run import REGISTERED, REPORT_FOLDER, TRAINED
from src.tracking.registry.model_versions import register_model
from src.tracking.registry.served_model import ModelCard


@dataclass(frozen=True)
class SavedModel:
    """The files that must exist before a model can be registered."""

    metadata: dict[str, Any]
    model_path: Path
    metadata_path: Path


def write_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> SavedModel:
    """Evaluates the final model, then writes the model and its metadata.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    output_dir, target = task.settings.output_dir, task.data.target
    model_path = write_model_text(model.booster.model_to_string(), output_dir, target)
    metadata = describe_outcome(task, opened, best, model) | {"model_file": str(model_path)}
    return SavedModel(metadata, model_path, write_metadata(metadata, output_dir, target))


def describe_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> dict[str, Any]:
    """The metadata of contract section 8, and what `retrain` needs to fit the same model again.

    Every top-level number describes the registered model; `best_trial` describes the best trial alone.
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
        **describe_features(data, task.derived),
        "hyperparameters": model.heaviest.hyperparameters,
        "best_iteration": sum(model.rounds),
        **_describe_members(model),
        **_describe_choice(task, opened.study, model),
        "best_trial": _describe_best_trial(best),
        "study_name": opened.study.study_name,
        "store": opened.manager.shown,
        "n_trials": len(opened.study.get_trials(deepcopy=False, states=FINISHED)),
        **_describe_training(task, model),
        "warnings": list(data.warnings),
        "cuts": list(model.cuts),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }


def _describe_training(task: SearchTask, model: FinalModel) -> dict[str, Any]:
    """What `retrain` needs besides the table."""
    data = task.data
    return {
        "seed": task.settings.search.seed,
        "split": split_record(data, task.rows, task.settings.split),
        "data": data.source,
        "data_digest": data.digest,
        "table": as_json(task.settings.data.table),
        "fits": [asdict(member.fit) for member in model.members],
    }


def _describe_choice(task: SearchTask, study: optuna.Study, model: FinalModel) -> dict[str, Any]:
    """How the registered model was chosen: the constraints, the selection, the measures and the Pareto front."""
    maximize = task.data.config.direction == "maximize"
    front = pareto_front(candidates_of(study.get_trials(deepcopy=False), maximize))
    return {
        "measures": dict(model.measures),
        "constraint": list(task.settings.model.constraint),
        "select": task.settings.model.select,
        "pareto_front": [each.number for each in front],
        **({"monotone": model.monotone} if model.monotone else {}),
    }


def _describe_members(model: FinalModel) -> dict[str, Any]:
    """The trials of the ensemble, best first, or the trial of a model of one trial."""
    if len(model.members) == 1:
        return {"trial": model.members[0].trial}
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
    """The study's best trial, with its values from the search."""
    return {
        "number": best.number,
        "value": best.value,
        "hyperparameters": dict(best.params),
        "best_iteration": best.user_attrs.get("best_iteration"),
    }


def record_outcome(task: SearchTask, opened: OpenStudy, model: FinalModel, written: SavedModel) -> Outcome:
    """Registers the model, then writes its report and uploads all files: the writes that may fill the disk come last.

    Trials that MLflow lacks are written while the report is drawn.

    Raises:
        TrackingError: MLflow is unavailable; the message names the saved files and the command that registers them.
    """
    study_name, page, version = opened.study.study_name, "", ""
    folder = task.settings.output_dir / "reports" / study_name
    try:
        parent = opened.projection.parent()
        page = report_page(opened.session, parent)
        version = _register(task, opened, written, parent)
    except TrackingError as error:
        report = write_final_report(task, opened.study, model, written.metadata, folder)
        saved = _saved_text(written, report)
        raise TrackingError(f"{error}; {saved}: {same_command(study_name)} registers them later") from error
    with _writing_trials(opened) as trials:
        report = write_final_report(task, opened.study, model, written.metadata, folder)
        failure = _upload(opened, parent, written, report, trials)
    if failure is None and report.write_errors:
        failure = report.failure(report.retry_command)
    run_error = None if failure is None else RunError(f"{written.model_path} is saved ({version}), but {failure}")
    _set_ending(task, opened, run_error)
    return Outcome(written.metadata, report.page, version, run_error, page)


@contextlib.contextmanager
def _writing_trials(opened: OpenStudy) -> Iterator[Future[str]]:
    """Writes the trials that MLflow lacks in a thread, which stops early if the block raises, for example by Ctrl-C."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(opened.projection.project)
        except BaseException:
            opened.projection.ends_early = lambda: True
            raise


def _set_ending(task: SearchTask, opened: OpenStudy, failure: RunError | None) -> None:
    ending = opened.ending
    ending.outcome = REGISTERED if task.settings.register else TRAINED
    if failure is not None:
        ending.status, ending.outcome = "FAILED", failure_text(failure, opened.manager.url)


def _register(task: SearchTask, opened: OpenStudy, written: SavedModel, parent: str) -> str:
    """Logs scores and data set to the parent run and registers the model; returns the version as text.

    Raises:
        TrackingError: MLflow is unavailable, or refuses.
    """
    data = task.data
    log_final_scores(opened.session, parent, written.metadata)
    log_dataset(opened.session, parent, _training_table(data), data.target, data.source, data.digest)
    if not task.settings.register:
        return "not registered"
    example = input_example(data, task.rows.search, written.metadata["history_rows"])
    registered = register_model(parent, ModelCard(data.target, written.model_path, written.metadata, example))
    alias = f" @{registered.alias}" if registered.alias else " (replaced since)"
    return f"{registered.name} v{registered.version}{alias}"


def _saved_text(written: SavedModel, report: FinalReport) -> str:
    if not report.write_errors:
        return f"model and report are saved ({written.model_path}, {report.folder})"
    return f"the model is saved ({written.model_path}), {report.write_errors[0].filename} is not"


def _upload(
    opened: OpenStudy, parent: str, written: SavedModel, report: FinalReport, trials: Future[str]
) -> str | None:
    """Uploads the files to the parent run and waits for the trials.

    Returns:
        The failure as text, because the model is already registered.
    """
    files = [("", written.metadata_path), ("", written.model_path), *((REPORT_FOLDER, path) for path in report.files)]
    files += [] if report.trials is None else [("study", report.trials)]
    try:
        log_files(opened.session, parent, files)
        trials.result()
        tag_front(opened.session, parent, set(written.metadata["pareto_front"]))
    except TrackingError as error:
        unsaved = f"{report.write_errors[0].filename} is not, and " if report.write_errors else ""
        command = same_command(opened.study.study_name)
        return f"{unsaved}files or trials are missing in its MLflow run: {error}: {command} adds them"
    return None


def _training_table(data: Dataset) -> pd.DataFrame:
    table = data.features.copy(deep=False)
    table[data.target] = data.y
    return table
