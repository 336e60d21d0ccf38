"""Growth with the table and with the study: time per trial beyond LightGBM's own, and a worker's memory.

    python -m benchmarks.growth

1. Rows: seconds per trial of this project and of LightGBM alone, on the same sets, in turns.
2. Trials: a study is filled with finished trials, then runs real ones on a tiny table; their time beyond LightGBM's own
   for the same parameters and rounds is compared with Optuna's TPE alone, in memory.
3. Memory: resident bytes of a worker every hundred trials, on a tiny table.
"""

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.job import BenchmarkFailed, Job, run_job, workspace
from benchmarks.overhead import show_profile
from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result
from benchmarks.synthetic import draw_sets, largest_max_bin, memory_needed, write_table

PARTS = ("rows", "trials", "memory")
QUICK_SETS = {"boosting_type": "gbdt", "learning_rate": 0.3, "num_leaves": 31, "max_depth": 8}
"""On a table without signal, early stopping ends such a set quickly, so that three million rows take minutes."""
TINY_ROWS, TINY_FEATURES = 1_000, 10
AT_MOST_MS = 60
"""Limit of the growth of the time per trial from 100 to 3,000 trials."""
MIB = 2**20


def by_rows(args: Namespace, space: Path) -> list[dict[str, Any]]:
    """Part 1; a size that does not fit into the free memory is left out, with a message."""
    rows = []
    for n_rows in args.rows:
        needed, there = memory_needed(n_rows, args.features), psutil.virtual_memory().available
        if needed > there:
            sys.stdout.write(f"{n_rows} rows left out: about {needed >> 20} MiB, {there >> 20} are free\n")
            rows.append({"rows": n_rows, "left out": "memory"})
            continue
        rows.append(_one_size(n_rows, args, space))
    print_table(rows)
    return rows


def _one_size(n_rows: int, args: Namespace, space: Path) -> dict[str, Any]:
    table = write_table(space, n_rows, args.features, args.seed, signal=0.0)
    sets = draw_sets(args.sets, args.seed, QUICK_SETS | {"max_bin": largest_max_bin()})
    job = Job("rounds", table, sets, options={"untimed": True})
    job = replace(job, rounds=run_job(job, space)["rounds"])
    said: dict[str, dict[str, Any]] = {}

    def contender(name: str) -> Callable[[], float]:
        def run() -> float:
            said[name] = run_job(replace(job, contender=name), space)
            return float(said[name]["seconds"]) / len(sets)

        return run

    seconds = interleave({name: contender(name) for name in ("pure", "ours")}, args.rounds)
    table.unlink()
    binning = said["pure"]["binning_seconds"] / len(sets)
    return {
        "rows": n_rows,
        "pure, s per trial": median(seconds["pure"]),
        "ours, s per trial": median(seconds["ours"]),
        "over pure": ratio_of_medians(seconds["ours"], seconds["pure"]),
        "beyond, ms": 1000 * (median(seconds["ours"]) - median(seconds["pure"])),
        "of it binning once, ms": 1000 * binning,
        "start-up, s": said["ours"]["start_up_seconds"],
    }


def by_trials(args: Namespace, space: Path) -> dict[str, Any]:
    """Part 2."""
    options = {"sizes": args.trials, "sampled_trials": args.sampled, "pruner": "median"}
    job = Job(
        "filled study",
        write_table(space, TINY_ROWS, TINY_FEATURES, args.seed),
        [],
        profile=args.profile,
        options=options,
    )
    ours = run_job(job, space)["sizes"]
    tpe = run_job(replace(job, contender="TPE in memory"), space)["sizes"]
    rows = [
        {
            "trials": size,
            "whole, ms": 1000 * median(each["whole"]),
            "LightGBM, ms": 1000 * median(each["alone"]),
            "beyond, ms": 1000 * beyond(each["whole"], each["alone"]),
            "of it CPU, ms": 1000 * beyond(each["cpu_whole"], each["cpu_alone"]),
            "TPE in memory, ms": 1000 * median(tpe[size]["whole"]),
            "filled in, s": each["filling_seconds"],
            "projected in, s": each["projecting_seconds"],
            "in MLflow": each["projected_runs"],
        }
        for size, each in ours.items()
    ]
    print_table(rows)
    show_profile(ours[str(args.trials[-1])]["profile"])
    grown = growth(rows, 100, 3_000)
    if grown is not None:
        sys.stdout.write(f"from trial 100 to 3,000: {grown:.1f} ms more per trial (less than {AT_MOST_MS})\n")
    return {"table": rows, "growth_ms": grown, "less_than_ms": AT_MOST_MS, "ours": ours, "tpe_in_memory": tpe}


