import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.opencl import NO_OPENCL, opencl_environment

ROOT = Path(__file__).parents[2]
QUICK = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--results"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_quick_run(tmp_path: Path) -> None:
    environ = os.environ | opencl_environment(tmp_path)
    done = subprocess.run([*QUICK, str(tmp_path)], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())["result"]
    assert f"OpenCL device: {result['device']}\n" in done.stdout
    assert "pthread" in result["device"], "the name of PoCL's CPU"
    trials = result["trials"]
    assert {row["rows"] for row in trials} == {2_000, 3_000}
    assert {row["contender"].split(",")[0] for row in trials} == {"cpu", "gpu"}
    for n_rows in (2_000, 3_000):
        scores = [row["RMSE"] for row in trials if row["rows"] == n_rows]
        assert scores == pytest.approx([scores[0]] * len(scores), rel=0.02)


@pytest.mark.slow
def test_without_a_device_it_says_so(tmp_path: Path) -> None:
    environ = os.environ | NO_OPENCL
    done = subprocess.run([*QUICK, str(tmp_path)], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --device gpu: no OpenCL device is found")
    assert not (tmp_path / "gpu.json").exists()
