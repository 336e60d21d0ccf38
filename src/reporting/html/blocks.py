"""Renders blocks as HTML. Every text is escaped here, once."""

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from src.reporting.document.blocks import Block, Fact, Facts, Figure, Grid, Paragraph, Table, TableBlock, Tiles
from src.reporting.document.words import format_cell, is_number
from src.reporting.html.plotly_drawing import plotly_spec

ZOOM = "Drag over the figure to zoom in, double-click to zoom out."
SORT = "Click on a heading to sort."
LONG = 32
"""Cells with more characters may be wrapped."""
MANY_COLUMNS = 10
"""Tables with more columns use a smaller font."""


def block_html(block: Block) -> str:
    """One block as a fragment of the page."""
    if isinstance(block, Paragraph):
        return _paragraph(block)
    if isinstance(block, Tiles):
        return _tiles(block.facts)
    if isinstance(block, Facts):
        return _facts(block.facts)
    if isinstance(block, TableBlock):
        hint = f'<p class="note clicks">{SORT}</p>' if block.sortable else ""
        return _heading(block.title) + hint + _table(block.table, block.sortable)
    if isinstance(block, Grid):
        return f'<div class="grid">{"".join(map(_figure, block.figures))}</div>'
    return _figure(block)


def _heading(title: str) -> str:
    return f"<h3>{escape(title)}</h3>" if title else ""


def _paragraph(block: Paragraph) -> str:
    kind = "" if block.kind == "plain" else f' class="{block.kind}"'
    return f"<p{kind}>{escape(block.text)}</p>"


def _tiles(facts: Sequence[Fact]) -> str:
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="tiles">{cells}</dl>'


def _facts(facts: Sequence[Fact]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in facts)
    return f'<div class="wide"><table class="facts"><tbody>{rows}</tbody></table></div>'


def _table(table: Table, sortable: bool) -> str:
    """A table; a sortable one has a button in each heading."""
    head = "".join(_head(table, i, sortable) for i in range(len(table.columns)))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    names = ["sortable"] * sortable + ["many"] * (len(table.columns) > MANY_COLUMNS)
    kind = f' class="{" ".join(names)}"' if names else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(table: Table, column: int, sortable: bool) -> str:
    """A heading, aligned as the cells below it."""
    name = escape(table.columns[column])
    if sortable:
        name = f'<button type="button">{name}</button>'
    numeric = any(is_number(row[column]) for row in table.rows)
    kind = ' class="number"' if numeric else ""
    return f'<th scope="col"{kind}>{name}</th>'


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if not is_number(value):
        text = format_cell(value)
        kind = ' class="words"' if len(text) > LONG else ""
        return f"<td{kind}>{escape(text)}</td>"
    key = repr(float(value)) if math.isfinite(value) else ""
    return f'<td class="number" data-value="{key}">{escape(format_cell(value))}</td>'


def _figure(figure: Figure) -> str:
    """A figure with its heading and caption.

    Here are only the figure's data. It is drawn after the whole page is loaded, when the final width is known.
    """
    key, height = escape(figure.key), figure.plot.height
    place = f'<div class="plot" id="figure-{key}" style="height: {height}px"></div>'
    numbers = f'<script type="application/json">{_json(plotly_spec(figure.plot))}</script>'
    hint = f' <span class="mouse">{ZOOM}</span>' if figure.plot.zoom else ""
    caption = f"{escape(figure.caption)}{hint}".strip()
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f"<figure>{_heading(figure.title)}{place}{numbers}{below}</figure>"


def _json(value: Any) -> str:
    """JSON for a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
