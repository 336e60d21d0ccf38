import numpy as np
import pytest

from src.evaluation.scoring import score
from src.monitoring.score_over_time import measure_score
from tests.monitoring.panels import START


def rows(n_dates: int, error: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, predictions and dates of four rows a date."""
    rng = np.random.default_rng(seed)
    dates = np.repeat(START + np.arange(n_dates), 4)
    y = rng.normal(size=len(dates))
    return y, y + error * rng.normal(size=len(dates)), dates


REGISTERED = {"test_score": 0.8, "test_interval": [0.75, 0.85], "split": {"test_dates": ["2023-10-01", "2023-12-31"]}}


def test_a_surely_worse_score_rings_and_an_equal_one_does_not() -> None:
    for error, rings in ((1.0, False), (2.0, True), (0.2, False)):  # the mean of |normal| is 0.8
        found = measure_score("mae", *rows(60, error), REGISTERED, 0.05)
        assert found.line is not None
        assert found.line.alarm is rings
        assert (found.line.value > (found.line.threshold or 0)) is rings


def test_a_lower_auc_is_worse() -> None:
    y, prediction, dates = rows(60, 3.0)
    y = (y > 0).astype(float)
    metadata = {"test_score": 0.9, "test_interval": [0.88, 0.92]}
    worse = measure_score("auc", y, prediction, dates, metadata, 0.05).line
    assert worse is not None and worse.alarm and worse.value < (worse.threshold or 1)
    better = measure_score("auc", y, y + 0.4 * prediction, dates, metadata, 0.05).line
    assert better is not None and not better.alarm


def test_the_registered_score_is_uncertain_too() -> None:
    wide = REGISTERED | {"test_interval": [0.3, 1.3]}
    lines = [measure_score("mae", *rows(60, 1.2), given, 0.05).line for given in (REGISTERED, wide)]
    assert [line is not None and line.alarm for line in lines] == [True, False]


def test_parts_have_20_dates_and_a_short_rest_joins_the_last() -> None:
    y, prediction, dates = rows(50, 1.0)
    parts = measure_score("mae", y, prediction, dates, REGISTERED, 0.05).parts
    assert [part.rows for part in parts] == [80, 120]
    assert parts[0].first == "2024-01-01" and parts[1].last == str(dates[-1])
    assert parts[0].score == pytest.approx(score("mae", y[:80], prediction[:80]))
    assert parts[0].low is not None and parts[0].low < parts[0].score
    assert len(measure_score("mae", *rows(52, 1.0), REGISTERED, 0.05).parts) == 3


def test_what_cannot_be_judged_is_said() -> None:
    y, prediction, dates = rows(30, 1.0)
    without = measure_score("mae", y, prediction, dates, {"test_score": None}, 0.05)
    assert without.line is None and "without a test score" in without.notes[0]
    one_class = measure_score("auc", np.ones(len(y)), prediction, dates, REGISTERED, 0.05)
    assert one_class.line is None and "one class" in one_class.notes[0]
    short = measure_score("mae", *rows(5, 1.0), REGISTERED, 0.05)
    assert short.line is None and "not judged" in short.notes[0]
    inside = measure_score(
        "mae", y, prediction, dates, {"test_score": 1.0, "split": {"test_dates": ["", "2024-01-09"]}}, 0.05
    )
    assert any("test period" in note for note in inside.notes)
