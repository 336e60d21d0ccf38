"""Blocks of a document → things on pages, none above another."""

import math
from collections.abc import Sequence

from src.reporting.blocks import Block, Fact, Facts, Figure, Grid, Paragraph, TableBlock, Tiles
from src.reporting.pdf_flow import ACCENT, BODY, GRID, LEFT, RAISED, SOFT, WIDTH, Box, Drawing, Flow, Font, Word
from src.reporting.pdf_tables import least_height as least_table_height
from src.reporting.pdf_tables import write_table
from src.reporting.pdf_text import text_width, wrapped

PLAIN, NOTE, HEADING = Font(9.5), Font(8.5, color=SOFT), Font(10, bold=True)
CAPTION, CELL_TITLE = Font(7.5, color=SOFT), Font(8.5, bold=True)
FACT_NAME, FACT = Font(8, color=SOFT, leading=1.25), Font(8, leading=1.25)
TILE_NAME, TILE = Font(7.5, color=SOFT), Font(13, bold=True)
SCREEN_WIDTH = 640
"""CSS pixels that are as wide as the page."""
LEAST = 0.62
"""A figure is made so much lower at most to fit on the page that has begun."""
LOWEST = 110.0
"""Points: less would not hold the labels of both axes."""
GUTTER = 16.0
TILES_PER_ROW = 5


def write_block(flow: Flow, block: Block) -> None:
    """Writes one block where the page has got to."""
    flow.space(8)
    if isinstance(block, Paragraph):
        _paragraph(flow, block)
    elif isinstance(block, Tiles):
        _tiles(flow, block.facts)
    elif isinstance(block, Facts):
        _facts(flow, block.facts)
    elif isinstance(block, TableBlock):
        flow.need(_least_of_table(block))
        if block.title:
            flow.text(block.title, HEADING)
        write_table(flow, block.table)
    elif isinstance(block, Grid):
        _grid(flow, block.figures)
    else:
        _figures(flow, [block], WIDTH, 1.0)


def least_height(blocks: Sequence[Block]) -> float:
    """How much of what follows a heading has to stand on its page: words, and what they are said about."""
    height = 0.0
    for block in blocks:
        if isinstance(block, Paragraph):
            font = NOTE if block.kind == "note" else PLAIN
            height += len(wrapped(block.text, WIDTH, font.size)) * font.line + 8
        elif isinstance(block, Figure):
            return height + _least([block], WIDTH, 1.0)
        elif isinstance(block, Grid) and block.figures:
            count, width, scale = _columns(len(block.figures))
            return height + _least(block.figures[:count], width, scale)
        elif isinstance(block, TableBlock):
            return height + _least_of_table(block) + 8
        else:
            return height + 50
    return height


def _least_of_table(block: TableBlock) -> float:
    """A table's heading stays with its first rows."""
    return min(least_table_height(block.table) + (HEADING.line if block.title else 0.0), BODY / 2)


def _least(row: Sequence[Figure], width: float, scale: float) -> float:
    head, foot = _words_height(row, width)
    return head + max(map(_height, row)) * scale * LEAST + foot + 8


def _height(figure: Figure) -> float:
    return max(figure.plot.height * WIDTH / SCREEN_WIDTH, LOWEST)


def _paragraph(flow: Flow, block: Paragraph) -> None:
    if block.kind == "verdict":
        _verdict(flow, block.text)
    else:
        flow.text(block.text, NOTE if block.kind == "note" else PLAIN)


def _verdict(flow: Flow, text: str) -> None:
    """Lines on a tinted ground with a coloured edge, on each page that they take."""
    lines = wrapped(text, WIDTH - 24, PLAIN.size)
    while lines:
        flow.need(2 * PLAIN.line + 14)
        count = max(1, int((flow.room - 14) / PLAIN.line))
        part, lines = lines[:count], lines[count:]
        height = len(part) * PLAIN.line + 12
        flow.put(Box(LEFT, flow.y, WIDTH, height, RAISED), Box(LEFT, flow.y, 3, height, ACCENT))
        flow.y += 5
        flow.lines(part, PLAIN, indent=14)
        flow.y += 7


