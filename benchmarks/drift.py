"""How often `monitor` rings without drift, and how often it names a planted drift, by its size.

    python -m benchmarks.drift

Every run simulates a panel: features with a part that all accounts share and one of their own, from noise to slow
autoregressions (lag-1 autocorrelation up to 0.98), heavy tails, missing values, categories. A LightGBM model is trained
on the reference dates and scored on a test period; the new period follows it and takes no part in the calibration.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy.signal import lfilter

from benchmarks.record import bench_parser, print_table, write_result
from src.evaluation.intervals import score_estimate
from src.evaluation.scoring import Floats
from src.monitoring.measure import Limits, measure
from src.monitoring.periods import Column, Periods
from src.monitoring.result import Monitored

REFERENCE, TEST, NEW = 500, 100, 25
ACCOUNTS = 8
COMMON, OWN, WEIGHT = (0.0, 0.5, 0.9, 0.97), (0.0, 0.9, 0.98), (0.2, 0.5, 0.8)
"""Lag-1 autocorrelation of the shared and of the own part, and the weight of the shared part."""
SHIFTS = (0.5, 1.0, 2.0)
"""Of the mean, in standard deviations of the feature."""
DRIFTING = "x0"
"""Its shared part has no autocorrelation, its own part neither."""


def _autoregression(rng: np.random.Generator, r: float, shape: tuple[int, int], heavy: bool) -> Floats:
    """(n_dates, n_series) with unit variance in the long run."""
    size = (shape[0] + 300, shape[1])
    noise = rng.standard_t(5, size) / np.sqrt(5 / 3) if heavy else rng.normal(size=size)
    series: Floats = lfilter([np.sqrt(1 - r * r)], [1, -r], noise, axis=0)[300:]
    return series


def panel(rng: np.random.Generator, n_dates: int, n_features: int) -> tuple[tuple[Column, ...], Floats]:
    """Columns and a target that depends on three of them, rows sorted by date."""
    columns, shape = [], (n_dates, ACCOUNTS)
    for i in range(n_features):
        weight = WEIGHT[(i // 2) % 3]
        common = _autoregression(rng, COMMON[i % 4], (n_dates, 1), i % 5 == 4)
        own = _autoregression(rng, OWN[i % 3], shape, i % 5 == 4)
        values = (weight * common + np.sqrt(1 - weight**2) * own).ravel()
        if i % 6 == 5:
            columns.append(Column(f"c{i}", "category", np.clip(np.floor(values + 2), 0, 4)))
        else:
            missing = (i % 3 == 1) & (rng.random(values.size) < 0.05)
            columns.append(Column(f"x{i}", "number", np.where(missing, np.nan, values)))
    signal = sum(np.nan_to_num(column.values) for column in columns[:3])
    return tuple(columns), signal + _autoregression(rng, 0.5, shape, heavy=True).ravel() * 2


def simulate(seed: int, shifts: Sequence[float] = (0.0,), rate: float = 0.05, n_features: int = 20) -> list[Monitored]:
    """One panel, monitored once for each shift of `DRIFTING` in its new period."""
    rng = np.random.default_rng(seed)
    n_dates = REFERENCE + TEST + NEW
    columns, y = panel(rng, n_dates, n_features)
    day = np.repeat(np.arange(n_dates), ACCOUNTS)
    dates = np.datetime64("2020-01-01") + np.arange(n_dates)
    matrix = np.column_stack([column.values for column in columns])
    trained, tested, new = day < REFERENCE, (day >= REFERENCE) & (day < REFERENCE + TEST), day >= REFERENCE + TEST
    params = {"objective": "l1", "num_leaves": 31, "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lgb.train(params, lgb.Dataset(matrix[trained], y[trained]), 80)
    score = score_estimate("mae", y[tested], np.asarray(booster.predict(matrix[tested])), dates[day[tested]])
    metadata = {"test_score": score.value, "test_interval": score.interval}
    kept = trained | new
    results = []
    for shift in shifts:
        changed = [replace(c, values=c.values + shift * new) if c.name == DRIFTING else c for c in columns]
        features = np.column_stack([column.values for column in changed])[kept]
        seen = [replace(column, values=column.values[kept]) for column in changed]
        seen.append(Column("account", "account", np.tile(np.arange(ACCOUNTS), n_dates)[kept].astype(np.float64)))
        days, row_day = np.unique(dates[day[kept]], return_inverse=True)
        periods = Periods(tuple(seen), days, row_day, REFERENCE, TEST)
        prediction = np.asarray(booster.predict(features))
        results.append(measure("models:/y/1", metadata, periods, prediction, ("mae", y[new]), Limits(rate)))
    return results


def measure_rates(n_runs: int, seed: int) -> dict[str, Any]:
    """Number of runs that ring without drift, and by shift that ring, that name the feature, that name another one."""
    false, rows = 0, {shift: {"alarm": 0, "named": 0, "others": 0} for shift in SHIFTS}
    rang: list[str] = []
    for i in range(n_runs):
        clean, *drifted = simulate(seed + i, (0.0, *SHIFTS))
        false += bool(clean.alarms)
        rang += [f"{line.what} {line.statistic}" for line in clean.alarms]
        for shift, result in zip(SHIFTS, drifted, strict=True):
            named = {line.what for line in result.alarms}
            rows[shift]["alarm"] += bool(named)
            rows[shift]["named"] += DRIFTING in named
            rows[shift]["others"] += bool(named - {DRIFTING, "prediction", "score of the new rows"})
    return {"runs": n_runs, "false": false, "rang": rang, "shifts": {str(shift): row for shift, row in rows.items()}}


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("drift", "How often monitor rings with and without a planted drift.")
    parser.add_argument("--runs", type=int, default=100, help="simulated panels")
    parser.add_argument("--seed", type=int, default=9000, help="of the first panel")
    args = parser.parse_args(argv)
    if args.quick:
        args.runs = 3
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    result = measure_rates(args.runs, args.seed)
    rows: list[dict[str, Any]] = [{"planted": "nothing", "alarm": result["false"]}]
    rows += [{"planted": f"shift of {shift} standard deviations", **row} for shift, row in result["shifts"].items()]
    print_table(rows)
    write_result("drift", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
