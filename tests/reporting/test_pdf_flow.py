"""Pages fill from top to bottom, and nothing is written beyond their end."""

from hypothesis import given
from hypothesis import strategies as st

from src.reporting.pdf_flow import BODY, BOTTOM, PAGE_HEIGHT, TOP, Flow, Font, Word
from src.reporting.pdf_text import text_width


@given(st.lists(st.sampled_from(["line", "space", "need", "turn"]), max_size=200))
def test_lines_stay_on_the_paper_and_below_each_other(steps: list[str]) -> None:
    flow, font = Flow(), Font(9.5)
    for step in steps:
        if step == "line":
            flow.lines(["word"], font)
        elif step == "space":
            flow.space(20)
        elif step == "need":
            flow.need(200)
        else:
            flow.turn()
    for page in flow.pages:
        ys = [item.y for item in page if isinstance(item, Word)]
        assert ys == sorted(set(ys))
        assert all(TOP <= y <= PAGE_HEIGHT - BOTTOM for y in ys)
    assert all(flow.pages[:-1]), "only the last page may be empty"


def test_a_page_has_room_for_its_body() -> None:
    flow = Flow()
    assert flow.room == BODY
    flow.need(BODY)
    assert len(flow.pages) == 1


def test_words_know_their_ends() -> None:
    width = text_width("12.5", 8)
    assert Word(100, 0, "12.5", Font(8)).ends == (100, 100 + width)
    assert Word(100, 0, "12.5", Font(8), "right").ends == (100 - width, 100)
