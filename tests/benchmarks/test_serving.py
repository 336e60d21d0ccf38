"""The benchmark of the server runs, and both servers give the same predictions."""

import json
from pathlib import Path

import pytest

from benchmarks.serving import OURS, THEIRS, main


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    assert main(["--quick", "--results", str(tmp_path)]) == 0
    table = json.loads((tmp_path / "serving.json").read_text())["result"]["table"]
    assert [row["server"] for row in table] == [OURS, THEIRS]
    assert all(row["requests/s"] > 0 for row in table)
