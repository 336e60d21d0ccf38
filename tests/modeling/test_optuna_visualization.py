"""The report as a file: whole, offline, harmless, and there for every kind of study."""

import json
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from src.modeling.optuna_visualization import OptunaVisualizer

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
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A parsed report: its tags must nest, and its texts, anchors and figures are kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.figures: list[dict[str, Any]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":
                self.figures.append(json.loads(data))
            else:
                self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


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
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]
    assert len(sections) == 8
    assert ("No trial is complete yet." in page.text) == (n == 0)
    assert ("Too few trials" in page.text) == (n < 40)


def test_a_thousand_trials_fit(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(1000), METADATA)
    assert "600 complete, 200 pruned, 199 failed, 1 running" in page.text


def test_the_file_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(20), METADATA)
    for tag, attrs in page.tags:
        assert tag not in {"link", "img", "iframe"}
        assert "src" not in attrs
        assert str(attrs.get("href", "#")).startswith("#")
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'")
    assert sum("plotly.js v" in script for script in page.scripts) == 1


def test_figures_hold_the_studys_numbers(tmp_path: Path) -> None:
    study = make_study(40)
    page = write(tmp_path, study, METADATA)
    ids = [str(attrs["id"]) for _, attrs in page.tags if str(attrs.get("id")).startswith("figure-")]
    drawn = dict(zip(ids, page.figures, strict=True))
    assert len(set(ids)) == len(ids)
    traces = {trace["name"]: trace for trace in drawn["figure-history"]["data"]}
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert traces["complete"]["y"] == [t.value for t in complete]
    assert traces["pruned (last reported)"]["y"] == [110.0] * 8
    bars, interval = drawn["figure-baselines-test"]["data"]
    assert bars["x"] == [104.0, 100.0, 110.0]
    assert drawn["figure-baselines-test"]["layout"]["yaxis"]["ticktext"] == ["the model", "account_mean", "median"]
    assert interval["error_x"]["array"] == [8.0]
    assert interval["error_x"]["arrayminus"] == [9.0]


def test_a_model_worse_than_a_naive_forecast_is_called_so(tmp_path: Path) -> None:
    page = write(tmp_path, make_study(12), METADATA)
    assert "worse than that forecast (skill \N{MINUS SIGN}4.0 %)" in page.text


def test_names_of_users_stay_text(tmp_path: Path) -> None:
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
    for figure in page.figures:  # plotly reads tags in its texts, so that none may reach it
        assert "<script" not in json.dumps(figure)
        assert "<img" not in json.dumps(figure)


def test_a_foreign_objective_is_drawn(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", 1, 10**18)
        return trial.suggest_float("x", -1e300, 1e300) / 1e300 + (width % 3 if trial.number % 2 else trial.number)

    study = optuna.create_study(
        direction="maximize", study_name="foreign", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=15)
    page = write(tmp_path, study)
    assert "No trial reported a value on its way." in page.text
    assert "search alone" in page.text


def test_equal_input_gives_an_equal_file(tmp_path: Path) -> None:
    study = make_study(30)
    assert OptunaVisualizer(study, METADATA).to_html() == OptunaVisualizer(study, METADATA).to_html()


def test_a_failed_write_leaves_the_earlier_report_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("earlier")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        OptunaVisualizer(make_study(1)).write_html(path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "earlier"
