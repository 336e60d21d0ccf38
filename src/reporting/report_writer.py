"""Writes a document as HTML and PDF; a failed write leaves an earlier file unchanged."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from src.reporting.document.blocks import Document

HTML_FILE, PDF_FILE = "report.html", "report.pdf"


def write_html(document: "Document", path: Path) -> Path:
    """Writes a report as one self-contained HTML page; a failed write leaves an earlier file unchanged.

    Args:
        document: the report.
        path: the file to write; its folder is created if missing.

    Returns:
        The same path.

    Raises:
        OSError: the file cannot be written.
    """
    # Imported here, not at the top: plotly is slow to import, and `--help` must be fast.
    from src.disk import write_atomically
    from src.reporting.html.page import page_html

    text = page_html(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path


def write_pdf(document: "Document", path: Path) -> Path:
    """Writes the same chapters as a PDF; arguments, result and errors as those of `write_html`."""
    from src.reporting.pdf.pages import write_pdf as write

    path.parent.mkdir(parents=True, exist_ok=True)
    write(document, path)
    return path


def write_both(document: "Document", folder: Path) -> list[Path]:
    """Writes `report.html` and `report.pdf` into a folder, which is created if missing.

    Raises:
        OSError: a file cannot be written.
    """
    return [write_html(document, folder / HTML_FILE), write_pdf(document, folder / PDF_FILE)]
