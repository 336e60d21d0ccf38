"""The whole report of a study: its order, and the model's score beside what it is compared with."""

from typing import Any

from src.config import Direction
from src.reporting.document.blocks import Chapter, Facts, Figure, Grid, Paragraph, Tiles
from src.reporting.document.plot import Bars
from src.reporting.document.words import BaselineComparison
from src.reporting.model.baseline_bars import baseline_plot
from src.reporting.study.chapters import StudyReportInput, study_document
from src.reporting.study.numbers import take_snapshot
from tests.reporting.hand_made import study_of, timed

METADATA: dict[str, Any] = {
    "target": "net_profit", "task": "regression", "metric": "mae", "test_score": 104.0, "test_interval": [95.0, 112.0],
    "validation_score": 90.0, "baselines": {"median": 110.0, "account_mean": 100.0}, "skill": -0.04,
    "validation_baselines": {"median": 100.0, "account_mean": 99.0}, "validation_skill": 1 - 90 / 99,
}  # fmt: skip
MEMBERS = [{"trial": 1, "weight": 0.6}, {"trial": 0, "weight": 0.4}]
TOGETHER = METADATA | {
    "members": MEMBERS, "validation_score": 88.0, "validation_skill": 1 - 88 / 99, "best_trial": {"value": 90.0}
}  # fmt: skip


def material(metadata: dict[str, Any], direction: Direction = "minimize") -> StudyReportInput:
    study = study_of(*(timed(92.0 - i, i, i + 1) for i in range(3)), direction=direction)
    return StudyReportInput(study, take_snapshot(study), metadata)


def chapters_of(metadata: dict[str, Any], direction: Direction = "minimize") -> dict[str, Chapter]:
    return {chapter.key: chapter for chapter in study_document(material(metadata, direction)).chapters}


def bars_of(chapters: dict[str, Chapter], part: str) -> tuple[list[str], Bars, str]:
    """The names beside the bars of one part, the bars, and the caption."""
    (grid,) = [block for block in chapters["baselines"].blocks if isinstance(block, Grid)]
    (figure,) = [figure for figure in grid.figures if figure.key == f"baselines-{part}"]
    (bars,) = figure.plot.marks
    assert isinstance(bars, Bars)
    return [name for _, name in figure.plot.y.ticks], bars, figure.caption


def test_chapters_are_in_order() -> None:
    document = study_document(material(TOGETHER))
    keys = [chapter.key for chapter in document.chapters]
    assert keys[:5] == ["summary", "baselines", "ensemble", "front", "history"]
    assert keys[-1] == "reproduce"
    assert len(set(keys)) == len(keys)
    assert document.title == "Study by_hand"
    assert document.subtitle == "Search and evaluation of a model of net_profit"
    assert study_document(material({})).subtitle == "An Optuna study"


def test_the_bars_of_a_single_model_are_its_own() -> None:
    names, bars, _ = bars_of(chapters_of(METADATA), "validation")
    assert names == ["the model", "account_mean", "median"]
    assert (list(bars.end), list(bars.start), list(bars.low)) == ([90.0, 99.0, 100.0], [0.0, 0.0, 0.0], [])
    names, bars, caption = bars_of(chapters_of(METADATA), "test")
    assert list(bars.end) == [104.0, 100.0, 110.0]
    assert (bars.low[0], bars.high[0]) == (95.0, 112.0)
    assert (list(bars.low[1:]), list(bars.high[1:])) == ([100.0, 110.0], [100.0, 110.0])
    assert list(bars.roles) == ["main", "accent", "muted"]
    assert "optimistic" not in caption


def test_an_ensemble_is_shown_with_its_own_validation_score_and_called_optimistic() -> None:
    chapters = chapters_of(TOGETHER)
    names, bars, caption = bars_of(chapters, "validation")
    assert names == ["the model", "best trial alone", "account_mean", "median"]
    assert list(bars.end) == [88.0, 90.0, 99.0, 100.0]
    assert "The model is the mean of several trials; its score is too optimistic" in caption
    names, bars, caption = bars_of(chapters, "test")
    assert names == ["the model", "account_mean", "median"]
    assert "optimistic" not in caption
    (facts,) = [block for block in chapters["summary"].blocks if isinstance(block, Facts)]
    shown = dict(facts.facts)
    assert shown["validation score"] == "88 (mean of several trials, too optimistic; the best trial alone has 90)"
    assert shown["validation, skill over it"] == "+11.1 %"
    assert shown["test score"] == "104 (95 % interval 95 to 112)"


def test_without_a_hold_out_the_verdict_judges_the_ensemble() -> None:
    bare = {key: value for key, value in TOGETHER.items() if key not in {"test_score", "baselines", "skill"}}
    summary = chapters_of(bare)["summary"]
    (verdict,) = [block for block in summary.blocks if isinstance(block, Paragraph)]
    assert "the model's MAE is 88" in verdict.text
    assert "it removes 11.1 % of the baseline's error" in verdict.text
    (tiles,) = [block for block in summary.blocks if isinstance(block, Tiles)]
    assert ("MAE on validation", "88") in tiles.facts


def test_bars_of_auc_start_at_a_coins() -> None:
    judged = BaselineComparison("test", "AUC", "maximize", 0.7, (0.65, 0.75), {"base_rate": 0.5}, 0.4, None)
    (bars,) = baseline_plot(judged).marks
    assert isinstance(bars, Bars)
    assert list(bars.start) == [0.5, 0.5]
    assert list(bars.texts) == ["0.7", "0.5"]


def test_without_a_model_the_search_is_described_alone() -> None:
    chapters = chapters_of({})
    assert "ensemble" not in chapters
    (note,) = chapters["baselines"].blocks
    assert isinstance(note, Paragraph)
    assert "describes the search only" in note.text
    assert not [block for block in chapters["baselines"].blocks if isinstance(block, Figure | Grid)]
