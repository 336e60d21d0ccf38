"""`--cv auto`: three folds if rows and budget allow them, else one validation window.

The rule, as documented: three folds, unless

- a fold would have fewer than `MIN_ROWS` validation rows, or there are too few dates for three folds, or
- fewer than `MIN_TRIALS` trials would fit into `--timeout`, or into `SEARCH_SHARE` of `--total-timeout`. A trial is
  estimated at `SECONDS_PER_CELL` per row, feature and round, and at `ROUNDS` rounds, which is more than most need.

The rule does not use the target's values, except that each window of a binary target needs both classes.
"""

import logging
import math
from dataclasses import replace

from src.config import RunSettings, SearchSettings, SplitSettings
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset
from src.errors import DataError

log = logging.getLogger(__name__)

FOLDS = 3
MIN_ROWS = 200
MIN_TRIALS = 10
"""The first trials of a study: LightGBM's defaults, the other fixed configurations and the first random draws."""
SEARCH_SHARE = 0.5
"""Part of `--total-timeout` that is left for the search: 22 to 40 of 60 seconds on the tables of the benchmark."""
ROUNDS = 600
DERIVED_PER_COLUMN = 20
"""Derived features per column of the past that are usually kept."""
SECONDS_PER_CELL = 6e-9
"""LightGBM 4.7 on one core of a 2020s server, 40,000 rows by 50 features, 31 leaves: 1.2 s for 100 rounds."""


def choose_folds(data: Dataset, settings: RunSettings, n_targets: int = 1) -> SplitSettings:
    """The split with or without folds; unchanged without `--cv auto`.

    Args:
        data: one target's table.
        settings: of the command.
        n_targets: targets of the command, which share `--total-timeout`.

    Raises:
        DataError: there are too few rows even for one validation window.
    """
    split = settings.split
    if not settings.cv_auto:
        return split
    folded = with_folds(split)
    reason = _reason_for_one_window(data, folded, settings, n_targets)
    log.info("--cv auto: %s", reason or f"{FOLDS} folds")
    return split if reason else folded


def with_folds(split: SplitSettings) -> SplitSettings:
    """The same split with three walk-forward folds."""
    return replace(split, use_cv=True, n_folds=FOLDS)


def make_fold_rows(data: Dataset, folded: SplitSettings) -> SplitRows:
    """Splits a table into folds of sufficient size.

    Raises:
        DataError: there are too few dates, or a fold would have fewer than `MIN_ROWS` validation rows.
    """
    rows = make_split_rows(data, folded)
    smallest = min(len(fold.valid) for fold in rows.folds)
    if smallest < MIN_ROWS:
        raise DataError(f"a fold would have only {smallest} validation rows: use fewer folds or more rows")
    return rows


def _reason_for_one_window(data: Dataset, folded: SplitSettings, settings: RunSettings, n_targets: int) -> str | None:
    try:
        rows = make_fold_rows(data, folded)
    except DataError as error:
        return f"one window, because {error}"
    seconds = _search_seconds(settings.search, n_targets)
    n_derived = 0 if data.history is None else DERIVED_PER_COLUMN * len(data.history.past)
    n_trials = seconds * settings.search.max_workers / estimated_seconds(rows, data.features.shape[1] + n_derived)
    if n_trials < MIN_TRIALS:
        return f"one window, because about {n_trials:.0f} trials with folds would fit into {seconds:g} s of search"
    return None


def _search_seconds(search: SearchSettings, n_targets: int) -> float:
    """Seconds of one target's search; infinite without a time limit."""
    timeout = math.inf if search.timeout is None else search.timeout
    total = math.inf if search.total_timeout is None else search.total_timeout
    return min(timeout, SEARCH_SHARE * total / n_targets)


def estimated_seconds(rows: SplitRows, n_features: int) -> float:
    """Rough estimate of a trial's CPU seconds on these folds."""
    return sum(len(fold.train) for fold in rows.folds) * n_features * ROUNDS * SECONDS_PER_CELL
