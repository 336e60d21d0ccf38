"""Where things lie on the pages, before anything is drawn."""

from functools import cache
from itertools import combinations

import pytest

from src.reporting.blocks import Chapter, Document, Facts, Figure, Paragraph, Table, TableBlock
from src.reporting.pdf_flow import BOTTOM, LEFT, PAGE_HEIGHT, WIDTH, Drawing, Item, Word
from src.reporting.pdf_layout import lay_out
from tests.reporting.demo_document import WORDS, history
from tests.reporting.nasty_documents import documents

DOCUMENTS = documents()


@cache
def pages_of(name: str) -> list[list[Item]]:
    return lay_out(DOCUMENTS[name])


def texts(page: list[Item]) -> list[str]:
    return [item.text for item in page if isinstance(item, Word)]


def room_of(item: Item) -> tuple[float, float, float, float]:
    """Left, top, right and bottom; of a word between the tops of its letters and its base line."""
    if isinstance(item, Word):
        return (item.ends[0], item.y - 0.7 * item.font.size, item.ends[1], item.y)
    return item.x, item.y, item.x + item.width, item.y + item.height


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_lies_on_anything_or_over_the_edge(name: str) -> None:
    for page in pages_of(name):
        rooms = [room_of(item) for item in page if isinstance(item, Drawing) or (isinstance(item, Word) and item.text)]
        assert all(left >= LEFT - 0.01 and right <= LEFT + WIDTH + 0.01 for left, _, right, _ in rooms)
        assert all(top > 0 and bottom < PAGE_HEIGHT for _, top, _, bottom in rooms)
        for a, b in combinations(rooms, 2):
            assert min(a[2], b[2]) <= max(a[0], b[0]) + 0.01 or min(a[3], b[3]) <= max(a[1], b[1]) + 0.01


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_page_has_its_number_and_something_else(name: str) -> None:
    pages = pages_of(name)
    for number, page in enumerate(pages, start=1):
        assert texts(page)[-1] == f"{number} / {len(pages)}"
        content = [item for item in page if 45 < item.y < PAGE_HEIGHT - BOTTOM]
        assert content or name == "nothing"


def test_the_contents_name_the_page_of_every_chapter() -> None:
    pages, chapters = pages_of("demo"), DOCUMENTS["demo"].chapters
    first = texts(pages[0])
    first = first[first.index("Contents") + 1 :]
    entries = {title: int(first[i + 1]) for i, title in enumerate(first[:-1]) if first[i + 1].isdigit()}
    assert list(entries) == [chapter.title for chapter in chapters]
    for title, number in entries.items():
        assert title in texts(pages[number - 1])


def test_a_report_of_one_chapter_needs_no_contents() -> None:
    assert "Contents" not in texts(lay_out(Document("Study", "", [Chapter("a", "Alone", [])]))[0])


def test_a_heading_stands_with_what_follows_it() -> None:
    """However far down the page the chapter before it ends."""
    for lines in range(0, 60, 3):
        before = Chapter("before", "Before", [Paragraph("word")] * lines)
        after = Chapter("after", "After", [Paragraph("What it shows."), Figure("history", history(), "Caption.")])
        pages = lay_out(Document("Study", "", [Chapter("start", "Start", []), before, after]))
        holds = [page for page in pages if any(isinstance(item, Drawing) for item in page)]
        assert len(holds) == 1
        assert {"After", "What it shows.", "Caption."} <= set(texts(holds[0]))


def test_a_figure_is_made_lower_rather_than_moved_overleaf() -> None:
    figure = Figure("history", history(), "Caption.")
    pages = lay_out(
        Document("Study", "", [Chapter("start", "Start", [*[Paragraph(WORDS)] * 4, figure, figure, figure])])
    )
    drawings = [[item for item in page if isinstance(item, Drawing)] for page in pages]
    assert [len(found) for found in drawings] == [2, 1]
    heights = [item.height for found in drawings for item in found]
    assert heights[0] > heights[1] >= 0.6 * heights[0]


def test_a_heading_stands_with_the_first_rows_of_its_table() -> None:
    for lines in range(0, 60, 3):
        before = Chapter("before", "Before", [Paragraph("word")] * lines)
        after = Chapter(
            "after", "After", [Paragraph("The best."), TableBlock(Table(("n",), (("first",), ("second",))))]
        )
        pages = lay_out(Document("Study", "", [Chapter("start", "Start", []), before, after]))
        (holds,) = [page for page in pages if "After" in texts(page) and "The best." in texts(page)]
        assert "first" in texts(holds)


def test_the_contents_move_together_before_they_leave_the_title_page() -> None:
    chapters = [Chapter(f"c{i}", f"Chapter {i}", []) for i in range(18)]
    start = Chapter("start", "Start", [Facts([(f"fact {i}", "1") for i in range(24)])])
    assert "Contents" in texts(lay_out(Document("Study", "", [start, *chapters]))[0])
