"""The PDF as a file, read back by PDFium."""

import logging
import os
import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pytest
import typst
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypdfium2 import raw

from src.reporting.document.blocks import (
    Block,
    Chapter,
    Document,
    Facts,
    Figure,
    Grid,
    Paragraph,
    Table,
    TableBlock,
    Tiles,
)
from src.reporting.document.plot import Axis, Plot
from src.reporting.pdf import pages as pdf_pages
from src.reporting.pdf.pages import MAX_ROWS, WIDTH, typeset, write_pdf
from src.reporting.pdf.text import printable
from tests.reporting.demo_document import demo, history
from tests.reporting.nasty_documents import FOREIGN, documents
from tests.reporting.pdf_reader import PageText, Piece, read_bookmarks, read_links, read_pages, read_parts

pytestmark = pytest.mark.slow

DOCUMENTS = documents()
SHORT = Document("Study", "A search", [Chapter("one", "One", [])])
LEFT = (595.28 - WIDTH) / 2
MARKUP = (
    "#panic() #{1+1} $x^2$ *a* _b_ `c` <d> @e \\f // g /* h */ = i - j + k / l: ~ -- ... 'm' \"n\" https://o.p/q [r]"
)


def pages_of(tmp_path: Path, *blocks: Block, title: str = "Study") -> list[PageText]:
    return pages_of_document(tmp_path, Document(title, "A search", [Chapter("one", "One", blocks)]))


def pages_of_document(tmp_path: Path, document: Document) -> list[PageText]:
    write_pdf(document, tmp_path / "report.pdf")
    return read_pages(tmp_path / "report.pdf")


def body(page: PageText) -> list[Piece]:
    """What stands between the running title and the number of the page."""
    return [piece for piece in page.pieces if 45 < piece.box[1] < 800]


def message(pages: list[PageText]) -> str:
    """All texts without a space, as lines break where they do."""
    return re.sub(r"\s", "", "".join(page.text for page in pages))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_text_stands_on_text_or_over_the_margin(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "src.reporting")
    pages = pages_of_document(tmp_path / "reports", DOCUMENTS[name])
    assert not caplog.records, "typst warns where the pages do not settle"
    assert [page.overlaps for page in pages] == [[]] * len(pages)
    assert [page.outside for page in pages] == [[]] * len(pages)
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page.text
        assert body(page) or name == "nothing"
        assert all(p.box[0] > LEFT - 1 and p.box[2] < LEFT + WIDTH + 1 for p in page.pieces), "within the margins"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reports") / "report.pdf"
    write_pdf(demo(), path)
    return path


def test_the_contents_lead_to_every_chapter(report: Path) -> None:
    pages, links = read_pages(report), read_links(report)
    titles = [chapter.title for chapter in demo().chapters]
    assert [text for text, _ in links] == [
        f"{title} {number}" for title, (_, number) in zip(titles, links, strict=True)
    ]
    for title, (_, number) in zip(titles, links, strict=True):
        assert title in pages[number - 1].text


def test_bookmarks_lead_to_chapters_and_tables(report: Path) -> None:
    pages, marks = read_pages(report), read_bookmarks(report)
    assert [title for level, title, _ in marks if level == 0] == [chapter.title for chapter in demo().chapters]
    assert [title for level, title, _ in marks if level == 1] == ["Best trials"]
    assert all(title in pages[number - 1].text for _, title, number in marks)


def test_a_report_of_one_chapter_needs_no_contents(tmp_path: Path) -> None:
    write_pdf(SHORT, tmp_path / "report.pdf")
    assert "Contents" not in read_pages(tmp_path / "report.pdf")[0].text
    assert not read_links(tmp_path / "report.pdf")


def test_every_page_but_the_first_has_the_title_above_it(report: Path) -> None:
    for number, page in enumerate(read_pages(report)):
        above = [piece.text for piece in page.pieces if piece.box[1] > 800]
        assert above == ([demo().title] if number else [])


def test_every_name_of_a_plot_is_text(report: Path) -> None:
    text = " ".join(page.text for page in read_pages(report))
    for name in ("pruned (last reported)", "account_mean", "decile of the prediction", "boosting_type", "lambda_l1"):
        assert name in text


def test_everything_is_vectors_and_fonts_are_within(report: Path) -> None:
    parts = read_parts(report)
    assert raw.FPDF_PAGEOBJ_IMAGE not in parts.kinds
    assert parts.fonts == {"DejaVuSans": True, "DejaVuSans-Bold": True}
    assert all(page.size == pytest.approx((595.28, 841.89), abs=0.1) for page in read_pages(report))


