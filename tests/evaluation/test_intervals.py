"""Intervals against brute force, the jackknife, scipy and known truths."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from benchmarks.coverage import Design, Part, errors, measure, money, ranks
from src.config import Metric
from src.evaluation import intervals
from src.evaluation.influence import Dates, score_influence
from src.evaluation.intervals import (
    Estimate,
    daily_estimate,
    dependence_factor,
    difference_estimate,
    mean_estimate,
    score_estimate,
    skill_estimate,
)
from src.evaluation.scoring import Floats, score, skill

METRICS: list[Metric] = ["mae", "rmse", "auc"]
REQUIRED = {0.0: 0.92, 0.95: 0.86}
"""Share of 95 % intervals that hold the truth, by the autocorrelation of what happens on a date, with 650 dates. What
lies between the two, and fewer dates, are measured by the benchmark."""


def days(numbers: ArrayLike) -> Dates:
    return np.datetime64("2024-01-01") + np.asarray(numbers, np.int64)


def panel(n_dates: int, n_accounts: int = 5, seed: int = 0) -> tuple[Floats, Floats, Floats, Dates]:
    """0/1 targets, a prediction, a reference with many ties, and unordered dates; each date has a factor."""
    rng = np.random.default_rng(seed)
    date = rng.permutation(np.repeat(np.arange(n_dates), n_accounts))
    factor = rng.normal(size=n_dates)[date]
    y = (rng.random(date.size) < 0.4).astype(np.float64)
    return y, y * (1 + factor) + rng.normal(size=date.size), np.round(y + rng.normal(size=date.size)), days(date)


def all_estimates(y: Floats, prediction: Floats, reference: Floats, dates: Dates | None) -> list[Estimate]:
    found = [mean_estimate(prediction, dates), mean_estimate(prediction, dates, (reference > 0).astype(np.float64))]
    found += [daily_estimate(prediction, dates)] if dates is not None else []
    for metric in METRICS:
        gained = skill_estimate(metric, y, prediction, reference, dates)
        assert gained is not None
        found += [score_estimate(metric, y, prediction, dates), gained]
        found.append(difference_estimate(metric, y, prediction, reference, dates))
    return found


def numbers(found: list[Estimate]) -> list[float]:
    return [item for e in found for item in (e.value, e.standard_error, e.low, e.high) if item is not None]


@pytest.mark.parametrize(("n_dates", "groups"), [(20, 4), (130, 4), (250, 4), (400, 5), (650, 6), (5000, 8)])
def test_a_mean_is_judged_by_students_t_over_groups_of_dates(n_dates: int, groups: int) -> None:
    n_dates -= n_dates % groups
    values = np.random.default_rng(0).normal(3, 2, n_dates)
    order = np.random.default_rng(1).permutation(n_dates)
    found = mean_estimate(values[order], days(order))
    means = values.reshape(groups, -1).mean(axis=1)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.degrees, found.n_dates) == (groups - 1, n_dates)
    assert found.value == pytest.approx(values.mean())
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert found.confidence_above(2.9) == pytest.approx(1 - stats.ttest_1samp(means, 2.9, alternative="greater").pvalue)


@pytest.mark.parametrize(("n_dates", "groups"), [(30, 4), (61, 4), (650, 6)])
def test_the_standard_error_of_dependent_dates_is_enlarged(n_dates: int, groups: int) -> None:
    """By the covariance matrix of an AR(1) series."""
    covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(n_dates), np.arange(n_dates)))
    member = np.add.reduceat(np.eye(n_dates), np.arange(groups) * n_dates // groups, axis=0)
    of_groups = member @ covariance @ member.T
    spread = groups / (groups - 1) * np.trace(of_groups - of_groups.sum() / groups**2)
    factor = math.sqrt(of_groups.sum() / spread)
    assert dependence_factor(n_dates, 0.9) == pytest.approx(factor)
    assert (dependence_factor(n_dates, 0), dependence_factor(0, 0.9)) == (1, 1)
    found = mean_estimate(np.random.default_rng(0).normal(size=n_dates), days(np.arange(n_dates)))
    t = (found.value + 0.1) / (found.standard_error or 0)
    assert found.confidence_above(-0.1, 0.9) == pytest.approx(stats.t.cdf(t / factor, groups - 1))


def test_delongs_variance_of_an_auc_is_that_of_brute_force() -> None:
    y, prediction, reference, _ = panel(40, 2)
    for values in (prediction, reference):
        ones, zeros = values[y == 1], values[y == 0]
        wins = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
        variance = wins.mean(axis=1).var(ddof=1) / ones.size + wins.mean(axis=0).var(ddof=1) / zeros.size
        found = score_estimate("auc", y, values, None)
        assert found.value == pytest.approx(wins.mean())
        assert found.standard_error == pytest.approx(np.sqrt(variance), rel=0.02), "n/(n-1) of each class or of all"
        assert found.degrees == min(ones.size, zeros.size) - 1


@pytest.mark.parametrize("metric", METRICS)
def test_influence_equals_the_jackknife(metric: Metric) -> None:
    """The jackknife, to first order: (n - 1) times what an estimate loses without a row."""
    y, prediction, reference, _ = panel(60)
    n = y.size
    for values in (prediction, reference):
        whole, influence = score_influence(metric, y, values)
        left_out = [score(metric, np.delete(y, i), np.delete(values, i)) for i in range(n)]
        np.testing.assert_allclose((n - 1) * (whole - np.array(left_out)), n * influence, atol=0.05, rtol=0.05)
        assert influence.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_error_of_skill_and_difference_is_the_jackknifes(metric: Metric) -> None:
    y, prediction, reference, _ = panel(60)
    n = y.size
    gained = skill_estimate(metric, y, prediction, reference, None)
    difference = difference_estimate(metric, y, prediction, reference, None)
    assert gained is not None
    skills, differences = [], []
    for i in range(n):
        rest = np.delete(y, i)
        one, other = (score(metric, rest, np.delete(item, i)) for item in (prediction, reference))
        skills.append(skill(metric, one, other) or 0.0)
        differences.append(one - other)
    for found, values in ((gained, skills), (difference, differences)):
        jackknife = np.sqrt((n - 1) ** 2 / n * np.var(values, ddof=1))
        assert found.standard_error == pytest.approx(jackknife, rel=0.03)


def test_values_are_those_of_scoring() -> None:
    y, prediction, reference, dates = panel(50)
    for metric in METRICS:
        of_both = [score(metric, y, item) for item in (prediction, reference)]
        gained = skill_estimate(metric, y, prediction, reference, dates)
        assert gained is not None
        assert score_estimate(metric, y, prediction, dates).value == of_both[0]
        assert gained.value == skill(metric, *of_both)
        assert difference_estimate(metric, y, prediction, reference, dates).value == of_both[0] - of_both[1]


@given(st.integers(0, 1000), st.booleans())
def test_the_order_of_rows_does_not_matter(seed: int, dated: bool) -> None:
    y, prediction, reference, dates = panel(30, 4)
    order = np.random.default_rng(seed).permutation(y.size)
    first = all_estimates(y, prediction, reference, dates if dated else None)
    again = all_estimates(y[order], prediction[order], reference[order], dates[order] if dated else None)
    assert numbers(again) == pytest.approx(numbers(first))


def test_duplicated_rows_narrow_the_interval_only_without_dates() -> None:
    y, prediction, reference, dates = panel(40)
    twice = np.repeat(y, 2), np.repeat(prediction, 2), np.repeat(reference, 2)
    once = all_estimates(y, prediction, reference, dates)
    doubled = all_estimates(*twice, np.repeat(dates, 2))
    per_date = 2  # the sum of a date is twice as large
    assert numbers(doubled[:per_date]) == pytest.approx(numbers(once[:per_date]))
    assert numbers(doubled[per_date : per_date + 1]) == pytest.approx([2 * item for item in numbers(once[2:3])])
    assert numbers(doubled[per_date + 1 :]) == pytest.approx(numbers(once[3:]))
    errors_once, errors_twice = (
        [item.standard_error or 0.0 for item in found]
        for found in (all_estimates(y, prediction, reference, None), all_estimates(*twice, None))
    )
    assert errors_twice == pytest.approx([item / np.sqrt(2) for item in errors_once], rel=0.01)


@given(st.floats(0.01, 100), st.floats(-50, 50), st.floats(0.1, 10))
def test_units_scale_errors_and_leave_skill_and_ranks(scale: float, shift: float, stretch: float) -> None:
    y, prediction, reference, dates = panel(30, 4)
    moved_y, moved, moved_reference = (scale * item + shift for item in (y, prediction, reference))
    for metric in METRICS[:2]:
        one, other = score_estimate(metric, y, prediction, dates), score_estimate(metric, moved_y, moved, dates)
        assert numbers([other]) == pytest.approx([scale * item for item in numbers([one])], rel=1e-6)
        gained = skill_estimate(metric, y, prediction, reference, dates)
        same = skill_estimate(metric, moved_y, moved, moved_reference, dates)
        assert gained is not None and same is not None
        assert numbers([same]) == pytest.approx(numbers([gained]), rel=1e-6)
    ranked = score_estimate("auc", y, np.exp(stretch * prediction), dates)
    assert numbers([ranked]) == pytest.approx(numbers([score_estimate("auc", y, prediction, dates)]))


def test_effects_of_a_date_on_both_cancel_out() -> None:
    rng = np.random.default_rng(6)
    y = np.repeat(rng.lognormal(sigma=1.5, size=300), 5) * rng.normal(size=1500)
    dates = days(np.repeat(np.arange(300), 5))
    found = skill_estimate("mae", y, 0.1 * y, np.zeros(1500), dates)
    assert found is not None
    assert found.interval == pytest.approx((0.1, 0.1)), "a tenth of every error is removed, so that nothing is unsure"
    assert found.note is None
    assert (score_estimate("mae", y, 0.1 * y, dates).standard_error or 0) > 0.01
    same = difference_estimate("mae", y, 0.1 * y, 0.1 * y, dates)
    assert (same.interval, same.confidence_above(0)) == ((0, 0), 0.5)


def test_bounds_stay_where_a_score_can_be() -> None:
    rng = np.random.default_rng(3)
    y = (np.arange(60) % 2).astype(np.float64)
    auc = score_estimate("auc", y, y + rng.normal(0, 0.4, 60), None)
    assert auc.low is not None and auc.high is not None and 0 < auc.low < auc.value < auc.high < 1
    spiky = np.r_[np.full(59, 0.01), 100.0]
    for metric in METRICS[:2]:
        error = score_estimate(metric, np.zeros(60), spiky, None)
        gained = skill_estimate(metric, np.zeros(60), spiky, np.ones(60), None)
        assert error.low is not None and 0 < error.low < error.value
        assert gained is not None and gained.high is not None and gained.value < gained.high < 1


def up_to(n: int) -> Floats:
    return np.arange(n, dtype=np.float64)


def first(n: int, of: int) -> Floats:
    """A class of the first n rows."""
    return (np.arange(of) < n).astype(np.float64)


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (lambda: mean_estimate(up_to(11), days(range(11))), "only 11 dates: an interval needs 12"),
        (lambda: mean_estimate(up_to(50), days([3] * 50)), "only 1 date: an interval needs 12"),
        (lambda: mean_estimate(up_to(11), None), "only 11 rows: an interval needs 12"),
        (lambda: mean_estimate(up_to(40), days(range(40)), first(9, of=40)), "only 9 dates: an interval needs 12"),
        (lambda: score_estimate("auc", first(9, of=40), np.sin(up_to(40)), None), "only 9 rows with each class: an"),
        (lambda: score_estimate("auc", first(20, of=40), -up_to(40), None), "an AUC of exactly 0 or 1"),
        (lambda: score_estimate("auc", first(20, of=40), up_to(40), None), "an AUC of exactly 0 or 1"),
        (
            lambda: mean_estimate(up_to(60), days(range(60))),
            "60 dates are so strongly correlated that they count as 0.",
        ),
    ],
)
def test_an_estimate_without_an_interval_says_why(found: Callable[[], Estimate], note: str) -> None:
    one = found()
    assert (one.interval, one.standard_error, one.confidence_above(0)) == (None, None, None)
    assert one.note is not None and one.note.startswith(note)
    assert np.isfinite(one.value)


def test_less_than_a_year_of_dates_says_when_the_interval_is_too_narrow() -> None:
    values = np.random.default_rng(0).normal(size=250)
    few, enough = (mean_estimate(values[:n], days(range(n))) for n in (249, 250))
    assert few.interval is not None and enough.interval is not None
    assert few.note is not None and few.note.startswith("only 249 dates: if good and bad periods last for weeks")
    assert enough.note is None
    part = score_estimate("mae", np.zeros(100), values[:100], days(range(100)), autocorrelation=0.1)
    assert part.note is None, "the autocorrelation comes from a longer series"
    closely = score_estimate("mae", np.zeros(100), values[:100], days(range(100)), autocorrelation=0.9)
    assert closely.note is not None and "count as 5.3 independent ones" in closely.note


def test_autocorrelation_is_kendalls_corrected_one() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        value, series = rng.normal(), []
        for shock in rng.normal(size=100):
            value = 0.6 * value + 0.8 * shock
            series.append(value)
        found.append(intervals.autocorrelation_of(np.array(series)))
    assert np.mean(found) == pytest.approx(0.6, abs=0.015), "0.57 without the correction"


def test_what_cannot_be_scored_is_refused() -> None:
    for bad in (np.empty(0), np.full(3, np.nan)):
        with pytest.raises(ValueError, match="a score needs"):
            score_estimate("mae", bad, bad, None)


@pytest.mark.slow
@pytest.mark.parametrize("autocorrelation", REQUIRED)
@pytest.mark.parametrize(("part", "n_accounts"), [(errors, 4), (ranks, 12), (money, 12)])
def test_intervals_have_the_nominal_coverage(part: Part, n_accounts: int, autocorrelation: float) -> None:
    """Of 300 tables: three standard errors less are chance. At 0.95, resampled blocks of 9 dates held 61 to 70 %."""
    found = measure(Design(650, n_accounts, autocorrelation), 300, seed=1, parts=(part,))
    assert found
    for kind, tally in found.items():
        if "month" in kind and autocorrelation:
            assert tally.given < 0.1 * tally.drawn, f"{kind}: a month is too short for an interval"
            continue
        assert tally.given == tally.drawn, kind
        slack = 3 * np.sqrt(REQUIRED[autocorrelation] * (1 - REQUIRED[autocorrelation]) / 300)
        assert tally.coverage >= REQUIRED[autocorrelation] - slack, f"{kind}: {tally.coverage:.3f}"
        if kind.startswith("difference"):
            assert abs(tally.passed / tally.drawn - 0.1) < 0.04 + 3 * np.sqrt(0.1 * 0.9 / 300), kind
