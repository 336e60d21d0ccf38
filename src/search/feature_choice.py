"""Chooses the derived features of a study, by rows of the search alone.

The dates of the search are cut into blocks. Models of several sets of features are fitted on the first blocks and
scored on the next one, for each of the last blocks. All candidates are used, unless a smaller set saves part of their
error in every block, and at least `MIN_GAIN` of it on average, and saves as much again with the mean of two strongly
regularised configurations; then the set that saves most. The sets:

- all: every candidate, but features of the position in the year only where the search covers two years;
- five lags: the target in the account's last five rows alone;
- lags: the latest values of all columns alone;
- account: all but those of other accounts (families market and groups), which have one value for many rows of a date,
  so that a model may learn single dates by heart;
- filtered: candidates whose gain in a model of the target exceeds their gains in models of the permuted target, after
  A. Altmann, L. Tolosi, O. Sander, T. Lengauer, "Permutation importance: a corrected feature importance measure",
  Bioinformatics 26 (2010). Each block is scored with a filter of its own, so that no score knows its rows;
- filtered account: both.

docs/benchmarks.md has the measurements.
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
from src.search.search_space import METRIC_NAME, OBJECTIVE_OF_METRIC, lightgbm_params
from src.search.starting_points import LOW_RATE_SAMPLED, STRONGLY_REGULARIZED

N_BLOCKS, N_SCORED = 5, 3
"""Blocks of dates, and how many of them, the last ones, are scored."""
MAX_ROWS = (10_000, 6_000)
"""Most rows to fit and to score on; of more rows, evenly spaced ones are taken."""
MIN_ROWS = 200
"""A block with fewer rows to fit or to score on is not compared; without any block, all candidates are used."""
MIN_GAIN = 0.03
"""Least mean share of the error of all candidates that a smaller set has to save. Smaller differences say little about
later dates. On 33 real targets (3,000 rows, mean of three fixed configurations) all candidates lost 0.4 ± 0.3 % to this
rule, and gained 0.2 ± 0.8 % on a rule that takes the set with the best mean."""
N_PERMUTED = 2
N_LAGS = 5
MIN_ROUNDS, MAX_ROUNDS, EARLY_STOPPING = 10, 300, 25
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
REGULARISED = (LOW_RATE_SAMPLED, STRONGLY_REGULARIZED)
"""Configurations that confirm a smaller set: a final model is more regularised than the configuration above."""
ALL = "all"
OF_OTHER_ACCOUNTS = ("market", "groups")
POSITION_IN_YEAR = ("month", "day_of_month", "days_left_in_month")
DAYS_FOR_SEASONS = 730
SECONDS_BEFORE_BAR = 5.0

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
Compared = Mapping[str, tuple[Columns, float]]
"""Columns and score of each set, on one block."""


def choose_features(
    data: Dataset, features: Sequence[Feature], rows: SplitRows, seed: int
) -> tuple[list[str], dict[str, Any]]:
    """Chooses among the candidates.

    Args:
        data: the table with all candidates after its own features.
        features: the candidates.
        rows: the split; only rows of the search are read.
        seed: of LightGBM and of the permutations.

    Returns:
        Names of the chosen features, and the record of the choice as JSON values.
    """
    assert data.dates is not None  # derived features need dates
    days = int(np.ptp(data.dates[rows.search]).astype(np.int64))
    usable = [days >= DAYS_FOR_SEASONS or feature.statistic not in POSITION_IN_YEAR for feature in features]
    candidates = np.flatnonzero(usable)
    smaller = _smaller_sets(features, candidates, data.target)
    folds = list(_scored_folds(data, rows.search, seed))
    n_fits = len(folds) * (3 + len(smaller) + N_PERMUTED)
    with make_bar("choosing features", "fit", n_fits, leave=False, delay=SECONDS_BEFORE_BAR) as bar:
        blocks = [_Block(data, fold, len(features), seed, bar.update) for fold in folds]
        compared = [_compare(block, candidates, smaller) for block in blocks]
    common = [name for name in compared[-1] if all(name in sets for sets in compared)] if compared else []
    scores = {name: [sets[name][1] for sets in compared] for name in common}
    best, means = ALL, {name: math.fsum(values) / len(values) for name, values in scores.items()}
    for name in better_sets(data.config.metric, scores):
        again = {each: _regularised_scores(blocks, compared, each) for each in (ALL, name)}
        if better_sets(data.config.metric, again):
            best = name
            break
    chosen_columns = candidates if best == ALL else compared[-1][best][0]
    chosen = [features[column].name for column in chosen_columns.tolist()]
    return chosen, {"set": best, "scores": means, "blocks": len(folds), "families": _families(features, chosen)}


def _regularised_scores(blocks: Sequence["_Block"], compared: Sequence[Compared], name: str) -> list[float]:
    return [block.score_regularised(sets[name][0]) for block, sets in zip(blocks, compared, strict=True)]


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

    def fit(self, candidates: Columns) -> tuple[lgb.Booster, float]:
        """A model of the own features and these candidates, with early stopping on the block, and its score there."""
        columns = self._columns(candidates)
        train = self._dataset(self.earlier, columns, self.y)
        valid = self._dataset(self.later, columns, self.y_later, train)
        stop = lgb.early_stopping(EARLY_STOPPING, verbose=False)
        booster = lgb.train(self._params(), train, MAX_ROUNDS, [valid], callbacks=[stop])
        self.count(1)
        prediction = np.asarray(booster.predict(self.later[:, columns], num_threads=1))
        return booster, score(self.config.metric, self.y_later, prediction)

    def score_regularised(self, candidates: Columns) -> float:
        """The score of the mean of `REGULARISED`, each with early stopping on the block."""
        columns = self._columns(candidates)
        predictions = []
        for hyperparameters in REGULARISED:
            params = lightgbm_params(hyperparameters, self.config, self.seed) | {"max_bin": PARAMS["max_bin"]}
            train = self._dataset(self.earlier, columns, self.y)
            valid = self._dataset(self.later, columns, self.y_later, train)
            stop = lgb.early_stopping(EARLY_STOPPING, verbose=False)
            booster = lgb.train(params, train, MAX_ROUNDS, [valid], callbacks=[stop])
            predictions.append(np.asarray(booster.predict(self.later[:, columns], raw_score=True, num_threads=1)))
        return score(self.config.metric, self.y_later, np.mean(predictions, axis=0))

    def gains(self, booster: lgb.Booster) -> Floats:
        """The gain of each candidate of a model up to its best round, (n_candidates,)."""
        return np.asarray(booster.feature_importance("gain"), dtype=np.float64)[self.n_own :]

    def permuted_gains(self, candidates: Columns, rounds: int, number: int) -> Floats:
        """The gain of each candidate in a model of a permutation of the target."""
        y = np.random.default_rng([self.seed, number]).permutation(self.y)
        train = self._dataset(self.earlier, self._columns(candidates), y)
        booster = lgb.train(self._params(), train, rounds)
        self.count(1)
        return self.gains(booster)

    def _columns(self, candidates: Columns) -> Columns:
        return np.concatenate([np.arange(self.n_own), self.n_own + candidates])

    def _params(self) -> dict[str, Any]:
        objective, metric = OBJECTIVE_OF_METRIC[self.config.metric], METRIC_NAME[self.config.metric]
        return {**PARAMS, "objective": objective, "metric": metric, "seed": self.seed}

    def _dataset(
        self, matrix: Floats, columns: Columns, y: Floats, reference: lgb.Dataset | None = None
    ) -> lgb.Dataset:
        categorical = np.flatnonzero(self.categorical[columns]).tolist()
        return lgb.Dataset(matrix[:, columns], y, reference, categorical_feature=categorical, params=self._params())


def _smaller_sets(features: Sequence[Feature], candidates: Columns, target: str) -> dict[str, Columns]:
    """The sets that need no model, as positions of candidates."""
    of_others = np.array([feature.family in OF_OTHER_ACCOUNTS for feature in features])
    lags = np.array([feature.family == "lags" for feature in features])
    latest = np.array([feature.column == target and feature.window <= N_LAGS for feature in features])
    return {
        "five lags": candidates[(lags & latest)[candidates]],
        "lags": candidates[lags[candidates]],
        "account": candidates[~of_others[candidates]],
    }


def _compare(block: _Block, candidates: Columns, smaller: Mapping[str, Columns]) -> Compared:
    """The compared sets and their scores; the filter is fitted on the block's earlier rows. Empty sets are left out."""
    whole, whole_score = block.fit(candidates)
    rounds = max(MIN_ROUNDS, int(whole.best_iteration))
    of_permuted = [block.permuted_gains(candidates, rounds, number) for number in range(N_PERMUTED)]
    filtered = candidates[block.gains(whole) > np.max(of_permuted, axis=0)]
    sets = {**smaller, "filtered": filtered, "filtered account": np.intersect1d(filtered, smaller["account"])}
    scored = {name: (columns, block.fit(columns)[1]) for name, columns in sets.items() if len(columns)}
    return {ALL: (candidates, whole_score)} | scored


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