def beyond(whole: list[float], alone: list[float]) -> float:
    """Median over trials of the time beyond LightGBM's own, in seconds."""
    return median(a - b for a, b in zip(whole, alone, strict=True))


def growth(rows: list[dict[str, Any]], first: int, last: int) -> float | None:
    """Growth in milliseconds of the time beyond LightGBM's own between two sizes; None if not measured."""
    by_size = {int(row["trials"]): float(row["beyond, ms"]) for row in rows}
    return by_size[last] - by_size[first] if {first, last} <= by_size.keys() else None


def by_time(args: Namespace, space: Path) -> dict[str, Any]:
    """Part 3."""
    options = {"sampled_trials": args.memory_trials, "rss_every": args.every, "pruner": "median"}
    table = write_table(space, TINY_ROWS, TINY_FEATURES, args.seed)
    found = run_job(Job("ours", table, [], workers=args.memory_workers, options=options), space)
    rows = [{"process": f"{pid:.0f}", "trials": f"{n:.0f}", "RSS, MiB": rss / MIB} for pid, n, rss in found["rss"]]
    print_table(rows)
    result: dict[str, Any] = {"rss": found["rss"], "seconds": found["seconds"], "slope_kib_per_trial": {}}
    for pid in sorted({int(line[0]) for line in found["rss"]}):
        points = [(n, rss) for owner, n, rss in found["rss"] if int(owner) == pid]
        result["slope_kib_per_trial"][pid] = slope(points[len(points) // 3 :]) / 1024
    shown = ", ".join(f"{value:.2f}" for value in result["slope_kib_per_trial"].values())
    sys.stdout.write(f"growth over the last two thirds, KiB per trial: {shown}\n")
    return result


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares slope of y over x; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("growth", "Growth with the table and with the study: time per trial, and memory.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which to run")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 3_000_000], help="sizes")
    parser.add_argument("--features", type=int, default=20, help="columns of those tables")
    parser.add_argument("--sets", type=int, default=4, help="parameter sets for each size")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side for each size")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 3_000, 10_000], help="sizes of the study")
    parser.add_argument("--sampled", type=int, default=20, help="real trials at each size")
    parser.add_argument("--memory-trials", type=int, default=1_000, help="trials whose memory is measured")
    parser.add_argument("--memory-workers", type=int, default=1, help="workers that share these trials")
    parser.add_argument("--every", type=int, default=100, help="trials between two measurements of memory")
    parser.add_argument("--profile", action="store_true", help="cProfile of part 2, which makes its times invalid")
    parser.add_argument("--seed", type=int, default=0, help="of tables and sets")
    args = parser.parse_args(argv)
    if args.quick:
        args.rows, args.sets, args.rounds, args.trials = [2_000, 10_000], 3, 1, [20, 100]
        args.memory_trials, args.every = 40, 10
    args.trials = sorted(args.trials)
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    run = {"rows": by_rows, "trials": by_trials, "memory": by_time}
    result = {}
    try:
        with workspace() as space:
            for part in args.parts:
                sys.stdout.write(f"{part}\n")
                result[part] = run[part](args, space)
    except BenchmarkFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_result("growth", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
