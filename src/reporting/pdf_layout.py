"""A document → pages: the title page with the summary and the contents, then the other chapters one after another."""

from collections.abc import Sequence

from src.reporting.blocks import Chapter, Document
from src.reporting.pdf_blocks import least_height, write_block
from src.reporting.pdf_flow import (
    BODY,
    GRID,
    LEFT,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    SOFT,
    TOP,
    WIDTH,
    Box,
    Flow,
    Font,
    Item,
    Word,
)
from src.reporting.pdf_text import fitted, wrapped

TITLE, SUBTITLE, CHAPTER = Font(20, bold=True, leading=1.2), Font(10.5, color=SOFT), Font(14, bold=True)
ENTRY, EDGE = Font(9.5, leading=1.6), Font(7.5, color=SOFT)
MAX_TITLE_LINES = 6
CLOSEST = 1.25
"""Least distance between two lines of the contents, in their size."""


def lay_out(document: Document) -> list[list[Item]]:
    """The things on each page; equal documents give equal pages."""
    flow = Flow()
    title = wrapped(document.title, WIDTH, TITLE.size, bold=True)
    flow.lines(title[:MAX_TITLE_LINES], TITLE)
    flow.space(4)
    flow.text(document.subtitle, SUBTITLE)
    begins: list[int] = []
    entries: list[tuple[int, float]] = []
    for i, chapter in enumerate(document.chapters):
        begins.append(_write_chapter(flow, chapter))
        if i == 0:
            entries = _make_room(flow, len(document.chapters))
    _write_contents(flow.pages, document.chapters, begins, entries)
    _write_edges(flow.pages, document.title)
    return flow.pages


def _write_chapter(flow: Flow, chapter: Chapter) -> int:
    """Writes a chapter; returns the place of the page on which it begins."""
    heading = wrapped(chapter.title, WIDTH, CHAPTER.size, bold=True)
    least = least_height(chapter.blocks)
    flow.space(20)
    flow.need(min(len(heading) * CHAPTER.line + 10 + least, BODY))
    if flow.y > TOP:
        flow.put(Box(LEFT, flow.y, WIDTH, 0.8, GRID))
        flow.y += 6
    begins = len(flow.pages) - 1
    flow.lines(heading, CHAPTER)
    for block in chapter.blocks:
        write_block(flow, block)
    return begins


def _make_room(flow: Flow, count: int) -> list[tuple[int, float]]:
    """Leaves a line for each chapter: its page's place and its base line; then the other chapters' page begins."""
    if count < 2:
        return []
    flow.space(18)
    # Lines move closer together before the contents leave the title page half empty.
    room = (flow.room - CHAPTER.line - 6) / count
    line = min(ENTRY.line, room) if room >= CLOSEST * ENTRY.size else ENTRY.line
    flow.need(min(CHAPTER.line + 6 + count * line, BODY / 2))
    flow.text("Contents", CHAPTER)
    entries = []
    for _ in range(count):
        flow.need(line)
        entries.append((len(flow.pages) - 1, flow.y + ENTRY.size))
        flow.put(Box(LEFT, flow.y + line - 2, WIDTH, 0.3, GRID))
        flow.y += line
    if len(flow.pages) == 1 and flow.y > TOP + BODY / 2:
        flow.turn()
    return entries


def _write_contents(
    pages: list[list[Item]], chapters: Sequence[Chapter], begins: Sequence[int], entries: Sequence[tuple[int, float]]
) -> None:
    for chapter, begin, (page, y) in zip(chapters, begins, entries, strict=False):
        title = fitted(chapter.title, WIDTH - 40, ENTRY.size)
        number = Word(LEFT + WIDTH, y, str(begin + 1), ENTRY, "right")
        pages[page] += [Word(LEFT, y, title, ENTRY), number]


def _write_edges(pages: list[list[Item]], title: str) -> None:
    """The title above every page but the first, and the page's number below each."""
    short = fitted(title, WIDTH, EDGE.size)
    for number, page in enumerate(pages, start=1):
        if number > 1:
            page += [Word(LEFT, 34, short, EDGE), Box(LEFT, 39, WIDTH, 0.4, GRID)]
        page.append(Word(PAGE_WIDTH - LEFT, PAGE_HEIGHT - 28, f"{number} / {len(pages)}", EDGE, "right"))
