from pathlib import Path
from typing import Any

import pytest

from src.reporting.summary import Outcome, summary_text

FOUND: dict[str, Any] = {
    "target": "net_profit", "metric": "mae", "validation_score": 61.23456, "test_score": 60.5,
    "test_interval": [58.0, 63.123456], "baselines": {"median": 90.0, "previous_day": 88.0},
    "best_baseline": "previous_day", "skill": 0.3125, "validation_baselines": {"median": 91.0},
    "validation_best_baseline": "median", "validation_skill": -0.054, "best_trial": {"number": 4},
    "feature_mode": "own", "feature_mode_reason": "the table has 43 feature columns", "feature_names": ["x", "y", "z"],
}  # fmt: skip
FILE, PAGE = "artefacts/reports/s/report.html", "#/experiments/1/runs/ab/artifacts/report/report.html"
NO_TEST: dict[str, Any] = {
    "test_score": None,
    "test_interval": None,
    "baselines": {},
    "best_baseline": None,
    "skill": None,
}


def outcome(**changes: Any) -> Outcome:
    return Outcome(FOUND | changes, Path(FILE), "net_profit v1 @champion", page=PAGE)


def row(text: str) -> str:
    return text.splitlines()[3]


def words(text: str) -> str:
    return " ".join(row(text).split())


def test_one_row_per_target_under_one_head() -> None:
    lines = summary_text([outcome(), outcome(target="a_much_longer_name")], "sqlite:///mlflow.db").splitlines()
    assert " ".join(lines[1].split()) == "target metric validation test 95 % interval best baseline skill model"
    assert lines[3].startswith("net_profit ")
    assert lines[4].startswith("a_much_longer_name ")
    assert lines[1].index("metric") == lines[3].index("MAE") == lines[4].index("MAE")


def test_a_row_says_it_all() -> None:
    shown = words(summary_text([outcome()], "sqlite:///mlflow.db"))
    assert shown == "net_profit MAE 61.235 60.5 58 … 63.123 88 previous_day +31.2 % net_profit v1 @champion"


def test_without_a_hold_out_it_stands_beside_the_validation_baselines() -> None:
    shown = words(summary_text([outcome(**NO_TEST)], "sqlite:///mlflow.db"))
    assert shown == "net_profit MAE 61.235 - - 91 median -5.4 % net_profit v1 @champion"


def test_a_skill_that_does_not_exist_is_a_dash() -> None:
    assert "88 previous_day  -      net_profit v1" in row(summary_text([outcome(skill=None)], "sqlite:///mlflow.db"))


def test_what_is_to_be_said_of_an_interval_stands_below_the_table() -> None:
    few, close = "only 11 dates: an interval needs 12", "60 dates are so strongly correlated"
    same = outcome(test_interval_note=few, skill_interval_note=few, test_interval=None)
    lines = summary_text([same, outcome(target="other", skill_interval_note=close)], "sqlite:///mlflow.db").splitlines()
    assert [line for line in lines if line.startswith("interval ")] == [
        f"interval net_profit, score and skill: {few}", f"interval other, skill: {close}",
    ]  # fmt: skip


def test_it_says_which_trials_each_model_is_made_of() -> None:
    members = [{"trial": 12, "weight": 0.625}, {"trial": 7, "weight": 0.375}]
    lines = summary_text([outcome(members=members), outcome(target="other")], "sqlite:///mlflow.db").splitlines()
    assert [line for line in lines if line.startswith("model    ")] == [
        "model    net_profit is the weighted mean of 2 trials: 12 (62 %), 7 (38 %)",
        "model    other is trial 4",
    ]


def test_it_says_which_features_the_models_use_and_why() -> None:
    derived = {"features": [{"name": "y"}, {"name": "z"}], "considered": 176}
    outcomes = [
        outcome(),
        outcome(target="same"),
        outcome(target="bare", feature_mode="derived", feature_mode_reason="none", derived_features=derived),
        outcome(target="all", feature_mode="both", feature_mode_reason="--features both", derived_features=derived),
    ]
    lines = summary_text(outcomes, "sqlite:///mlflow.db").splitlines()
    assert [line for line in lines if line.startswith("features ")] == [
        "features own: the table has 43 feature columns",
        "features bare: 2 of 176 derived ones, none",
        "features all: 1 own and 2 of 176 derived ones, --features both",
    ]


@pytest.mark.parametrize(
    ("uri", "report", "command"),
    [
        ("sqlite:///mlflow.db", FILE, "mlflow ui --backend-store-uri sqlite:///mlflow.db"),
        ("http://tracking:5000", f"http://tracking:5000/{PAGE}", "open http://tracking:5000"),
        ("https://tracking/mlflow/", f"https://tracking/mlflow/{PAGE}", "open https://tracking/mlflow/"),
        ("databricks", FILE, "mlflow ui"),
    ],
)
def test_it_ends_with_what_to_open(uri: str, report: str, command: str) -> None:
    """With a server that is the page in MLflow: the file may lie in a pod that is gone."""
    lines = summary_text([outcome()], uri).splitlines()
    assert lines[-2:] == [f"report   {report}", f"MLflow   {command}"]
