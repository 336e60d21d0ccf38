"""What the report says of an ensemble, and that it says nothing where there is none."""

from typing import Any

import optuna
import pytest

from src.modeling.optuna_visualization import OptunaVisualizer
from src.reporting.model import members as ensemble

METADATA: dict[str, Any] = {
    "target": "net_profit", "metric": "mae", "validation_score": 88.0, "best_iteration": 340,
    "best_trial": {"number": 12, "value": 90.0, "best_iteration": 100, "hyperparameters": {}},
    "members": [
        {
            "trial": 12, "weight": 0.75, "value": 90.0, "rounds": 120,
            "hyperparameters": {"boosting_type": "dart", "num_leaves": 31, "drop_rate": 0.1},
        },
        {
            "trial": 7, "weight": 0.25, "value": 90.5, "rounds": 220,
            "hyperparameters": {"boosting_type": "gbdt", "num_leaves": 12},
        },
    ],
}  # fmt: skip


def page(metadata: dict[str, Any]) -> str:
    return OptunaVisualizer(optuna.create_study(study_name="s"), metadata).to_html()


def test_members_are_a_table_with_a_cell_for_every_parameter() -> None:
    table = ensemble.members_table(METADATA)
    assert table.columns == ("trial", "weight", "validation MAE", "rounds", "boosting_type", "num_leaves", "drop_rate")
    assert table.rows == ((12, 0.75, 90.0, 120, "dart", 31, 0.1), (7, 0.25, 90.5, 220, "gbdt", 12, None))


def test_the_text_explains_the_ensemble_and_its_optimistic_score() -> None:
    message = ensemble.explain(METADATA)
    assert "mean of the raw scores of 2 trials, written as one LightGBM model of 340 trees" in message
    assert "Validation MAE: 88 together, 90 for the best trial alone." in message
    assert "were chosen by this score, so it is too optimistic; only the test score is unbiased." in message
    assert "optimistic" not in ensemble.explain({"members": METADATA["members"]})


def test_fixed_configurations_are_told_from_what_was_selected() -> None:
    first, second = METADATA["members"]
    metadata = METADATA | {"members": [first | {"is_fixed_config": False}, second | {"is_fixed_config": True}]}
    table = ensemble.members_table(metadata)
    assert table.columns[4] == "chosen as"
    assert [row[4] for row in table.rows] == ["a good trial", "fixed configuration"]
    message = ensemble.explain(metadata)
    assert "1 of the members are fixed configurations, which every study tries first; together they" in message
    assert "have 25 % of" in message
    assert "The others were chosen by greedy selection" in message
    assert "except the fixed configurations" in message


def test_how_far_members_were_trained_is_said_where_it_differs_from_the_window() -> None:
    message = ensemble.explain(METADATA | {"rounds_factor": 1.375})
    assert "The members' boosting rounds, except dart's, are 1.38 times the best number on the single" in message
    assert "walk-forward" not in ensemble.explain(METADATA | {"rounds_factor": 1.0})
    assert "walk-forward" not in ensemble.explain(METADATA)


def test_the_report_has_a_chapter_of_it() -> None:
    text = page(METADATA)
    assert "The ensemble</h2>" in text
    assert "weighted mean of 2 trials" in text
    assert "members.1.trial" not in text, "not once more among the facts"


@pytest.mark.parametrize("foreign", [None, [], "yes", 3, ["a", "b"], {"trial": 1}])
def test_without_one_there_is_no_chapter(foreign: Any) -> None:
    assert ensemble.members({"members": foreign}) == []
    assert "The ensemble</h2>" not in page(METADATA | {"members": foreign})
    assert "The ensemble</h2>" not in page({})
