"""Chooses the derived features of a study, by rows of the search alone.

The training rows of the last fold are divided by date: models are fitted on the earlier part and judged on the later
one. Neither the validation rows of that fold nor the hold-out are looked at. Four sets of features are compared:

- all candidates;
- lags alone;
- candidates whose gain in a model of the target exceeds their gains in models of the permuted target, after A. Altmann,
  L. Tolosi, O. Sander, T. Lengauer, "Permutation importance: a corrected feature importance measure", Bioinformatics 26
  (2010);
- of the third set, the families without which the model of that set predicts the later rows worse: the values of a
  family's features are permuted together (L. Breiman, "Random forests", Machine Learning 45, 2001).

The set with the best score on the later rows is chosen. docs/benchmarks.md has the measurements.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from src.config import SplitSettings
from src.data.encoding import encode, learn_levels
from src.data.split_rows import SplitRows
from src.data.splits import search_folds
from src.data.table import Dataset
from src.errors import DataError
from src.evaluation.scoring import is_better, score
from src.features.catalogue import Feature
from src.search.derived_features import DerivedFeatures
from src.search.search_space import METRIC_NAME, OBJECTIVE_OF_METRIC

log = logging.getLogger(__name__)

LATER_SHARE = 0.25
"""Share of the dates that judge."""
MAX_ROWS = (15_000, 10_000)
"""Most rows to fit and to judge on; of more rows, evenly spaced ones are taken."""
MIN_ROWS = 200
"""With fewer rows to fit or to judge on, nothing can be compared, and all candidates are kept."""
N_PERMUTED = 3
MAX_ROUNDS, EARLY_STOPPING = 300, 25
PARAMS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_child_samples": 40,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
Columns = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A model of some columns, its predictions of the later rows, and their score."""

    columns: Columns
    booster: lgb.Booster
    prediction: Floats
    score: float


def choose_features(
    data: Dataset, derived: DerivedFeatures, rows: SplitRows, seed: int
) -> tuple[list[str], dict[str, Any]]:
    """Chooses among the candidates.

    Args:
        data: the table with all candidates after its own features.
        derived: the candidates.
        rows: the split; only the training rows of the last fold are read.
        seed: of LightGBM and of the permutations.

    Returns:
        Names of the chosen features, and the record of the choice as JSON values.
    """
    start = time.monotonic()
    names = [feature.name for feature in derived.features]
    judge = _Judge.of(data, rows, seed)
    if judge is None:
        return names, _record("all", {}, derived.features, names, "too few rows to compare sets of features")
    sets = _compared_sets(judge, derived.features)
    metric = data.config.metric
    best = next(iter(sets))
    for name, fitted in sets.items():
        if is_better(metric, fitted.score, sets[best].score):
            best = name
    n_own = data.features.shape[1] - len(names)
    chosen = [names[column - n_own] for column in sets[best].columns if column >= n_own]
    scores = {name: fitted.score for name, fitted in sets.items()}
    log.debug("derived features were chosen in %.1f s", time.monotonic() - start)
    return chosen, _record(best, scores, derived.features, chosen, f"best {metric} on the later rows")


