"""A report as a sequence of chapters, each of blocks: what is said, not how it looks.

The HTML page and the PDF are two ways to write the same `Document`. Texts are plain; whoever writes escapes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from src.reporting.document.plot import Plot

Fact = tuple[str, str]


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells; None is an empty cell, floats are rounded by whoever writes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Paragraph:
    """Text; a `verdict` stands out, a `note` stands back."""

    text: str
    kind: Literal["plain", "note", "verdict"] = "plain"


@dataclass(frozen=True)
class Tiles:
    """The few numbers that a reader in a hurry wants: names and values."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class Facts:
    """Names and their values, one a line."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class TableBlock:
    """A table under an optional heading; on the page a sortable one is sorted by a click on a column's name."""

    table: Table
    title: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Figure:
    """A plot with what it shows in words; `key` is unique in the document."""

    key: str
    plot: Plot
    caption: str = ""
    title: str = ""


@dataclass(frozen=True)
class Grid:
    """Small figures beside each other, as many as there is room for."""

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
