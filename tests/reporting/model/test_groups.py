"""Scores by month and account, against scikit-learn on the same rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.evaluation.intervals import score_estimate, skill_estimate
from src.reporting.model.groups import NEW, AccountSizes, score_accounts, score_periods
from src.reporting.model.hold_out import HoldOut
from tests.reporting.held_out import held_out, random_rows

ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "auc": roc_auc_score}
NO_SIZES = AccountSizes(np.empty(0, object), np.empty(0), "size")


def periods(tested: HoldOut) -> "pd.Series":
    assert tested.dates is not None
    return pd.Series(pd.DatetimeIndex(tested.dates).strftime("%Y-%m"))


@pytest.mark.parametrize("metric", ["mae", "rmse", "auc"])
def test_a_month_is_scored_as_if_it_were_all(metric: str) -> None:
    tested = random_rows(metric=metric)
    found = score_periods(tested)
    assert found is not None and found.kind == "month"
    groups = periods(tested).groupby(periods(tested)).groups
    assert [group.name for group in found.scores] == list(groups) == ["2024-01", "2024-02"]
    for group in found.scores:
        rows = np.asarray(groups[group.name])
        part = tested.take(rows)
        assert group.rows == len(rows)
        assert group.days == (31 if group.name == "2024-01" else 29)
        assert group.score == pytest.approx(ORACLES[metric](part.y, part.prediction))
        assert group.baseline == pytest.approx(ORACLES[metric](part.y, part.baseline))
        assert group.score is not None and group.baseline is not None
        shortfall = 1 - group.baseline if metric == "auc" else group.baseline
        left = 1 - group.score if metric == "auc" else group.score
        assert group.skill == pytest.approx(1 - left / shortfall)


def test_intervals_of_an_account_are_those_of_its_rows_alone() -> None:
    tested = random_rows()
    found = score_accounts(tested, NO_SIZES)
    assert found is not None
    part = tested.take(np.arange(3, 480, 8))
    (group,) = (item for item in found.scores if item.name == "A3")
    of_score = score_estimate("mae", part.y, part.prediction, part.dates)
    of_skill = skill_estimate("mae", part.y, part.prediction, part.baseline, part.dates)
    assert of_skill is not None
    assert (group.score, group.low, group.high) == (of_score.value, of_score.low, of_score.high)
    assert (group.skill, group.skill_low, group.skill_high) == (of_skill.value, of_skill.low, of_skill.high)


def test_the_whole_test_period_says_how_closely_the_dates_of_a_month_follow_each_other() -> None:
    """Errors that grow and shrink over months: within one they look alike, which a month cannot see."""
    days = np.arange(620)
    slow = np.sin(days / 50) + 1.5
    alternating = np.where(days % 2, 1.05, 0.95)
    slowly = score_periods(held_out((slow * alternating).tolist(), [0.0] * 620, days=days, baseline=slow))
    steady = score_periods(held_out((1.5 * alternating).tolist(), [0.0] * 620, days=days, baseline=slow))
    assert slowly is not None and steady is not None
    assert {group.low for group in slowly.scores} == {None}
    assert None not in {group.low for group in steady.scores if group.days and group.days > 12}


def test_few_dates_and_one_class_claim_nothing() -> None:
    few = score_periods(random_rows(n_days=9))
    assert few is not None
    assert few.scores[0].score is not None
    assert {(group.low, group.skill_low) for group in few.scores} == {(None, None)}
    rows = held_out([1, 1, 0, 1], [0.5, 0.1, 0.2, 0.9], metric="auc", accounts=["a", "a", "b", "b"])
    one_class = score_accounts(rows, NO_SIZES)
    assert one_class is not None
    assert [(group.score, group.skill) for group in one_class.scores] == [(None, None), (1.0, 1.0)]


def test_a_baseline_without_error_leaves_no_skill() -> None:
    idle = held_out([0.0] * 40, [0.1] * 40, days=np.repeat(np.arange(20), 2))
    found = score_periods(idle)
    assert found is not None
    (only,) = found.scores
    assert (only.baseline, only.skill, only.skill_low, only.skill_high) == (0, None, None, None)
    assert only.low == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("n_days", "kind", "first"), [(1000, "month", "2024-01"), (1200, "quarter", "2024 Q1"), (4000, "year", "2024")]
)
def test_many_months_become_quarters_or_years(n_days: int, kind: str, first: str) -> None:
    found = score_periods(random_rows(n_days, 1))
    assert found is not None
    assert (found.kind, found.scores[0].name) == (kind, first)
    assert sum(group.rows for group in found.scores) == n_days


def test_many_accounts_are_grouped_by_their_size_before_the_test() -> None:
    accounts = [f"A{i:02d}" for i in range(40)]
    known = AccountSizes(np.array(accounts[:35] * 2, object), np.array([float(i) for i in range(35)] * 2), "|profit|")
    tested = held_out([1.0] * 40, [0.5] * 40, accounts=accounts)
    found = score_accounts(tested, known)
    assert found is not None
    names = ["1 (0 to 6)", "2 (7 to 13)", "3 (14 to 20)", "4 (21 to 27)", "5 (28 to 34)", NEW]
    assert [(group.name, group.rows) for group in found.scores] == [(n, 7) for n in names[:5]] + [(NEW, 5)]
    assert (
        found.rule
        == "40 accounts in 5 groups of nearly equal size by their mean |profit| per day before the test period"
    )


def test_losses_count_as_size() -> None:
    sizes = AccountSizes(np.array(["a", "a", "b", "b"], object), np.array([-9.0, 9.0, 1.0, np.nan]), "|profit|")
    group_of, names = sizes.group(["a", "b"])
    assert names == ["1 (1 to 1)", "2 (9 to 9)"]
    assert group_of == {"b": names[0], "a": names[1]}


def test_without_keys_there_are_no_groups() -> None:
    tested = random_rows()
    assert score_periods(replace(tested, dates=None)) is None
    assert score_accounts(replace(tested, accounts=None), NO_SIZES) is None
