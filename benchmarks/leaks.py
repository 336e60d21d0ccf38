"""How often the leak probe of `check` names planted leaks, by their size, and how often it names an honest feature.

    python -m benchmarks.leaks

The tables are simulated (`benchmarks.leaky_tables`): nine kinds of targets, from noise over random walks to counts that
a plan explains to 90 %, with 2,000 rows and 20 honest features each.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.leaky_tables import (
    CLEAN,
    Floats,
    Rng,
    by_account,
    clean_table,
    datasets_of,
    encoding_of_all_rows,
    encoding_without_the_row,
    gross_with_noise,
    mean_with_today,
    tomorrow,
)
from benchmarks.record import bench_parser, print_table, write_result
from src.table_check.leaks import find_leaks

Leak = Callable[[pd.DataFrame, Rng], Floats]


def _shifted(leak: Leak) -> Leak:
    return lambda frame, rng: by_account(frame, leak(frame, rng), lambda s: s.shift(-1))


def _with_today(function: Callable[[pd.Series], pd.Series]) -> Leak:
    return lambda frame, rng: by_account(frame, frame["y"], function)


SIZES: Mapping[str, Leak] = {
    **{f"result of the day, noise {noise:g}": gross_with_noise(noise) for noise in (0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5)},
    "tomorrow's value": tomorrow,
    **{f"tomorrow's value, noise {noise:g}": _shifted(gross_with_noise(noise)) for noise in (0.15, 0.25)},
    "mean so far with the day": mean_with_today,
    "exponential mean with the day": _with_today(lambda s: s.ewm(halflife=10).mean()),
    "mean of 20 rows with the day": _with_today(lambda s: s.rolling(20, min_periods=5).mean()),
    "mean of 5 rows around the day": _with_today(lambda s: s.rolling(5, center=True).mean()),
    "mean of all accounts on the day": lambda frame, rng: frame.groupby("date")["y"].transform("mean").to_numpy(),
    **{f"encoding of {groups} levels, all rows": encoding_of_all_rows(groups) for groups in (3, 30, 300)},
    **{f"encoding of {groups} levels, smoothed": encoding_of_all_rows(groups, 10.0) for groups in (30, 300)},
    "encoding without the row itself": encoding_without_the_row,
}
"""Noise is a share of the standard deviation of what is new in the target each day."""


def measure(n_tables: int, seed: int) -> dict[str, Any]:
    """Names of leaks and of honest features.

    Returns:
        `named`: number of tables in which each leak was named; `false`: number of clean tables with an alarm.
    """
    kinds, named, false = list(CLEAN), dict.fromkeys(SIZES, 0), 0
    for i in range(n_tables):
        frame = clean_table(kinds[i % len(kinds)], seed + i)
        planted = {
            name: leak(frame, np.random.default_rng([seed, i, n])) for n, (name, leak) in enumerate(SIZES.items())
        }
        suspects = _suspects(frame.assign(**planted))
        false += bool(suspects - SIZES.keys())
        for name in SIZES.keys() & suspects:
            named[name] += 1
    return {"tables": n_tables, "named": named, "false": false}


def _suspects(frame: pd.DataFrame) -> set[str]:
    findings = find_leaks(datasets_of(frame), seed=0)
    return {finding.subject for finding in findings if finding.severity == "suspicious"}


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("leaks", "How often planted leaks and honest features are named.")
    parser.add_argument("--tables", type=int, default=180, help="simulated tables")
    parser.add_argument("--seed", type=int, default=5000, help="of the first table")
    args = parser.parse_args(argv)
    if args.quick:
        args.tables = 9
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    result = measure(args.tables, args.seed)
    rows = [{"planted": name, "named": f"{100 * n / args.tables:.1f} %"} for name, n in result["named"].items()]
    rows.append({"planted": "nothing: a table with an honest feature named", "named": f"{result['false']} tables"})
    print_table(rows)
    write_result("leaks", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
