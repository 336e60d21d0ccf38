"""Finds the files that a report needs beside the study: the final model's metadata, numbers and test predictions.

They are in the output folder, or among the artifacts of the study's MLflow run if another machine trained the model.
All three come from one place, so that a report never mixes two trainings.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import ConfigError
from src.names import check_study_name
from src.reporting.model.files import NUMBERS_FILE, PREDICTIONS_FILE, read_model_numbers
from src.reporting.model.numbers import ModelNumbers
from src.tracking.projection.parent_run import REPORT_FOLDER, ParentRun

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

HTML_FILE, PDF_FILE = "report.html", "report.pdf"
METADATA_FILE = "metadata.json"
"""A copy in the report folder; it stays when another study of the same target is finished later."""
METADATA_FILES = "lgb_*_optuna_metadata.json"
COLUMNS = ["account", "date", "y", "prediction"]
_EARLIER_KEYS = (
    "ensemble",
    "ensemble_rounds_stretch",
    "validation_score_ensemble",
    "n_trees",
    "best_iteration_in_search",
)
_EARLIER_MEMBER_KEYS = {"best_iteration": "rounds", "anchor": "is_fixed_config"}
FindRun = Callable[[], ParentRun | None]


@dataclass(frozen=True)
class FinalModelFiles:
    """The files of a study's final model; empty if there is no final model.

    Attributes:
        metadata: contract, section 8.
        numbers: for the model's chapters.
        predictions: for the test rows, columns `account`, `date`, `y`, `prediction`.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    numbers: ModelNumbers | None = None
    predictions: "pd.DataFrame | None" = None


def report_folder(output_dir: Path, study_name: str) -> Path:
    """`reports/<study>`; a study name that is not valid as a folder name is converted to a valid one."""
    try:
        check_study_name(study_name)
    except ConfigError:  # a study that was made without this project
        kept = "".join(sign if sign.isalnum() or sign in "-_. " else "_" for sign in study_name).strip(". ")
        return output_dir / "reports" / f"{kept[:40]}_{sha256(study_name.encode()).hexdigest()[:8]}"
    return output_dir / "reports" / study_name


def find_model_files(study_name: str, output_dir: Path, find_run: FindRun) -> FinalModelFiles:
    """Looks in the output folder, then in MLflow.

    Args:
        study_name: of the study.
        output_dir: the `artefacts` folder.
        find_run: returns the study's MLflow run; called only if the output folder has no metadata of the study.

    Raises:
        TrackingError: reading the MLflow artifacts failed.
    """
    folder = report_folder(output_dir, study_name)
    for path in [folder / METADATA_FILE, *sorted((output_dir / "models").glob(METADATA_FILES))]:
        metadata = _read_metadata(path)
        if metadata.get("study_name") == study_name:
            return FinalModelFiles(metadata, read_model_numbers(folder), read_predictions(folder))
    run = find_run()
    return FinalModelFiles() if run is None else _from_mlflow(run, study_name)


def _from_mlflow(run: ParentRun, study_name: str) -> FinalModelFiles:
    wanted = [name for name in run.names() if Path(name).match(METADATA_FILES)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        candidates = [_read_metadata(run.fetch(path, folder)) for path in wanted]
        metadata = next((candidate for candidate in candidates if candidate.get("study_name") == study_name), None)
        if metadata is None:
            return FinalModelFiles()
        there = [Path(path) for path in run.names(REPORT_FOLDER)]
        for path in there:
            if path.name in (NUMBERS_FILE, PREDICTIONS_FILE):
                run.fetch(str(path), folder)
        kept = folder / REPORT_FOLDER
        return FinalModelFiles(metadata, read_model_numbers(kept), read_predictions(kept))


def read_predictions(folder: Path) -> "pd.DataFrame | None":
    """The test predictions in a report folder; None if there are none, None and a warning if the file is unreadable."""
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return None
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(path, columns=COLUMNS)
    except (ArrowException, ValueError) as error:  # truncated by a power failure, or of another version
        log.warning("%s cannot be read: %s; the report omits the predictions", path, " ".join(str(error).split()))
        return None


def _read_metadata(path: Path) -> Mapping[str, Any]:
    """A metadata file; empty if there is none, empty and a warning if it cannot be read."""
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:  # truncated or edited by hand; JSON and Unicode errors are ValueErrors
        log.warning("%s cannot be read: %s; the report ignores it", path, error)
        return {}
    return in_current_form(metadata) if isinstance(metadata, dict) else {}


def in_current_form(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata in the format of this version.

    Earlier versions stored the best trial's values at the top level and the registered model's values beside them,
    under other names; both are moved to their present keys. `validation_skill` is dropped: the report computes it.
    """
    best = metadata.get("best_trial")
    if not isinstance(best, int):
        return metadata
    current = {name: value for name, value in metadata.items() if name not in _EARLIER_KEYS} | {
        "best_trial": {
            "number": best,
            "value": metadata.get("validation_score"),
            "hyperparameters": metadata.get("hyperparameters", {}),
            "best_iteration": metadata.get("best_iteration_in_search"),
        }
    }
    ensemble = metadata.get("ensemble")
    if not isinstance(ensemble, list) or not ensemble or not all(isinstance(member, dict) for member in ensemble):
        return current
    members = [{_EARLIER_MEMBER_KEYS.get(name, name): value for name, value in each.items()} for each in ensemble]
    current.pop("validation_skill", None)
    return current | {
        "members": members,
        "rounds_factor": metadata.get("ensemble_rounds_stretch", 1.0),
        "hyperparameters": max(members, key=lambda member: member.get("weight", 0.0)).get("hyperparameters", {}),
        "validation_score": metadata.get("validation_score_ensemble"),
    }
