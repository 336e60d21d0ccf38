"""What the report says of an ensemble, and that it says nothing where there is none."""

from typing import Any

import optuna
import pytest

from src.modeling.optuna_visualization import OptunaVisualizer
from src.reporting import members as ensemble

METADATA: dict[str, Any] = {
    "target": "net_profit", "metric": "mae", "validation_score_ensemble": 88.0, "validation_score": 90.0,
    "n_trees": 340, "best_trial": 12, "best_iteration": 120,
    "ensemble": [
        {
            "trial": 12, "weight": 0.75, "value": 90.0, "best_iteration": 120,
            "hyperparameters": {"boosting_type": "dart", "num_leaves": 31, "drop_rate": 0.1},
        },
        {
            "trial": 7, "weight": 0.25, "value": 90.5, "best_iteration": 220,
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


def test_it_is_said_what_it_is_and_how_far_its_score_flatters() -> None:
    said = ensemble.explain(METADATA)
    assert "mean of the raw scores of 2 trials, written as one LightGBM model of 340 trees" in said
    assert "Validation MAE: 88 together, 90 for the best trial alone." in said
    assert "flatters the ensemble more than the trial; only the test score says" in said
    assert "flatters" not in ensemble.explain({"ensemble": METADATA["ensemble"]})


def test_known_configurations_are_told_from_what_was_selected() -> None:
    first, second = METADATA["ensemble"]
    metadata = METADATA | {"ensemble": [first | {"anchor": False}, second | {"anchor": True}]}
    table = ensemble.members_table(metadata)
    assert table.columns[4] == "chosen as"
    assert [row[4] for row in table.rows] == ["a good trial", "known configuration"]
    said = ensemble.explain(metadata)
    assert "25 % of the weight belongs to known configurations that every study starts with (1 of the members)" in said
    assert "The others were chosen by greedy selection" in said
    assert "the known configurations apart" in said


def test_how_far_members_were_trained_is_said_where_it_differs_from_the_window() -> None:
    said = ensemble.explain(METADATA | {"ensemble_rounds_stretch": 1.375})
    assert "Their rounds are 1.38 times those that the one validation window speaks for" in said
    assert "walk-forward" not in ensemble.explain(METADATA | {"ensemble_rounds_stretch": 1.0})
    assert "walk-forward" not in ensemble.explain(METADATA)


def test_the_report_has_a_chapter_of_it() -> None:
    text = page(METADATA)
    assert "The ensemble</h2>" in text
    assert "ensemble of 2 trials" in text
    assert "ensemble.1.trial" not in text, "not once more among the facts"


@pytest.mark.parametrize("foreign", [None, [], "yes", 3, ["a", "b"], {"trial": 1}])
def test_without_one_there_is_no_chapter(foreign: Any) -> None:
    assert ensemble.members({"ensemble": foreign}) == []
    assert "The ensemble</h2>" not in page(METADATA | {"ensemble": foreign})
    assert "The ensemble</h2>" not in page({})
