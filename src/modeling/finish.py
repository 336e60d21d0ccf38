"""After the search: the files in `artefacts/`, then everything that MLflow is to show of them."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from src.data.table import Dataset
from src.errors import TrackingError
from src.modeling.earlier_searches import search_until
from src.modeling.final_model import FinalModel, judge, judge_validation
from src.modeling.final_report import write_final_report
from src.modeling.optuna_utils import FINISHED
from src.modeling.outputs import library_versions, write_metadata, write_model_text
from src.modeling.report_writer import HTML_FILE
from src.modeling.rows import split_record
from src.modeling.search import OpenStudy
from src.modeling.search_task import SearchTask
from src.modeling.summary import Outcome
from src.modeling.trial_times import trials_in_utc
from src.tracking.final_record import log_dataset, log_files, log_final_scores
from src.tracking.registry import register_model
from src.tracking.served_model import ModelCard

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Written:
    """The files of one outcome."""

    metadata: dict[str, Any]
    model_path: Path
    metadata_path: Path
    trials_path: Path
    report_files: tuple[Path, ...]

    @property
    def report_path(self) -> Path | None:
        """The report as a page; None where it could not be drawn."""
        return next((path for path in self.report_files if path.name == HTML_FILE), None)


def write_outcome(task: SearchTask, opened: OpenStudy, best: FrozenTrial, model: FinalModel) -> Written:
    """Judges the final model and writes model, metadata, the table of trials and the report, in this order.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    output_dir, target = task.settings.output_dir, task.data.target
    model_path = write_model_text(model.booster.model_to_string(), output_dir, target)
    metadata = describe_outcome(task, opened, best, model) | {"model_file": str(model_path)}
    metadata_path = write_metadata(metadata, output_dir, target)
    report_dir = output_dir / "reports" / opened.study.study_name
    report_dir.mkdir(parents=True, exist_ok=True)
    trials_path = report_dir / "trials.csv"
    trials_in_utc(opened.study).to_csv(trials_path, index=False)
    report_files = write_final_report(task, opened.study, model, metadata, report_dir)
    return Written(metadata, model_path, metadata_path, trials_path, tuple(report_files))


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


def record_outcome(task: SearchTask, opened: OpenStudy, written: Written) -> Outcome:
    """Projects what MLflow still lacks, logs the outcome to the parent run and registers the model.

    Raises:
        TrackingError: MLflow is away; the message says where the results lie and how to register them later.
    """
    try:
        parent = opened.projection.project()
        log_final_scores(opened.session, parent, written.metadata)
        data = task.data
        log_dataset(opened.session, parent, _table(data), data.target, data.source, data.digest)
        files = [("study", written.trials_path), ("", written.metadata_path), ("", written.model_path)]
        log_files(opened.session, parent, [*(("report", path) for path in written.report_files), *files])
        version = _register(task, opened, written, parent) if task.settings.register else "not registered"
    except TrackingError as error:
        raise TrackingError(
            f"{error}; model and report are saved ({written.model_path}, {written.trials_path.parent}): "
            f"the same command with --study-name {opened.study.study_name} registers them later"
        ) from error
    return Outcome(written.metadata, written.report_path, version)


def _register(task: SearchTask, opened: OpenStudy, written: Written, parent: str) -> str:
    example = task.data.features.iloc[task.rows.search[-EXAMPLE_ROWS:]]
    registered = register_model(parent, ModelCard(task.data.target, written.model_path, written.metadata, example))
    alias = f" @{registered.alias}" if registered.alias else " (replaced since)"
    return f"{registered.name} v{registered.version}{alias}"


def _table(data: Dataset) -> pd.DataFrame:
    table = data.features.copy(deep=False)
    table[data.target] = data.y
    return table
