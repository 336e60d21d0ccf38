"""A trial on the GPU (`--device gpu`) beside the same trial on CPUs, on tables of several sizes.

    python -m benchmarks.gpu --rows 100000 1000000 5000000

A trial is what a worker runs: the rows are binned with the parameters of its device, then boosted. The worker of a GPU
and that of a CPU have one thread; a third contender has all CPUs of the process. Binning is timed apart. The output
names the OpenCL device: if it is a CPU (PoCL), the figures say nothing about the speed of a GPU.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import numpy as np

from benchmarks.record import bench_parser, interleave, median, print_table, write_result
from src.config import TargetConfig
from src.errors import ConfigError
from src.search.binned_folds import binning_params
from src.search.dart import make_booster
from src.search.device import CPU, GPU, opencl_device
from src.search.search_space import lightgbm_params
from src.workers.cpus import available_cpus

SEED = 7
VALIDATION = 0.1
HYPERPARAMETERS: Mapping[str, Any] = {
    "boosting_type": "gbdt",
    "max_depth": 8,
    "num_leaves": 63,
    "learning_rate": 0.1,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "min_child_samples": 50,
    "lambda_l1": 1e-3,
    "lambda_l2": 1e-3,
    "min_gain_to_split": 0.0,
}
Rows = tuple[np.ndarray, np.ndarray]
"""Features and target."""


def draw_rows(n_rows: int, n_features: int) -> Rows:
    """Normal features, of which five make the target, with noise of the same size."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    useful = x[:, :5]
    y = np.sin(2 * useful).sum(axis=1) + useful[:, 0] * useful[:, -1] + rng.normal(size=n_rows)
    return x, y


class Contender:
    """One device with a number of threads; measures a trial, and keeps its binning time and its score."""

    def __init__(self, device: str, threads: int, rows: Rows, args: Namespace) -> None:
        self.device, self.threads, self.rows, self.args = device, threads, rows, args
        self.binning: list[float] = []
        self.score = float("nan")

    def seconds(self) -> float:
        """Seconds of the boosting rounds of a trial, with the transfer of its rows to the device."""
        x, y = self.rows
        first, args = int(len(y) * (1 - VALIDATION)), self.args
        start = time.perf_counter()
        params = binning_params(args.bins, self.threads, self.device)
        train = lgb.Dataset(x[:first], y[:first], params=params).construct()
        self.binning.append(time.perf_counter() - start)
        start = time.perf_counter()
        hyperparameters = {**HYPERPARAMETERS, "max_bin": args.bins}
        config = TargetConfig("regression", "rmse")
        booster = make_booster(lightgbm_params(hyperparameters, config, SEED, self.threads, (), self.device), train)
        for _ in range(args.boosting_rounds):
            booster.update()
        taken = time.perf_counter() - start
        error = np.asarray(booster.predict(x[first:])) - y[first:]
        self.score = float(np.sqrt(np.mean(error**2)))
        return taken


def measure(n_rows: int, args: Namespace) -> list[dict[str, Any]]:
    """The contenders on a table of this size, the GPU first."""
    rows, most = draw_rows(n_rows, args.features), available_cpus()
    kinds = dict.fromkeys([(GPU, 1), (CPU, 1), (CPU, most)])
    contenders = {f"{device}, {n} thread{'s' * (n > 1)}": Contender(device, n, rows, args) for device, n in kinds}
    sys.stdout.write(f"{n_rows} rows\n")
    measured = interleave({name: each.seconds for name, each in contenders.items()}, args.rounds)
    reference = median(next(iter(measured.values())))
    return [
        {
            "rows": n_rows,
            "contender": name,
            "seconds": median(measured[name]),
            "times the GPU's": median(measured[name]) / reference,
            "binning": median(contender.binning),
            "RMSE": contender.score,
        }
        for name, contender in contenders.items()
    ]


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("gpu", "A trial on a GPU beside the same trial on CPUs.")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000], help="sizes of tables")
    parser.add_argument("--features", type=int, default=50, help="numeric columns")
    parser.add_argument("--bins", type=int, default=255, help="max_bin; LightGBM recommends 63 for the speed of GPUs")
    parser.add_argument("--boosting-rounds", type=int, default=100, help="rounds of a trial")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each contender")
    args = parser.parse_args(argv)
    if args.quick:
        args.rows, args.features, args.boosting_rounds, args.rounds = [2_000, 3_000], 5, 5, 1
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    try:
        device = opencl_device()
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"OpenCL device: {device}\n")
    rows = [row for n_rows in sorted(args.rows) for row in measure(n_rows, args)]
    print_table(rows)
    write_result("gpu", {"device": device, "trials": rows, "options": vars(args)}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
