"""Text is measured as it is drawn, and breaks into lines that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from src.reporting.pdf_text import UNKNOWN, fitted, printable, text_width, wrapped

TEXTS = st.text(max_size=120)
WIDTHS = st.floats(20, 300)


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("text", ["net_profit_20240101", "The skill is 3.2 %.", "прибыль κέρδος"])
def test_widths_are_those_that_matplotlib_draws(text: str, bold: bool) -> None:
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    drawn = TextPath((0, 0), text, size=100, prop=font).get_extents().width
    assert text_width(text, 100, bold) == pytest.approx(drawn, rel=0.04)


@given(TEXTS, WIDTHS, st.booleans())
def test_lines_fit_and_lose_no_character(text: str, width: float, bold: bool) -> None:
    lines = wrapped(text, width, 9.0, bold)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")
    assert all(text_width(line, 9.0, bold) <= width for line in lines)


@given(TEXTS, WIDTHS)
def test_a_cut_text_fits_and_says_that_it_is_cut(text: str, width: float) -> None:
    line = fitted(text, width, 9.0)
    assert text_width(line, 9.0) <= width
    assert line == printable(text) or line.endswith("…")


@given(st.text())
def test_what_is_printed_is_one_line_of_known_characters(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    assert printable(line) == line


def test_characters_that_the_font_lacks_are_squares() -> None:
    assert printable("每日 profit\n\x00 λ") == f"{UNKNOWN}{UNKNOWN} profit λ"


def test_names_break_after_their_joints() -> None:
    width = text_width("min_child_", 9.0) + 1
    assert wrapped("min_child_samples", width, 9.0) == ["min_child_", "samples"]
    assert wrapped("is_profitable", text_width("is_profitab", 9.0), 9.0) == ["is_", "profitable"]
    assert wrapped("", 50, 9.0) == [""]
