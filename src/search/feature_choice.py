"""Chooses the derived features of a study, by rows of the search alone.

The dates of the search are cut into blocks. Models of several sets of features are fitted on the first blocks and
scored on the next one, for each of the last blocks. All candidates are used, unless a smaller set saves part of their
error in every block, and at least `MIN_GAIN` of it on average, and does so again with the mean of two strongly
regularised configurations; then the set that saves most. The smaller sets:

- five lags: the target in the account's last five rows alone;
- lags: the latest values of all columns alone;
- account: all but those of other accounts (families market and groups), which have one value for many rows of a date,
  so that a model may learn single dates by heart.

Features of the position in the year are candidates only where the search covers two years. docs/benchmarks.md has the
measurements.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from src.config import Metric, SplitSettings
from src.data.encoding import encode, learn_levels
from src.data.split_rows import SplitRows
from src.data.splits import Fold, search_folds
from src.data.table import Dataset
from src.errors import DataError
from src.evaluation.scoring import score, skill
from src.features.catalogue import Feature
from src.search.progress import make_bar
from src.search.search_space import lightgbm_params
from src.search.starting_points import LOW_RATE_SAMPLED, STRONGLY_REGULARIZED

N_BLOCKS, N_SCORED = 5, 3
"""Blocks of dates, and how many of them, the last ones, are scored."""
MAX_ROWS = (10_000, 6_000)
"""Most rows to fit and to score on; of more rows, evenly spaced ones are taken."""
MIN_ROWS = 200
"""A block with fewer rows to fit or to score on is not compared; without any block, all candidates are used."""
MIN_GAIN = 0.02
"""Least mean share of the error of all candidates that a smaller set has to save. Smaller differences say little about
later dates. On 33 real targets (3,000 rows, mean of three fixed configurations) this rule had 0.3 ± 0.2 % less error
than all candidates, and was nowhere worse; the set with the best mean had 0.2 ± 0.8 % more, at worst 14 %. Sets of the
candidates that gain more than in models of a permuted target were no better, and are not compared."""
N_LAGS = 5
MAX_ROUNDS, EARLY_STOPPING = 300, 25
USUAL: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_child_samples": 40,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
}
REGULARISED = (LOW_RATE_SAMPLED, STRONGLY_REGULARIZED)
"""Configurations that confirm a smaller set: a final model is more regularised than `USUAL`."""
BINNING: Mapping[str, Any] = {"max_bin": 63, "feature_pre_filter": False}
ALL = "all"
OF_OTHER_ACCOUNTS = ("market", "groups")
POSITION_IN_YEAR = ("month", "day_of_month", "days_left_in_month")
DAYS_FOR_SEASONS = 730
SECONDS_BEFORE_BAR = 5.0

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]


def choose_features(
    data: Dataset, features: Sequence[Feature], rows: SplitRows, seed: int
) -> tuple[list[str], dict[str, Any]]:
    """Chooses among the candidates.

    Args:
        data: the table with all candidates after its own features.
        features: the candidates.
        rows: the split; only rows of the search are read.
        seed: of LightGBM.

    Returns:
        Names of the chosen features, and the record of the choice as JSON values.
    """
    assert data.dates is not None  # derived features need dates
    days = int(np.ptp(data.dates[rows.search]).astype(np.int64))
    usable = [days >= DAYS_FOR_SEASONS or feature.statistic not in POSITION_IN_YEAR for feature in features]
    candidates = np.flatnonzero(usable)
    sets = make_sets(features, candidates, data.target)
    folds = list(_scored_folds(data, rows.search, seed))
    with make_bar("choosing features", "fit", len(folds) * len(sets), leave=False, delay=SECONDS_BEFORE_BAR) as bar:
        blocks = [_Block(data, fold, len(features), seed, bar.update) for fold in folds]
        scores = {
            name: [block.score(columns, (USUAL,)) for block in blocks] for name, columns in sets.items() if blocks
        }
        best = ALL
        for name in better_sets(data.config.metric, scores):
            again = {each: [block.score(sets[each], REGULARISED) for block in blocks] for each in (ALL, name)}
            if better_sets(data.config.metric, again):
                best = name
                break
    chosen = [features[column].name for column in sets[best].tolist()]
    means = {name: math.fsum(values) / len(values) for name, values in scores.items()}
    return chosen, {"set": best, "scores": means, "blocks": len(folds), "families": _families(features, chosen)}


def make_sets(features: Sequence[Feature], candidates: Columns, target: str) -> dict[str, Columns]:
    """The compared sets as positions of candidates, all of them first; without empty sets."""
    of_others = np.array([feature.family in OF_OTHER_ACCOUNTS for feature in features])
    lags = np.array([feature.family == "lags" for feature in features])
    latest = np.array([feature.column == target and feature.window <= N_LAGS for feature in features])
    sets = {
        ALL: candidates,
        "five lags": candidates[(lags & latest)[candidates]],
        "lags": candidates[lags[candidates]],
        "account": candidates[~of_others[candidates]],
    }
    return {name: columns for name, columns in sets.items() if name == ALL or len(columns)}


def better_sets(metric: Metric, scores: Mapping[str, Sequence[float]]) -> list[str]:
    """The sets that are clearly better than all candidates, the one with the largest mean gain first.

    Args:
        metric: of the scores.
        scores: of each set, one per block, those of `all` among them; may be empty.

    Returns:
        The sets that gain in every block, and `MIN_GAIN` on average. A gain is a share of the error of `all`; for AUC,
        of what is missing to 1.
    """
    means = {}
    for name, values in scores.items():
        gains = [skill(metric, value, of_all) or 0.0 for value, of_all in zip(values, scores[ALL], strict=True)]
        mean = math.fsum(gains) / len(gains)
        if min(gains) > 0 and mean >= MIN_GAIN:
            means[name] = mean
    return sorted(means, key=lambda name: -means[name])


def _scored_folds(data: Dataset, search: Columns, seed: int) -> Iterator[Fold]:
    """Earlier rows to fit on and later rows to score on; fewer, or none, where there are too few rows."""
    try:
        folds = search_folds(data.dates, search, SplitSettings(use_cv=True, n_folds=N_BLOCKS - 1, seed=seed))
    except DataError:  # too few dates for so many blocks
        return
    for fold in folds[-N_SCORED:]:
        thinned = Fold(_spaced(fold.train, MAX_ROWS[0]), _spaced(fold.valid, MAX_ROWS[1]))
        parts = (thinned.train, thinned.valid)
        if min(map(len, parts)) >= MIN_ROWS and all(len(np.unique(data.y[part])) > 1 for part in parts):
            yield thinned


class _Block:
    """Fits models on earlier rows and scores them on a later block. Columns are positions among the candidates."""

    def __init__(self, data: Dataset, fold: Fold, n_candidates: int, seed: int, count: Any) -> None:
        self.config, self.seed, self.count = data.config, seed, count
        levels = learn_levels(data.features, data.categorical, fold.train)
        self.earlier, self.later = (encode(data.features.iloc[rows], levels) for rows in (fold.train, fold.valid))
        self.y, self.y_later = data.y[fold.train], data.y[fold.valid]
        self.n_own = data.features.shape[1] - n_candidates
        self.categorical = np.array([name in data.categorical for name in data.features.columns])

    def score(self, candidates: Columns, configurations: Sequence[Mapping[str, Any]]) -> float:
        """The score of the mean of models of the own features and these candidates, with early stopping on the block.

        Args:
            candidates: the features.
            configurations: hyperparameters of each model.
        """
        columns = np.concatenate([np.arange(self.n_own), self.n_own + candidates])
        train = self._dataset(self.earlier, columns, self.y)
        valid = self._dataset(self.later, columns, self.y_later, train)
        predictions = []
        for hyperparameters in configurations:
            params = {**lightgbm_params(hyperparameters, self.config, self.seed), **BINNING}
            stop = lgb.early_stopping(EARLY_STOPPING, verbose=False)
            booster = lgb.train(params, train, MAX_ROUNDS, [valid], callbacks=[stop])
            predictions.append(np.asarray(booster.predict(self.later[:, columns], raw_score=True, num_threads=1)))
            self.count(1 / len(configurations))
        return score(self.config.metric, self.y_later, np.mean(predictions, axis=0))

    def _dataset(
        self, matrix: Floats, columns: Columns, y: Floats, reference: lgb.Dataset | None = None
    ) -> lgb.Dataset:
        categorical = np.flatnonzero(self.categorical[columns]).tolist()
        params = {**BINNING, "verbosity": -1}
        return lgb.Dataset(matrix[:, columns], y, reference, categorical_feature=categorical, params=params)


def _families(features: Sequence[Feature], chosen: Sequence[str]) -> dict[str, dict[str, int]]:
    """Numbers of candidates and of chosen features by family."""
    kept = set(chosen)
    counts: dict[str, dict[str, int]] = {}
    for feature in features:
        family = counts.setdefault(feature.family, {"candidates": 0, "kept": 0})
        family["candidates"] += 1
        family["kept"] += feature.name in kept
    return counts


def _spaced(rows: Columns, most: int) -> Columns:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