def _tiles(flow: Flow, facts: Sequence[Fact]) -> None:
    rows = math.ceil(len(facts) / TILES_PER_ROW)
    for start in range(0, len(facts), count := math.ceil(len(facts) / rows) if rows else 1):
        row = facts[start : start + count]
        width = (WIDTH - 8 * (count - 1)) / count
        names = [wrapped(name, width - 14, TILE_NAME.size)[:3] for name, _ in row]
        values = [_value_lines(value, width - 14) for _, value in row]
        name_lines = max(map(len, names))
        height = 14 + name_lines * TILE_NAME.line + max(len(lines) * font.line for lines, font in values)
        flow.need(height + 8)
        for i, (name, (value, font)) in enumerate(zip(names, values, strict=True)):
            x = LEFT + i * (width + 8)
            flow.put(Box(x, flow.y, width, height, RAISED))
            _stack(flow, x + 7, flow.y + 5, name, TILE_NAME)
            _stack(flow, x + 7, flow.y + 7 + name_lines * TILE_NAME.line, value, font)
        flow.y += height + 8


def _value_lines(value: str, width: float) -> tuple[list[str], Font]:
    """A tile's value as large as it may be on one line, or small on a few."""
    for size in (TILE.size, 11.0, 9.0):
        lines = wrapped(value, width, size, bold=True)
        if len(lines) == 1:
            break
    return lines[:4], Font(size, bold=True)


def _stack(flow: Flow, x: float, top: float, lines: Sequence[str], font: Font) -> None:
    for i, line in enumerate(lines):
        flow.put(Word(x, top + font.size + i * font.line, line, font))


def _facts(flow: Flow, facts: Sequence[Fact]) -> None:
    widest = max((text_width(name, FACT_NAME.size) for name, _ in facts), default=0.0)
    names = min(widest + 0.1, WIDTH * 0.35)
    for name, value in facts:
        left = wrapped(name, names, FACT_NAME.size)
        right = wrapped(value, WIDTH - names - 14, FACT.size)
        for start in range(0, max(len(left), len(right)), 40):  # a page holds some more than 40 lines of a fact
            a, b = left[start : start + 40], right[start : start + 40]
            height = max(len(a), len(b)) * FACT.line + 4
            flow.need(height)
            _stack(flow, LEFT, flow.y + 1, a, FACT_NAME)
            _stack(flow, LEFT + names + 14, flow.y + 1, b, FACT)
            flow.y += height
            flow.put(Box(LEFT, flow.y - 1, WIDTH, 0.5, GRID))


def _columns(count: int) -> tuple[int, float, float]:
    """How many of so many figures stand beside each other, their width, and their height's share of a large one's."""
    columns = 1 if count == 1 else 2 if count <= 4 else 3
    return columns, (WIDTH - GUTTER * (columns - 1)) / columns, {1: 1.0, 2: 0.9, 3: 0.72}[columns]


def _grid(flow: Flow, figures: Sequence[Figure]) -> None:
    """Two or three beside each other; a single one takes the whole width."""
    columns, width, scale = _columns(len(figures))
    for start in range(0, len(figures), columns):
        _figures(flow, figures[start : start + columns], width, scale)
        flow.space(4)


def _titles(figure: Figure, width: float) -> list[str]:
    return wrapped(figure.title, width, CELL_TITLE.size, bold=True)[:2] if figure.title else []


def _captions(figure: Figure, width: float) -> list[str]:
    return wrapped(figure.caption, width, CAPTION.size) if figure.caption else []


def _words_height(row: Sequence[Figure], width: float) -> tuple[float, float]:
    """The heights of the highest heading and the longest caption of figures beside each other."""
    head = max(len(_titles(figure, width)) for figure in row) * CELL_TITLE.line
    return head, max(len(_captions(figure, width)) for figure in row) * CAPTION.line + 4


def _figures(flow: Flow, row: Sequence[Figure], width: float, scale: float) -> None:
    """Figures beside each other, with their headings above and their captions below, on one page."""
    head, foot = _words_height(row, width)
    foot = min(foot, BODY / 3)  # a longer caption goes on overleaf, or is cut where figures are beside each other
    whole = min(max(map(_height, row)) * scale, BODY - head - foot)
    flow.need(min(head + whole * LEAST + foot, BODY))
    height = max(min(whole, flow.room - head - foot), whole * LEAST)
    for i, figure in enumerate(row):
        x = LEFT + i * (width + GUTTER)
        _stack(flow, x, flow.y, _titles(figure, width), CELL_TITLE)
        flow.put(Drawing(x, flow.y + head, width, height, figure.plot))
    flow.y += head + height + 4
    if len(row) == 1:
        flow.lines(_captions(row[0], width), CAPTION)
        return
    for i, figure in enumerate(row):
        most = int((foot - 4) / CAPTION.line + 0.01)
        _stack(flow, LEFT + i * (width + GUTTER), flow.y, _captions(figure, width)[:most], CAPTION)
    flow.y += foot - 4
