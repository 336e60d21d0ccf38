import dataclasses

import numpy as np
import pytest

from src.errors import ConfigError
from src.monitoring.measure import Limits, measure
from src.monitoring.periods import Periods
from src.monitoring.result import Monitored
from tests.monitoring.panels import noise, periods_of

REFERENCE, NEW = 300, 40
METADATA = {"test_score": 0.8, "test_interval": [0.75, 0.85]}


def panel(shift: float = 0.0) -> Periods:
    drifting, quiet = noise(1, REFERENCE + NEW), noise(2, REFERENCE + NEW)
    drifting[REFERENCE:] += shift
    accounts = np.tile(np.arange(5.0), (REFERENCE + NEW, 1))
    return periods_of(
        {"drifting": ("number", drifting), "quiet": ("number", quiet), "account": ("account", accounts)}, REFERENCE, NEW
    )


def monitored(shift: float = 0.0, error: float | None = None) -> Monitored:
    periods = panel(shift)
    predictions = periods.columns[0].values
    labels = None
    if error is not None:
        labels = ("mae", predictions[REFERENCE * 5 :] + error * noise(3, NEW).ravel())
    return measure("models:/pnl/4", METADATA, periods, predictions, labels, Limits())  # type: ignore[arg-type]


def test_nothing_rings_without_drift() -> None:
    result = monitored(error=1.0)
    assert result.alarms == ()
    assert (result.target, result.model) == ("pnl", "models:/pnl/4")
    assert (result.reference.dates, result.new.dates, result.judged.dates) == (REFERENCE, NEW, REFERENCE // 20)
    assert result.judged.last == result.new.last


def test_the_drifting_feature_and_what_follows_from_it_are_named() -> None:
    result = monitored(shift=1.0)
    assert {line.what for line in result.alarms} == {"drifting", "prediction"}
    assert result.lines[: len(result.alarms)] == result.alarms


def test_a_worse_score_rings_alone() -> None:
    assert [line.what for line in monitored(error=2.0).alarms] == ["score of the new rows"]


def test_score_and_drift_share_the_rate() -> None:
    alone, shared = monitored(), monitored(error=1.0)
    thresholds = [
        next(line.threshold for line in result.lines if (line.what, line.measure) == ("quiet", "ks"))
        for result in (alone, shared)
    ]
    assert thresholds[0] is not None and thresholds[1] is not None and thresholds[0] < thresholds[1]


def test_few_labelled_dates_are_no_score() -> None:
    periods = panel()
    y = np.full(NEW * 5, np.nan)
    y[:20] = 1.0
    result = measure("models:/pnl/4", METADATA, periods, periods.columns[0].values, ("mae", y), Limits())
    assert result.score is None


def test_a_window_that_is_too_long_is_a_note_and_no_alarm() -> None:
    short = dataclasses.replace(panel(shift=3.0), n_reference=REFERENCE - 100)
    result = measure("models:/pnl/4", {}, short, short.columns[0].values, None, Limits(window=60))
    assert result.alarms == () and "no threshold" in result.notes[0]


def test_each_new_date_has_rows_and_a_mean_prediction() -> None:
    result = monitored()
    day, rows, mean = result.daily[-1]
    assert (len(result.daily), day, rows) == (NEW, result.new.last, 5)
    assert mean == pytest.approx(panel().columns[0].values[-5:].mean())


@pytest.mark.parametrize("values", [{"rate": 0.0}, {"rate": 0.6}, {"window": 0}])
def test_limits_out_of_range_are_a_mistake(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="--"):
        Limits(**values)  # type: ignore[arg-type]
