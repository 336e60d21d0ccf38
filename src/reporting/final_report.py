"""Measures a finished model and writes its report, after model and metadata are saved.

A failure here costs that part of the report, never the model, which is registered anyway. A measurement or a drawing
that fails is logged as a warning; otherwise it would fail again at every resume. A file that cannot be written is an
error that the command ends with, after the model is registered.
"""

import json
import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from src.config import RunSettings, SearchSettings
from src.disk import explain, write_atomically
from src.errors import DailyProfitError
from src.final.final_model import FinalModel
from src.names import study_option
from src.reporting.final_model_files import HTML_FILE, METADATA_FILE, PDF_FILE
from src.reporting.html.page import write_html
from src.reporting.model.files import write_model_numbers
from src.reporting.model.measure import measure_model
from src.reporting.pdf.pages import write_pdf
from src.reporting.study.chapters import StudyReportInput, study_document
from src.reporting.study.numbers import take_snapshot
from src.search.search_task import SearchTask
from src.study.trial_times import trials_in_utc

if TYPE_CHECKING:
    from optuna import Study

log = logging.getLogger(__name__)

T = TypeVar("T")
TRIALS_FILE = "trials.csv"
PDF_SECONDS = 3.0
"""About what drawing the PDF takes; `--total-timeout` leaves it out where less is left."""


@dataclass(frozen=True)
class FinalReport:
    """The files of a report, and the errors of those that could not be written.

    Attributes:
        folder: the report folder.
        trials: CSV file of the study's trials; None if it could not be written.
        files: files for the `report/` folder of the MLflow run.
        write_errors: errors of the files that could not be written, with their file names.
        retry_command: the command that writes the missing files once the disk accepts them.
    """

    folder: Path
    trials: Path | None
    files: tuple[Path, ...]
    write_errors: tuple[OSError, ...]
    retry_command: str

    @property
    def page(self) -> Path | None:
        """The HTML report; None if it could not be drawn or written."""
        return next((path for path in self.files if path.name == HTML_FILE), None)

    def failure(self, command: str) -> str:
        """The message for the user: which file is missing, why, and the remedy; `command` writes it afterwards."""
        others = f" and {len(self.write_errors) - 1} more" if len(self.write_errors) > 1 else ""
        return explain(self.write_errors[0], f"then {command} writes it{others}", "written")


def write_final_report(
    task: SearchTask, study: "Study", model: FinalModel, metadata: Mapping[str, Any], folder: Path
) -> FinalReport:
    """Measures the model and writes the trials, its numbers, its test predictions, `report.html` and `report.pdf`.

    Args:
        task: the table, its rows and the seed.
        study: the study that produced the model.
        model: the final model.
        metadata: as saved with the model; a copy is written to `folder`.
        folder: the study's report folder; created if missing.
    """
    write_errors: list[OSError] = []

    def try_write(write: Callable[[], T]) -> T | None:
        try:
            return write()
        except OSError as error:  # for example a full disk; the next file may be smaller and fit
            write_errors.append(error)
            return None

    trials = try_write(lambda: _write_text(trials_in_utc(study).to_csv(index=False), folder / TRIALS_FILE))
    try_write(lambda: _write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n", folder / METADATA_FILE))
    seed = task.settings.search.seed
    measured = attempt("the model's chapters", lambda: measure_model(model, task.data, task.rows, seed))
    numbers = None if measured is None else try_write(lambda: write_model_numbers(*measured, folder))
    # HTML and PDF can be drawn again from these files; if one is missing, the model has to be measured again.
    command = same_command(study.study_name) if write_errors else report_command(study.study_name, task.settings)
    model_numbers = None if measured is None else measured[0]
    document = cache(lambda: study_document(StudyReportInput(study, take_snapshot(study), metadata, model_numbers)))
    html = try_write(lambda: attempt(HTML_FILE, lambda: write_html(document(), folder / HTML_FILE)))
    pdf = None
    if _time_is_left_for_pdf(task, study.study_name):
        pdf = try_write(lambda: attempt(PDF_FILE, lambda: write_pdf(document(), folder / PDF_FILE)))
    files = (*(path for path in (html, pdf) if path is not None), *(numbers or ()))
    return FinalReport(folder, trials, files, tuple(write_errors), command)


def _time_is_left_for_pdf(task: SearchTask, study_name: str) -> bool:
    if task.limit is None or task.limit.leaves(PDF_SECONDS, monotonic()):
        return True
    command = report_command(study_name, task.settings)
    log.warning("%s is left out, to keep --total-timeout %g: %s writes it", PDF_FILE, task.limit.seconds, command)
    return False


def _write_text(text: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path


def same_command(study_name: str) -> str:
    """The command that trains the same final model again and writes its report."""
    return f"the same command with {study_option(study_name)}"


def report_command(study_name: str, settings: RunSettings) -> str:
    """The command line that writes a study's report again; a URL may hold a password, so it is not shown."""
    places = {"--storage-dir": settings.search.storage_dir, "--output-dir": settings.output_dir}
    defaults = {"--storage-dir": SearchSettings.storage_dir, "--output-dir": RunSettings.output_dir}
    words = [f"{option} {shlex.quote(str(path))}" for option, path in places.items() if path != defaults[option]]
    words += ["--storage-url …"] if settings.search.storage_url else []
    return " ".join(["python -m src.modeling.optuna_visualization", study_option(study_name), *words])


def attempt(part: str, work: Callable[[], T]) -> T | None:
    """The result of measuring or drawing `part`; if that fails, None and a warning.

    Raises:
        OSError: passed on: a file cannot be written.
        DailyProfitError: passed on: it has a message for the user already.
    """
    try:
        return work()
    except (DailyProfitError, OSError):
        raise
    except Exception as error:  # boundary: unexpected numbers may fail anywhere in the drawing libraries
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        log.warning(
            "the report lacks %s, which failed with %s; the model is saved and will be registered; "
            "--verbose shows the traceback", part, reason,
        )  # fmt: skip
        log.debug("%s failed", part, exc_info=True)
        return None
