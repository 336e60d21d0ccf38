import json
from pathlib import Path

import pytest

from benchmarks.batch import BARE, OURS, main


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
def test_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], mlflow_store: str) -> None:
    assert main(["--quick", "--results", str(tmp_path)]) == 0
    assert "predict takes " in capsys.readouterr().out
    result = json.loads((tmp_path / "batch.json").read_text())["result"]
    assert [row["rows"] for row in result["memory"]] == [2_000, 2_000, 4_000, 4_000]
    assert all(row["peak MB"] > 50 for row in result["memory"])
    assert set(result["seconds"]) == {OURS, BARE}
    assert set(result["cpu"]) == {OURS, BARE}
    assert result["ratio"] > 0 and result["ratio_of_cpu"] > 0
