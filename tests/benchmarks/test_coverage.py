"""The simulated tables have the stated true values, and the counts are right."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.coverage import Design, Found, Part, Tally
from src.evaluation.intervals import Estimate


@pytest.mark.parametrize("part", coverage.PARTS)
def test_truths_are_those_of_large_tables(part: Part) -> None:
    drawn = list(part(np.random.default_rng(1), Design(6_000, 10, 0.0)))
    assert drawn
    for found in drawn:
        low, high = found.bounds
        if "month" in found.kind:
            continue  # small by nature, whatever the table
        assert low is not None and high is not None
        assert abs((low + high) / 2 - found.truth) < 1.5 * (high - low), found.kind
        assert high - low < 0.4 or "profit" in found.kind, f"{found.kind}: too wide to show a wrong truth"


def test_factors_of_a_date_follow_those_of_the_date_before() -> None:
    one, other = coverage._factors(np.random.default_rng(0), Design(50_000, 1, 0.9))
    for factor in (one, other):
        assert (factor.mean(), factor.std()) == (pytest.approx(0, abs=0.1), pytest.approx(1, abs=0.05))
        assert np.corrcoef(factor[1:], factor[:-1])[0, 1] == pytest.approx(0.9, abs=0.01)
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(coverage.ALIKE, abs=0.03)


def test_intervals_hits_and_passes_are_counted() -> None:
    def difference(value: float) -> Found:
        return Found("difference of MAE", (value - 1, value + 1), 0.0, Estimate(value, 0.5, 7, None, None, 100, 0.5))

    tally = Tally()
    for found in (difference(-2), difference(0.5), difference(-0.5), Found("difference of MAE", (None, None), 0.0)):
        tally.add(found, required=0.8)
    assert (tally.drawn, tally.given, tally.held, tally.passed) == (4, 3, 2, 1), "a weak improvement does not pass"
    assert tally.coverage == pytest.approx(2 / 3)
    assert tally.error == pytest.approx(math.sqrt(2 / 9 / 3))
    assert math.isnan(Tally().coverage)
    for value, passed in ((2, 1), (-2, 0)):
        of_auc = Tally()
        of_auc.add(Found("difference of AUC", (None, None), 0.0, difference(value).estimate), required=0.8)
        assert of_auc.passed == passed, "a higher AUC is better"


@pytest.mark.slow
def test_it_runs_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.main(["--quick", "--tables", "3", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\ninterval of " in shown
    rows = json.loads((tmp_path / "coverage.json").read_text(encoding="utf-8"))["result"]["counts"]
    kinds = {row["interval_of"] for row in rows}
    assert {"MAE", "RMSE", "AUC", "skill of AUC", "difference of MAE", "MAE of one month", "mean of a tenth"} <= kinds
    assert all(kind in shown for kind in kinds)
    assert {row["n_dates"] for row in rows} == {20, 60}
