"""The block bootstrap against scikit-learn's weighted scores and against an analytic width."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.config import Metric
from src.modeling import bootstrap
from src.modeling.bootstrap import (
    Dates,
    block_length,
    bootstrap_interval,
    bootstrap_scores,
    bootstrap_skill_interval,
    percentile_interval,
)
from src.modeling.scoring import Floats, score, skill

ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "auc": roc_auc_score}


def days(numbers: Sequence[int]) -> Dates:
    return np.datetime64("2024-01-01") + np.array(numbers, np.int64)


def panel(n_dates: int, n_accounts: int, seed: int = 0) -> tuple[Floats, list[Floats], Dates]:
    """0/1 targets, a continuous prediction and one full of ties, and dates in no order."""
    rng = np.random.default_rng(seed)
    n = n_dates * n_accounts
    y = (rng.random(n) < 0.4).astype(np.float64)
    smooth = rng.normal(y)
    return y, [smooth, np.round(smooth)], days(rng.permutation(np.repeat(np.arange(n_dates), n_accounts)).tolist())


@pytest.mark.parametrize("metric", ["mae", "rmse", "auc"])
def test_each_resample_is_the_score_weighted_by_the_days_drawn(metric: Metric) -> None:
    y, predictions, dates = panel(30, 4)
    scores = bootstrap_scores(metric, y, predictions, dates, seed=7, n_resamples=20)
    _, unit = np.unique(dates, return_inverse=True)
    rng = np.random.default_rng(7)
    for i in range(20):
        weights = bootstrap._draw(rng, 30, block_length(30))[unit]
        for j, prediction in enumerate(predictions):
            assert scores[j, i] == pytest.approx(ORACLES[metric](y, prediction, sample_weight=weights))


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 1000))
def test_a_draw_is_blocks_of_consecutive_units_as_many_as_there_are(n_units: int, length: int, seed: int) -> None:
    counts = bootstrap._draw(np.random.default_rng(seed), n_units, length)
    assert counts.shape == (n_units,)
    assert counts.sum() == n_units
    starts = np.random.default_rng(seed).integers(0, n_units, size=-(-n_units // length))
    drawn = [(int(start) + k) % n_units for start in starts for k in range(length)][:n_units]
    assert counts.tolist() == [drawn.count(unit) for unit in range(n_units)]


@pytest.mark.parametrize("days", [None, 1, 12])
def test_draws_are_the_resamples_of_the_scores(days: int | None) -> None:
    y, (prediction, *_), dates = panel(12, 4)
    given = None if days is None else dates[:1].repeat(y.size) if days == 1 else dates
    unit, draws = bootstrap.draw_units(y.size, given, seed=7, n_resamples=5)
    loss = np.abs(prediction - y)
    expected = [np.average(loss, weights=counts[unit]) for counts in draws]
    assert bootstrap_scores("mae", y, [prediction], given, seed=7, n_resamples=5)[0] == pytest.approx(expected)


def test_block_length_is_the_cube_root_rounded_up_but_never_the_whole() -> None:
    assert [block_length(n) for n in (1, 2, 3, 4, 8, 9, 27, 28, 64, 125, 650, 1000)] == [
        1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 9, 10,
    ]  # fmt: skip
    assert all(2 * block_length(n) <= n for n in range(2, 2000))


def test_width_is_the_analytic_one_for_independent_errors() -> None:
    n = 4000
    y = np.random.default_rng(1).normal(size=n)
    interval = bootstrap_interval("mae", y, np.zeros(n), days(range(n)), seed=0)
    # The mean of |z| over n independent standard normals has variance (1 - 2/pi) / n.
    expected = 2 * 1.96 * np.sqrt((1 - 2 / np.pi) / n)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.15)
    assert interval.low < score("mae", y, np.zeros(n)) < interval.high


def test_covers_the_true_error_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    truth = np.sqrt(2 / np.pi)
    covered = 0
    for trial in range(200):
        y = rng.normal(size=200)
        interval = bootstrap_interval("mae", y, np.zeros(200), days(range(200)), seed=trial, n_resamples=200)
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_days_that_move_together_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    market = np.repeat(rng.normal(size=100), 20)
    y = market + 0.1 * rng.normal(size=2000)
    by_day = bootstrap_interval("mae", y, np.zeros(2000), days(np.repeat(np.arange(100), 20).tolist()), seed=0)
    by_row = bootstrap_interval("mae", y, np.zeros(2000), None, seed=0)
    assert by_day.high - by_day.low > 3 * (by_row.high - by_row.low)
    assert (by_day.block_days, by_row.block_days) == (5, 0)


@pytest.mark.parametrize("metric", ["mae", "rmse", "auc"])
def test_the_seed_decides(metric: Metric) -> None:
    y, predictions, dates = panel(40, 3)
    first, again, other = (bootstrap_scores(metric, y, predictions, dates, seed, 50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_order_of_rows_does_not_matter() -> None:
    y, predictions, dates = panel(25, 4)
    order = np.random.default_rng(9).permutation(y.size)
    straight = bootstrap_scores("auc", y, predictions, dates, seed=3, n_resamples=30)
    shuffled = bootstrap_scores("auc", y[order], [p[order] for p in predictions], dates[order], seed=3, n_resamples=30)
    np.testing.assert_array_equal(straight, shuffled)


def test_skill_is_paired_on_the_same_resamples() -> None:
    rng = np.random.default_rng(6)
    day_noise = np.repeat(rng.lognormal(sigma=1.5, size=200), 5)
    y = day_noise * rng.normal(size=1000)
    dates = days(np.repeat(np.arange(200), 5).tolist())
    pair = (0.1 * y, np.zeros(1000))
    interval = bootstrap_skill_interval("mae", y, *pair, dates, seed=0)
    # The model removes exactly a tenth of every error, so nothing is uncertain although each score is.
    assert (interval.low, interval.high) == pytest.approx((0.1, 0.1))
    scores = bootstrap_scores("mae", y, pair, dates, seed=0)
    assert scores[0].std() > 0.01
    assert skill("mae", scores[0, 0], scores[1, 0]) == pytest.approx(0.1)


def test_a_single_date_falls_back_to_rows() -> None:
    y = np.random.default_rng(8).normal(size=50)
    interval = bootstrap_interval("rmse", y, np.zeros(50), days([3] * 50), seed=0)
    assert interval == bootstrap_interval("rmse", y, np.zeros(50), None, seed=0)
    assert interval.block_days == 0
    assert interval.low < interval.high


def test_resamples_of_one_class_are_skipped_and_counted() -> None:
    y = np.array([1.0, 0.0, 0.0, 0.0])
    interval = bootstrap_interval("auc", y, np.array([0.9, 0.1, 0.2, 0.3]), None, seed=0, n_resamples=400)
    assert (interval.low, interval.high) == (1.0, 1.0)
    # A row of four is missed with probability (3/4)^4 = 0.316; all four draws hit it with 0.004.
    assert 0.25 < interval.n_skipped / 400 < 0.4
    assert interval.n_resamples + interval.n_skipped == 400


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_interval("mae", np.empty(0), np.empty(0), None, seed=0)
    with pytest.raises(ValueError, match="n_resamples 0"):
        bootstrap_interval("mae", np.ones(3), np.ones(3), None, seed=0, n_resamples=0)
    with pytest.raises(ValueError, match="none of 3 resamples"):
        percentile_interval(np.full(3, np.nan), block_days=0)


def test_one_row_has_an_interval_of_no_width() -> None:
    interval = bootstrap_interval("mae", np.ones(1), np.zeros(1), None, seed=0, n_resamples=5)
    assert (interval.low, interval.high) == (1.0, 1.0)
