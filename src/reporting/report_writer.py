"""A report on disk: the page and the PDF of one document, each whole or as it was before."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from src.reporting.document.blocks import Document

HTML_FILE, PDF_FILE = "report.html", "report.pdf"


def write_html(document: "Document", path: Path) -> Path:
    """Writes a report as one self-contained page, or leaves an earlier one as it was.

    Args:
        document: the report.
        path: the file to write; its folder is made.

    Returns:
        The same path.

    Raises:
        OSError: the file cannot be written.
    """
    # Here and not at the top: plotly takes longer to import than `--help` may take to answer.
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
    """`report.html` and `report.pdf` in a folder, which is made.

    Raises:
        OSError: a file cannot be written.
    """
    return [write_html(document, folder / HTML_FILE), write_pdf(document, folder / PDF_FILE)]
