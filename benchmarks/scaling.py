"""Trials per minute of one worker, of two workers with one thread each, and of one worker with two threads.

    python -m benchmarks.scaling

All run the same parameter sets in the same order. The rate is measured from the time when all workers have started
their first trial to the time when the first worker has ended its last trial; a trial at either edge counts by the share
of it inside this period. Two threads are measured as a plain loop of LightGBM on shared Datasets, the upper bound for
one worker with two threads.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.job import BenchmarkFailed, Job, run_job, workspace
from benchmarks.overhead import calibrate
from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result

AT_LEAST = 1.85
"""Minimum ratio of two workers to one, on two free cores."""

Trial = dict[str, Any]


def steady_rate(trials: Sequence[Trial]) -> float:
    """Trials per minute while all workers were running trials.

    Args:
        trials: with `start` and `complete` in seconds, and the `pid` of the worker.

    Returns:
        Trials per minute; over the whole span if workers did not overlap at all.
    """
    workers = {trial["pid"] for trial in trials}
    begin = max(min(t["start"] for t in trials if t["pid"] == pid) for pid in workers)
    end = min(max(t["complete"] for t in trials if t["pid"] == pid) for pid in workers)
    if end <= begin:
        begin, end = min(t["start"] for t in trials), max(t["complete"] for t in trials)
    inside = [max(0.0, min(t["complete"], end) - max(t["start"], begin)) / (t["complete"] - t["start"]) for t in trials]
    return float(60 * sum(inside) / (end - begin))


def scores_by_params(trials: Sequence[Trial]) -> dict[str, float]:
    """The value of every parameter set, independent of trial number and process."""
    return {json.dumps(trial["params"], sort_keys=True): trial["value"] for trial in trials}


def measure(job: Job, args: Namespace, run: Callable[[Job], dict[str, Any]]) -> dict[str, Any]:
    """Measures all three in turns; returns rates, whole spans and start-up times by contender."""
    said: dict[str, list[dict[str, Any]]] = {}

    def workers(name: str, n: int) -> Callable[[], float]:
        def one() -> float:
            found = run(replace(job, contender="ours", workers=n))
            said.setdefault(name, []).append(found)
            return steady_rate(found["trials"])

        return one

    def two_threads() -> float:
        found = run(replace(job, contender="pure", threads=args.workers))
        said.setdefault(threads, []).append(found)
        return 60 * len(job.sets) / float(found["seconds"])

    several, threads = f"{args.workers} workers", f"1 worker, {args.workers} threads"
    contenders = {"1 worker": workers("1 worker", 1), several: workers(several, args.workers), threads: two_threads}
    rates = interleave(contenders, args.rounds)
    return {
        name: {
            "trials_per_minute": rates[name],
            "spans": [each["seconds"] for each in said[name]],
            "start_up_seconds": [each.get("start_up_seconds") for each in said[name]],
            "processes": [len({t["pid"] for t in each.get("trials", [])}) for each in said[name]],
            "scores": [scores_by_params(each.get("trials", [])) for each in said[name]],
        }
        for name in contenders
    }


def summary(measured: dict[str, Any], job: Job) -> dict[str, Any]:
    """Prints the results and returns them for the JSON file."""
    one, several, _ = measured
    base = measured[one]
    rows = []
    for name, each in measured.items():
        start_up = [seconds for seconds in each["start_up_seconds"] if seconds is not None]
        row = {
            "contender": name,
            "trials/min": median(each["trials_per_minute"]),
            "times 1 worker": ratio_of_medians(each["trials_per_minute"], base["trials_per_minute"]),
            "of the whole span": ratio_of_medians(base["spans"], each["spans"]),
            "start-up, s": median(start_up) if start_up else None,
        }
        rows.append(row)
    print_table(rows)
    same = all(scores == base["scores"][0] for scores in base["scores"] + measured[several]["scores"])
    ratio = rows[1]["times 1 worker"]
    sys.stdout.write(f"{several} over {one}: {ratio:.3f} (at least {AT_LEAST}); scores equal to the bit: {same}\n")
    result = {"table": rows, "same_scores": same, "at_least": AT_LEAST, "data": job.data.stem, "rounds": job.rounds}
    for each in measured.values():
        del each["scores"]
    return result | {"measured": measured}


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("scaling", "Trials per minute of one worker, of several, and of one with several threads.")
    parser.add_argument("--workers", type=int, default=2, help="number of processes, and of threads in the other case")
    parser.add_argument("--trials", type=int, default=40, help="parameter sets per study")
    parser.add_argument("--seconds", type=float, default=1.0, help="LightGBM's own time per trial")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    parser.add_argument("--features", type=int, default=20, help="columns of the table")
    parser.add_argument("--candidates", type=int, default=2, help="drawn sets per kept set")
    parser.add_argument("--seed", type=int, default=0, help="of table and sets")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.trials, args.rounds = 0.05, 10, 1
    args.cores, args.profile = None, False
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    try:
        with workspace() as space:
            job = calibrate(args.seconds, args, space)
            result = summary(measure(job, args, lambda each: run_job(each, space)), job)
    except BenchmarkFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_result("scaling", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
