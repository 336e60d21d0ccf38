"""A study's report: study → numbers → figures → one HTML file that opens offline."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


class OptunaVisualizer:
    """Writes the report of one study, whatever its objective, its state and its number of trials."""

    def __init__(self, study: "optuna.Study", metadata: Mapping[str, Any] | None = None) -> None:
        """Takes a study and, where a final model was trained, its metadata.

        Args:
            study: of one objective; it may still be running, and may be empty.
            metadata: the final model's, as written beside it; without it the report describes the search alone.
        """
        self.study = study
        self.metadata = dict(metadata or {})

    def write_html(self, path: Path) -> Path:
        """Writes the report as one self-contained file, or leaves an earlier one as it was.

        Args:
            path: the file to write; its folder is made.

        Returns:
            The same path.

        Raises:
            ConfigError: the study has several objectives.
            OSError: the file cannot be written.
        """
        text = self.to_html()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def to_html(self) -> str:
        """The report as text; equal input gives equal text.

        Raises:
            ConfigError: the study has several objectives.
        """
        # Here and not at the top: plotly takes longer to import than `--help` may take to answer.
        from src.reporting.html_page import page_html
        from src.reporting.study_chapters import Material, all_chapters
        from src.reporting.study_numbers import take_snapshot

        snapshot = take_snapshot(self.study)
        chapters = all_chapters(Material(self.study, snapshot, self.metadata))
        target = self.metadata.get("target")
        subtitle = f"Search and judgement of a model of {target}" if target else "A search by Optuna"
        return page_html(f"Study {snapshot.name}", subtitle, chapters)
