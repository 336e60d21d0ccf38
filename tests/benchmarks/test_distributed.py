"""Which measurements are made, and what is computed from them."""

import json
from pathlib import Path

import pytest

from benchmarks.distributed import Cell, cells, main, parse, summary


def test_the_ideal_rate_has_no_waiting() -> None:
    row = Cell(workers=8, seconds=2.0, trials=80).row(span=25.0, connections=20, cpu=1.6)
    assert row["trials/s"] == 80 / 25
    assert row["of the ideal"] == pytest.approx(20 / 25)
    assert row["connections per worker"] == 2.5
    assert row["database, CPU ms per trial"] == pytest.approx(20)
    assert Cell(2, 0.0, 8).row(4.0, 2, None)["of the ideal"] is None


def test_every_worker_has_as_many_trials() -> None:
    made = list(cells(parse(["--storage-url", "postgresql://h/db", "--workers", "2", "8", "--seconds", "2", "0"])))
    assert made == [Cell(2, 2.0, 40), Cell(8, 2.0, 160), Cell(2, 0.0, 80), Cell(8, 0.0, 320)]


def test_the_claim_is_that_of_two_seconds_and_most_workers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Cell(1, 2.0, 10).row(20.0, 3, 0.1),
        Cell(8, 2.0, 80).row(21.0, 20, 0.8),
        Cell(8, 0.1, 800).row(12.0, 20, 4.0),
    ]
    found = summary(rows)
    assert found["of_the_ideal"] == pytest.approx(20 / 21)
    assert found["trials_per_second_and_core"] == pytest.approx(100)
    assert "8 workers, trials of 2 s: 0.952 of the ideal rate" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_it_runs_on_a_real_postgres(tmp_path: Path) -> None:
    line = ["--workers", "1", "--seconds", "0.01", "--cell-seconds", "0.05", "--least", "3"]
    assert main([*line, "--results", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "distributed.json").read_text())["result"]["table"]
    assert (row["workers"], row["trials"]) == (1, 5)
    assert 0 < row["of the ideal"] <= 1
    assert row["connections per worker"] >= 1
