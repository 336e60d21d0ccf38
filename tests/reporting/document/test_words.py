"""What the report says of a model, good or bad, and what it never shows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import Direction
from src.reporting.document import words

SCORES = {
    "metric": "mae",
    "test_score": 90.0,
    "test_interval": [85.0, 96.0],
    "baselines": {"median": 110.0, "account_mean": 100.0},
    "skill": 0.1,
    "skill_interval": [0.04, 0.15],
    "validation_score": 80.0,
    "validation_baselines": {"median": 100.0},
    "validation_skill": 0.2,
}


def verdict_of(direction: Direction = "minimize", part: str = "test", **changed: Any) -> str:
    return words.verdict(words.compare(SCORES | changed, part, direction))


def test_scores_stand_beside_the_baseline_that_is_hardest_to_beat() -> None:
    judged = words.compare(SCORES, "test", "minimize")
    assert judged is not None
    assert list(judged.baselines) == ["account_mean", "median"]
    assert (judged.model, judged.interval, judged.skill) == (90.0, (85.0, 96.0), 0.1)
    validation = words.compare(SCORES, "validation", "minimize")
    assert validation is not None
    assert (validation.model, dict(validation.baselines), validation.skill) == (80.0, {"median": 100.0}, 0.2)


def test_a_better_model() -> None:
    message = verdict_of()
    assert "MAE is 90 (95 % interval 85 to 96)" in message
    assert "account_mean (the account's mean so far), has 100" in message
    assert "removes 10.0 % of the baseline's error" in message
    assert "+4.0 % to +15.0 %, does not include zero" in message


def test_a_worse_model_is_called_worse() -> None:
    message = verdict_of(test_score=104.0, skill=-0.04, skill_interval=[-0.1, 0.01])
    assert "worse than that baseline (skill \N{MINUS SIGN}4.0 %)" in message
    assert "the naive baseline is the better choice" in message
    assert "includes zero: the difference may be chance" in message


def test_higher_is_better_for_auc() -> None:
    scores: dict[str, Any] = {
        "metric": "auc",
        "test_score": 0.7,
        "baselines": {"base_rate": 0.5, "account_rate": 0.6},
        "skill": 0.25,
    }
    assert "25.0 % of the baseline's distance to a perfect score" in verdict_of("maximize", **scores)
    assert "account_rate" in verdict_of("maximize", **scores)
    assert "worse" in verdict_of("maximize", **scores | {"test_score": 0.55, "skill": -0.125})


def test_a_model_as_good_as_the_baseline_needs_no_model() -> None:
    assert "exactly as good" in verdict_of(test_score=100.0, skill=0.0)


def test_what_is_to_be_said_of_an_interval_is_said_beside_it() -> None:
    note = "only 11 dates: an interval needs 12"
    message = verdict_of(test_interval=None, test_interval_note=note, skill_interval=None, skill_interval_note=note)
    assert f"MAE is 90. Interval of the score and skill: {note}." in message
    message = verdict_of(skill_interval_note="only 130 dates")
    assert "95 % interval 85 to 96). Interval of the skill: only 130 dates." in message


def test_a_caption_says_how_intervals_are_made_and_why_some_are_missing() -> None:
    made = (
        "Lines: 95 % intervals (Student's t over groups of consecutive dates, or over rows in a table without dates)."
    )
    assert words.drawn_intervals([1.0, 2.0]) == made
    assert words.drawn_intervals([1.0, None]).startswith(f"{made} 1 of 2: too few dates, or too strongly")
    assert words.drawn_intervals([None, None]).startswith("No intervals: too few dates, or too strongly")


def test_without_a_hold_out_the_validation_score_is_called_optimistic() -> None:
    bare = {"metric": "mae", "validation_score": 90.0, "test_score": None, "baselines": {"median": 100.0}}
    assert words.compare(bare, "test", "minimize") is None
    message = words.verdict(words.compare(bare, "validation", "minimize"))
    assert "too optimistic" in message
    assert "10.0 %" in message


@pytest.mark.parametrize("metadata", [{}, {"test_score": None}, {"test_score": "n/a"}, {"test_score": float("nan")}])
def test_without_scores_there_is_no_comparison(metadata: dict[str, Any]) -> None:
    assert words.compare(metadata, "test", "minimize") is None
    assert "describes the search only" in words.verdict(None)


def test_without_baselines_nothing_is_claimed() -> None:
    assert "unknown whether" in verdict_of(baselines={}, skill=None)


def test_the_rest_of_the_metadata_is_listed_once_without_passwords() -> None:
    facts = words.reproduction(
        SCORES
        | {
            "study_name": "s",
            "data": "postgresql://user:hunter2@host:5432/db",
            "split": {"seed": 42, "test_dates": ["2024-01-01", "2024-02-01"], "folds": [{"train": [1, 2]}]},
            "query": None,
            "feature_names": ["x"] * 50,
            "note": "n" * 1000,
        }
    )
    shown = dict(facts)
    assert shown["split.seed"] == "42"
    assert shown["split.test_dates"] == "2024-01-01, 2024-02-01"
    assert shown["split.folds.1.train"] == "1, 2"
    assert "hunter2" not in str(facts)
    assert len(shown["note"]) == words.MAX_FACT_LENGTH
    assert shown.keys().isdisjoint({"test_score", "query", "feature_names", "baselines"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.70123, "0.7012"),
        (99.8123, "99.81"),
        (-1234.56, "\N{MINUS SIGN}1,234.6"),
        (190.0435, "190.0"),
        (190.0, "190"),
        (0.83904, "0.8390"),
        (0.5, "0.5"),
        (999.97, "1000"),
        (3.3e-8, "3.3e-08"),
        (2.5e9, "2.5e+09"),
    ],
)
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert words.format_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_shown_number_is_the_number(value: float) -> None:
    plain = words.format_number(value).replace(",", "").replace("\N{MINUS SIGN}", "-")
    assert float(plain) == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (9999, "9999"), (15478, "15,478"), (-15478, "\N{MINUS SIGN}15,478"), ("a", "a")]
)
def test_cells_of_tables(value: Any, text: str) -> None:
    assert words.format_cell(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.7, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (90061, "1 d 1 h")],
)
def test_durations_in_their_two_largest_units(seconds: float, text: str) -> None:
    assert words.format_duration(seconds) == text


def test_facts_that_hold_nothing_are_left_out() -> None:
    assert dict(words.reproduction({"warnings": [], "seed": 0})) == {"seed": "0"}