def test_equal_documents_give_equal_bytes(report: Path) -> None:
    assert typeset(demo()) == report.read_bytes()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    write_pdf(Document(FOREIGN, "A search", []), tmp_path / "report.pdf")
    document = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    about = document.get_metadata_dict()
    document.close()
    assert "Gewinn je Tag: прибыль" in about["Title"]
    assert about["Subject"] == "A search"
    assert not about["CreationDate"]
    assert b"/Lang(en)" in (tmp_path / "report.pdf").read_bytes()


TEXT = st.text(
    st.one_of(
        st.sampled_from("#$@*_`\\<>[]{}()/~'\"-=+%&;:.,!? "),
        st.characters(min_codepoint=33, max_codepoint=0x24F, categories=("L", "N", "P", "S")),
        st.sampled_from("αβγ ЖжЯ \N{MINUS SIGN}…“” €"),
    ),
    max_size=60,
)


def everywhere(texts: list[str]) -> Document:
    """Six texts in every place for a text but the marks of a plot."""
    a, b, c, d, e, f = texts
    figures = [Figure("x", Plot(Axis(), Axis(), []), c, d)]
    table = TableBlock(Table((e, f), ((a, b), (c, d), (None, 1.5))), a)
    words = [Paragraph(a), Paragraph(b, "note"), Paragraph(c, "verdict")]
    blocks: list[Block] = [*words, Tiles([(d, e), (f, a)]), Facts([(b, c), (d, e)]), table, *figures]
    return Document(f, e, [Chapter("one", f, blocks)])


@settings(max_examples=15)
@example([MARKUP[:60], MARKUP[60:], "{{x}} %x% \\u{41} \\n", "]#pagebreak()[", '"; panic("', "<a@b.c> #text"])
@given(st.lists(TEXT, min_size=6, max_size=6))
def test_any_text_is_the_same_selectable_text(texts: list[str]) -> None:
    document = pypdfium2.PdfDocument(typeset(everywhere(texts)))
    found = re.sub(r"\s", "", "".join(page.get_textpage().get_text_range() for page in document))
    document.close()
    for text in texts:
        assert found.count(re.sub(r"\s", "", printable(text))) >= 3


@settings(max_examples=15)
@example(["\ud800", "\x00\u200b\ufeff", "\u0301\u0308", "שלום العربية", "👩‍👩‍👧 \N{NO-BREAK SPACE}", "\u2028\u202e"])
@given(st.lists(st.text(max_size=200), min_size=6, max_size=6))
def test_whatever_the_characters_there_are_pages(texts: list[str]) -> None:
    assert typeset(everywhere(texts)).startswith(b"%PDF")


def test_a_long_word_wraps_and_stays_whole(tmp_path: Path) -> None:
    words = ["W" * 300, "min_child_samples_" * 20, "/".join(["folder"] * 50)]
    for word in words:
        blocks: list[Block] = [
            Paragraph(word), Paragraph(word, "verdict"), Facts([(word, word)]), Tiles([(word, word), ("a", "1")]),
            TableBlock(Table(("name", word, "value"), (("a", word, 1.0), ("b", None, 2.0))), word),
            Figure("history", history(), word, word),
        ]  # fmt: skip
        pages = pages_of(tmp_path, *blocks, title=word)
        assert message(pages).count(word) >= 9
        assert all(p.box[0] > LEFT - 1 and p.box[2] < LEFT + WIDTH + 1 for page in pages for p in page.pieces)


def test_a_wide_name_breaks_after_its_joints(tmp_path: Path) -> None:
    """In the heading of a narrow column."""
    names = tuple(f"min_child_samples_{i}" for i in range(14))
    (page,) = pages_of(tmp_path, TableBlock(Table(names, (tuple(range(14)),))))
    lines = {line.strip() for line in page.text.splitlines()}
    assert all(re.fullmatch(r"((min_|child_|samples_|\d+)\s?)+", line) for line in lines if "child" in line)
    assert re.search(r"min_\s+(min_\s+)*child_", page.text)


@pytest.mark.parametrize("columns", [1, 3, 12, 20, 62])
def test_every_cell_is_written_once_and_each_part_names_its_rows(tmp_path: Path, columns: int) -> None:
    cells = tuple(tuple(f"r{row}c{column}" for column in range(columns)) for row in range(5))
    pages = pages_of(tmp_path, TableBlock(Table(tuple(f"column_{i}" for i in range(columns)), cells)))
    words = " ".join(page.text for page in pages).split()
    parts = words.count("r0c0")
    assert parts == 1 if columns <= 12 else 2 <= parts <= 6
    for row in range(5):
        assert words.count(f"r{row}c0") == parts
        assert [words.count(f"r{row}c{column}") for column in range(1, columns)] == [1] * (columns - 1)


