import numpy as np
import pytest

from src.table_check.group_means import GroupMeans, compare_with_group_means
from src.table_check.history import Floats, Indices

N = 6000
LEVEL = 1e-4


def groups(seed: int, n_groups: int = 40) -> tuple[np.random.Generator, Indices, Floats]:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(0, n_groups, N), rng.standard_t(4, N)


def compare(feature: Floats, y: Floats) -> GroupMeans:
    found = compare_with_group_means(feature, y, np.full(len(y), np.nan))
    assert found is not None
    return found


@pytest.mark.parametrize("smoothing", [0.0, 10.0])
def test_means_over_all_rows_are_exact(smoothing: float) -> None:
    _, codes, y = groups(0)
    total, count = np.bincount(codes, y), np.bincount(codes)
    feature = ((total + smoothing * 0.1) / (count + smoothing))[codes]
    assert compare(feature, y).exact


def test_means_with_noise_are_closer_than_chance_allows() -> None:
    rng, codes, y = groups(1)
    means = np.bincount(codes, y) / np.bincount(codes)
    feature = (means + 0.3 * y.std() / np.sqrt(N / 40) * rng.normal(size=40))[codes]
    found = compare(feature, y)
    assert not found.exact
    assert found.is_too_close(LEVEL)


def test_levels_that_were_known_before_are_within_chance() -> None:
    """At the tested level one table in 100 may be named."""
    too_close, ratios = 0, []
    for seed in range(100):
        rng, codes, noise = groups(seed)
        level = rng.normal(size=40)
        found = compare(level[codes], level[codes] + noise)
        assert found.share > 0.75
        too_close += found.is_too_close(0.01)
        ratios.append(found.ratio)
    assert too_close <= 1
    assert 0.95 < np.median(ratios) < 1.4  # above 1, because the smaller one of two estimates of chance is taken


def test_means_of_the_first_half_of_the_rows_are_within_chance() -> None:
    _, codes, y = groups(2)
    half = np.arange(N) < N // 2
    feature = (np.bincount(codes[half], y[half]) / np.bincount(codes[half]))[codes]
    assert not compare(feature, y).is_too_close(LEVEL)


def test_a_lasting_level_of_the_accounts_is_not_chance() -> None:
    """The mean of yesterday is close to that of today for random walks, because it was known."""
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(size=(300, 8)), axis=0) + 30 * rng.normal(size=8)
    yesterday = np.roll(walk.mean(axis=1), 1)
    change = np.diff(walk, axis=0, prepend=np.nan)
    found = compare_with_group_means(np.repeat(yesterday[1:], 8), walk[1:].ravel(), change[1:].ravel())
    assert found is not None
    assert not found.is_too_close(LEVEL)


@pytest.mark.parametrize("n", [4000, 150_000])
def test_values_that_hardly_repeat_are_no_groups(n: int) -> None:
    rng = np.random.default_rng(4)
    assert compare_with_group_means(rng.normal(size=n), rng.normal(size=n), np.full(n, np.nan)) is None
    codes = rng.integers(0, n // 20, n)
    feature, y = rng.normal(size=n // 20)[codes], rng.normal(size=n)
    assert compare_with_group_means(feature, y, np.full(n, np.nan)) is not None


def test_means_of_a_few_counts_are_whole_by_chance() -> None:
    y = np.array([0.0, 1.0, 2.0, 1.0, 2.0] + [0.0] * 20)
    feature = np.array([1.0] * 4 + [2.0] + [np.nan] * 20)
    found = compare_with_group_means(feature, y, np.full(len(y), np.nan))
    assert found is None or not found.exact
    feature = np.array([0.0] * 60 + [1.0] * 60)
    y = feature + np.tile([0.5, -0.5], 60)
    assert compare(feature, y).exact
