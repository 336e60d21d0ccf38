"""A document → a PDF of A4 pages, all of it vectors, by matplotlib."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.disk import write_atomically
from src.reporting.blocks import Document
from src.reporting.pdf_layout import lay_out

SETTINGS = {
    "pdf.fonttype": 42, "font.family": ["DejaVu Sans"], "text.parse_math": False, "text.usetex": False,
    "path.simplify": True,
}  # fmt: skip
"""Fonts are embedded as TrueType, whose text can be searched; a dollar sign in a user's name is a dollar sign."""


def write_pdf(document: Document, path: Path) -> None:
    """Writes the report as a PDF, or leaves an earlier one as it was; equal documents give equal bytes.

    Args:
        document: what to write.
        path: the file; its folder is made.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages

    from src.reporting.pdf_drawing import draw_page

    about: Mapping[str, Any] = {
        "Title": " ".join(document.title.split()), "Subject": " ".join(document.subtitle.split()),
        "Creator": "daily-profit", "CreationDate": None,
    }  # fmt: skip
    content = io.BytesIO()
    with mpl.rc_context(_settings()), PdfPages(content, metadata=dict(about)) as pdf:
        for page in lay_out(document):
            pdf.savefig(draw_page(page))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def _settings() -> Any:
    """Matplotlib as it comes, whatever the user's own settings say, so that each machine writes the same pages."""
    import matplotlib as mpl

    defaults: Any = mpl.rcParamsDefault
    kept = {key: value for key, value in defaults.items() if not key.startswith(("backend", "date.epoch"))}
    return {**kept, **SETTINGS}
