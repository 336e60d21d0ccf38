"""Renders a document as a PDF of A4 pages, with typst and the template `report.typ`.

The template gets the document as JSON, so that no user's text is interpreted as markup, and the figures as SVG.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.disk import write_atomically
from src.reporting.document.blocks import Block, Document, Facts, Figure, Grid, Paragraph, Table, TableBlock, Tiles
from src.reporting.document.words import format_cell, is_number
from src.reporting.pdf.text import fitted, printable

log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_name("report.typ")
WIDTH = 499.28
"""Width of the text in points."""
SCREEN_WIDTH = 640
"""Width in CSS pixels that corresponds to `WIDTH`."""
LOWEST, HIGHEST = 80.0, 520.0
"""Limits of a figure's height in points: room for the labels of both axes; space on a page with headings."""
SHARE_OF_HEIGHT = {1: 0.85, 2: 0.8, 3: 0.68}
"""Share of the height on the screen, by number of figures side by side; lower figures leave less of a page empty."""
GUTTER = 16.0
MAX_ROWS = 100


def write_pdf(document: Document, path: Path) -> Path:
    """Writes the report as a PDF; a failed write leaves an earlier file unchanged; equal documents give equal bytes.

    Args:
        document: what to write.
        path: the file; its folder is created if missing.

    Returns:
        The same path.

    Raises:
        OSError: the file cannot be written.
        RuntimeError: typst cannot compile the template.
    """
    content = typeset(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path


def typeset(document: Document) -> bytes:
    """The PDF's bytes.

    The PDF has no accessibility tags, which would make the file three times as large; the HTML report is accessible.

    Raises:
        RuntimeError: typst cannot compile the template.
    """
    import matplotlib as mpl
    import typst

    files: Any = {"main.typ": TEMPLATE.read_bytes()}  # typst's stubs lack the dictionary that its documentation allows
    files["document.json"] = json.dumps(_document_data(document, files)).encode()
    own = [Path(mpl.get_data_path(), "fonts", "ttf")]
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=own)
    try:
        content, warnings = typst.compile_with_warnings(files, format="pdf", font_paths=fonts, pdf_tags=False)
    except BaseException as error:  # a panic in typst's Rust code is not an Exception
        if type(error).__name__ == "PanicException":
            raise RuntimeError(f"typst panicked: {error}") from error
        raise
    for warning in warnings:
        log.debug("typst: %s", warning)
    return content


def _document_data(document: Document, files: dict[str, bytes]) -> dict[str, Any]:
    """The data for the template; the figures' SVGs are added to `files`."""
    chapters = [
        {"title": printable(chapter.title), "blocks": [_block_data(block, files) for block in chapter.blocks]}
        for chapter in document.chapters
    ]
    return {
        "width": WIDTH,
        "title": printable(document.title),
        "running_title": fitted(document.title, WIDTH, 7.5),
        "subtitle": printable(document.subtitle),
        "chapters": chapters,
    }


def _block_data(block: Block, files: dict[str, bytes]) -> dict[str, Any]:
    if isinstance(block, Paragraph):
        return {"kind": "paragraph", "style": block.kind, "text": printable(block.text)}
    if isinstance(block, Tiles | Facts):
        facts = [(printable(name), printable(value)) for name, value in block.facts]
        return {"kind": "tiles" if isinstance(block, Tiles) else "facts", "facts": facts}
    if isinstance(block, TableBlock):
        return {"kind": "table", "title": printable(block.title), **_table_data(block.table)}
    return _figures_data(block.figures if isinstance(block, Grid) else [block], files)


def _table_data(table: Table) -> dict[str, Any]:
    """At most `MAX_ROWS` rows, and a note if rows are left out."""
    rows = table.rows[:MAX_ROWS]
    cut = f"The first {len(rows)} of {len(table.rows)} rows; the HTML report has all of them."
    known = [[row[i] for row in rows if row[i] is not None] for i in range(len(table.columns))]
    return {
        "columns": [printable(name) for name in table.columns],
        "numeric": [bool(values) and all(map(is_number, values)) for values in known],
        "rows": [[printable(format_cell(value)) for value in row] for row in rows],
        "note": cut if len(rows) < len(table.rows) else "",
    }


def _figures_data(figures: Sequence[Figure], files: dict[str, bytes]) -> dict[str, Any]:
    """Figures two or three in a row; a single figure takes the whole width."""
    from src.reporting.pdf.drawing import draw_svg

    columns = 1 if len(figures) == 1 else 2 if len(figures) <= 4 else 3
    width = (WIDTH - GUTTER * (columns - 1)) / columns
    scale = SHARE_OF_HEIGHT[columns] * WIDTH / SCREEN_WIDTH
    entries = []
    for start in range(0, len(figures), columns):
        row = figures[start : start + columns]
        height = max(LOWEST, min(HIGHEST, scale * max(figure.plot.height for figure in row)))
        for figure in row:
            name = f"figure-{len(files)}.svg"
            files[name] = draw_svg(figure.plot, width, height)
            entries.append({"file": name, "title": printable(figure.title), "caption": printable(figure.caption)})
    return {"kind": "figures", "columns": columns, "width": width, "gutter": GUTTER, "figures": entries}
