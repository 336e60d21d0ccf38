"""The part of an ensemble that the validation rows had little say in.

A search finds what suits its validation rows, and overfits them the more, the longer it searches. Part of each ensemble
is therefore the mean of configurations that do well on many tables and that every study starts with: they are trained
in any case, and no score chose them. Where tables drift this takes back much of what tuning lost, elsewhere their own
errors average out; figures are in docs/search.md. The mean of a chosen forecast
and a plain one is an old remedy (Bates and Granger 1969; shrinkage towards equal weights: Stock and Watson 2004).

The remedy is the mean of several: LightGBM's defaults alone, which is what a short search or a strict pruner leaves,
are one more configuration and deserve no larger share than each of five has.

Which ones take part, and that a surely worse mean gives way to the best trial, was chosen on the benchmark's fifteen
tables, whole (up to 20,000 rows) and in windows of 250 to 4,000 rows, 130 searches of up to 40 trials. Test loss below
that of the best trial alone, in the mean, and in how many it was above by more than 0.2 %: ensembles of ten 2.4 % and
19, as against 2.4 % and 25 with 60 % for whichever there are; of three 1.5 % and 21, 1.4 % and 39; of two 0.8 % and 10,
1.2 % and 40. Without any tolerance, ensembles of ten gain 2.2 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from src.final.ensemble_selection import Scorer, Selection
from src.search.starting_points import FIXED_CONFIGS

FIXED_SHARE = 0.6
"""Of the ensemble's weight where all fixed configurations take part; each that does not takes its part with it. On the
benchmark's tables anything from a half to three quarters did as well."""
TOLERATED_LOSS = 0.05
"""A fixed configuration that is surely worse than the best trial by more than this share of its loss is left out. Where
tables are large every small difference is sure, and configurations a little behind still help the mean."""
MIN_CONFIDENCE = 0.95
"""One-sided confidence of "worse", by Student's t over groups of validation dates."""


@dataclass(frozen=True)
class Weighting:
    """What an ensemble is made of.

    Attributes:
        rows: of the candidates, the best trial first.
        weights: their shares, which add up to 1.
        score: of their weighted mean on the validation rows.
    """

    rows: tuple[int, ...]
    weights: tuple[float, ...]
    score: float


def find_fixed_configs(study: optuna.Study) -> list[FrozenTrial]:
    """The study's complete trials of fixed configurations, in their order, one of each."""
    complete = [t for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if t.value is not None]
    usable = [trial for trial in complete if "best_iteration" in trial.user_attrs]
    first = [next((trial for trial in usable if trial.params == params), None) for params in FIXED_CONFIGS]
    return [trial for trial in first if trial is not None]


def suitable_configs(fixed: Sequence[int], best: int, predictions: np.ndarray, scorer: Scorer) -> list[int]:
    """The fixed configurations that suit the table, in their order.

    One that found no split, and predicts the same for every row, does not: 200 rows are too few for 100 in a leaf.
    Nor does one that is surely worse than the best trial by more than `TOLERATED_LOSS`. To be a little behind it is no
    fault, since the best trial was chosen on these very rows.

    Args:
        fixed: their rows of the predictions.
        best: row of the best trial.
        predictions: (n_candidates, n_rows) raw scores.
        scorer: of those rows.
    """
    tolerated = TOLERATED_LOSS * scorer.loss(predictions[best])
    return [
        row
        for row in fixed
        if any(np.ptp(predictions[row][fold]) > 0 for fold in scorer.folds)
        and scorer.confidence_worse(predictions[row], predictions[best], by=tolerated) < MIN_CONFIDENCE
    ]


def add_fixed_configs(selection: Selection, fixed: Sequence[int], predictions: np.ndarray, scorer: Scorer) -> Weighting:
    """Gives the fixed configurations their share beside what was selected.

    The best trial alone is taken where the mean is surely worse than it on the validation rows.

    Args:
        selection: of the search's best trials, the best one first.
        fixed: rows of the fixed configurations that take part; some of them may have been selected too.
        predictions: (n_candidates, n_rows) raw scores.
        scorer: of those rows.
    """
    share = FIXED_SHARE * len(fixed) / len(FIXED_CONFIGS)
    weights = {row: weight * (1 - share) for row, weight in zip(selection.members, selection.weights, strict=True)}
    for row in fixed:
        weights[row] = weights.get(row, 0.0) + share / len(fixed)
    mean = np.zeros(predictions.shape[1])
    for row, weight in weights.items():
        mean += weight * predictions[row]
    best = selection.members[0]
    if (
        scorer.loss(mean) > scorer.loss(predictions[best])
        and scorer.confidence_worse(mean, predictions[best]) >= MIN_CONFIDENCE
    ):
        return Weighting((best,), (1.0,), scorer.score(predictions[best]))
    return Weighting(tuple(weights), tuple(weights.values()), scorer.score(mean))
