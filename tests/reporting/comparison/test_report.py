"""The report of several studies: its chapters, its words, and that it can be drawn whatever is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from src.reporting.comparison.numbers import ComparedStudy, skills
from src.reporting.comparison.report import comparison_document, verdict
from src.reporting.document.blocks import Figure, Paragraph
from src.reporting.html.page import page_html
from src.reporting.pdf.pages import write_pdf
from src.reporting.study.numbers import Snapshot, take_snapshot
from tests.report_page import Page
from tests.reporting.pdf_reader import read_pages

EVIL = "</script><img src=x onerror=alert(2)>&amp;"


def snapshot(n: int, seed: int = 0, name: str = "s") -> Snapshot:
    rng = np.random.default_rng(seed)
    study = optuna.create_study(study_name=name)
    for i in range(n):
        kind = ("gbdt", "dart")[i % 2]
        params: dict[str, Any] = {"rate": float(rng.uniform(0.01, 0.3)), "kind": kind}
        ranges: dict[str, BaseDistribution] = {
            "rate": FloatDistribution(0.01, 0.3, log=True),
            "kind": CategoricalDistribution(("gbdt", "dart")),
        }
        if kind == "dart":
            params["drop"], ranges["drop"] = 0.1, FloatDistribution(0.1, 0.1)
        study.add_trial(create_trial(value=float(rng.normal()), params=params, distributions=ranges))
    study.add_trials([create_trial(state=TrialState.FAIL), create_trial(state=TrialState.RUNNING)])
    return take_snapshot(study)


def predictions(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=30).repeat(8)
    y = np.random.default_rng(0).normal(0, 100, len(days))
    table = {
        "account": [f"a{i}" for i in range(8)] * 30,
        "date": days,
        "y": y,
        "prediction": y + rng.normal(0, 99, 240),
    }
    return pd.DataFrame(table)


def model(target: str, gained: float, low: float, high: float) -> dict[str, Any]:
    return {
        "target": target, "metric": "mae", "test_score": 100 * (1 - gained), "test_interval": [80.0, 120.0],
        "baselines": {"median": 100.0}, "skill": gained, "skill_interval": [low, high],
        "split": {"test_dates": ["2024-01-01", "2024-01-30"]}, "trained_at": "2024-02-01T00:00:00+00:00",
    }  # fmt: skip


GOOD = ComparedStudy("net_profit", snapshot(40), model("net_profit", 0.2, 0.1, 0.3), predictions(1))
POOR = ComparedStudy("num_trades", snapshot(120, 1), model("num_trades", -0.05, -0.1, 0.02), predictions(2))
FEW = ComparedStudy("mine", snapshot(9), {})
EMPTY = ComparedStudy("empty", Snapshot("empty", "maximize", ()), {})
CHAPTERS = ["summary", "performance", "comparison", "convergence", "hyperparameters", "agreement", "money", "studies"]


@pytest.mark.parametrize(
    "items", [[GOOD, POOR], [GOOD, POOR, FEW, EMPTY], [GOOD], [FEW, EMPTY], [EMPTY]], ids=lambda item: str(len(item))
)
def test_every_chapter_is_there_and_drawn_whatever_is_known(items: list[ComparedStudy], tmp_path: Path) -> None:
    document = comparison_document(items)
    page = Page(page_html(document))
    assert list(page.sections) == CHAPTERS
    assert all(chapter.blocks for chapter in document.chapters)
    for figure in page.figures.values():
        assert figure["data"], "an empty figure says nothing"
    write_pdf(document, tmp_path / "report.pdf")
    pages = read_pages(tmp_path / "report.pdf")
    assert [(item.overlaps, item.outside) for item in pages] == [([], [])] * len(pages)
    text = " ".join(" ".join(item.text for item in pages).split())
    assert all(section.title in text for section in page.sections.values())


def test_the_verdict_of_several_models() -> None:
    assert verdict([GOOD, POOR, FEW]) == (
        "1 of 2 models beat the best naive baseline on test rows, which no search used. The 95 % interval of the skill "
        "is above zero for net_profit. net_profit has the largest skill, +20.0 %. "
        "Without a skill on test rows: mine."
    )
    assert verdict([POOR]) == "0 of 1 models beat the best naive baseline on test rows, which no search used."
    assert verdict([FEW]).startswith("No model was scored on test rows")


def test_an_interval_that_includes_zero_does_not_count() -> None:
    unsure = replace(GOOD, metadata=model("net_profit", 0.02, -0.01, 0.05))
    assert "above zero for none." in verdict([unsure])


def test_figures_hold_the_numbers() -> None:
    page = Page(page_html(comparison_document([GOOD, POOR])))
    bars = page.figures["skills"]["data"][0]
    assert bars["x"] == [item.skill for item in skills([GOOD, POOR])]
    lines = {trace["name"]: trace for trace in page.figures["convergence"]["data"] if trace.get("name")}
    assert set(lines) == {"net_profit", "num_trades"}
    assert lines["net_profit"]["y"][-1] == 1.0
    assert {"skills", "convergence", "spread-0", "spread-1", "spread-2", "agreement", "money"} == set(page.figures)


def test_too_few_trials_are_said_with_their_number() -> None:
    page = Page(page_html(comparison_document([GOOD, FEW])))
    assert "mine: Too few trials to show the convergence: 10 complete trials are needed" in page.text
    assert "mine: Too few trials to select the good trials of a study" in page.text
    assert "needed, there are 9." in page.text
    assert "Without test predictions that can be paired by account and day: mine." in page.text


def test_other_test_days_are_said_in_the_summary() -> None:
    later = {**POOR.metadata, "split": {"test_dates": ["2024-03-01", "2024-03-30"]}}
    summary = comparison_document([GOOD, replace(POOR, metadata=later)]).chapters[0]
    message = [block.text for block in summary.blocks if isinstance(block, Paragraph)]
    assert any(
        "not scored on the same test period: net_profit: 2024-01-01 to 2024-01-30; num_trades:" in s for s in message
    )


def test_names_of_users_stay_text() -> None:
    evil = replace(FEW, label=EVIL, snapshot=snapshot(12, name=EVIL), metadata={"target": EVIL, "metric": EVIL})
    page = Page(page_html(comparison_document([evil, GOOD])))
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
    assert EVIL in page.text


def test_a_search_of_many_parameters_is_cut_and_says_so() -> None:
    study = optuna.create_study()
    ranges: dict[str, BaseDistribution] = {f"p{i}": FloatDistribution(0, 1) for i in range(40)}
    for i in range(12):
        params = dict.fromkeys(ranges, i / 12)
        study.add_trial(create_trial(value=float(i), params=params, distributions=ranges))
    document = comparison_document([ComparedStudy("a", take_snapshot(study), {})])
    page = Page(page_html(document))
    assert sum(name.startswith("spread-") for name in page.figures) == 24
    assert "The 24 of 40 parameters that most studies have are drawn." in page.text
    assert not [block for chapter in document.chapters for block in chapter.blocks if isinstance(block, Figure)][1:]
