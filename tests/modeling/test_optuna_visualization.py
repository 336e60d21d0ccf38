"""The report file: complete, offline, safe, and available for every kind of study."""

import json
import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from src.modeling.optuna_visualization import OptunaVisualizer
from tests.report_page import Page
from tests.reporting.pdf_reader import read_pages

METADATA = {
    "target": "net_profit",
    "task": "regression",
    "metric": "mae",
    "direction": "minimize",
    "test_score": 104.0,
    "test_interval": [95.0, 112.0],
    "validation_score": 90.0,
    "baselines": {"median": 110.0, "account_mean": 100.0},
    "validation_baselines": {"median": 100.0, "account_mean": 99.0},
    "skill": -0.04,
    "validation_skill": 0.09,
    "split": {"seed": 42},
    "versions": {"lightgbm": "4.7.0"},
}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;%{x}"


def make_study(n: int, name: str = "net_profit_20240101_120000") -> optuna.Study:
    """Complete, pruned, failed and running trials in turn."""
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    ranges = {"rate": FloatDistribution(0.01, 0.3, log=True), "kind": CategoricalDistribution(("gbdt", "dart"))}
    study = optuna.create_study(study_name=name)
    for i in range(n):
        state = TrialState.RUNNING if i and i == n - 1 else states[i % 5]
        value = 100.0 + i % 7 if state == TrialState.COMPLETE else None
        params = {"rate": 0.01 + 0.29 * (i * 37 % 100) / 100, "kind": ("gbdt", "dart")[i % 2]}
        curve = {"curve": {"steps": list(range(1, 101)), "values": [200.0 - s for s in range(100)]}}
        attrs, steps = (curve, {}) if value else ({}, {1: 120.0, 11: 110.0})
        given: dict[str, Any] = {
            "params": params,
            "distributions": ranges,
            "user_attrs": attrs,
            "intermediate_values": steps,
        }
        study.add_trial(create_trial(state=state, value=value, **given))
    return study


def write(tmp_path: Path, study: optuna.Study, metadata: dict[str, Any] | None = None) -> Page:
    path = OptunaVisualizer(study, metadata).write_html(tmp_path / "reports" / "study" / "report.html")
    assert path.stat().st_size < 6e6
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("n", [0, 1, 9, 40])
@pytest.mark.parametrize("metadata", [None, METADATA])
def test_every_study_has_every_chapter(tmp_path: Path, n: int, metadata: dict[str, Any] | None) -> None:
    page = write(tmp_path, make_study(n), metadata)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in page.sections]
    assert len(page.sections) == 13
    assert all(section.title for section in page.sections.values())
    assert ("No trial is complete yet." in page.text) == (n == 0)
    assert ("Too few trials" in page.text) == (n < 40)


@pytest.mark.slow
def test_ten_thousand_trials_fit(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(10_000), METADATA)
    assert "6000 complete, 2000 pruned, 1999 failed, 1 running" in page.text


@pytest.mark.slow
def test_the_pdf_has_the_same_chapters(tmp_path: Path) -> None:
    visualizer = OptunaVisualizer(make_study(12), METADATA)
    path = visualizer.write_pdf(tmp_path / "new" / "report.pdf")
    text = " ".join(" ".join(page.text for page in read_pages(path)).split())
    titles = [chapter.title for chapter in visualizer.document.chapters]
    assert [title for title in titles if text.count(title) < 2] == [], "each stands in the contents and above its text"


def test_page_and_pdf_show_the_same_snapshot_of_a_running_study() -> None:
    study = make_study(12)
    visualizer = OptunaVisualizer(study)
    before = visualizer.to_html()
    study.add_trial(create_trial(value=1.0))
    assert visualizer.to_html() == before
    assert OptunaVisualizer(study).to_html() != before


def test_the_file_is_self_contained(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(20), METADATA)
    for tag, attrs in page.tags:
        assert tag not in {"link", "img", "iframe"}
        assert "src" not in attrs
        assert str(attrs.get("href", "#")).startswith("#")
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'")
    assert sum("plotly.js v" in script for script in page.scripts) == 1


def test_figures_show_the_studys_numbers(tmp_path: Path) -> None:
    study = make_study(40)
    page = write(tmp_path, study, METADATA)
    traces = {trace["name"]: trace for trace in page.figures["history"]["data"] if "name" in trace}
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert traces["complete"]["y"] == [t.value for t in complete]
    assert traces["pruned (last reported)"]["y"] == [110.0] * 8
    bars, interval, _ = page.figures["baselines-test"]["data"]
    assert bars["x"] == [104.0, 100.0, 110.0]
    assert page.figures["baselines-test"]["layout"]["yaxis"]["ticktext"] == ["the model", "account_mean", "median"]
    assert interval["error_x"]["array"] == [8.0]
    assert interval["error_x"]["arrayminus"] == [9.0]


def test_a_model_worse_than_a_naive_baseline_is_called_worse(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(12), METADATA)
    assert "worse than that baseline (skill \N{MINUS SIGN}4.0 %)" in page.text


def test_user_given_names_are_escaped(tmp_path: Path) -> None:
    study = optuna.create_study(study_name=EVIL)
    for i in range(12):
        ranges = {EVIL: FloatDistribution(0, 1), f"{EVIL}2": CategoricalDistribution((EVIL, None, True))}
        params = {EVIL: i / 12, f"{EVIL}2": EVIL if i % 2 else None}
        study.add_trial(create_trial(value=float(i * i), params=params, distributions=ranges))
    page = write(
        tmp_path, study, METADATA | {"target": EVIL, "metric": EVIL, "baselines": {EVIL: 1.0}, EVIL: {EVIL: EVIL}}
    )
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
    assert not [script for script in page.scripts if "alert(" in script]
    assert "<script>alert(1)</script>" in page.text
    for figure in page.figures.values():  # plotly interprets tags in its texts
        assert "<script" not in json.dumps(figure)
        assert "<img" not in json.dumps(figure)


def test_a_study_of_another_objective_is_drawn(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", 1, 10**18)
        return trial.suggest_float("x", -1e300, 1e300) / 1e300 + (width % 3 if trial.number % 2 else trial.number)

    study = optuna.create_study(
        direction="maximize", study_name="foreign", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=15)
    page = write(tmp_path, study)
    assert "No trial reported an intermediate value." in page.text
    assert "describes the search only" in page.text


def test_equal_input_gives_an_equal_file(tmp_path: Path) -> None:
    study = make_study(30)
    assert OptunaVisualizer(study, METADATA).to_html() == OptunaVisualizer(study, METADATA).to_html()


def test_a_failed_write_keeps_the_earlier_report_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("earlier")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        OptunaVisualizer(make_study(1)).write_html(path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "earlier"
