"""The page as text: whole, offline, small, and the same for equal documents."""

import pytest

from src.reporting.document.blocks import Document
from src.reporting.html.page import page_html
from tests.report_page import Page
from tests.reporting.demo_document import demo
from tests.reporting.nasty_documents import documents

DOCUMENTS = documents()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_a_page(name: str) -> None:
    document = DOCUMENTS[name]
    page = Page(page_html(document))
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == [chapter.key for chapter in document.chapters]
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == [f"#{key}" for key in sections]


def test_the_page_needs_nothing_but_itself() -> None:
    text = page_html(demo())
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in {"link", "img", "iframe"}]
    assert not [attrs for _, attrs in page.tags if "src" in attrs]
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert [str(policy).split(";")[0] for policy in policies] == ["default-src 'none'"]
    assert text.count("plotly.js v") == 1
    assert len(text.encode()) < 6e6


def test_equal_documents_give_equal_pages() -> None:
    assert page_html(demo()) == page_html(demo())


def test_titles_of_users_stay_text() -> None:
    text = page_html(Document("<script>alert(1)</script>", "<b>", []))
    assert "<script>alert" not in text
    assert "<title>&lt;script&gt;" in text
