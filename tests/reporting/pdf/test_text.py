"""Text is measured as it is drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from src.reporting.pdf.text import UNKNOWN, fitted, printable, text_width


@pytest.mark.parametrize("text", ["net_profit_20240101", "The skill is 3.2 %.", "прибыль κέρδος"])
def test_widths_are_those_that_matplotlib_draws(text: str) -> None:
    drawn = TextPath((0, 0), text, size=100, prop=FontProperties(family="DejaVu Sans")).get_extents().width
    assert text_width(text, 100) == pytest.approx(drawn, rel=0.04)


@given(st.text(max_size=120), st.floats(20, 300))
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
