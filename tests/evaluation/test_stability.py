import numpy as np
import pytest
from scipy.stats import entropy

from src.evaluation.stability import SMALLEST_SHARE, bin_codes, quantile_cuts, stability_index


def test_index_is_the_symmetric_divergence_of_each_pair_of_histograms() -> None:
    before = np.array([[10.0, 20, 70], [1, 1, 2]])
    after = np.array([[30.0, 30, 40], [2, 2, 4]])
    p, q = before[0] / 100, after[0] / 100
    assert stability_index(before, after) == pytest.approx([entropy(p, q) + entropy(q, p), 0])


def test_an_empty_bin_keeps_the_index_finite() -> None:
    (index,) = stability_index(np.array([[5.0, 0]]), np.array([[0.0, 5]]))
    assert index == pytest.approx(2 * (1 - SMALLEST_SHARE) * np.log(1 / SMALLEST_SHARE))


def test_bins_have_equal_numbers_of_known_values_and_one_is_for_missing_ones() -> None:
    values = np.r_[np.arange(100.0), [np.nan] * 7]
    codes = bin_codes(values, quantile_cuts(values, 10))
    assert np.bincount(codes).tolist() == [10] * 10 + [7]


def test_repeated_and_absent_values_have_fewer_bins() -> None:
    assert quantile_cuts(np.array([1.0, 1, 1, 2]), 10).size < 9
    nothing = np.array([np.nan, np.nan])
    assert bin_codes(nothing, quantile_cuts(nothing, 10)).tolist() == [1, 1]
