"""The part of an ensemble that the validation rows had no say in.

A search finds what suits its validation rows, and where the next season differs it has gone astray, the further the
longer it searched. Three fifths of each ensemble are therefore the mean of configurations that are known to do well on
many tables and that every study starts with: they are trained in any case, and nobody chose them by a score. Where
tables drift this takes back much of what tuning lost, elsewhere their own errors average out; figures are in the
README. The mean of a chosen forecast and a plain one is an old remedy (Bates and Granger 1969; shrinkage towards equal
weights: Stock and Watson 2004).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from src.config import Metric
from src.modeling.ensemble_selection import Judge, Selection
from src.modeling.starting_points import FIXED_CONFIGS

FIXED_SHARE = 0.6
"""Of the ensemble's weight. On the benchmark's tables anything from a half to three quarters did as well."""
MAX_LOSS_RATIO = 1.5
"""An anchor whose error is larger by this factor than the best trial's does not suit the table at all: a default that
can split nothing in 200 rows, for one."""


@dataclass(frozen=True)
class Composition:
    """What an ensemble is made of.

    Attributes:
        rows: of the candidates, the best trial first.
        weights: their shares, which add up to 1.
        score: of their weighted mean on the validation rows.
    """

    rows: tuple[int, ...]
    weights: tuple[float, ...]
    score: float


def is_fixed_config(params: Mapping[str, Any]) -> bool:
    """Whether a trial's parameters are one of the known configurations."""
    return dict(params) in FIXED_CONFIGS


def find_fixed_configs(study: optuna.Study, metric: Metric) -> list[FrozenTrial]:
    """The study's complete trials of known configurations, in their order, one of each; hopeless ones are left out."""
    complete = [t for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if t.value is not None]
    usable = [trial for trial in complete if "best_iteration" in trial.user_attrs]
    if not usable:
        return []
    limit = MAX_LOSS_RATIO * min(_loss(metric, trial) for trial in usable)
    first = [next((trial for trial in usable if trial.params == params), None) for params in FIXED_CONFIGS]
    return [trial for trial in first if trial is not None and _loss(metric, trial) <= limit]


def compose(selection: Selection, anchors: Sequence[int], predictions: np.ndarray, judge: Judge) -> Composition:
    """Gives the anchors their share beside what was selected.

    Args:
        selection: of the search's best trials.
        anchors: rows of the known configurations; one of them may have been selected too.
        predictions: (n_candidates, n_rows) raw scores.
        judge: of those rows.
    """
    share = FIXED_SHARE if anchors else 0.0
    weights = {row: weight * (1 - share) for row, weight in zip(selection.members, selection.weights, strict=True)}
    for row in anchors:
        weights[row] = weights.get(row, 0.0) + share / len(anchors)
    mean = np.zeros(predictions.shape[1])
    for row, weight in weights.items():
        mean += weight * predictions[row]
    return Composition(tuple(weights), tuple(weights.values()), judge.score(mean))


def _loss(metric: Metric, trial: FrozenTrial) -> float:
    assert trial.value is not None
    return 1 - trial.value if metric == "auc" else trial.value
