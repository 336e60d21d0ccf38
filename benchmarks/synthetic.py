"""Synthetic tables of any size, and parameter sets from this project's search space; both depend only on a seed."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import optuna

TARGET = "num_trades"
"""RMSE is the metric with the lowest cost in LightGBM, so that overhead has the highest share."""
ROWS_PER_DAY = 50
MOST_DAYS = 5_000
USEFUL = 5
BYTES_PER_VALUE = 64
"""Peak bytes of the tuning process per value: the table as read, as features, as a matrix, and temporary copies."""


def synthetic_table(n_rows: int, n_features: int, seed: int = 0, signal: float = 1.0) -> pd.DataFrame:
    """A table of account-days with the contract's column names, so that no `--config` is needed.

    Args:
        n_rows: rows, at least 500 to be split by date.
        n_features: standard normal float64 columns `f000`, `f001`, ...; the first five make the target.
        seed: of all numbers in it.
        signal: standard deviation of the predictable part, with noise of 1; with 0, early stopping ends a fit early,
            for any size of the table.

    Returns:
        (n_rows, n_features + 3) sorted by date and account.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_features))
    rows_per_day = max(ROWS_PER_DAY, math.ceil(n_rows / MOST_DAYS))
    days, accounts = np.divmod(np.arange(n_rows), rows_per_day)
    frame = pd.DataFrame(x, columns=[f"f{i:03d}" for i in range(n_features)], copy=False)
    useful = x[:, :USEFUL]
    shape = np.sin(2 * useful).sum(axis=1) + useful[:, 0] * useful[:, -1]
    keys = {
        "account_id": accounts,
        "date": np.datetime64("2000-01-03", "s") + days * np.timedelta64(86_400, "s"),
        TARGET: signal * shape / shape.std() + rng.normal(size=n_rows),
    }
    return pd.concat([pd.DataFrame(keys), frame], axis=1)


def write_table(folder: Path, n_rows: int, n_features: int, seed: int = 0, signal: float = 1.0) -> Path:
    """Writes such a table as Parquet, unless the file exists."""
    path = folder / f"table-{n_rows}x{n_features}-{seed}-{signal:g}.parquet"
    if not path.exists():
        synthetic_table(n_rows, n_features, seed, signal).to_parquet(path, index=False)
    return path


def draw_sets(n: int, seed: int = 0, fixed: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Parameters of `n` trials, drawn at random from the search space, for `study.enqueue_trial`.

    Args:
        n: number of sets.
        seed: of the draws.
        fixed: parameters with the same value in every set.

    Raises:
        ValueError: a fixed value is not in the search space.
    """
    drawn = _drawn(n, seed, fixed or {})
    for name, value in (fixed or {}).items():
        known = drawn[0].distributions[name]
        if not known._contains(known.to_internal_repr(value)):
            raise ValueError(f"{name} {value!r} is not in the search space: give another value")
    return [dict(trial.params) for trial in drawn]


def largest_max_bin(limit: int = 256) -> int:
    """The largest `max_bin` of the search space up to a limit; up to 256, a value takes one byte."""
    known = _drawn(1, 0, {})[0].distributions["max_bin"]
    return max(value for value in range(2, limit + 1) if known._contains(value))


def _drawn(n: int, seed: int, fixed: Mapping[str, Any]) -> list["optuna.trial.FrozenTrial"]:
    import optuna

    from src.search.search_space import suggest_hyperparameters

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna only warns about a value out of range; `draw_sets` raises
            for _ in range(n):
                if fixed:
                    study.enqueue_trial(dict(fixed))  # the other parameters are drawn
                suggest_hyperparameters(study.ask())
        return study.get_trials(deepcopy=False)
    finally:
        optuna.logging.set_verbosity(before)


def memory_needed(n_rows: int, n_features: int) -> int:
    """Approximate bytes for tuning on such a table, to leave out sizes that do not fit."""
    return n_rows * n_features * BYTES_PER_VALUE
