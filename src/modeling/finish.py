"""After the search: the model's files, its registration, then its report and everything else that MLflow is to show."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from src.data.table import Dataset
from src.errors import RunError, TrackingError
from src.modeling.earlier_searches import search_until
from src.modeling.final_model import FinalModel, judge, judge_validation
from src.modeling.final_report import FinalReport, same_command, write_final_report
from src.modeling.optuna_utils import FINISHED
from src.modeling.outputs import library_versions, write_metadata, write_model_text
from src.modeling.rows import split_record
from src.modeling.search import OpenStudy
from src.modeling.search_task import SearchTask
from src.modeling.summary import Outcome
from src.tracking.final_record import log_dataset, log_files, log_final_scores
from src.tracking.registry import register_model
from src.tracking.served_model import ModelCard

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Written:
    """What has to be on disk before a model can be registered."""

    metadata: dict[str, Any]
    model_path: Path
    metadata_path: Path


def write_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> Written:
    """Judges the final model and writes it and its metadata, in this order.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    output_dir, target = task.settings.output_dir, task.data.target
    model_path = write_model_text(model.booster.model_to_string(), output_dir, target)
    metadata = describe_outcome(task, opened, best, model) | {"model_file": str(model_path)}
    return Written(metadata, model_path, write_metadata(metadata, output_dir, target))


def describe_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> dict[str, Any]:
    """The metadata of contract section 8 and what else is needed to believe the model and to train it again."""
    data, rows, seed = task.data, task.rows, task.settings.search.seed
    found = judge_validation(best, data, rows, model.ensemble) | judge(model, data, rows, seed)
    found |= _describe_ensemble(model)
    return found | {
        "target": data.target,
        "task": data.config.task,
        "metric": data.config.metric,
        "direction": data.config.direction,
        "training_samples": len(rows.search),
        "test_samples": len(rows.test),
        "feature_names": list(data.features.columns),
        "categorical_levels": model.levels,
        "hyperparameters": model.hyperparameters,
        "best_trial": best.number,
        "best_iteration": model.rounds,
        "best_iteration_in_search": best.user_attrs["best_iteration"],
        "n_trees": model.booster.num_trees(),
        "study_name": opened.study.study_name,
        "store": opened.manager.shown,
        "n_trials": len(opened.study.get_trials(deepcopy=False, states=FINISHED)),
        "seed": seed,
        "split": split_record(data, rows, task.settings.split),
        "search_until": search_until(task),
        "data": data.source,
        "data_digest": data.digest,
        "warnings": list(data.warnings),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }


def _describe_ensemble(model: FinalModel) -> dict[str, Any]:
    """The members, the best trial first, and how far they were trained; nothing for a model of one trial."""
    if model.ensemble is None:
        return {}
    members = [asdict(member) for member in model.ensemble.members]
    return {"ensemble": members, "ensemble_rounds_stretch": model.ensemble.stretch}


def record_outcome(task: SearchTask, opened: OpenStudy, model: FinalModel, written: Written) -> Outcome:
    """Registers the model, then writes its report and uploads all files: what may not fit on a disk comes last.

    Raises:
        TrackingError: MLflow is away; the message says where the results lie and how to register them later.
    """
    study_name, parent, version = opened.study.study_name, "", ""
    away: TrackingError | None = None
    try:
        parent, version = _register(task, opened, written)
    except TrackingError as error:  # no reason to leave the report unwritten
        away = error
    folder = task.settings.output_dir / "reports" / study_name
    report = write_final_report(task, opened.study, model, written.metadata, folder)
    if away is not None:
        saved = _saved(written, report)
        raise TrackingError(f"{away}; {saved}: {same_command(study_name)} registers them later") from away
    failure = _upload(opened, parent, written, report)
    if failure is None and report.refused:
        failure = report.failure(report.by)
    ended = None if failure is None else RunError(f"{written.model_path} is saved ({version}), but {failure}")
    return Outcome(written.metadata, report.page, version, ended)


def _register(task: SearchTask, opened: OpenStudy, written: Written) -> tuple[str, str]:
    """Projects what MLflow still lacks, logs scores and data set, registers: the parent's id and the version in words.

    Raises:
        TrackingError: MLflow is away, or refuses.
    """
    parent, data = opened.projection.project(), task.data
    log_final_scores(opened.session, parent, written.metadata)
    log_dataset(opened.session, parent, _table(data), data.target, data.source, data.digest)
    if not task.settings.register:
        return parent, "not registered"
    example = data.features.iloc[task.rows.search[-EXAMPLE_ROWS:]]
    registered = register_model(parent, ModelCard(data.target, written.model_path, written.metadata, example))
    alias = f" @{registered.alias}" if registered.alias else " (replaced since)"
    return parent, f"{registered.name} v{registered.version}{alias}"


def _saved(written: Written, report: FinalReport) -> str:
    if not report.refused:
        return f"model and report are saved ({written.model_path}, {report.folder})"
    return f"the model is saved ({written.model_path}), {report.refused[0].filename} is not"


def _upload(opened: OpenStudy, parent: str, written: Written, report: FinalReport) -> str | None:
    """Adds the files to the parent run; what went wrong, because the model is registered by now."""
    files = [("", written.metadata_path), ("", written.model_path), *(("report", path) for path in report.files)]
    files += [] if report.trials is None else [("study", report.trials)]
    try:
        log_files(opened.session, parent, files)
    except TrackingError as error:
        unsaved = f"{report.refused[0].filename} is not, and " if report.refused else ""
        again = same_command(opened.study.study_name)
        return f"{unsaved}its MLflow run lacks files: {error}: {again} adds what is missing"
    return None


def _table(data: Dataset) -> pd.DataFrame:
    table = data.features.copy(deep=False)
    table[data.target] = data.y
    return table
