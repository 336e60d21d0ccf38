"""Which rows may judge two models: only those that neither has learned from.

    dates        ─────────────────────────────────────────────────────────▶
    champion     learned from        │
    challenger   learned from                  │
    this table              ════════════════════ purge ═══════════════════
    asked for                             ║ the last --test-fraction      ║
    judged                                            ║═══════════════════║

A table without dates says nothing of what came later. There the only rows that both models surely left out are the
hold-out of both trainings, if these divided the same table in the same way.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config import SplitSettings
from src.data.splits import split_holdout
from src.data.table import Dataset
from src.errors import ConfigError

log = logging.getLogger(__name__)

RowIndices = NDArray[np.int64]
_TRAIN_AGAIN = "train and register it again"


def unseen_rows(
    data: Dataset, trainings: Mapping[str, Mapping[str, Any]], test_fraction: float, purge_days: int
) -> RowIndices:
    """The rows of a table that judge models fairly.

    Args:
        data: the table.
        trainings: each model's metadata, by the URI that messages call it.
        test_fraction: of the table's distinct dates, the last, at least one; above 0, up to 1. A table without dates
            has its trainings' hold-out instead.
        purge_days: dates of the table that are left out after the last training date.

    Returns:
        Row positions, ascending, at least one.

    Raises:
        ConfigError: a model has no record of its training, or no row is left that none of them has learned from.
    """
    splits = {uri: _split_of(uri, metadata) for uri, metadata in trainings.items()}
    if data.dates is None:
        return _common_holdout(data, trainings, splits)
    borders = {uri: _last_training_date(uri, split) for uri, split in splits.items()}
    latest = max(borders, key=lambda uri: borders[uri])
    border = borders[latest]
    dates = np.unique(data.dates)
    fresh = dates[dates > border][purge_days:]
    if len(fresh) == 0:
        raise ConfigError(
            f"no row of {data.source or 'the table'} can judge the models: {latest} was trained up to {border}, the "
            f"table ends at {dates[-1]}: give --data with more than {purge_days} date(s) from {border + 1} on"
        )
    asked = dates[-max(1, round(len(dates) * test_fraction)) :]
    if fresh[0] > asked[0]:
        log.warning("judged from %s on, not from %s: %s was trained up to %s", fresh[0], asked[0], latest, border)
    return np.flatnonzero(data.dates >= max(fresh[0], asked[0]))


def _split_of(uri: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    split = metadata.get("split")
    if not isinstance(split, Mapping):
        raise ConfigError(f"model {uri} has no record of the rows that it was trained on: {_TRAIN_AGAIN}")
    return split


def _last_training_date(uri: str, split: Mapping[str, Any]) -> np.datetime64:
    """The last day that the final model has learned from: validation days are among them, test days never."""
    span = split.get("search_dates")
    if not span:
        raise ConfigError(
            f"model {uri} was trained on a table without dates, this table has dates: which of its rows are new to "
            f"the model is unknown; {_TRAIN_AGAIN} on a table with dates"
        )
    return np.datetime64(span[1], "D")


def _common_holdout(data: Dataset, trainings: Mapping[str, Mapping[str, Any]], splits: Mapping[str, Any]) -> RowIndices:
    where = f"{data.source or 'the table'} has no dates"
    for uri, metadata in trainings.items():
        if metadata.get("data_digest") != data.digest:
            raise ConfigError(
                f"{where} and is not the table that {uri} was trained on (digest {data.digest}, not "
                f"{metadata.get('data_digest')}): only rows that both trainings held out can judge; give that table"
            )
    made = {uri: (split["test_fraction"], split["seed"]) for uri, split in splits.items()}
    if len(set(made.values())) > 1:
        shown = ", ".join(f"{uri} with {fraction} and {seed}" for uri, (fraction, seed) in made.items())
        raise ConfigError(
            f"{where} and the trainings held out different rows (--test-fraction and --seed: {shown}): "
            "train the challenger again with the champion's"
        )
    fraction, seed = next(iter(made.values()))
    if fraction == 0:
        raise ConfigError(f"{where} and the trainings held out no rows (--test-fraction 0): {_TRAIN_AGAIN} with some")
    first = next(iter(splits.values()))
    split = SplitSettings(fraction, first["valid_fraction"], first["use_cv"], first["n_folds"], seed=seed)
    return split_holdout(None, len(data.y), split)[1]
