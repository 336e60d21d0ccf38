"""Which trials the final model is made of: greedy forward selection with replacement (Caruana et al. 2004).

From the best trial on, again and again that trial is added whose predictions improve the score of the running mean
most; a trial that is added twice weighs twice. Raw scores are averaged, so that the ensemble can be written as one
booster (see `merged_model`). Everything here is a function of arrays, for trying out other rules on the same
predictions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from src.config import Metric
from src.evaluation.intervals import difference_estimate
from src.evaluation.scoring import is_better, score

MAX_STEPS = 30
"""Additions at most: the next would move the mean by a thirtieth of a difference between trials."""
MIN_GAIN = 1e-9
"""Of the score: what is less is rounding of the 32-bit predictions, no gain."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores predictions of the validation rows as a trial is scored: per fold, then the mean.

    Attributes:
        metric: the target's.
        y: (n_rows,) true values, all folds one after the other; a row may stand in several folds.
        folds: the places of each fold in them.
        dates: (n_rows,) the day of each row; None for a table without dates.
    """

    metric: Metric
    y: np.ndarray
    folds: tuple[slice, ...]
    dates: np.ndarray | None = None

    def score(self, prediction: np.ndarray) -> float:
        """The mean score of (n_rows,) predictions, raw ones for a binary target."""
        return float(np.mean([self._score_fold(self.y[fold], prediction[fold]) for fold in self.folds]))

    def loss(self, prediction: np.ndarray) -> float:
        """The score as something to be small: an error as it is, an AUC as its distance from 1."""
        reached = self.score(prediction)
        return 1 - reached if self.metric == "auc" else reached

    def confidence_worse(self, prediction: np.ndarray, reference: np.ndarray, by: float = 0.0) -> float:
        """How sure it is that a prediction is worse than a reference, paired on the rows.

        Where the dates are too few to be grouped, the rows count as independent, which sees noise too small: good
        enough for a choice, not for an interval that is shown.

        Args:
            prediction: (n_rows,), raw for a binary target.
            reference: likewise.
            by: loss that the prediction may have more than the reference.

        Returns:
            The one-sided confidence, 0 to 1, by Student's t over groups of dates.
        """
        for dates in (self.dates, None):
            found = difference_estimate(self.metric, self.y, prediction, reference, dates)
            if found.standard_error is not None:
                break
        above = found.confidence_above(-by if self.metric == "auc" else by)
        if above is None:  # a single row
            return 0.5
        return 1 - above if self.metric == "auc" else above

    def _score_fold(self, y: np.ndarray, prediction: np.ndarray) -> float:
        if self.metric == "auc":
            return fast_auc(y == 1, prediction)
        return score(self.metric, y, prediction)


@dataclass(frozen=True)
class Selection:
    """An ensemble.

    Attributes:
        members: rows of the predictions, in the order in which they came in; the best trial is the first.
        counts: how often each was added.
        score: the ensemble's on the rows that it was selected on, which flatters it.
        path: (row added, score then) of each step.
    """

    members: tuple[int, ...]
    counts: tuple[int, ...]
    score: float
    path: tuple[tuple[int, float], ...]

    @property
    def weights(self) -> tuple[float, ...]:
        """Shares of the members; they add up to 1."""
        return tuple(count / sum(self.counts) for count in self.counts)


def select_members(
    predictions: np.ndarray, scorer: Scorer, size: int, start: int | None = None, max_steps: int = MAX_STEPS
) -> Selection:
    """Selects an ensemble.

    Of equally good additions the first in order is taken; the same input gives the same ensemble.

    Args:
        predictions: (n_trials, n_rows) raw scores.
        scorer: of those rows.
        size: different members at most.
        start: the first member; the best one when None.
        max_steps: additions at most.

    Raises:
        ValueError: no trial, or a size below 1.
    """
    if len(predictions) == 0 or size < 1:
        raise ValueError(f"{len(predictions)} trials and size {size}: an ensemble needs one of both at least")
    total = np.zeros(predictions.shape[1])
    path: list[tuple[int, float]] = []
    counts: dict[int, int] = {}
    while len(path) < max_steps:
        allowed: Iterable[int] = range(len(predictions)) if len(counts) < size else sorted(counts)
        if not path and start is not None:
            allowed = [start]
        added, reached = _best_addition(predictions, scorer, allowed, total, len(path))
        if path and not _is_gain(scorer.metric, reached, path[-1][1]):
            break
        path.append((added, reached))
        counts[added] = counts.get(added, 0) + 1
        total += predictions[added]
    return Selection(tuple(counts), tuple(counts.values()), path[-1][1], tuple(path))


def _best_addition(
    predictions: np.ndarray, scorer: Scorer, allowed: Iterable[int], total: np.ndarray, n_added: int
) -> tuple[int, float]:
    """(row, score) of the best addition; one row after the other, as one fits into the processor's cache."""
    best: tuple[int, float] | None = None
    mean = np.empty_like(total)
    for row in allowed:
        np.add(total, predictions[row], out=mean)
        mean /= n_added + 1
        reached = scorer.score(mean)
        if best is None or is_better(scorer.metric, reached, best[1]):
            best = (row, reached)
    assert best is not None
    return best


def _is_gain(metric: Metric, now: float, before: float) -> bool:
    return is_better(metric, now, before) and abs(now - before) > MIN_GAIN * abs(before)


def fast_auc(positive: np.ndarray, prediction: np.ndarray) -> float:
    """`scoring.score("auc", ...)` by one sort; where predictions are tied, that function itself."""
    order = np.argsort(prediction)
    ordered = prediction[order]
    if (ordered[1:] == ordered[:-1]).any():
        return score("auc", positive.astype(np.float64), prediction)
    n_positive = int(np.count_nonzero(positive))
    rank_sum = float(np.flatnonzero(positive[order]).sum()) + n_positive
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * (len(positive) - n_positive))
