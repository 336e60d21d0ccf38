"""Tables on paper: columns as wide as what is in them, and parts where all columns together are wider than a page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from src.reporting.blocks import Table
from src.reporting.pdf_flow import BODY, GRID, LEFT, SOFT, WIDTH, Box, Flow, Font, Word
from src.reporting.pdf_text import BREAK_AFTER, ELLIPSIS, printable, text_width, wrapped
from src.reporting.words import format_cell, is_number

MAX_ROWS = 40
MAX_LINES = 6
"""Of one cell."""
GAP = 7.0
SIZES = (8.0, 7.0, 6.0, 5.5)
COMFORTABLE = 120.0
"""Words are wrapped in columns as wide as this before they are written smaller."""
NARROWEST = 70.0
"""A column of words is not made narrower than this to fit beside the others."""
NOTE = Font(7.5, color=SOFT)


@dataclass(frozen=True)
class Column:
    """One column as it is printed: its width in points, its heading and its cells."""

    name: str
    cells: tuple[str, ...]
    numeric: bool
    width: float = 0.0


def write_table(flow: Flow, table: Table) -> None:
    """Writes a table of at most `MAX_ROWS` rows, and says how many there are."""
    rows = table.rows[:MAX_ROWS]
    columns = [_column(name, [row[i] for row in rows]) for i, name in enumerate(table.columns)]
    if not columns:
        return
    size, parts = _fit(columns)
    for part in parts:
        _write_part(flow, part, size)
        flow.space(6)
    if len(rows) < len(table.rows):
        flow.text(f"The first {len(rows)} of {len(table.rows)} rows; the HTML report has all of them.", NOTE)


def least_height(table: Table) -> float:
    """What a table needs on the page that it begins on: its headings and its first rows."""
    rows = table.rows[:MAX_ROWS]
    columns = [_column(name, [row[i] for row in rows]) for i, name in enumerate(table.columns)]
    if not columns:
        return 0.0
    size, parts = _fit(columns)
    return _measure(parts[0], size).least


def _column(name: str, values: Sequence[object]) -> Column:
    known = [value for value in values if value is not None]
    numeric = bool(known) and all(map(is_number, known))
    return Column(printable(name), tuple(printable(format_cell(value)) for value in values), numeric)


def _fit(columns: Sequence[Column]) -> tuple[float, list[list[Column]]]:
    """The largest size at which all columns stand beside each other; several parts where even the smallest fails."""
    large, small = SIZES[:2], SIZES[2:]
    tried = [(size, WIDTH) for size in large]
    tried += [(large[-1], float(most)) for most in range(int(WIDTH), int(COMFORTABLE), -10)]
    tried += [(size, WIDTH) for size in small]
    tried += [(small[0], float(most)) for most in range(int(COMFORTABLE), int(NARROWEST), -10)]
    for size, most in tried:
        sized = [_sized(column, size, most) for column in columns]
        if _total(sized) <= WIDTH:
            return size, [sized]
    return large[-1], _parts([_sized(column, large[-1], WIDTH / 3) for column in columns])


def _sized(column: Column, size: float, most: float) -> Column:
    """A column as wide as its widest cell, words no wider than `most`, and as the longest piece of its heading."""
    cells = max((text_width(cell, size) for cell in column.cells), default=0.0)
    head = max(text_width(piece, size, True) for piece in _pieces(column.name))
    third = text_width(column.name, size, True) / 3
    width = max(cells if column.numeric else min(cells, most), min(max(head, third), most))
    return Column(column.name, column.cells, column.numeric, min(width, WIDTH) + 0.1)


def _pieces(name: str) -> list[str]:
    """Where a heading may break."""
    pieces = [""]
    for character in name:
        pieces[-1] += character
        if character in BREAK_AFTER or character == " ":
            pieces.append("")
    return [piece.rstrip() for piece in pieces]


def _total(columns: Sequence[Column]) -> float:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _parts(columns: Sequence[Column]) -> list[list[Column]]:
    """Columns in as few parts as it takes, about equally wide, each led by the first column, which names the row."""
    first, others = columns[0], columns[1:]
    room = WIDTH - first.width - GAP
    even = _total(others) / max(1, math.ceil(_total(others) / room)) + NARROWEST / 2
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and _total([*parts[-1][1:], column]) > min(room, even):
            parts.append([first])
        parts[-1].append(column)
    half = (WIDTH - GAP) / 2  # for two columns that are too wide together
    return [
        part if _total(part) <= WIDTH else [replace(column, width=min(column.width, half)) for column in part]
        for part in parts
    ]


def _write_part(flow: Flow, columns: Sequence[Column], size: float) -> None:
    """Rows under their headings, which are repeated on each page."""
    head, body = _fonts(size)
    found = _measure(columns, size)
    flow.need(found.least)
    _write_row(flow, columns, found.heads, head)
    for cells, height in zip(found.rows, found.heights, strict=True):
        if flow.room < height:
            flow.turn()
            _write_row(flow, columns, found.heads, head)
        _write_row(flow, columns, cells, body)


@dataclass(frozen=True)
class _Measured:
    """A part's headings and cells in lines, the height of each row, and what its beginning needs on one page."""

    heads: list[list[str]]
    rows: list[list[list[str]]]
    heights: list[float]
    least: float


def _fonts(size: float) -> tuple[Font, Font]:
    """Of headings and of cells."""
    return Font(size, bold=True, color=SOFT, leading=1.2), Font(size, leading=1.2)


def _measure(columns: Sequence[Column], size: float) -> _Measured:
    head, body = _fonts(size)
    heads = [wrapped(column.name, column.width, size, bold=True) for column in columns]
    rows = [[_cell_lines(column, row, size) for column in columns] for row in range(len(columns[0].cells))]
    heights = [body.line * max(map(len, cells)) + 3 for cells in rows]
    return _Measured(heads, rows, heights, min(head.line * max(map(len, heads)) + 5 + sum(heights[:3]), BODY))


def _cell_lines(column: Column, row: int, size: float) -> list[str]:
    lines = wrapped(column.cells[row], column.width, size)
    if len(lines) <= MAX_LINES:
        return lines
    return [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1][:-1] + ELLIPSIS]


def _write_row(flow: Flow, columns: Sequence[Column], cells: Sequence[Sequence[str]], font: Font) -> None:
    """One row; headings stand at its foot, beside each other, cells at its head."""
    x, top, most = LEFT, flow.y, max(map(len, cells))
    for column, lines in zip(columns, cells, strict=True):
        first = most - len(lines) if font.bold else 0
        for i, line in enumerate(lines, start=first):
            y = top + 2 + font.size + i * font.line
            at = x + column.width if column.numeric else x
            flow.put(Word(at, y, line, font, "right" if column.numeric else "left"))
        x += column.width + GAP
    flow.y = top + font.line * most + (5 if font.bold else 3)
    flow.put(Box(LEFT, flow.y - 1, x - GAP - LEFT, 0.5, GRID))
