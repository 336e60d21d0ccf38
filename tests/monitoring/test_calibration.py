import numpy as np
import pytest

from src.monitoring.calibration import calibrate
from src.monitoring.periods import Periods, make_blocks
from src.monitoring.statistics import all_statistics
from tests.monitoring.panels import noise, periods_of

REFERENCE, NEW = 200, 10


def panel(seed: int, n_features: int = 6) -> dict[str, np.ndarray]:
    return {f"x{i}": noise(100 * seed + i, REFERENCE + NEW) for i in range(n_features)}


def periods(values: dict[str, np.ndarray]) -> Periods:
    return periods_of({name: ("number", column) for name, column in values.items()}, REFERENCE, NEW)


def alarms(values: dict[str, np.ndarray], rate: float = 0.05) -> set[str]:
    blocks = make_blocks(periods(values), NEW)
    statistics = all_statistics(periods(values), blocks)
    found = calibrate(statistics, blocks, rate)
    assert found is not None
    over = found.standardised > found.bound
    assert (over == (np.array([each.values[-1] for each in statistics]) > found.thresholds)).all()
    return {statistic.column for statistic, rings in zip(statistics, over, strict=True) if rings}


def test_only_the_feature_that_drifts_rings() -> None:
    values = panel(0)
    assert alarms(values) == set()
    values["x3"][REFERENCE:] += 1
    assert alarms(values) == {"x3"}


def test_the_rate_of_a_whole_run_is_kept() -> None:
    """A threshold per statistic at 5 % would ring in most runs: there are 24 of them."""
    assert sum(bool(alarms(panel(seed))) for seed in range(40)) <= 5


def test_a_lower_rate_needs_a_larger_drift() -> None:
    blocks = make_blocks(periods(panel(1)), NEW)
    bounds = [calibrate(all_statistics(periods(panel(1)), blocks), blocks, rate) for rate in (0.2, 0.05, 0.01)]
    levels = [found.bound for found in bounds if found is not None]
    assert levels == sorted(levels) and len(set(levels)) == 3


def test_a_feature_that_always_drifts_is_compared_with_itself() -> None:
    """A count of days is always out of range; that is no news."""
    values = panel(2)
    values["x0"] = values["x0"] + np.arange(REFERENCE + NEW)[:, None]
    assert alarms(values) == set()


def test_an_outage_in_the_training_period_hides_no_drift() -> None:
    values = panel(4)
    values["x5"][50:58] = np.nan
    assert alarms(values) == set()
    values["x3"][REFERENCE:] += 1
    assert alarms(values) == {"x3"}
    values["x5"][REFERENCE:] = np.nan
    assert "x5" in alarms(values)


def test_values_that_never_varied_may_vary_a_little() -> None:
    values = panel(3)
    values["x1"][REFERENCE, :1] = np.nan
    assert alarms(values) == set()
    values["x1"][REFERENCE : REFERENCE + 5] = np.nan
    assert alarms(values) == {"x1"}


@pytest.mark.parametrize(("window", "judged"), [(33, True), (34, False)])
def test_a_reference_of_fewer_than_six_windows_is_too_short(window: int, judged: bool) -> None:
    given = periods_of({"x": ("number", noise(0, 200 + window))}, 200, window)
    blocks = make_blocks(given, window)
    assert (calibrate(all_statistics(given, blocks), blocks, 0.05) is not None) is judged
