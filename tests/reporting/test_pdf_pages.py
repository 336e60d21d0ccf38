"""The PDF as a file, read back by PDFium."""

import os
from pathlib import Path

import matplotlib as mpl
import pypdfium2
import pytest

from src.reporting.blocks import Chapter, Document
from src.reporting.pdf_pages import write_pdf
from tests.reporting.demo_document import demo
from tests.reporting.nasty_documents import FOREIGN, documents
from tests.reporting.pdf_reader import read_pages

DOCUMENTS = documents()
SHORT = Document("Study", "A search", [Chapter("one", "One", [])])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_text_stands_on_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "reports" / "report.pdf"
    write_pdf(DOCUMENTS[name], path)
    pages = read_pages(path)
    assert [page.overlaps for page in pages] == [[]] * len(pages)
    assert [page.outside for page in pages] == [[]] * len(pages)
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page.text


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reports") / "report.pdf"
    write_pdf(demo(), path)
    return path


def test_every_chapter_and_every_name_of_a_plot_is_in_the_text(report: Path) -> None:
    pages = read_pages(report)
    said = "\n".join(page.text for page in pages)
    for chapter in demo().chapters:
        assert said.count(chapter.title) >= 2, "in the contents and above the chapter"
    for name in ("pruned (last reported)", "account_mean", "decile of the prediction", "boosting_type", "lambda_l1"):
        assert name in said
    assert all(page.size == pytest.approx((595.28, 841.89), abs=0.1) for page in pages)


def test_everything_is_vectors_and_fonts_are_within(report: Path) -> None:
    content = report.read_bytes()
    assert b"/Subtype /Image" not in content
    assert b"/CIDFontType2" in content
    assert b"/FontFile2" in content


def test_equal_documents_give_equal_bytes(report: Path, tmp_path: Path) -> None:
    write_pdf(demo(), tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == report.read_bytes()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    write_pdf(Document(FOREIGN, "A search", []), tmp_path / "report.pdf")
    document = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    about = document.get_metadata_dict()
    document.close()
    assert "每日利润" in about["Title"]
    assert about["Subject"] == "A search"
    assert not about["CreationDate"]


def test_settings_of_the_caller_stay_and_do_not_count(tmp_path: Path) -> None:
    write_pdf(SHORT, tmp_path / "plain.pdf")
    mine = {"font.size": 30.0, "pdf.fonttype": 3, "axes.grid": True, "text.parse_math": True}
    with mpl.rc_context(mine):  # type: ignore[arg-type]
        write_pdf(SHORT, tmp_path / "mine.pdf")
        assert {key: mpl.rcParams[key] for key in mine} == mine  # type: ignore[index]
    assert (tmp_path / "mine.pdf").read_bytes() == (tmp_path / "plain.pdf").read_bytes()


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
