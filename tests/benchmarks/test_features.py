"""What the benchmark of derived features compares is the same on both sides."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.features import BY_PANDAS, by_pandas, main, panel_of, random_table
from src.features.catalogue import candidates
from src.features.derive import derive


def test_pandas_computes_the_same_features() -> None:
    table = random_table(5, 90, 2)
    features = [feature for feature in candidates(["c0", "c1"], [], calendar=False) if feature.family in BY_PANDAS]
    ours, theirs = derive(panel_of(table), features), by_pandas(table, features)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # records the commit, by git
def test_the_benchmark_runs(tmp_path: Path) -> None:
    assert main(["--quick", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "features.json").is_file()
