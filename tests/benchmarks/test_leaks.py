"""The simulated leaks are what their names say, and the benchmark counts what is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import leaks
from benchmarks.leaky_tables import clean_table, encoding_of_all_rows, gross_with_noise, mean_with_today, tomorrow


def test_planted_leaks_are_what_their_names_say() -> None:
    frame, rng = clean_table("noise", seed=1), np.random.default_rng(0)
    account = frame[frame["account_id"] == 3]
    y = account["y"].to_numpy()
    np.testing.assert_array_equal(tomorrow(frame, rng)[account.index][:-1], y[1:])
    np.testing.assert_allclose(mean_with_today(frame, rng)[account.index], np.cumsum(y) / np.arange(1, len(y) + 1))
    noise = gross_with_noise(0.5)(frame, rng) - frame["y"]
    assert noise.std() / frame["y"].std() == pytest.approx(0.5, abs=0.03)
    encoding = encoding_of_all_rows(5)(frame, rng)
    assert frame["y"].groupby(encoding).mean().to_numpy() == pytest.approx(np.unique(encoding))


@pytest.mark.slow
def test_what_is_named_is_counted(tmp_path: Path) -> None:
    assert leaks.main(["--tables", "2", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "leaks.json").read_text())["result"]
    assert (result["tables"], result["false"]) == (2, 0)
    assert result["named"]["tomorrow's value"] == result["named"]["mean so far with the day"] == 2
    assert set(result["named"]) == set(leaks.SIZES)
