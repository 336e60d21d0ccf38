"""Greedy selection against a plain implementation on scikit-learn's metrics."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from src.config import Metric
from src.evaluation.scoring import score
from src.final.ensemble_selection import MAX_STEPS, Scorer, fast_auc, select_members

ORACLES: dict[str, Any] = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "auc": roc_auc_score}
FOLDS = (slice(0, 40), slice(40, 100))


def make(metric: Metric, n_trials: int = 6, seed: int = 0) -> tuple[np.ndarray, Scorer]:
    """Trials with different errors; two folds of different length."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=100)
    y = (truth > 0).astype(float) if metric == "auc" else truth
    predictions = truth * rng.uniform(0.3, 1.2, (n_trials, 1)) + rng.normal(size=(n_trials, 100))
    return predictions.astype(np.float32), Scorer(metric, y, FOLDS)


def plainly(predictions: np.ndarray, scorer: Scorer, size: int) -> list[tuple[int, float]]:
    """Caruana's selection in its simplest form: (added, score) of each step."""
    sign = -1 if scorer.metric == "auc" else 1

    def reached(added: list[int]) -> float:
        mean = predictions[added].astype(np.float64).mean(axis=0)
        return float(np.mean([ORACLES[scorer.metric](scorer.y[fold], mean[fold]) for fold in scorer.folds]))

    path: list[tuple[int, float]] = []
    while len(path) < MAX_STEPS:
        bag = [added for added, _ in path]
        allowed = range(len(predictions)) if len(set(bag)) < size else sorted(set(bag))
        scores = {row: reached([*bag, row]) for row in allowed}
        best = min(scores, key=lambda row: sign * scores[row])
        if path and sign * scores[best] >= sign * path[-1][1] - 1e-9:
            break
        path.append((best, scores[best]))
    return path


@given(st.sampled_from(["mae", "rmse", "auc"]), st.integers(1, 8), st.integers(1, 4), st.integers(0, 50))
def test_it_is_carunas_selection(metric: Metric, n_trials: int, size: int, seed: int) -> None:
    predictions, scorer = make(metric, n_trials, seed)
    found = select_members(predictions, scorer, size)
    expected = plainly(predictions, scorer, size)
    assert [row for row, _ in found.path] == [row for row, _ in expected]
    assert [reached for _, reached in found.path] == pytest.approx([reached for _, reached in expected])
    bag = Counter(row for row, _ in expected)
    assert dict(zip(found.members, found.counts, strict=True)) == bag
    assert len(found.members) <= size
    assert sum(found.weights) == pytest.approx(1)
    mean = np.average(predictions[list(found.members)], axis=0, weights=found.weights)
    assert scorer.score(mean) == pytest.approx(found.score)
    sign = -1 if metric == "auc" else 1
    assert all(sign * after < sign * before for (_, before), (_, after) in pairwise(found.path))
    assert select_members(predictions, scorer, size) == found


def test_errors_that_cancel_are_averaged() -> None:
    y = np.arange(100.0)
    up, down, far = y + 1, y - 1, y + 50
    found = select_members(np.stack([far, up, down]), Scorer("mae", y, (slice(0, 100),)), 5)
    assert (found.members, found.counts, found.score) == ((1, 2), (1, 1), 0)


def test_a_member_can_be_added_twice_for_more_weight() -> None:
    y = np.arange(100.0)
    found = select_members(np.stack([y + 1, y - 2]), Scorer("rmse", y, (slice(0, 100),)), 2)
    assert (found.members, found.counts) == ((0, 1), (2, 1))
    assert found.weights == (2 / 3, 1 / 3)
    assert found.score == pytest.approx(0, abs=1e-12)


def test_ties_select_the_earlier_trial() -> None:
    predictions, scorer = make("mae", 3)
    found = select_members(np.concatenate([predictions, predictions]), scorer, 5)
    assert max(found.members) < 3
    assert found == select_members(predictions, scorer, 5)


def test_the_best_trial_alone_is_an_ensemble_of_one() -> None:
    predictions, scorer = make("auc")
    found = select_members(predictions, scorer, 1)
    scores = [scorer.score(prediction.astype(np.float64)) for prediction in predictions]
    assert (found.members, found.counts) == ((int(np.argmax(scores)),), (1,))
    assert found.score == max(scores)


def test_the_first_member_can_be_given() -> None:
    predictions, scorer = make("mae")
    worst = int(np.argmax([scorer.score(prediction) for prediction in predictions]))
    found = select_members(predictions, scorer, 3, start=worst)
    assert found.members[0] == worst
    assert found.score < scorer.score(predictions[worst])


def test_a_score_is_averaged_over_folds_whatever_their_length() -> None:
    y = np.zeros(100)
    prediction = np.concatenate([np.full(40, 1.0), np.full(60, 3.0)])
    assert Scorer("mae", y, FOLDS).score(prediction) == 2.0
    assert Scorer("mae", y, (slice(0, 100),)).score(prediction) == pytest.approx(2.2)


@pytest.mark.parametrize(("n_trials", "size"), [(0, 2), (2, 0)])
def test_an_empty_selection_is_refused(n_trials: int, size: int) -> None:
    predictions, scorer = make("mae", 2)
    with pytest.raises(ValueError, match=f"{n_trials} trials and size {size}"):
        select_members(predictions[:n_trials], scorer, size)


@given(arrays.arrays(np.float32, st.integers(2, 60), elements=st.floats(-9, 9, width=16)), st.data())
def test_the_fast_auc_is_the_auc(prediction: np.ndarray, data: st.DataObject) -> None:
    """Also with ties, which are frequent in half precision."""
    n = len(prediction)
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    positive[:2] = [True, False]
    wide = prediction.astype(np.float64)
    found = fast_auc(positive, wide)
    assert found == pytest.approx(score("auc", positive.astype(float), wide), abs=1e-12)
    assert found == pytest.approx(roc_auc_score(positive, wide), abs=1e-12)
