from dataclasses import replace

import pytest

from src.final.fit_budget import FINISH_SHARE, FITS_SHARE, MIN_FINISH_SECONDS, FitBudget, fit_budget
from src.search.finish_time import TableSize, TimeLimit

SIZE = TableSize(fold_rows=8_000, n_folds=1, search_rows=10_000, values=100_000)
LIMIT = TimeLimit(end=100.0, size=SIZE, seconds=90.0)
WEIGHTS = [0.2, 0.1, 0.4, 0.3]


def test_without_a_time_limit_nothing_is_cut() -> None:
    assert fit_budget(None, None, 10, 2) is None


@pytest.mark.parametrize(("timeout", "finish"), [(1.0, MIN_FINISH_SECONDS), (60.0, 15.0), (400.0, FINISH_SHARE * 400)])
def test_the_budget_follows_the_timeout(timeout: float, finish: float) -> None:
    budget = fit_budget(timeout, None, 10, 2)
    assert budget is not None
    assert budget.option == f"--timeout {timeout:g}"
    assert budget.seconds == pytest.approx(FITS_SHARE * finish)


def test_the_finish_of_a_distributed_search_is_not_limited_by_its_timeout_of_zero() -> None:
    assert fit_budget(0.001, None, 10, 2) is None


def test_the_shorter_of_both_limits_counts() -> None:
    both = [fit_budget(400.0, LIMIT, 0, 2, now=now) for now in (0.0, 60.0, 99.0)]
    assert [budget and budget.option for budget in both] == [
        "--timeout 400",
        "--total-timeout 90",
        "--total-timeout 90",
    ]
    assert both[1] is not None
    assert both[1].seconds == pytest.approx(40 - LIMIT.rest_seconds(0))
    assert both[2] is not None
    assert both[2].seconds == 0, "the time is over: only the best trial is fitted"


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(0.0, [0]), (0.9, [0]), (1.0, [0, 2]), (1.9, [0, 1, 2]), (2.0, [0, 2, 3]), (9.0, [0, 1, 2, 3])],
)
def test_the_best_trial_and_the_most_weight_per_second_are_kept(seconds: float, kept: list[int]) -> None:
    assert FitBudget(seconds, 2, "--timeout 60").affordable([1.0, 1.0, 1.0, 2.0], WEIGHTS) == kept


def test_a_single_fit_must_fit_too() -> None:
    assert FitBudget(2.0, 8, "--timeout 60").affordable([1.0, 2.5, 1.0, 2.5], WEIGHTS) == [0, 2]


def test_the_rounds_are_measured_only_if_that_is_cheap() -> None:
    from tests.search.test_finish_time import trial

    members = [trial(1.0, 100, 50)] * 2
    assert FitBudget(9.0, 2, "--timeout 60").allows_rounds(members, SIZE)
    assert not FitBudget(7.0, 2, "--timeout 60").allows_rounds(members, SIZE)
    assert not FitBudget(9.0, 1, "--timeout 60").allows_rounds(members, SIZE)
    assert FitBudget(0.0, 2, "--timeout 60").allows_rounds([], replace(SIZE, n_folds=3))
