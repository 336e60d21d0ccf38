import json
from pathlib import Path

import pytest

from benchmarks.coverage import Design
from benchmarks.promotion import main, share_accepted, share_promoted


@pytest.mark.slow
def test_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--results", str(tmp_path)]) == 0
    assert "any of 20 equal, AUC, autocorrelation 0.9" in capsys.readouterr().out
    shares = json.loads((tmp_path / "promotion.json").read_text())["result"]["shares"]
    assert [row["dates"] for row in shares] == [60, 60, 60]
    assert all(0 <= row["promoted"] <= 1 for row in shares)


@pytest.mark.slow
def test_dates_that_follow_each_other_for_weeks_do_not_promote_equal_models() -> None:
    """The chance is alpha, 0.2, plus twice the standard error of 100 runs; with the plain standard error it is 0.38."""
    assert share_promoted(Design(60, 5, 0.95), "mae", runs=100, seed=0) <= 0.28


@pytest.mark.slow
def test_a_better_model_passes_with_a_year_of_dates() -> None:
    """Errors smaller by 20 %: on at least 19 of 20 runs."""
    assert share_accepted(Design(250, 5, 0.5), better=0.2, runs=20, seed=0) >= 0.95
