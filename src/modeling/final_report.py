"""The report of a finished model: measured, drawn and on disk, when model and metadata are saved already.

Whatever goes wrong in a measurement or a drawing costs that part of the report and a warning, never the model: it is
registered all the same, and without the boundary below the same drawing would fail again at each resume. A full disk is
another matter: it ends the command as everywhere.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from src.errors import DailyProfitError
from src.modeling.final_model import FinalModel
from src.modeling.optuna_visualization import OptunaVisualizer
from src.modeling.outputs import write_atomically
from src.modeling.report_files import METADATA_FILE
from src.modeling.report_writer import HTML_FILE, PDF_FILE
from src.modeling.search_task import SearchTask
from src.reporting.model_files import write_model_numbers
from src.reporting.model_measure import measure_model

if TYPE_CHECKING:
    from optuna import Study

log = logging.getLogger(__name__)

T = TypeVar("T")


def write_final_report(
    task: SearchTask, study: "Study", model: FinalModel, metadata: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Measures the model and writes its numbers, its test predictions, `report.html` and `report.pdf`.

    Args:
        task: the table, its rows and the seed.
        study: that the model was found by.
        model: the final one.
        metadata: as saved beside it; a copy is kept with the report.
        folder: of the study's report, which is made.

    Returns:
        The files for the run's `report/`: all that could be made.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / METADATA_FILE, json.dumps(metadata, indent=2, allow_nan=False) + "\n")
    seed = task.settings.search.seed
    measured = attempt("the model's page", lambda: measure_model(model, task.data, task.rows, seed))
    files = [] if measured is None else write_model_numbers(*measured, folder)
    visualizer = OptunaVisualizer(study, metadata, None if measured is None else measured[0])
    html = attempt(HTML_FILE, lambda: visualizer.write_html(folder / HTML_FILE))
    pdf = attempt(PDF_FILE, lambda: visualizer.write_pdf(folder / PDF_FILE))
    return [path for path in (html, pdf) if path is not None] + files


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
