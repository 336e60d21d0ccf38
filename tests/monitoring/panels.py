"""Small periods for tests: several accounts per date, rows sorted by date."""

import numpy as np

from src.monitoring.periods import Column, Kind, Periods

START = np.datetime64("2024-01-01")


def periods_of(
    columns: dict[str, tuple[Kind, np.ndarray]], n_reference: int, n_new: int, n_between: int = 0
) -> Periods:
    """Periods of consecutive dates; each column has (n_dates, n_accounts) or (n_rows,) values."""
    n_dates = n_reference + n_new
    read = tuple(Column(name, kind, np.asarray(values, float).ravel()) for name, (kind, values) in columns.items())
    row_day = np.repeat(np.arange(n_dates), len(read[0].values) // n_dates)
    return Periods(read, START + np.arange(n_dates), row_day, n_reference, n_between)


def noise(seed: int, n_dates: int, n_accounts: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_dates, n_accounts))
