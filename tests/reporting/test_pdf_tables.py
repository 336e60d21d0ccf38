"""Tables on paper: every cell is there, columns do not touch, and what is left out is said."""

from itertools import pairwise

import pytest

from src.reporting.blocks import Table
from src.reporting.pdf_flow import LEFT, TOP, WIDTH, Flow, Item, Word
from src.reporting.pdf_tables import MAX_ROWS, least_height, write_table
from tests.reporting.demo_document import trial_table


def _pages(table: Table) -> list[list[Item]]:
    flow = Flow()
    write_table(flow, table)
    return flow.pages


def _words(pages: list[list[Item]]) -> list[Word]:
    return [item for page in pages for item in page if isinstance(item, Word)]


def _table(columns: int, rows: int = 5) -> Table:
    cells = tuple(tuple(f"{row}/{column}" for column in range(columns)) for row in range(rows))
    return Table(tuple(f"column_{i}" for i in range(columns)), cells)


@pytest.mark.parametrize("columns", [1, 3, 12, 20, 62])
def test_every_cell_is_written_within_the_page(columns: int) -> None:
    words = _words(_pages(_table(columns)))
    said = {word.text for word in words}
    assert {f"{row}/{column}" for row in range(5) for column in range(columns)} <= said
    assert all(word.ends[0] >= LEFT - 0.01 and word.ends[1] <= LEFT + WIDTH + 0.01 for word in words)


@pytest.mark.parametrize("table", [_table(12), _table(62), trial_table(100, 15)], ids=["12", "62", "trials"])
def test_words_of_a_line_do_not_touch(table: Table) -> None:
    for page in _pages(table):
        lines: dict[float, list[Word]] = {}
        for word in (item for item in page if isinstance(item, Word)):
            lines.setdefault(round(word.y, 2), []).append(word)
        for line in lines.values():
            ends = sorted(word.ends for word in line if word.text)
            assert all(a[1] < b[0] for a, b in pairwise(ends))


def test_each_part_of_a_wide_table_names_its_rows() -> None:
    words = [word.text for word in _words(_pages(_table(62)))]
    parts = words.count("0/0")
    assert 2 <= parts <= 6
    assert words.count("0/61") == 1


def test_a_long_table_is_cut_and_says_so() -> None:
    said = " ".join(word.text for word in _words(_pages(_table(3, 200))))
    assert f"{MAX_ROWS - 1}/0" in said
    assert f"{MAX_ROWS}/0" not in said
    assert f"The first {MAX_ROWS} of 200 rows; the HTML report has all of them." in said


def test_headings_are_repeated_overleaf() -> None:
    table = Table(("reason", "count"), tuple(("a long reason " * 30, i) for i in range(40)))
    pages = _pages(table)
    assert len(pages) > 1
    for page in pages:
        assert [item.text for item in page if isinstance(item, Word)][:2] == ["reason", "count"]


def test_numbers_stand_at_the_right_of_their_column() -> None:
    words = {word.text: word for word in _words(_pages(Table(("name", "value"), (("a", 1.5), ("b", 1200.25)))))}
    assert words["1.5"].ends[1] == words["1,200.2"].ends[1] == words["value"].ends[1]
    assert words["a"].ends[0] == words["name"].ends[0] == LEFT


def test_a_table_without_columns_or_rows_is_written() -> None:
    assert not _words(_pages(Table((), ())))
    assert [word.text for word in _words(_pages(Table(("only", "names"), ())))] == ["only", "names"]


def test_what_a_table_needs_at_least_are_its_headings_and_three_rows() -> None:
    flow = Flow()
    write_table(flow, _table(3, rows=3))
    assert least_height(_table(3, rows=30)) == pytest.approx(flow.y - TOP - 6, abs=0.1)
    assert least_height(Table((), ())) == 0.0
