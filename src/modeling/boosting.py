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

MAX_CURVE_POINTS = 100


@dataclass
class Curve:
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

    def thinned(self) -> dict[str, list[Any]]:
        """At most 100 points {"steps": rounds, "values": scores}; first, best and last round always among them."""
        n = len(self.values)
        if n == 0:
            return {"steps": [], "values": []}
        spread = np.linspace(1, n, num=min(n, MAX_CURVE_POINTS - 1)).round().astype(int)
        steps = sorted({*spread.tolist(), self.best_round})
        return {"steps": steps, "values": [self.values[step - 1] for step in steps]}


def boost(
    boosters: Sequence[lgb.Booster],
    curve: Curve,
    max_rounds: int,
    patience: int,
    on_round: Callable[[int, float], bool],
) -> Curve:
    """Boosts until the mean validation score has not improved for `patience` rounds.

    Args:
        boosters: one per fold, each with exactly one validation set and one metric.
        curve: filled in place, so that it is there when `on_round` raises.
        max_rounds: rounds at most.
        patience: rounds without improvement after which to stop.
        on_round: called with (round, score); returning True ends the training, raising ends the trial.

    Returns:
        The curve.
    """
    for round_number in range(1, max_rounds + 1):
        for booster in boosters:
            booster.update()
        curve.add(float(np.mean([booster.eval_valid()[0][2] for booster in boosters])))
        if on_round(round_number, curve.values[-1]) or round_number - curve.best_round >= patience:
            break
    return curve
