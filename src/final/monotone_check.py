"""Checks the monotone features of a final model by prediction.

For each monotone feature, real rows are predicted with the feature set to each value of a grid, so that nothing else
changes. The raw scores must never move against the sign. LightGBM promises this for one booster, and a weighted mean
with positive weights keeps it; the check covers what no promise covers, such as a mistake in merging.
"""

import logging
from typing import Any

import numpy as np

from src.data.encoding import encode
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.errors import RunError
from src.final.final_model import TrainedModel
from src.suggest import listing, number

log = logging.getLogger(__name__)

MAX_ROWS = 200
GRID = 50
TOLERANCE = 1e-9
"""Share of the largest raw score that counts as a rounding error of the sum over the trees."""


def check_monotone(model: TrainedModel, data: Dataset, rows: SplitRows) -> dict[str, dict[str, Any]]:
    """Checks every monotone feature that the model has.

    Args:
        model: a trained model.
        data: the whole table, with `monotone`.
        rows: the split; evenly spaced rows of the search are used.

    Returns:
        By feature: `sign`, `rows` and `grid` (numbers of rows and of values), `low` and `high` (ends of the grid),
        `largest_step` (largest change of the raw score between neighbouring values).

    Raises:
        RunError: a prediction moves against the sign.
    """
    taken = rows.search[np.linspace(0, len(rows.search) - 1, min(MAX_ROWS, len(rows.search))).astype(int)]
    matrix = encode(data.features.iloc[taken], model.levels)
    names = list(data.features.columns)
    signs = {name: sign for name, sign in data.monotone.items() if name in names}
    if unused := [name for name in data.monotone if name not in names]:
        log.warning("--monotone %s has no effect: the study did not choose these derived features", listing(unused))
    whole = encode(data.features[list(signs)].iloc[rows.search], {}) if signs else matrix
    return {
        name: _check(model, matrix, names.index(name), _grid(whole[:, place]), (name, sign))
        for place, (name, sign) in enumerate(signs.items())
    }


def _grid(values: np.ndarray) -> np.ndarray:
    """Ascending values: quantiles of the feature, and one value beyond each end."""
    known = values[np.isfinite(values)]
    quantiles = np.unique(np.quantile(known, np.linspace(0, 1, GRID), method="nearest")) if len(known) else np.zeros(1)
    beyond = max(float(quantiles[-1] - quantiles[0]), 1.0)
    return np.concatenate([[quantiles[0] - beyond], quantiles, [quantiles[-1] + beyond]])


def _check(
    model: TrainedModel, matrix: np.ndarray, column: int, grid: np.ndarray, feature: tuple[str, int]
) -> dict[str, Any]:
    varied = np.tile(matrix, (len(grid), 1))
    varied[:, column] = np.repeat(grid, len(matrix))
    scores = np.asarray(model.booster.predict(varied, raw_score=True, num_threads=1)).reshape(len(grid), len(matrix))
    name, sign = feature
    steps = sign * np.diff(scores, axis=0)
    worst = np.unravel_index(np.argmin(steps), steps.shape)
    if steps[worst] < -TOLERANCE * max(1.0, float(np.abs(scores).max())):
        low, high = grid[worst[0]], grid[worst[0] + 1]
        raise RunError(
            f"the final model is not monotone in {name!r}: between {number(low)} and {number(high)} a prediction "
            f"{'falls' if sign > 0 else 'rises'} by {number(-steps[worst])} (raw score), against --monotone "
            f"{name}:{sign}; it is not registered: report this as a mistake of the program"
        )
    return {
        "sign": sign, "rows": len(matrix), "grid": len(grid), "low": float(grid[0]), "high": float(grid[-1]),
        "largest_step": float(np.abs(steps).max()),
    }  # fmt: skip
