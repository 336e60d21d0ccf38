"""A study's report, or that of several: study → numbers → figures → one HTML file that opens offline, and a PDF.

    python -m src.modeling.optuna_visualization --storage-dir artefacts/optuna_studies --study-name NAME
    python -m src.modeling.optuna_visualization --storage-dir artefacts/optuna_studies --ensemble net_profit num_trades

Any study of the store will do, also one that another process still works on. What is heavy is imported where it is
used, so that `--help` and a mistyped option answer at once.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import OneLineParser, add_flag, add_value, refuse_recorded_passwords, run_command
from src.config import RunSettings, SearchSettings
from src.modeling.report_writer import write_html, write_pdf

if TYPE_CHECKING:
    import optuna

    from src.reporting.blocks import Document
    from src.reporting.model_numbers import ModelNumbers


class OptunaVisualizer:
    """Writes the report of one study, whatever its objective, its state and its number of trials."""

    def __init__(
        self,
        study: "optuna.Study",
        metadata: Mapping[str, Any] | None = None,
        model: "ModelNumbers | None" = None,
    ) -> None:
        """Takes a study and, where a final model was trained, what is known of it.

        Args:
            study: of one objective; it may still be running, and may be empty.
            metadata: the final model's, as written beside it; without it the report describes the search alone.
            model: what was measured of the final model, for its own chapters.
        """
        self.study = study
        self.metadata = dict(metadata or {})
        self.model = model

    @cached_property
    def document(self) -> "Document":
        """The report, not yet written in any form; of the study as it was when this was first asked for.

        Raises:
            ConfigError: the study has several objectives.
        """
        from src.reporting.study_chapters import Material, study_document
        from src.reporting.study_numbers import take_snapshot

        return study_document(Material(self.study, take_snapshot(self.study), self.metadata, self.model))

    def to_html(self) -> str:
        """The report as one self-contained page; equal input gives equal text.

        Raises:
            ConfigError: the study has several objectives.
        """
        from src.reporting.html_page import page_html

        return page_html(self.document)

    def write_html(self, path: Path) -> Path:
        """Writes the page, or leaves an earlier one as it was.

        Args:
            path: the file to write; its folder is made.

        Returns:
            The same path.

        Raises:
            ConfigError: the study has several objectives.
            OSError: the file cannot be written.
        """
        return write_html(self.document, path)

    def write_pdf(self, path: Path) -> Path:
        """Writes the same chapters as a PDF; arguments, result and errors as those of `write_html`."""
        return write_pdf(self.document, path)


class _Names(argparse.Action):
    """Collects words, comma-separated too; empty ones are none, for `mlflow run`."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        names = [word.strip() for value in values for word in value.split(",") if word.strip()]
        setattr(namespace, self.dest, names)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m src.modeling.optuna_visualization",
        description="Writes the report of a study (the newest when none is named), or one of several studies.",
    )
    what = parser.add_argument_group("what")
    add_value(what, "--study-name", str, None, "the study")
    what.add_argument(
        "--ensemble", nargs="*", default=[], action=_Names, metavar="TARGET",
        help="several: each target's newest study; or names of studies, or TARGET=STUDY",
    )  # fmt: skip
    kept = parser.add_argument_group("where")
    add_value(kept, "--storage-url", str, None, "postgresql://… or sqlite:///…, else OPTUNA_POSTGRES_*, else:")
    add_value(kept, "--storage-dir", Path, SearchSettings.storage_dir, "folder of the embedded store")
    add_value(kept, "--output-dir", Path, RunSettings.output_dir, "folder of models and reports")
    add_flag(kept, "--verbose", "log what happens, with tracebacks")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)

    def command() -> int:
        from src.modeling.report_command import ReportSettings, report

        refuse_recorded_passwords(args)
        settings = ReportSettings(
            args.study_name, tuple(args.ensemble), args.storage_url, args.storage_dir, args.output_dir
        )
        report(settings)
        return 0

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
