"""Adds fixed configurations to an ensemble, which limits overfitting of the validation rows.

A search overfits its validation rows, and a longer search overfits more. So a part of every ensemble is the mean of
fixed configurations that do well on many tables. Every study trains them anyway, and they are not selected by a score.
On tables with drift this recovers much of what tuning lost; elsewhere their errors average out. The mean of a
selected and a simple forecast is a known method (Bates and Granger 1969; shrinkage towards equal weights: Stock and
Watson 2004).

The benefit comes from the mean of several configurations. A short search or a strict pruner may leave LightGBM's
defaults only: they then get the share of one of five configurations, not all of it.

Which configurations take part was chosen on the benchmark's fifteen tables, whole (up to 20,000 rows) and in windows of
250 to 4,000 rows, in 130 searches of up to 40 trials. The mean is used even if it is significantly worse than the best
trial on the validation rows: the best of many trials on these rows looks better than it is, and the longer the search,
the more so. Figures are in docs/benchmarks.md, "Rules of the final model".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from src.final.ensemble_selection import Scorer, Selection
from src.search.starting_points import FIXED_CONFIGS, config_position
from src.study.feasibility import complete_trials

FIXED_SHARE = 0.6
"""Share of the ensemble's weight if all fixed configurations take part; a fifth less for each missing one of five.
On the benchmark's tables, shares from 0.5 to 0.75 did equally well."""
TOLERATED_LOSS = 0.05
"""A fixed configuration is left out if it is significantly worse than the best trial by more than this share of its
loss. On large tables every small difference is significant, and slightly worse configurations still help the mean."""
MIN_CONFIDENCE = 0.95
"""One-sided confidence of "worse", by Student's t over groups of validation dates."""


@dataclass(frozen=True)
class Weighting:
    """Members and weights of an ensemble.

    Attributes:
        rows: rows of the candidates, best trial first.
        weights: their weights, which add up to 1.
        score: score of the weighted mean on the validation rows.
    """

    rows: tuple[int, ...]
    weights: tuple[float, ...]
    score: float


def find_fixed_configs(study: optuna.Study) -> list[FrozenTrial]:
    """The study's first feasible trial of every fixed configuration, in the order of `CONFIGS`."""
    complete = [trial for trial in complete_trials(study) if trial.value is not None]
    usable = [trial for trial in complete if "best_iteration" in trial.user_attrs]
    first: dict[int, FrozenTrial] = {}
    for trial in usable:
        if (position := config_position(trial.params)) is not None:
            first.setdefault(position, trial)
    return [first[position] for position in sorted(first)]


def suitable_configs(fixed: Sequence[int], best: int, predictions: np.ndarray, scorer: Scorer) -> list[int]:
    """The fixed configurations that suit the table, in their order.

    Left out is a configuration without a split, which predicts a constant (200 rows are too few for 100 rows in a
    leaf), and one that is significantly worse than the best trial by more than `TOLERATED_LOSS`. A slightly worse score
    is accepted, because the best trial was selected on the same rows.

    Args:
        fixed: rows of the fixed configurations in `predictions`.
        best: row of the best trial.
        predictions: (n_candidates, n_rows) raw scores.
        scorer: scores predictions of these rows.
    """
    tolerated = TOLERATED_LOSS * scorer.loss(predictions[best])
    return [
        row
        for row in fixed
        if any(np.ptp(predictions[row][fold]) > 0 for fold in scorer.folds)
        and scorer.confidence_worse(predictions[row], predictions[best], by=tolerated) < MIN_CONFIDENCE
    ]


def add_fixed_configs(selection: Selection, fixed: Sequence[int], predictions: np.ndarray, scorer: Scorer) -> Weighting:
    """Adds the fixed configurations with their share to the selected trials.

    Args:
        selection: the selected trials, best first.
        fixed: rows of the fixed configurations that take part; they may also be in the selection.
        predictions: (n_candidates, n_rows) raw scores.
        scorer: scores predictions of these rows.
    """
    share = FIXED_SHARE * len(fixed) / len(FIXED_CONFIGS)
    weights = {row: weight * (1 - share) for row, weight in zip(selection.members, selection.weights, strict=True)}
    for row in fixed:
        weights[row] = weights.get(row, 0.0) + share / len(fixed)
    mean = np.zeros(predictions.shape[1])
    for row, weight in weights.items():
        mean += weight * predictions[row]
    return Weighting(tuple(weights), tuple(weights.values()), scorer.score(mean))
