"""Features of a model: gain, contributions to single predictions (SHAP), and distribution shift.

Contributions come from LightGBM (`pred_contrib`): exact Shapley values of trees, after S. M. Lundberg,
G. G. Erion and S.-I. Lee, "Consistent individualized feature attribution for tree ensembles", 2018. Together with the
bias they add up to the raw score: in the target's unit for a regression, in log odds for a binary target.
"""

import re

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.encoding import encode
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.evaluation.scoring import Floats
from src.evaluation.stability import bin_codes, quantile_cuts, stability_index
from src.final.final_model import FinalModel
from src.reporting.model.numbers import Effect, Feature
from src.workers.cpus import available_cpus

MAX_EXPLAINED = 2000
MIN_EXPLAINED = 40
LEAF_VISITS = 4_000_000
"""Limit of leaves times rows for computing contributions: one to two seconds of one core."""
MAX_EFFECTS = 10
MAX_DRAWN = 250
"""Rows of the summary plot; ten features make ten times as many points."""
SHIFT_BINS = 10
MAX_SHIFT_ROWS = 50_000
_LEAVES = re.compile(r"^num_leaves=(\d+)$", re.MULTILINE)


def measure_features(
    model: FinalModel, data: Dataset, rows: SplitRows, seed: int
) -> tuple[tuple[Feature, ...], tuple[Effect, ...], int]:
    """All features, the effects of the most important ones, and the number of rows that effects were computed for.

    Rows are drawn from the test rows; without a hold-out, from the rows that the model was trained on.
    """
    pool = rows.test if len(rows.test) else rows.search
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(pool, min(len(pool), explainable_rows(model.booster)), replace=False))
    matrix = encode(data.features.iloc[drawn], model.levels)
    contributions = explain(model.booster, matrix)
    strength = np.abs(contributions).mean(axis=0)
    names = [str(name) for name in data.features.columns]
    gain = model.booster.feature_importance("gain")
    shares = gain / max(float(gain.sum()), np.finfo(float).tiny)
    missing = data.features.isna().mean().to_numpy()
    shift = [feature_shift(data.features[name], rows) for name in data.features.columns]
    features = [
        Feature(name, float(share), float(size), float(hole), moved)
        for name, share, size, hole, moved in zip(names, shares, strength, missing, shift, strict=True)
    ]
    shown = np.argsort(-strength, kind="stable")[:MAX_EFFECTS]
    few = np.unique(np.linspace(0, len(drawn) - 1, min(len(drawn), MAX_DRAWN)).round().astype(np.int64))
    effects = [
        _effect(names[i], contributions[few, i], matrix[few, i], names[i] in model.levels)
        for i in shown
        if strength[i] > 0
    ]
    return tuple(sorted(features, key=lambda feature: -feature.gain)), tuple(effects), len(drawn)


def explain(booster: lgb.Booster, matrix: Floats) -> Floats:
    """Contributions to the raw score, (n_rows, n_features), without the bias."""
    contributions = np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=available_cpus()))
    return contributions[:, :-1]


def explainable_rows(booster: lgb.Booster) -> int:
    """Number of rows whose contributions take at most about two seconds, which depends on the leaves of all trees."""
    leaves = sum(int(n) for n in _LEAVES.findall(booster.model_to_string(importance_type="gain")))
    return max(MIN_EXPLAINED, min(MAX_EXPLAINED, LEAF_VISITS // max(1, leaves)))


def _effect(name: str, contributions: Floats, values: Floats, is_category: bool) -> Effect:
    quantiles: list[float | None] = [None] * len(values)
    if not is_category:  # the order of category codes means nothing
        ranks = pd.Series(values).rank(pct=True)
        quantiles = [None if np.isnan(rank) else round(float(rank), 3) for rank in ranks]
    return Effect(name, tuple(float(f"{value:.6g}") for value in contributions), tuple(quantiles))


def feature_shift(column: pd.Series, rows: SplitRows) -> float | None:
    """The population stability index of the test rows against the search rows; None without a hold-out.

    Numbers are binned at the deciles of the search rows, each category is a bin, and so are missing values.
    """
    if len(rows.test) == 0:
        return None
    before, after = (_bin_counts(column, part, rows.search) for part in (rows.search, rows.test))
    return float(stability_index(before, after))


def _bin_counts(column: pd.Series, part: NDArray[np.int64], reference: NDArray[np.int64]) -> Floats:
    """A part's rows in each bin; the bins depend on the reference rows and on all categories of the column."""
    values = column.iloc[_downsampled(part)]
    if isinstance(column.dtype, pd.StringDtype):
        codes = pd.Index(column.dropna().unique()).get_indexer(pd.Index(values))
        n_bins = column.nunique() + 1
        codes = np.where(codes < 0, n_bins - 1, codes)
    else:
        cuts = quantile_cuts(column.iloc[_downsampled(reference)].to_numpy(np.float64, na_value=np.nan), SHIFT_BINS)
        codes, n_bins = bin_codes(values.to_numpy(np.float64, na_value=np.nan), cuts), len(cuts) + 2
    return np.bincount(codes, minlength=n_bins).astype(np.float64)


def _downsampled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Evenly spaced rows, because shares need no more precision than these give."""
    return rows[:: -(-len(rows) // MAX_SHIFT_ROWS)]
