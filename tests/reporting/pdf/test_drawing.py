"""Drawings as SVG, read back from a page that is no larger than the drawing."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import typst

from src.reporting.document.plot import Axis, Bars, Line, Plot
from src.reporting.pdf.drawing import draw_svg
from tests.reporting.demo_document import figures, history
from tests.reporting.nasty_documents import strange_plots
from tests.reporting.pdf_reader import PageText, read_pages

PLOTS = {figure.key: figure.plot for figure in figures()}
WIDE, SMALL = (499.0, 240.0), (155.0, 120.0)


def drawn(plot: Plot, width: float, height: float, folder: Path) -> PageText:
    """The drawing on a page of its size: what reaches over its edge reaches over the page's."""
    page = f'#set page(width: {width}pt, height: {height}pt, margin: 0pt)\n#image("plot.svg")'
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[Path(mpl.get_data_path(), "fonts", "ttf")])
    files: Any = {"main.typ": page.encode(), "plot.svg": draw_svg(plot, width, height)}
    typst.compile(files, folder / "plot.pdf", font_paths=fonts, ignore_system_fonts=True)
    (found,) = read_pages(folder / "plot.pdf")
    return found


@pytest.mark.parametrize(
    ("plot", "size"),
    [(plot, WIDE) for plot in (PLOTS | strange_plots()).values()] + [(plot, SMALL) for plot in PLOTS.values()],
)
def test_no_label_is_cut_at_the_edge(plot: Plot, size: tuple[float, float], tmp_path: Path) -> None:
    page = drawn(plot, *size, tmp_path)
    assert page.size == pytest.approx(size, abs=0.1)
    assert page.text
    assert not page.outside


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    names = ("<b>a</b> & c", "$x_1$ #y", "net_profit is fine", "прибыль")
    bars = Bars(range(4), [1.0, 2.0, 3.0, 4.0], texts=names, across=True)
    plot = Plot(Axis("<x> & y"), Axis(ticks=tuple(enumerate(names))), [bars, Line([1], [1], "a $ sign")])
    page = drawn(plot, 499.0, 240.0, tmp_path)
    assert all(page.text.count(name) == 2 for name in names)
    assert "<x> & y" in page.text
    assert "a $ sign" in page.text


def test_settings_of_the_caller_stay_and_do_not_count() -> None:
    plain = draw_svg(history(), 400.0, 200.0)
    mine = {"font.size": 30.0, "svg.fonttype": "path", "axes.grid": True, "text.parse_math": True}
    with mpl.rc_context(mine):  # type: ignore[arg-type]
        assert draw_svg(history(), 400.0, 200.0) == plain
        assert {key: mpl.rcParams[key] for key in mine} == mine  # type: ignore[index]
