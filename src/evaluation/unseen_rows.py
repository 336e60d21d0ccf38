"""The rows on which two models may be compared: only rows that neither was trained on.

    dates        ─────────────────────────────────────────────────────────▶
    champion     trained on          │
    challenger   trained on                    │
    this table              ════════════════════ purge ═══════════════════
    requested                             ║ the last --test-fraction      ║
    compared on                                       ║═══════════════════║

In a table without dates, no row is known to be newer. There the only rows that neither model was trained on are the
hold-out of both trainings, if both split the same table in the same way.
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
    """The rows of a table that none of the models was trained on.

    Args:
        data: the table.
        trainings: metadata of the models, by the URI for messages.
        test_fraction: share of the table's distinct dates, the latest ones, at least one; above 0, up to 1. Ignored for
            a table without dates, where the hold-out of the trainings is used.
        purge_days: dates of the table that are left out after the last training date.

    Returns:
        Row positions, ascending, at least one.

    Raises:
        ConfigError: a model has no record of its training rows, or no row is left.
    """
    splits = {uri: _split_of(uri, metadata) for uri, metadata in trainings.items()}
    if data.dates is None:
        return _common_holdout(data, trainings, splits)
    last_dates = {uri: _last_training_date(uri, split) for uri, split in splits.items()}
    latest = max(last_dates, key=lambda uri: last_dates[uri])
    last_date = last_dates[latest]
    dates = np.unique(data.dates)
    new_dates = dates[dates > last_date][purge_days:]
    if len(new_dates) == 0:
        raise ConfigError(
            f"no row of {data.source or 'the table'} is new to the models: {latest} was trained up to {last_date}, the "
            f"table ends at {dates[-1]}: give --data with more than {purge_days} date(s) from {last_date + 1} on"
        )
    requested = dates[-max(1, round(len(dates) * test_fraction)) :]
    if new_dates[0] > requested[0]:
        log.warning(
            "models are compared from %s on, not from %s: %s was trained up to %s",
            new_dates[0],
            requested[0],
            latest,
            last_date,
        )
    return np.flatnonzero(data.dates >= max(new_dates[0], requested[0]))


def _split_of(uri: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    split = metadata.get("split")
    if not isinstance(split, Mapping):
        raise ConfigError(f"model {uri} has no record of its training rows: {_TRAIN_AGAIN}")
    return split


def _last_training_date(uri: str, split: Mapping[str, Any]) -> np.datetime64:
    """The last training date of the final model; its training rows include the validation rows, never the test rows."""
    span = split.get("search_dates")
    if not span:
        raise ConfigError(
            f"model {uri} was trained on a table without dates, this table has dates, so it is unknown which rows are "
            f"new to the model: {_TRAIN_AGAIN} on a table with dates"
        )
    return np.datetime64(span[1], "D")


def _common_holdout(data: Dataset, trainings: Mapping[str, Mapping[str, Any]], splits: Mapping[str, Any]) -> RowIndices:
    where = f"{data.source or 'the table'} has no dates"
    for uri, metadata in trainings.items():
        if metadata.get("data_digest") != data.digest:
            raise ConfigError(
                f"{where} and is not the table that {uri} was trained on (digest {data.digest}, not "
                f"{metadata.get('data_digest')}): give that table, only its hold-out rows are new to the models"
            )
    made = {uri: (split["test_fraction"], split["seed"]) for uri, split in splits.items()}
    if len(set(made.values())) > 1:
        shown = ", ".join(f"{uri} with {fraction} and {seed}" for uri, (fraction, seed) in made.items())
        raise ConfigError(
            f"{where} and the trainings held out different rows (--test-fraction and --seed: {shown}): "
            "train the challenger again with the champion's values"
        )
    fraction, seed = next(iter(made.values()))
    if fraction == 0:
        raise ConfigError(
            f"{where} and the trainings held out no rows (--test-fraction 0): {_TRAIN_AGAIN} with a hold-out"
        )
    first = next(iter(splits.values()))
    split = SplitSettings(fraction, first["valid_fraction"], first["use_cv"], first["n_folds"], seed=seed)
    return split_holdout(None, len(data.y), split)[1]
