"""Statistics of blocks against what scipy and a plain loop give for the same rows."""

import numpy as np
import pytest
from scipy.stats import entropy, ks_2samp

from src.evaluation.stability import bin_codes, quantile_cuts
from src.monitoring.periods import Kind, Periods, make_blocks
from src.monitoring.statistics import KS_BINS, MAX_LEVELS, all_statistics
from tests.monitoring.panels import noise, periods_of

WINDOW = 6


def measured(periods: Periods) -> dict[str, np.ndarray]:
    """Values of the only column by measure."""
    return {each.measure: each.values for each in all_statistics(periods, make_blocks(periods, WINDOW))}


def rows_of(periods: Periods) -> list[tuple[np.ndarray, np.ndarray]]:
    """The values of side and block, for each block."""
    blocks, (column,), day = make_blocks(periods, WINDOW), periods.columns, periods.row_day
    taken = [
        [column.values[(day >= first) & (day < last)] for first, last in (side, block)]
        for side, block in zip(blocks.side, blocks.block, strict=True)
    ]
    return [(side, block) for side, block in taken]


def one(kind: Kind, values: np.ndarray, n_reference: int = 40) -> Periods:
    return periods_of({"x": (kind, values)}, n_reference, len(values) - n_reference)


def test_the_distance_is_that_of_scipy_on_fine_bins() -> None:
    values = noise(1, 46)
    values[noise(2, 46) > 1.5] = np.nan
    periods = one("number", values)
    cuts = quantile_cuts(values[:40].ravel(), KS_BINS)
    binned = [[bin_codes(part[~np.isnan(part)], cuts) for part in pair] for pair in rows_of(periods)]
    expected = [ks_2samp(side, block).statistic for side, block in binned]
    assert measured(periods)["ks"] == pytest.approx(expected)
    exact = [ks_2samp(*(part[~np.isnan(part)] for part in pair)).statistic for pair in rows_of(periods)]
    assert measured(periods)["ks"] == pytest.approx(exact, abs=0.03)


def test_without_missing_values_the_highest_bin_counts() -> None:
    values = noise(1, 46)
    values[40:] = 9
    assert measured(one("number", values))["ks"][-1] == pytest.approx(1, abs=0.02)


def test_missing_values_and_values_outside_the_range() -> None:
    values = noise(3, 46)
    values[noise(4, 46) > 1] = np.nan
    values[41, 0] = 50
    periods = one("number", values)
    missing = [abs(np.isnan(block).mean() - np.isnan(side).mean()) for side, block in rows_of(periods)]
    assert measured(periods)["missing"] == pytest.approx(missing)
    outside = [((b < np.nanmin(a)) | (b > np.nanmax(a))).mean() for a, b in rows_of(periods)]
    assert measured(periods)["outside"] == pytest.approx(outside)
    assert outside[-1] > 0


def test_a_column_without_values_in_the_reference_changes_nothing_but_its_missing_share() -> None:
    values = np.full((46, 5), np.nan)
    values[40:] = 1
    found = measured(one("number", values))
    assert found["missing"][-1] == 1
    assert found["outside"][-1] == found["ks"][-1] == 0


def test_categories_are_bins_and_new_ones_are_unseen() -> None:
    codes = np.random.default_rng(5).integers(0, 3, (46, 5)).astype(float)
    codes[:40][noise(6, 40) > 2] = np.nan
    codes[44] = 7
    periods = one("category", codes)
    side, block = rows_of(periods)[-1]
    levels = [0, 1, 2, 7, np.nan]
    p, q = (np.array([np.sum(np.isnan(v) if np.isnan(c) else v == c) for c in levels]) / v.size for v in (side, block))
    p, q = ((share * v.size + 0.5) / (v.size + 2.5) for share, v in ((p, side), (q, block)))
    assert measured(periods)["psi"][-1] == pytest.approx(entropy(p, q) + entropy(q, p))
    assert measured(periods)["unseen"][-1] == pytest.approx(1 / WINDOW)


def test_many_categories_share_a_bin() -> None:
    codes = np.random.default_rng(5).integers(0, 20 * MAX_LEVELS, (46, 50)).astype(float)
    assert np.isfinite(measured(one("category", codes))["psi"]).all()


def test_missing_values_of_a_past_column_mean_nothing() -> None:
    """The newest rows have no result yet."""
    values = noise(1, 46)
    values[44:] = np.nan
    found = measured(one("past", values))
    assert set(found) == {"psi", "ks", "outside"}
    complete = measured(one("number", np.where(np.isnan(values), noise(9, 46), values)))
    assert found["ks"][-1] == pytest.approx(complete["ks"][-1], abs=0.25)
    assert found["psi"][-1] == pytest.approx(complete["psi"][-1], abs=0.5)
    assert not all_statistics(one("past", values * np.nan), make_blocks(one("past", values), WINDOW))


def test_the_mean_of_predictions_moves_in_standard_deviations() -> None:
    values = noise(1, 46)
    values[40:] += 2
    found = measured(one("prediction", values))
    side, block = rows_of(one("prediction", values))[-1]
    assert found["mean"][-1] == pytest.approx(abs(block.mean() - side.mean()) / side.std())
