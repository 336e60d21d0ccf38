"""A report as chapters made of blocks: the content, not the layout.

The HTML page and the PDF are rendered from the same `Document`. Texts are plain; the renderers escape them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from src.reporting.document.plot import Plot

Fact = tuple[str, str]


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells; None is an empty cell, the renderers round floats."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Paragraph:
    """Text; a `verdict` is emphasised, a `note` is set in grey."""

    text: str
    kind: Literal["plain", "note", "verdict"] = "plain"


@dataclass(frozen=True)
class Tiles:
    """The most important numbers at a glance: names and values."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class Facts:
    """Names and their values, one per line."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class TableBlock:
    """A table with an optional heading; in HTML, a click on a column's name sorts a sortable table."""

    table: Table
    title: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Figure:
    """A plot with title and caption; `key` is unique in the document."""

    key: str
    plot: Plot
    caption: str = ""
    title: str = ""


@dataclass(frozen=True)
class Grid:
    """Small figures side by side, as many as fit."""

    figures: Sequence[Figure]


Block = Paragraph | Tiles | Facts | TableBlock | Figure | Grid


@dataclass(frozen=True)
class Chapter:
    """One part of the report; `key` is its anchor."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    chapters: Sequence[Chapter]
