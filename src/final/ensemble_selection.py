"""Selects the members of the final model: greedy forward selection with replacement (Caruana et al. 2004).

It starts with the best trial. Each step adds the trial whose predictions improve the score of the mean most; a trial
that is added twice has twice the weight. Raw scores are averaged, so that the ensemble can be written as one booster
(see `merged_model`). All functions work on arrays, so that other rules can be tested on the same predictions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from src.config import Metric
from src.evaluation.intervals import difference_estimate
from src.evaluation.scoring import is_better, score

MAX_STEPS = 30
"""Maximum number of steps; a further step would change the mean by less than 1/30 of a difference of trials."""
MIN_GAIN = 1e-9
"""Minimum relative improvement; smaller ones are rounding errors of the 32-bit predictions."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores predictions of the validation rows as a trial is scored: per fold, then the mean.

    Attributes:
        metric: metric of the target.
        y: (n_rows,) true values, all folds one after the other; a row may be in several folds.
        folds: slice of each fold in `y`.
        dates: (n_rows,) the day of each row; None for a table without dates.
    """

    metric: Metric
    y: np.ndarray
    folds: tuple[slice, ...]
    dates: np.ndarray | None = None

    def score(self, prediction: np.ndarray) -> float:
        """The mean score of (n_rows,) predictions; raw scores for a binary target."""
        return float(np.mean(self.score_folds(prediction)))

    def score_folds(self, prediction: np.ndarray) -> list[float]:
        """The score of each fold."""
        return [self._score_fold(self.y[fold], prediction[fold]) for fold in self.folds]

    def loss(self, prediction: np.ndarray) -> float:
        """The score as a loss: errors unchanged, AUC as 1 - AUC."""
        value = self.score(prediction)
        return 1 - value if self.metric == "auc" else value

    def confidence_worse(self, prediction: np.ndarray, reference: np.ndarray, by: float = 0.0) -> float:
        """The confidence that a prediction is worse than a reference, paired on the rows.

        With too few dates for groups, rows count as independent. This underestimates the noise; it is good enough for
        a selection, but not for a reported interval.

        Args:
            prediction: (n_rows,) predictions, raw scores for a binary target.
            reference: (n_rows,) predictions of the reference, likewise.
            by: tolerated excess of the prediction's loss over the reference's.

        Returns:
            The one-sided confidence, 0 to 1, by Student's t over groups of dates.
        """
        for dates in (self.dates, None):
            estimate = difference_estimate(self.metric, self.y, prediction, reference, dates)
            if estimate.standard_error is not None:
                break
        above = estimate.confidence_above(-by if self.metric == "auc" else by)
        if above is None:  # a single row
            return 0.5
        return 1 - above if self.metric == "auc" else above

    def _score_fold(self, y: np.ndarray, prediction: np.ndarray) -> float:
        if self.metric == "auc":
            return fast_auc(y == 1, prediction)
        return score(self.metric, y, prediction)


@dataclass(frozen=True)
class Selection:
    """A selected ensemble.

    Attributes:
        members: rows of the predictions in the order of their first addition; the best trial is first.
        counts: number of additions per member.
        score: the ensemble's score on the selection rows, which is optimistic.
        path: (row added, score after it) of each step.
    """

    members: tuple[int, ...]
    counts: tuple[int, ...]
    score: float
    path: tuple[tuple[int, float], ...]

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the members; they add up to 1."""
        return tuple(count / sum(self.counts) for count in self.counts)


def select_members(
    predictions: np.ndarray, scorer: Scorer, size: int, start: int | None = None, max_steps: int = MAX_STEPS
) -> Selection:
    """Selects an ensemble.

    Ties are resolved by order: the same input gives the same ensemble.

    Args:
        predictions: (n_trials, n_rows) raw scores.
        scorer: scores predictions of these rows.
        size: maximum number of different members.
        start: row of the first member; the best row when None.
        max_steps: maximum number of additions.

    Raises:
        ValueError: no trial, or a size below 1.
    """
    if len(predictions) == 0 or size < 1:
        raise ValueError(f"{len(predictions)} trials and size {size}: an ensemble needs at least one trial and size 1")
    total = np.zeros(predictions.shape[1])
    path: list[tuple[int, float]] = []
    counts: dict[int, int] = {}
    while len(path) < max_steps:
        allowed: Iterable[int] = range(len(predictions)) if len(counts) < size else sorted(counts)
        if not path and start is not None:
            allowed = [start]
        added, value = _best_addition(predictions, scorer, allowed, total, len(path))
        if path and not _is_gain(scorer.metric, value, path[-1][1]):
            break
        path.append((added, value))
        counts[added] = counts.get(added, 0) + 1
        total += predictions[added]
    return Selection(tuple(counts), tuple(counts.values()), path[-1][1], tuple(path))


def _best_addition(
    predictions: np.ndarray, scorer: Scorer, allowed: Iterable[int], total: np.ndarray, n_added: int
) -> tuple[int, float]:
    """(row, score) of the best addition; rows are tried one by one, because one row fits into the CPU cache."""
    best: tuple[int, float] | None = None
    mean = np.empty_like(total)
    for row in allowed:
        np.add(total, predictions[row], out=mean)
        mean /= n_added + 1
        value = scorer.score(mean)
        if best is None or is_better(scorer.metric, value, best[1]):
            best = (row, value)
    assert best is not None
    return best


def _is_gain(metric: Metric, now: float, before: float) -> bool:
    return is_better(metric, now, before) and abs(now - before) > MIN_GAIN * abs(before)


def fast_auc(positive: np.ndarray, prediction: np.ndarray) -> float:
    """Computes `scoring.score("auc", ...)` by one sort; calls that function if predictions are tied."""
    order = np.argsort(prediction)
    ordered = prediction[order]
    if (ordered[1:] == ordered[:-1]).any():
        return score("auc", positive.astype(np.float64), prediction)
    n_positive = int(np.count_nonzero(positive))
    rank_sum = float(np.flatnonzero(positive[order]).sum()) + n_positive
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * (len(positive) - n_positive))
