"""Boosting round by round, all folds together, with early stopping.

`lightgbm.train` and `lightgbm.cv` do the same in one call for one Dataset. Here the folds use their shared Datasets and
advance together, so that a trial can be pruned before a fold is finished; and early stopping works for dart too, which
LightGBM does not support.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np

from src.search.dart import train_round_and_check

MAX_CURVE_POINTS = 100
FIRST_ROUNDS_READ, READ_EVERY_ROUNDS = 10, 5
Feval = Callable[[np.ndarray, lgb.Dataset], list[Any]]


@dataclass
class ValidationCurve:
    """Mean validation scores after each round, and the best one.

    Attributes:
        values: scores after rounds 1, 2, ...
        best_round: the round (from 1) with the best score; 0 before the first round.
        best_value: that score.
        best_of_folds: the scores of the folds in that round.
    """

    maximize: bool
    values: list[float] = field(default_factory=list)
    best_round: int = 0
    best_value: float = math.nan
    best_of_folds: Sequence[float] = ()

    def add(self, value: float, of_folds: Sequence[float] = ()) -> None:
        """Appends the mean score of the next round, with the scores of the folds."""
        self.values.append(value)
        if self.best_round == 0 or (value > self.best_value if self.maximize else value < self.best_value):
            self.best_round, self.best_value, self.best_of_folds = len(self.values), value, of_folds

    def downsampled(self) -> dict[str, list[Any]]:
        """At most 100 points {"steps": rounds, "values": scores}, including the first, best and last round."""
        n = len(self.values)
        if n == 0:
            return {"steps": [], "values": []}
        spread = np.linspace(1, n, num=min(n, MAX_CURVE_POINTS - 1)).round().astype(int)
        steps = sorted({*spread.tolist(), self.best_round})
        return {"steps": steps, "values": [self.values[step - 1] for step in steps]}


class BestPredictions:
    """Validation predictions of the best round among the rounds whose predictions are read.

    dart rescales earlier trees in each round, so that a booster cannot reproduce the predictions of its best round
    later. LightGBM keeps the validation scores up to date anyway, but copying them takes 4 % of a round, so they are
    read in every fifth round, and in all of the first rounds, which differ most.

    Args:
        n_folds: number of boosters.
        maximize: whether a higher score is better.

    Attributes:
        round: the round (from 1) of the kept predictions; 0 before the first round.
    """

    def __init__(self, n_folds: int, maximize: bool) -> None:
        self.round = 0
        self._maximize = maximize
        self._value = math.nan
        self._current: list[np.ndarray | None] = [None] * n_folds
        self._best: list[np.ndarray] = []

    @property
    def values(self) -> np.ndarray:
        """Predictions of all folds, concatenated, as LightGBM returns them (probabilities if binary)."""
        return np.concatenate(self._best)

    @staticmethod
    def reads_round(round_number: int) -> bool:
        """Whether the predictions of this round are read."""
        return round_number <= FIRST_ROUNDS_READ or round_number % READ_EVERY_ROUNDS == 0

    def feval(self, fold_number: int) -> Feval:
        """A `feval` for `Booster.eval_valid` that keeps a reference to the present predictions and adds no metric."""

        def read(predictions: np.ndarray, _: lgb.Dataset) -> list[Any]:
            self._current[fold_number] = predictions  # the booster's buffer, overwritten in the next round
            return []

        return read

    def keep_if_best(self, round_number: int, value: float) -> None:
        """Copies the predictions of the present round if its score is the best of the rounds read so far."""
        better = value > self._value if self._maximize else value < self._value
        if self.round and not better:
            return
        self.round, self._value = round_number, value
        self._best = [predictions.copy() for predictions in self._current if predictions is not None]


def boost(
    boosters: Sequence[lgb.Booster],
    curve: ValidationCurve,
    max_rounds: int,
    patience: int,
    on_round: Callable[[int, float], bool],
    best: BestPredictions | None = None,
) -> ValidationCurve:
    """Boosts until the mean validation score has not improved for `patience` rounds.

    Args:
        boosters: one per fold, each with exactly one validation set and one metric.
        curve: filled in place, so that it is available when `on_round` raises.
        max_rounds: most rounds.
        patience: rounds without improvement after which to stop.
        on_round: called with (round, score); returning True ends the training, raising ends the trial.
        best: receives the validation predictions; None reads none.

    Returns:
        The curve.
    """
    fevals = [None if best is None else best.feval(number) for number in range(len(boosters))]
    no_fevals = [None] * len(boosters)
    for round_number in range(1, max_rounds + 1):
        spoiled = [train_round_and_check(booster) for booster in boosters]
        if any(spoiled) and curve.values:
            break  # the rounds before remain valid
        reads = best is not None and best.reads_round(round_number)
        pairs = zip(boosters, fevals if reads else no_fevals, strict=True)
        scores = [booster.eval_valid(feval)[0][2] for booster, feval in pairs]
        curve.add(sum(scores) / len(scores), scores)  # faster than numpy's mean for so few numbers
        if best is not None and reads:
            best.keep_if_best(round_number, curve.values[-1])
        if on_round(round_number, curve.values[-1]) or round_number - curve.best_round >= patience:
            break
    return curve