class _Judge:
    """Fits models on earlier rows of the search and scores them on later ones."""

    def __init__(self, data: Dataset, fit_rows: Columns, judge_rows: Columns, seed: int) -> None:
        self.metric, self.seed = data.config.metric, seed
        levels = learn_levels(data.features, data.categorical, fit_rows)
        self.earlier, self.later = (encode(data.features.iloc[rows], levels) for rows in (fit_rows, judge_rows))
        self.y, self.y_later = data.y[fit_rows], data.y[judge_rows]
        self.categorical = np.array([name in data.categorical for name in data.features.columns])
        self.generator = np.random.default_rng(seed)

    @classmethod
    def of(cls, data: Dataset, rows: SplitRows, seed: int) -> "_Judge | None":
        """None where there are too few rows, or only one class of a binary target."""
        try:
            (fold,) = search_folds(data.dates, rows.folds[-1].train, SplitSettings(valid_fraction=LATER_SHARE))
        except DataError:  # too few dates to divide again
            return None
        fit_rows, judge_rows = (
            _spaced(part, most) for part, most in zip((fold.train, fold.valid), MAX_ROWS, strict=True)
        )
        constant = any(len(np.unique(data.y[part])) < 2 for part in (fit_rows, judge_rows))
        if constant or min(len(fit_rows), len(judge_rows)) < MIN_ROWS:
            return None
        return cls(data, fit_rows, judge_rows, seed)

    def fit(self, columns: Columns) -> _Fitted:
        """A model of these columns, with early stopping on the later rows."""
        train = self._dataset(self.earlier, columns, self.y)
        valid = self._dataset(self.later, columns, self.y_later, train)
        stop = lgb.early_stopping(EARLY_STOPPING, verbose=False)
        booster = lgb.train(self._params(), train, MAX_ROUNDS, [valid], callbacks=[stop])
        prediction = np.asarray(booster.predict(self.later[:, columns], num_threads=1))
        return _Fitted(columns, booster, prediction, score(self.metric, self.y_later, prediction))

    def gains(self, columns: Columns, y: Floats, rounds: int) -> Floats:
        """The gain of each column in a model of some values, (len(columns),)."""
        booster = lgb.train(self._params(), self._dataset(self.earlier, columns, y), rounds)
        return np.asarray(booster.feature_importance("gain"))

    def score_without(self, fitted: _Fitted, family: Columns) -> float:
        """The score of a model after the values of some columns are permuted together."""
        values = self.later.copy()
        values[:, family] = values[self.generator.permutation(len(values))][:, family]
        prediction = np.asarray(fitted.booster.predict(values[:, fitted.columns], num_threads=1))
        return score(self.metric, self.y_later, prediction)

    def _params(self) -> dict[str, Any]:
        objective, metric = OBJECTIVE_OF_METRIC[self.metric], METRIC_NAME[self.metric]
        return {**PARAMS, "objective": objective, "metric": metric, "seed": self.seed}

    def _dataset(
        self,
        matrix: Floats,
        columns: Columns,
        y: Floats,
        reference: lgb.Dataset | None = None,
    ) -> lgb.Dataset:
        categorical = np.flatnonzero(self.categorical[columns]).tolist()
        return lgb.Dataset(matrix[:, columns], y, reference, categorical_feature=categorical, params=self._params())


def _compared_sets(judge: _Judge, features: Sequence[Feature]) -> dict[str, _Fitted]:
    n_own = judge.earlier.shape[1] - len(features)
    own, candidates = np.arange(n_own), np.arange(n_own, judge.earlier.shape[1])
    families = np.array([""] * n_own + [feature.family for feature in features])
    whole = judge.fit(np.concatenate([own, candidates]))
    sets = {"all": whole}
    lags = candidates[families[candidates] == "lags"]
    if len(lags):
        sets["lags"] = judge.fit(np.concatenate([own, lags]))
    filtered = _above_permuted(judge, whole, n_own)
    if len(filtered):
        sets["filtered"] = judge.fit(np.concatenate([own, filtered]))
        kept = _useful_families(judge, sets["filtered"], families)
        if 0 < len(kept) < len(filtered):
            sets["useful families"] = judge.fit(np.concatenate([own, kept]))
    return sets


def _above_permuted(judge: _Judge, whole: _Fitted, n_own: int) -> Columns:
    """The candidates with a larger gain for the target than for each permuted target."""
    rounds = max(10, int(whole.booster.best_iteration))
    of_permuted = [judge.gains(whole.columns, judge.generator.permutation(judge.y), rounds) for _ in range(N_PERMUTED)]
    above = judge.gains(whole.columns, judge.y, rounds) > np.max(of_permuted, axis=0)
    return np.asarray(whole.columns[n_own:][above[n_own:]], dtype=np.int64)


def _useful_families(judge: _Judge, filtered: _Fitted, families: NDArray[np.str_]) -> Columns:
    """The derived columns of a model whose families it predicts worse without."""
    kept = []
    for family in dict.fromkeys(name for name in families[filtered.columns] if name):
        columns = filtered.columns[families[filtered.columns] == family]
        if is_better(judge.metric, filtered.score, judge.score_without(filtered, columns)):
            kept.append(columns)
    return np.sort(np.concatenate(kept)) if kept else np.array([], dtype=np.int64)


def _spaced(rows: Columns, most: int) -> Columns:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _record(
    chosen_set: str, scores: Mapping[str, float], features: Sequence[Feature], chosen: Sequence[str], reason: str
) -> dict[str, Any]:
    """What was compared and what was chosen: scores of the sets, and counts of the families' features."""
    kept = set(chosen)
    families = {
        family: {
            "candidates": sum(feature.family == family for feature in features),
            "kept": sum(feature.family == family and feature.name in kept for feature in features),
        }
        for family in dict.fromkeys(feature.family for feature in features)
    }
    return {"set": chosen_set, "reason": reason, "scores": dict(scores), "families": families}
