"""Blocks as HTML: escaped once, numbers at the right, figures as their numbers."""

import json
import re

import pytest

from src.reporting.document.blocks import Facts, Figure, Grid, Paragraph, Table, TableBlock, Tiles
from src.reporting.html.blocks import SORT, ZOOM, block_html
from src.reporting.html.plotly_drawing import plotly_spec
from tests.reporting.demo_document import cut, history, trial_table

EVIL = "</script><script>alert(1)</script> & <b>"


def test_paragraphs_are_of_three_kinds() -> None:
    assert block_html(Paragraph("a < b")) == "<p>a &lt; b</p>"
    assert block_html(Paragraph("a", "note")) == '<p class="note">a</p>'
    assert block_html(Paragraph("a", "verdict")) == '<p class="verdict">a</p>'


@pytest.mark.parametrize(
    "block",
    [
        Paragraph(EVIL), Tiles([(EVIL, EVIL)]), Facts([(EVIL, EVIL)]),
        TableBlock(Table((EVIL,), ((EVIL,),)), EVIL, True), Figure("f", history(), EVIL, EVIL), Grid([cut(EVIL, 0)]),
    ],
    ids=lambda block: type(block).__name__,
)  # fmt: skip
def test_texts_of_users_stay_text(block: Paragraph | Tiles | Facts | TableBlock | Figure | Grid) -> None:
    html = block_html(block)
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("<script") == html.count("</script>")


def test_cells_say_what_they_are() -> None:
    rows = (("gbdt", 1, 0.123456, None, True), ("dart", 2, float("inf"), 3.0, False))
    html = block_html(TableBlock(Table(("kind", "n", "value", "gap", "truth"), rows)))
    assert '<td>gbdt</td><td class="number" data-value="1.0">1</td>' in html
    assert '<td class="number" data-value="0.123456">0.1235</td><td></td><td>True</td>' in html
    assert '<td class="number" data-value="">inf</td>' in html
    assert html.count('<th scope="col" class="number">') == 3


def test_a_sortable_table_has_buttons_and_says_so() -> None:
    table = Table(("a", "b"), ((1, 2),))
    sortable, plain = block_html(TableBlock(table, "Title", sortable=True)), block_html(TableBlock(table))
    assert sortable.count('<button type="button">') == 2
    assert "<h3>Title</h3>" in sortable
    assert SORT in sortable
    assert "button" not in plain
    assert "<h3>" not in plain


def test_a_wide_table_is_written_smaller() -> None:
    assert 'class="sortable many"' in block_html(TableBlock(trial_table(2, 12), sortable=True))
    assert "many" not in block_html(TableBlock(trial_table(2, 5)))


def test_a_figure_holds_its_numbers_and_how_to_look_closer() -> None:
    html = block_html(Figure("history", history(), "Caption.", "Title"))
    held = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert held is not None
    assert json.loads(held[1]) == json.loads(json.dumps(plotly_spec(history())))
    assert 'id="figure-history" style="height: 360px"' in html
    assert f'<figcaption>Caption. <span class="mouse">{ZOOM}</span></figcaption>' in html
    assert ZOOM not in block_html(cut("x", 0))


def test_a_grid_holds_all_its_figures() -> None:
    html = block_html(Grid([cut("x", 0), cut("y", 1)]))
    assert html.startswith('<div class="grid">')
    assert html.count('class="plot"') == 2


def test_only_sentences_are_wrapped_in_a_table() -> None:
    html = block_html(TableBlock(Table(("a", "b"), (("2024-01-01", "a reason of many words, as errors have"),))))
    assert "<td>2024-01-01</td>" in html
    assert '<td class="words">a reason' in html
