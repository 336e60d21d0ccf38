"""The page in a real browser without network: wide, narrow, in dark mode and printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from src.modeling.optuna_visualization import OptunaVisualizer
from src.reporting.html.page import page_html
from tests.browser import Browser, find_browser
from tests.reporting.demo_document import demo
from tests.reporting.nasty_documents import documents
from tests.reporting.pdf_reader import read_pages

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="neither Chromium nor Chrome is installed")
WIDTHS = (1280, 390)
EMPTY = """[...document.querySelectorAll(".plot")].filter(plot => !plot.querySelector(
    ".main-svg :is(.scatterlayer path, .barlayer path, .heatmaplayer image, .shapelayer path)")).map(plot => plot.id)"""
"""Figures without a single mark."""
WIDE = """[...document.querySelectorAll("main *:not(.wide *, svg *)")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""
"""Elements beyond the right edge; tables may scroll."""
BROKEN = """[...document.querySelectorAll("table:not(.facts) td:not(.words)")].filter(one => {
    const inside = document.createRange(); inside.selectNodeContents(one);
    return inside.getBoundingClientRect().height > 30; }).map(one => one.innerText)"""
"""Dates, numbers and intervals that take two lines."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM) as started:
        yield started


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_html(demo()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study with trials in every state."""
    ranges = {"rate": FloatDistribution(0.01, 0.3, log=True), "kind": CategoricalDistribution(("gbdt", "dart"))}
    study = optuna.create_study(study_name="net_profit_20240101_120000")
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    for i in range(60):
        state = TrialState.RUNNING if i == 59 else states[i % 5]
        value = 100.0 + i % 7 if state == TrialState.COMPLETE else None
        given: dict[str, Any] = {
            "params": {"rate": 0.01 + 0.29 * (i * 37 % 100) / 100, "kind": ("gbdt", "dart")[i % 2]}
        }
        steps = {1: 120.0, 11: 110.0 + i % 3, 21: 109.0}
        study.add_trial(
            create_trial(state=state, value=value, distributions=ranges, intermediate_values=steps, **given)
        )
    metadata = {
        "target": "net_profit", "task": "regression", "metric": "mae", "direction": "minimize", "test_score": 104.0,
        "test_interval": [95.0, 112.0], "baselines": {"median": 110.0, "account_mean": 100.0}, "skill": -0.04,
    }  # fmt: skip
    return OptunaVisualizer(study, metadata).write_html(tmp_path_factory.mktemp("study") / "report.html")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["demo_page", "study_page"])
def test_everything_is_drawn_and_fits(browser: Browser, name: str, width: int, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    browser.open(path, width)
    assert browser.complaints == []
    assert browser.ask("innerWidth") == width
    count = path.read_text(encoding="utf-8").count('class="plot"')
    assert browser.ask('document.querySelectorAll(".plot svg.main-svg").length') >= count > 0
    assert browser.ask(EMPTY) == []
    assert browser.ask("document.documentElement.scrollWidth") == width
    assert browser.ask(WIDE) == []
    assert browser.ask('[...document.querySelectorAll("section")].every(one => one.offsetHeight > 30)')
    assert browser.ask(BROKEN) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["long names", "foreign", "plots", "wide tables", "nothing"])
def test_extreme_documents_fit_too(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_html(documents()[name]), encoding="utf-8")
    browser.open(path, width)
    assert browser.complaints == []
    assert browser.ask("document.documentElement.scrollWidth") == width
    assert browser.ask(WIDE) == []


def test_the_network_is_off_and_not_needed(browser: Browser, demo_page: Path) -> None:
    browser.open(demo_page, 1280)
    assert browser.ask("performance.getEntriesByType('resource').filter(one => one.name.startsWith('http'))") == []
    assert browser.ask("fetch('https://example.org').then(() => 'reached', () => 'refused')") == "refused"


def test_a_click_on_a_heading_sorts(browser: Browser, demo_page: Path) -> None:
    browser.open(demo_page, 1280)
    click = 'document.querySelectorAll("table.sortable th button")[{}].click()'
    first = '[...document.querySelector("table.sortable tbody").rows].map(row => row.cells[{}].textContent)'
    browser.ask(click.format(3))
    shown = [float(cell) for cell in browser.ask(first.format(3))]
    assert shown == sorted(shown)
    browser.ask(click.format(3))
    assert [float(cell) for cell in browser.ask(first.format(3))] == sorted(shown, reverse=True)
    assert browser.ask('document.querySelectorAll("th[aria-sort]").length') == 1


def test_the_table_of_contents_stays_visible_and_marks_the_current_chapter(browser: Browser, demo_page: Path) -> None:
    browser.open(demo_page, 1280)
    current = 'document.querySelector("nav a[aria-current=true]").textContent'
    assert browser.ask(current) == "Summary"
    browser.ask('document.querySelector("#tables").scrollIntoView({behavior: "instant"})')
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.ask(current) == "Tables"
    nav, main = json.loads(
        browser.ask('JSON.stringify(["nav", "main"].map(name => document.querySelector(name).getBoundingClientRect()))')
    )
    assert 0 <= nav["top"] < 100
    assert nav["right"] <= main["left"]


def test_text_is_legible_in_dark_mode(browser: Browser, demo_page: Path) -> None:
    browser.open(demo_page, 1280)
    ink = 'getComputedStyle(document.querySelector(".main-svg .xtick text")).fill'
    light = browser.ask(ink)
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark, paper = browser.ask(ink), browser.ask("getComputedStyle(document.body).backgroundColor")
    browser.send("Emulation.setEmulatedMedia", features=[])
    assert light != dark
    assert _brightness(dark) - _brightness(paper) > 150


def _brightness(color: str) -> float:
    return sum(float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]) / 3


def test_figures_fit_on_paper_and_grow_back(browser: Browser, demo_page: Path, tmp_path: Path) -> None:
    browser.open(demo_page, 1280)
    widths = 'Math.round(document.querySelector("#figure-history .main-svg").getBoundingClientRect().width)'
    before = browser.ask(widths)
    browser.printed(tmp_path / "printed.pdf")
    pages = read_pages(tmp_path / "printed.pdf")
    assert [page.outside for page in pages] == [[]] * len(pages)
    assert "no better since" in "".join(page.text for page in pages)
    assert browser.ask(widths) == before