def test_a_long_table_has_its_headings_on_every_page(tmp_path: Path) -> None:
    table = Table(("account", "profit"), tuple((f"account-{i}", i + 0.5) for i in range(60)))
    pages = pages_of(tmp_path, TableBlock(table, "By account"))
    assert len(pages) > 1
    assert all("account profit" in page.text for page in pages)
    text = " ".join(page.text for page in pages)
    assert re.findall(r"account-\d+", text) == [f"account-{i}" for i in range(60)]


def test_a_very_long_table_is_cut_and_says_so(tmp_path: Path) -> None:
    text = " ".join(
        p.text for p in pages_of(tmp_path, TableBlock(Table(("n",), tuple((f"row-{i}",) for i in range(200)))))
    )
    assert re.findall(r"row-\d+", text) == [f"row-{i}" for i in range(MAX_ROWS)]
    assert f"The first {MAX_ROWS} of 200 rows; the HTML report has all of them." in text


def test_numbers_stand_at_the_right_of_their_column(tmp_path: Path) -> None:
    (page,) = pages_of(tmp_path, TableBlock(Table(("name", "value"), (("a", 1.5), ("b", 1200.25)))))
    boxes = {piece.text: piece.box for piece in page.pieces}
    assert boxes["1.5"][2] == pytest.approx(boxes["1,200.2"][2], abs=0.5)
    assert boxes["a"][0] == pytest.approx(boxes["name"][0], abs=0.5)


WITH_HEADING = {"After", "It shows.", "More."}


def test_a_heading_stands_with_what_follows_it(tmp_path: Path) -> None:
    """However far down the page the chapter before it ends."""
    table = TableBlock(Table(("n",), tuple((f"row-{i}",) for i in range(30))), "Numbers")
    figure = Figure("history", history(), "Caption.", "Drawn")
    for lines in range(0, 35, 4):
        before = Chapter("before", "Before", [Paragraph("word")] * lines)
        afters = [
            Chapter("a", "After", [Paragraph("It shows."), Paragraph("More."), block]) for block in (figure, table)
        ]
        chapters = [Chapter("start", "Start", []), before, afters[0], Chapter("b", "Between", before.blocks), afters[1]]
        pages = pages_of_document(tmp_path, Document("Study", "", chapters))
        for expected in ({"Drawn", "best so far", "Caption."}, {"Numbers", "row-0", "row-1"}):
            assert any(all(word in page.text for word in WITH_HEADING | expected) for page in pages)


def test_tiles_stand_in_even_rows(tmp_path: Path) -> None:
    (page,) = pages_of(tmp_path, Tiles([(f"name-{i}", f"{i}.5") for i in range(8)]))
    heights = [round(p.box[1]) for p in page.pieces for name in p.text.split() if name.startswith("name-")]
    assert [heights.count(y) for y in sorted(set(heights))] == [4, 4]


def test_figures_of_a_grid_stand_beside_each_other(tmp_path: Path) -> None:
    for count, columns in ((1, 1), (2, 2), (4, 2), (5, 3), (9, 3)):
        figures = [Figure(str(i), Plot(Axis(), Axis(), []), title=f"title-{i}") for i in range(count)]
        pieces = [p for page in pages_of(tmp_path, Grid(figures)) for p in page.pieces if p.text.startswith("title-")]
        rows = sorted({round(piece.box[1]) for piece in pieces}, reverse=True)
        assert len(rows) == -(-count // columns)
        first = sorted(piece.box[0] for piece in pieces if round(piece.box[1]) == rows[0])
        assert all(b - a > WIDTH / columns - 1 for a, b in pairwise(first))


def test_a_failed_write_leaves_the_earlier_report_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.pdf"
    path.write_text("earlier")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        write_pdf(SHORT, path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.pdf"]
    assert path.read_text() == "earlier"


def test_what_cannot_be_typeset_raises_and_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, template = tmp_path / "report.pdf", tmp_path / "broken.typ"
    path.write_text("earlier")
    template.write_text('#panic("no")')
    monkeypatch.setattr(pdf_pages, "TEMPLATE", template)
    with pytest.raises(typst.TypstError, match="panicked"):
        write_pdf(SHORT, path)
    assert path.read_text() == "earlier"


def test_a_panic_of_typst_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no `Exception` by itself, so that it would end a command that has a model to register."""
    panics = partial(typst.compile, b"a", format="png", ppi=1e9)
    monkeypatch.setattr(typst, "compile_with_warnings", lambda *_, **__: panics())
    with pytest.raises(RuntimeError, match="typst panicked"):
        typeset(SHORT)
