"""Writes the report of one study or of several studies: study → numbers → figures → one offline HTML file and a PDF.

    python -m src.modeling.optuna_visualization --storage-dir artefacts/optuna_studies --study-name NAME
    python -m src.modeling.optuna_visualization --storage-dir artefacts/optuna_studies --ensemble net_profit num_trades

Any study of the store can be reported, also one that is still running. Heavy packages are imported where they are used,
so that `--help` and a mistyped option answer at once.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import command_parser, refuse_recorded_passwords, run_command

if TYPE_CHECKING:
    import optuna

    from src.reporting.document.blocks import Document
    from src.reporting.model.numbers import ModelNumbers


class OptunaVisualizer:
    """Writes the report of one study, whatever its objective, its state and its number of trials."""

    def __init__(
        self,
        study: "optuna.Study",
        metadata: Mapping[str, Any] | None = None,
        model: "ModelNumbers | None" = None,
    ) -> None:
        """Takes a study and, if a final model was trained, its metadata and measurements.

        Args:
            study: a study with one objective; it may still be running or be empty.
            metadata: the final model's metadata file; without it the report describes the search alone.
            model: measurements of the final model, for its own chapters.
        """
        self.study = study
        self.metadata = dict(metadata or {})
        self.model = model

    @cached_property
    def document(self) -> "Document":
        """The report before it is rendered; it shows the study at the first access to this property.

        Raises:
            ConfigError: the study has several objectives.
        """
        from src.reporting.study.chapters import StudyReportInput, study_document
        from src.reporting.study.numbers import take_snapshot

        return study_document(StudyReportInput(self.study, take_snapshot(self.study), self.metadata, self.model))

    def to_html(self) -> str:
        """The report as one self-contained HTML page; equal input gives equal text.

        Raises:
            ConfigError: the study has several objectives.
        """
        from src.reporting.html.page import page_html

        return page_html(self.document)

    def write_html(self, path: Path) -> Path:
        """Writes the page; if that fails, an earlier file is unchanged.

        Args:
            path: the file to write; its folder is created.

        Returns:
            The same path.

        Raises:
            ConfigError: the study has several objectives.
            OSError: the file cannot be written.
        """
        from src.reporting.html.page import write_html

        return write_html(self.document, path)

    def write_pdf(self, path: Path) -> Path:
        """Writes the same chapters as a PDF; arguments, result and errors as for `write_html`."""
        from src.reporting.pdf.pages import write_pdf

        return write_pdf(self.document, path)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "report", "Writes the report of a study (the newest when none is named), or one of several studies."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)

    def command() -> int:
        from src.reporting.report_command import ReportSettings, report

        refuse_recorded_passwords(args)
        settings = ReportSettings(
            args.study_name, tuple(args.ensemble), args.storage_url, args.storage_dir, args.output_dir
        )
        report(settings)
        return 0

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
