"""The command `report`: reads studies and the files of their models, writes the report, logs it to MLflow.

It takes any study in the store. A study's report is also added to its MLflow run, if it has one; if MLflow fails, that
costs a warning, never the report.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from src.config import RunSettings, SearchSettings
from src.disk import check_folder
from src.errors import ConfigError, StoreError, TrackingError
from src.reporting.comparison.numbers import ComparedStudy
from src.reporting.comparison.report import comparison_document
from src.reporting.document.blocks import Document
from src.reporting.final_model_files import HTML_FILE, PDF_FILE, FinalModelFiles, find_model_files, report_folder
from src.reporting.html.page import write_html
from src.reporting.pdf.pages import write_pdf
from src.reporting.study.chapters import StudyReportInput, study_document
from src.reporting.study.numbers import take_snapshot
from src.secrets import scrub
from src.study.store_location import store_url
from src.study.studies import OptunaStudyManager, root_cause_line, set_optuna_verbosity
from src.study.study_index import choose_several, choose_study, known_studies
from src.tracking.connection.tracking_uri import check_tracking_uri
from src.tracking.projection.parent_run import REPORT_FOLDER, ParentRun, find_parent_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the `report` command.

    Attributes:
        study_name: None selects the newest study in the store.
        ensemble: targets, studies or `TARGET=STUDY`; empty for the report of one study.
        storage_url: of the store, as for tuning.
        storage_dir: folder of the embedded store.
        output_dir: folder of the models and the reports.

    Raises:
        ConfigError: both `study_name` and `ensemble` are given.
    """

    study_name: str | None = None
    ensemble: tuple[str, ...] = ()
    storage_url: str | None = field(default=None, repr=False)
    storage_dir: Path = SearchSettings.storage_dir
    output_dir: Path = RunSettings.output_dir

    def __post_init__(self) -> None:
        if self.study_name is not None and self.ensemble:
            raise ConfigError(
                f"--study-name {self.study_name!r} and --ensemble cannot be combined: "
                f"list the study after --ensemble as well, or omit one of the two options"
            )


def report(settings: ReportSettings) -> list[Path]:
    """Writes a report as HTML and PDF, and prints the paths.

    Returns:
        The files.

    Raises:
        ConfigError: the store, a study or the folder cannot be used.
        StoreError: reading the store failed.
        OSError: the files cannot be written.
    """
    set_optuna_verbosity()
    check_tracking_uri(os.environ)
    check_folder("--output-dir", settings.output_dir / "reports")
    manager = _open_store(settings)
    try:
        return _report_several(settings, manager) if settings.ensemble else _report_one(settings, manager)
    except (StorageInternalError, SQLAlchemyError) as error:  # boundary: the database became unreachable
        reason = scrub(root_cause_line(error), manager.url.render_as_string(hide_password=False))
        raise StoreError(f"the store {manager.shown} failed: {reason}; try the same command again later") from error


def _open_store(settings: ReportSettings) -> OptunaStudyManager:
    """Opens the store; a missing embedded store is an error, because opening it would create an empty one."""
    url = store_url(settings.storage_url, settings.storage_dir, os.environ)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        option = "--storage-url" if settings.storage_url else "--storage-dir"
        raise ConfigError(f"there is no store {url.database}: pass the {option} that the search used")
    return OptunaStudyManager(settings.storage_dir, settings.storage_url)


def _report_one(settings: ReportSettings, manager: OptunaStudyManager) -> list[Path]:
    name = choose_study(settings.study_name, known_studies(manager), manager.shown)
    study_files = _StudyFiles(manager.load_study(name), settings.output_dir)
    document = study_document(
        StudyReportInput(
            study_files.study, take_snapshot(study_files.study), study_files.files.metadata, study_files.files.numbers
        )
    )
    written = _write(document, report_folder(settings.output_dir, name))
    newest = " (the newest; --study-name selects another)" if settings.study_name is None else ""
    _print_lines("study", [f"{name}{newest}"])
    _print_lines("report", written)
    study_files.log_report(written)
    return written


def _report_several(settings: ReportSettings, manager: OptunaStudyManager) -> list[Path]:
    chosen = choose_several(settings.ensemble, known_studies(manager), manager.shown)
    items = []
    for label, name in chosen.items():
        study_files = _StudyFiles(manager.load_study(name), settings.output_dir)
        snapshot = take_snapshot(study_files.study)
        items.append(ComparedStudy(label, snapshot, study_files.files.metadata, study_files.files.predictions))
    # The same targets always use the same folder, so that a link to it shows the newest report.
    folder = report_folder(settings.output_dir, "_".join(["ensemble", *chosen]))
    written = _write(comparison_document(items), folder)
    _print_lines("studies", [name if name == label else f"{name} ({label})" for label, name in chosen.items()])
    _print_lines("report", written)
    return written


def _write(document: Document, folder: Path) -> list[Path]:
    return [write_html(document, folder / HTML_FILE), write_pdf(document, folder / PDF_FILE)]


class _StudyFiles:
    """A study and the files of its final model, from the output folder or from MLflow."""

    def __init__(self, study: optuna.Study, output_dir: Path) -> None:
        self.study = study
        self.output_dir = output_dir

    @cached_property
    def run(self) -> ParentRun | None:
        """The study's MLflow run; None if it has none, None and a warning if MLflow fails."""
        try:
            return find_parent_run(self.study.study_name, self.study.user_attrs)
        except TrackingError as error:  # boundary: the report does not need MLflow
            log.warning("%s; the report is not logged to MLflow", error)
            return None

    @cached_property
    def files(self) -> FinalModelFiles:
        """The final model's metadata, numbers and test predictions."""
        try:
            return find_model_files(self.study.study_name, self.output_dir, lambda: self.run)
        except TrackingError as error:  # boundary: the report does not need MLflow
            log.warning("%s; the report shows the search without a final model", error)
            return FinalModelFiles()

    def log_report(self, written: Sequence[Path]) -> None:
        """Adds the files to the study's run."""
        if self.run is None:
            return
        try:
            self.run.log_report(written)
        except TrackingError as error:  # boundary: the report does not need MLflow
            log.warning("%s; the report is written; the same command logs it to MLflow later", error)
        else:
            _print_lines("MLflow", [f"run {self.run.run_id}, folder {REPORT_FOLDER}"])


def _print_lines(what: str, lines: Sequence[object]) -> None:
    for i, line in enumerate(lines):
        sys.stdout.write(f"{'' if i else what:<9}{line}\n")
