"""Boosting round by round, all folds together, with early stopping.

`lightgbm.train` and `lightgbm.cv` do the same for one Dataset and one call; here the folds keep their own shared
Datasets, advance together so that a trial can be pruned before any fold is finished, and dart, which LightGBM never
stops early, is stopped like the others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np

from src.search.dart import train_round_and_check

MAX_CURVE_POINTS = 100
FIRST_LOOKS, LOOK_EVERY_ROUNDS = 10, 5
Feval = Callable[[np.ndarray, lgb.Dataset], list[Any]]


@dataclass
class ValidationCurve:
    """Mean validation score after each round, and the best of them.

    Attributes:
        values: score after round 1, 2, ...
        best_round: the round (from 1) with the best score; 0 before the first.
        best_value: that score.
    """

    maximize: bool
    values: list[float] = field(default_factory=list)
    best_round: int = 0
    best_value: float = math.nan

    def add(self, value: float) -> None:
        """Appends the score of the next round."""
        self.values.append(value)
        if self.best_round == 0 or (value > self.best_value if self.maximize else value < self.best_value):
            self.best_round, self.best_value = len(self.values), value

    def downsampled(self) -> dict[str, list[Any]]:
        """At most 100 points {"steps": rounds, "values": scores}; first, best and last round always among them."""
        n = len(self.values)
        if n == 0:
            return {"steps": [], "values": []}
        spread = np.linspace(1, n, num=min(n, MAX_CURVE_POINTS - 1)).round().astype(int)
        steps = sorted({*spread.tolist(), self.best_round})
        return {"steps": steps, "values": [self.values[step - 1] for step in steps]}


class BestPredictions:
    """Validation predictions of the best round that was looked at, or of one next to it.

    dart rescales its earlier trees in each round, so that a booster cannot predict afterwards as it did at its best
    round. LightGBM keeps the validation rows' scores up to date anyway, but to hand them over takes 4 % of a round, so
    that it is asked in every fifth round; the first ones, which differ most, are all looked at.

    Args:
        n_folds: number of boosters.
        maximize: whether a higher score is better.

    Attributes:
        round: the round (from 1) that the predictions are of; 0 before the first.
    """

    def __init__(self, n_folds: int, maximize: bool) -> None:
        self.round = 0
        self._maximize = maximize
        self._value = math.nan
        self._now: list[np.ndarray | None] = [None] * n_folds
        self._best: list[np.ndarray] = []

    @property
    def values(self) -> np.ndarray:
        """Predictions, all folds one after the other, as LightGBM gives them (probabilities)."""
        return np.concatenate(self._best)

    @staticmethod
    def reads_round(round_number: int) -> bool:
        """Whether the predictions of this round are looked at."""
        return round_number <= FIRST_LOOKS or round_number % LOOK_EVERY_ROUNDS == 0

    def feval(self, fold_number: int) -> Feval:
        """What `Booster.eval_valid` calls with the predictions of the present round; it adds no metric."""

        def look(predictions: np.ndarray, _: lgb.Dataset) -> list[Any]:
            self._now[fold_number] = predictions  # the booster's own buffer, written over in the next round
            return []

        return look

    def keep_if_best(self, round_number: int, value: float) -> None:
        """Copies the predictions of the present round if its score is the best of those that were looked at."""
        better = value > self._value if self._maximize else value < self._value
        if self.round and not better:
            return
        self.round, self._value = round_number, value
        self._best = [now.copy() for now in self._now if now is not None]


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
        curve: filled in place, so that it is there when `on_round` raises.
        max_rounds: rounds at most.
        patience: rounds without improvement after which to stop.
        on_round: called with (round, score); returning True ends the training, raising ends the trial.
        best: gets the validation predictions of the best round, or of one next to it; None costs nothing.

    Returns:
        The curve.
    """
    fevals = [None if best is None else best.feval(number) for number in range(len(boosters))]
    blind = [None] * len(boosters)
    for round_number in range(1, max_rounds + 1):
        stuck = [train_round_and_check(booster) for booster in boosters]
        if any(stuck) and curve.values:
            break  # the rounds before it stand
        looks = best is not None and best.reads_round(round_number)
        watched = zip(boosters, fevals if looks else blind, strict=True)
        scores = [booster.eval_valid(feval)[0][2] for booster, feval in watched]
        curve.add(sum(scores) / len(scores))  # numpy's mean of one number would cost as much as a report
        if best is not None and looks:
            best.keep_if_best(round_number, curve.values[-1])
        if on_round(round_number, curve.values[-1]) or round_number - curve.best_round >= patience:
            break
    return curve
