"""Scores against scikit-learn, which the product does not use at run time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.evaluation.scoring import Floats, is_better, score, skill

NUMBERS = st.floats(-1e6, 1e6)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=50)
# Few distinct values, so that ties are common.
LABELLED = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=50).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def columns(rows: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    table = np.array(rows, np.float64)
    return table[:, 0], table[:, 1]


@given(PAIRS)
def test_errors_agree_with_sklearn(rows: list[tuple[float, float]]) -> None:
    y, prediction = columns(rows)
    assert score("mae", y, prediction) == pytest.approx(mean_absolute_error(y, prediction))
    assert score("rmse", y, prediction) == pytest.approx(root_mean_squared_error(y, prediction))


@given(LABELLED)
def test_auc_agrees_with_sklearn_also_with_ties(rows: list[tuple[float, float]]) -> None:
    y, prediction = columns(rows)
    assert score("auc", y, prediction) == pytest.approx(roc_auc_score(y, prediction))


@given(LABELLED)
def test_auc_sees_only_the_order(rows: list[tuple[float, float]]) -> None:
    y, prediction = columns(rows)
    assert score("auc", y, np.exp(prediction)) == score("auc", y, prediction)
    assert score("auc", y, -prediction) == pytest.approx(1 - score("auc", y, prediction))


def test_auc_is_exact_on_many_rows() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(300_000) < 0.3).astype(np.float64)
    prediction = np.round(rng.normal(y * 0.2), 2)
    assert score("auc", y, prediction) == pytest.approx(roc_auc_score(y, prediction), abs=1e-12)


def test_rows_that_cannot_be_scored_are_refused() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(ValueError, match="at least one row"):
        score("mae", np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="same length"):
        score("mae", one, two)
    with pytest.raises(ValueError, match="NaN"):
        score("auc", np.array([0.0, 1.0]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="both classes"):
        score("auc", two, two)


def test_better_means_lower_errors_and_higher_auc() -> None:
    assert is_better("mae", 1.0, 2.0) and is_better("rmse", 1.0, 2.0) and is_better("auc", 0.7, 0.6)
    assert not is_better("mae", 1.0, 1.0) and not is_better("auc", 0.7, 0.7)
    assert not is_better("mae", float("nan"), 1.0) and not is_better("auc", float("nan"), 0.5)


def test_skill_is_the_share_of_the_shortfall_removed() -> None:
    assert skill("mae", 75.0, 100.0) == 0.25
    assert skill("rmse", 110.0, 100.0) == pytest.approx(-0.1)
    assert skill("auc", 0.8, 0.6) == pytest.approx(0.5)
    assert skill("auc", 0.5, 0.6) == pytest.approx(-0.25)


def test_skill_over_a_perfect_or_unknown_reference_is_undefined() -> None:
    assert skill("mae", 1.0, 0.0) is None
    assert skill("auc", 0.9, 1.0) is None
    assert skill("rmse", float("inf"), 1.0) is None
    assert skill("auc", 0.9, float("nan")) is None


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_skill_is_positive_exactly_where_the_score_is_better(value: float, reference: float) -> None:
    for metric in ("mae", "rmse", "auc"):
        gained = skill(metric, value, reference)
        assert gained is not None
        assert (gained > 0) == is_better(metric, value, reference)
