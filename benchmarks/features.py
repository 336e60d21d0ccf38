"""Speed of derived features: ours beside the same features by pandas, in one run.

    python -m benchmarks.features

A table of accounts and days with normal values; 1 % of them are missing. pandas computes the families for which it has
a function: lags, means, dispersion, extremes, shares, quantiles, ratios and market, by `groupby().rolling()` on values
that are shifted by one row. It has none for streaks, drawdowns, exponential means of a bounded window, and ranks among
the accounts of the previous date. pandas uses one thread, ours one per CPU; ours with one thread is measured too.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result
from src.features.catalogue import Feature, candidates
from src.features.derive import derive
from src.features.panel import Panel, make_panel

BY_PANDAS = ("lags", "means", "dispersion", "extremes", "shares", "quantiles", "ratios", "market")
ALL, OURS, ONE_THREAD, PANDAS = "ours, all features", "ours", "ours, one thread", "pandas"


def random_table(n_accounts: int, n_days: int, n_columns: int, seed: int = 0) -> pd.DataFrame:
    """`account`, `date` and columns `c0`, `c1`, … sorted by account, then date."""
    rng, n_rows = np.random.default_rng(seed), n_accounts * n_days
    table = pd.DataFrame(
        {
            "account": np.repeat(np.array([f"A{i:06d}" for i in range(n_accounts)], object), n_days),
            "date": np.tile(pd.bdate_range("2015-01-01", periods=n_days), n_accounts),
        }
    )
    for i in range(n_columns):
        table[f"c{i}"] = np.where(rng.random(n_rows) < 0.01, np.nan, rng.normal(size=n_rows))
    return table


def panel_of(table: pd.DataFrame) -> Panel:
    """The table as our functions need it."""
    columns = {name: table[name].to_numpy() for name in table.columns[2:]}
    dates = table["date"].to_numpy().astype("datetime64[D]")
    return make_panel(table["account"].to_numpy(dtype=object), dates, columns, {})[0]


def by_pandas(table: pd.DataFrame, features: Sequence[Feature]) -> np.ndarray:
    """The features as (n_rows, n_features) float32, rows as in the table."""
    result = np.empty((len(table), len(features)), dtype=np.float32, order="F")
    for column in dict.fromkeys(feature.column for feature in features):
        past = _Past(table, str(column))
        for place, feature in enumerate(features):
            if feature.column == column:
                result[:, place] = past.market(feature) if feature.family == "market" else past.own(feature)
    return result


class _Past:
    """The rolling windows of one column, made once."""

    def __init__(self, table: pd.DataFrame, column: str) -> None:
        self._table, self._column = table, column
        self._shifted = table.groupby("account", sort=False)[column].shift(1)
        self._positive = (self._shifted > 0).astype(float).where(self._shifted.notna())

    def _rolling(self, values: pd.Series, window: int, least: int = 1) -> Any:
        return values.groupby(self._table["account"], sort=False).rolling(window, min_periods=least)

    def own(self, feature: Feature) -> np.ndarray:
        window, statistic = feature.window, feature.statistic
        if statistic == "lag":
            return np.asarray(self._table.groupby("account", sort=False)[self._column].shift(window))
        if statistic == "ratio":
            whole = self._rolling(self._shifted, window, 2)
            recent = self._rolling(self._shifted, 5).mean()
            return np.asarray((recent - self._rolling(self._shifted, window).mean()) / whole.std())
        if statistic == "share_positive":
            return np.asarray(self._rolling(self._positive, window).mean())
        rolling = self._rolling(self._shifted, window, 2 if statistic == "std" else 1)
        if statistic == "quantile":
            return np.asarray(rolling.quantile(feature.parameter))
        return np.asarray(getattr(rolling, statistic)())

    def market(self, feature: Feature) -> np.ndarray:
        values = self._table[self._column]
        if feature.statistic == "share_positive":
            values = (values > 0).astype(float).where(values.notna())
        by_date = values.groupby(self._table["date"])
        daily = by_date.std() if feature.statistic == "std" else by_date.mean()
        rolled = daily.shift(1).rolling(feature.window, min_periods=1).mean()
        return np.asarray(self._table["date"].map(rolled))


def seconds_of(compute: Callable[[], Any], cpu_seconds: list[float]) -> float:
    """How long one call takes; appends its CPU seconds, which depend less on other processes."""
    start, cpu = time.perf_counter(), time.process_time()
    compute()
    cpu_seconds.append(time.process_time() - cpu)
    return time.perf_counter() - start


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("features", "Speed of derived features, ours and by pandas.")
    parser.add_argument("--accounts", type=int, default=1_000, help="accounts of the table")
    parser.add_argument("--days", type=int, default=1_000, help="days of each account")
    parser.add_argument("--columns", type=int, default=5, help="columns whose past is used")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each contender")
    args = parser.parse_args(argv)
    if args.quick:
        args.accounts, args.days, args.columns, args.rounds = 20, 100, 2, 1
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    table = random_table(args.accounts, args.days, args.columns)
    panel, everything = panel_of(table), candidates([f"c{i}" for i in range(args.columns)], [], calendar=False)
    shared = [feature for feature in everything if feature.family in BY_PANDAS]
    contenders: dict[str, Callable[[], Any]] = {
        ALL: lambda: derive(panel, everything),
        OURS: lambda: derive(panel, shared),
        ONE_THREAD: lambda: derive(panel, shared, threads=1),
        PANDAS: lambda: by_pandas(table, shared),
    }
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    measured = interleave(
        {name: partial(seconds_of, compute, cpu[name]) for name, compute in contenders.items()}, args.rounds
    )
    rows = [
        {
            "contender": name,
            "features": len(everything if name == ALL else shared),
            "rows": len(table),
            "seconds": median(seconds),
            "of CPU": median(cpu[name]),
            "pandas takes, times": None if name in (ALL, PANDAS) else ratio_of_medians(measured[PANDAS], seconds),
        }
        for name, seconds in measured.items()
    ]
    print_table(rows)
    write_result("features", {"table": rows, "seconds": measured, "cpu_seconds": cpu}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
