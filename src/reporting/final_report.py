"""The report of a finished model: measured, drawn and on disk, when model and metadata are saved already.

Whatever goes wrong here costs that part of the report, never the model: it is registered all the same. A measurement or
a drawing that fails is a warning; without the boundary below it would fail again at each resume. A file that the disk
refuses is an error that the command ends with, after the model is registered.
"""

import json
import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from src.config import RunSettings, SearchSettings
from src.disk import explain, write_atomically
from src.errors import DailyProfitError
from src.final.final_model import FinalModel
from src.names import study_option
from src.reporting.final_model_files import METADATA_FILE
from src.reporting.model.files import write_model_numbers
from src.reporting.model.measure import measure_model
from src.reporting.report_writer import HTML_FILE, PDF_FILE, write_html, write_pdf
from src.reporting.study.chapters import StudyReportInput, study_document
from src.reporting.study.numbers import take_snapshot
from src.search.search_task import SearchTask
from src.study.trial_times import trials_in_utc

if TYPE_CHECKING:
    from optuna import Study

log = logging.getLogger(__name__)

T = TypeVar("T")
TRIALS_FILE = "trials.csv"


@dataclass(frozen=True)
class FinalReport:
    """What could be written of a report.

    Attributes:
        folder: of the report.
        trials: the study's trials as a table; None where the disk refused it.
        files: of the run's `report/`.
        refused: what the disk said to the others, each with its file's name.
        by: the command that writes the others once the disk takes them.
    """

    folder: Path
    trials: Path | None
    files: tuple[Path, ...]
    refused: tuple[OSError, ...]
    by: str

    @property
    def page(self) -> Path | None:
        """The report as a page; None where it could not be drawn or written."""
        return next((path for path in self.files if path.name == HTML_FILE), None)

    def failure(self, command: str) -> str:
        """Which file is missing, why, and what to do: to free the disk, then to give `command`."""
        others = f" and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
        return explain(self.refused[0], f"then {command} writes it{others}", "written")


def write_final_report(
    task: SearchTask, study: "Study", model: FinalModel, metadata: Mapping[str, Any], folder: Path
) -> FinalReport:
    """Measures the model and writes the trials, its numbers, its test predictions, `report.html` and `report.pdf`.

    Args:
        task: the table, its rows and the seed.
        study: that the model was found by.
        model: the final one.
        metadata: as saved beside it; a copy is kept with the report.
        folder: of the study's report, which is made.
    """
    refused: list[OSError] = []

    def on_disk(write: Callable[[], T]) -> T | None:
        try:
            return write()
        except OSError as error:  # a full disk, say; what comes next may be smaller and fit
            refused.append(error)
            return None

    trials = on_disk(lambda: _write_text(trials_in_utc(study).to_csv(index=False), folder / TRIALS_FILE))
    on_disk(lambda: _write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n", folder / METADATA_FILE))
    seed = task.settings.search.seed
    measured = attempt("the model's page", lambda: measure_model(model, task.data, task.rows, seed))
    numbers = None if measured is None else on_disk(lambda: write_model_numbers(*measured, folder))
    # Page and PDF can be drawn again from these; without one of them the model has to be measured again.
    by = same_command(study.study_name) if refused else report_command(study.study_name, task.settings)
    model_numbers = None if measured is None else measured[0]
    document = cache(lambda: study_document(StudyReportInput(study, take_snapshot(study), metadata, model_numbers)))
    html = on_disk(lambda: attempt(HTML_FILE, lambda: write_html(document(), folder / HTML_FILE)))
    pdf = on_disk(lambda: attempt(PDF_FILE, lambda: write_pdf(document(), folder / PDF_FILE)))
    files = (*(path for path in (html, pdf) if path is not None), *(numbers or ()))
    return FinalReport(folder, trials, files, tuple(refused), by)


def _write_text(text: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path


def same_command(study_name: str) -> str:
    """What trains the same final model once more, and with it its report."""
    return f"the same command with {study_option(study_name)}"


def report_command(study_name: str, settings: RunSettings) -> str:
    """What writes the report of a study again, as it is typed; a URL, which may hold a password, is not shown."""
    places = {"--storage-dir": settings.search.storage_dir, "--output-dir": settings.output_dir}
    defaults = {"--storage-dir": SearchSettings.storage_dir, "--output-dir": RunSettings.output_dir}
    words = [f"{option} {shlex.quote(str(path))}" for option, path in places.items() if path != defaults[option]]
    words += ["--storage-url …"] if settings.search.storage_url else []
    return " ".join(["python -m src.modeling.optuna_visualization", study_option(study_name), *words])


def attempt(part: str, work: Callable[[], T]) -> T | None:
    """The boundary around measuring and drawing: its result, or None and one line that says what is left out.

    Raises:
        OSError: the disk, as without the boundary.
        DailyProfitError: what has a line of its own already.
    """
    try:
        return work()
    except (DailyProfitError, OSError):
        raise
    except Exception as error:  # numbers that nobody thought of, in drawing libraries that are not ours
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        log.warning(
            "the report lacks %s, which failed with %s; the model is saved and goes on to be registered, "
            "--verbose shows where it failed", part, reason,
        )  # fmt: skip
        log.debug("%s failed", part, exc_info=True)
        return None
