"""False and true alarms of monitor on simulated panels."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import drift


def test_a_panel_has_the_autocorrelation_that_its_names_say() -> None:
    columns, _ = drift.panel(np.random.default_rng(0), 4000, 9)
    slow = columns[8].values.reshape(4000, drift.ACCOUNTS)  # 0 in common, 0.98 alone, weight 0.5
    lagged = np.mean([np.corrcoef(series[1:], series[:-1])[0, 1] for series in slow.T])
    assert lagged == pytest.approx(0.75 * 0.98, abs=0.05)
    assert {column.kind for column in columns} == {"number", "category"}


@pytest.mark.slow
def test_a_large_drift_is_named_and_nothing_else(tmp_path: Path) -> None:
    assert drift.main(["--runs", "3", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "drift.json").read_text())["result"]
    assert result["runs"] == 3
    assert result["shifts"]["2.0"]["named"] == 3
    assert result["shifts"]["2.0"]["others"] <= 1


@pytest.mark.slow
def test_of_100_runs_without_drift_at_most_10_ring() -> None:
    """At the stated rate of 5 %; the new periods took no part in the calibration."""
    assert sum(bool(drift.simulate(seed)[0].alarms) for seed in range(100)) <= 10
