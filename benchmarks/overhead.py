"""Overhead of a search beyond LightGBM's own training time, of this project and of others.

    python -m benchmarks.overhead

Parameter sets are drawn from the search space, with a seed; sets whose training takes about a second, or a quarter of
a second, are kept. `pure` is the total time of `lightgbm.train` over them on constructed Datasets. The others run a
study of the same sets in the same order, with one LightGBM thread, from the start of the first trial to the end of the
last.
"""

import importlib.util
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.job import BenchmarkFailed, Job, run_job, workspace
from benchmarks.pure import nearest
from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result
from benchmarks.synthetic import draw_sets, write_table

NAMES = ("pure", "ours", "plain script", "callbacks", "MlflowStorage")
QUICK = ("pure", "ours", "plain script")
SLOW = "MlflowStorage"
AT_MOST = {1.0: 1.05, 0.25: 1.15}
"""Limit of the ratio of ours to pure, by seconds of a trial."""
FIRST_ROWS_PER_SECOND = 20_000
CLOSE_ENOUGH = 1.5
MOST_TRIES = 4
LEAST_ROWS, MOST_ROWS = 2_000, 2_000_000
DEAREST = 25


@dataclass(frozen=True)
class Measured:
    """One contender's measurements.

    Attributes:
        n_trials: number of trials of its study.
        seconds: time of all its trials, per round.
        reference: time of LightGBM alone on the same sets, per round.
        facts: result of its process in the last round.
    """

    n_trials: int
    seconds: list[float]
    reference: list[float]
    facts: dict[str, Any]

    def row(self, name: str) -> dict[str, Any]:
        """A line of the table."""
        beyond = (median(self.seconds) - median(self.reference)) / self.n_trials
        return {
            "contender": name,
            "trials": self.n_trials,
            "s per trial": median(self.seconds) / self.n_trials,
            "over pure": ratio_of_medians(self.seconds, self.reference),
            "beyond, ms": 1000 * beyond,
            "start-up, s": self.facts.get("start_up_seconds"),
        }


def calibrate(seconds: float, args: Namespace, space: Path) -> Job:
    """Finds a number of rows and `--trials` sets for which training one set takes about `seconds`."""
    rows = int(FIRST_ROWS_PER_SECOND * seconds)
    candidates = draw_sets(args.trials * args.candidates, args.seed)
    for attempt in range(1, MOST_TRIES + 1):
        job = Job("rounds", write_table(space, rows, args.features, args.seed), candidates, cores=args.cores)
        found = run_job(job, space)
        typical = median(found["each"])
        sys.stdout.write(f"  {rows} rows: {typical:.3f} s is the median of {len(candidates)} sets\n")
        if attempt == MOST_TRIES or max(typical / seconds, seconds / typical) <= CLOSE_ENOUGH:
            break
        rows = min(MOST_ROWS, max(LEAST_ROWS, round(rows * seconds / typical)))
    kept = nearest(found["each"], seconds, args.trials)
    return replace(
        job, sets=[candidates[i] for i in kept], rounds=[found["rounds"][i] for i in kept], profile=args.profile
    )


def measure(job: Job, args: Namespace, space: Path) -> dict[str, Measured]:
    """Runs the contenders in turns."""
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in args.contenders}

    def contender(name: str) -> Callable[[], float]:
        n = min(args.slow_trials, len(job.sets)) if name == SLOW else len(job.sets)
        own = replace(job, contender=name, sets=job.sets[:n], rounds=job.rounds[:n])

        def run() -> float:
            said[name].append(run_job(own, space) | {"n": n})
            return float(said[name][-1]["seconds"])

        return run

    seconds = interleave({name: contender(name) for name in args.contenders}, args.rounds)
    measured = {}
    for name in args.contenders:
        n = said[name][-1]["n"]
        reference = [sum(each["each"][:n]) for each in said["pure"]]
        measured[name] = Measured(n, seconds[name], reference, said[name][-1])
    return measured


def summary(job: Job, measured: dict[str, Measured], seconds: float) -> dict[str, Any]:
    """Prints the results and returns them for the JSON file."""
    print_table([each.row(name) for name, each in measured.items()])
    result: dict[str, Any] = {
        "data": job.data.stem,
        "sets": job.sets,
        "rounds": job.rounds,
        "binning_seconds": measured["pure"].facts["binning_seconds"],
        "contenders": {name: each.row(name) | {"seconds": each.seconds} for name, each in measured.items()},
    }
    if "ours" in measured:
        ours = measured["ours"]
        over, limit = ratio_of_medians(ours.seconds, ours.reference), AT_MOST.get(seconds)
        result["ours_over_pure"], result["at_most"] = over, limit
        result["cpu_over_pure"] = cpu_ratio(ours.facts, measured["pure"].facts)
        result["same_scores_as_pure"] = ours.facts["values"] == measured["pure"].facts["values"]
        result["seconds_after_the_last_trial"] = ours.facts["tail_seconds"]
        result["projected_runs"] = ours.facts["projected_runs"]
        result["profile"] = ours.facts["profile"]
        bound = "" if limit is None else f" (at most {limit})"
        sys.stdout.write(
            f"ours over pure: {over:.3f}{bound}; by CPU seconds without the first trial "
            f"{result['cpu_over_pure']:.3f}; scores equal to the bit: {result['same_scores_as_pure']}; "
            f"ours includes {result['binning_seconds']:.2f} s for binning once, "
            f"not {ours.facts['tail_seconds']:.2f} s after the last trial; "
            f"MLflow has {ours.facts['projected_runs']} of {len(job.sets)} trials\n"
        )
        show_profile(ours.facts["profile"])
    return result


def cpu_ratio(ours: dict[str, Any], alone: dict[str, Any]) -> float:
    """Ratio of CPU seconds to LightGBM's own, over all trials except the first; depends less on other processes."""
    reference = sum(alone["cpu_each"][1:])
    return sum(ours["cpu_each"]) / reference if reference else float("nan")


def show_profile(costs: list[dict[str, Any]]) -> None:
    """Prints the most expensive functions of the search per trial, excluding and including called functions."""
    for order in ("own_ms", "total_ms"):
        dearest = sorted(costs, key=lambda cost: -cost[order])[:DEAREST]
        if dearest:
            sys.stdout.write(f"by {order}, per trial\n")
            print_table(dearest)


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("overhead", __doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 0.25], help="LightGBM's own time per trial")
    parser.add_argument("--trials", type=int, default=20, help="parameter sets per study")
    parser.add_argument("--slow-trials", type=int, default=5, help=f"of {SLOW}")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each contender")
    parser.add_argument("--features", type=int, default=20, help="columns of the table")
    parser.add_argument("--candidates", type=int, default=3, help="drawn sets per kept set")
    parser.add_argument("--contenders", nargs="+", choices=NAMES, default=None, help="all by default")
    parser.add_argument("--cores", type=int, default=None, help="cores per process; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of table and sets")
    parser.add_argument("--profile", action="store_true", help="cProfile of ours, which makes its time invalid")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.trials, args.rounds, args.candidates = [0.1], 6, 1, 2
    args.contenders = list(dict.fromkeys(["pure", *(args.contenders or (QUICK if args.quick else NAMES))]))
    if "callbacks" in args.contenders and importlib.util.find_spec("optuna_integration") is None:
        parser.error("callbacks: optuna-integration is not installed: run `make bench`, or set --contenders without it")
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    result = {}
    try:
        with workspace() as space:
            for seconds in args.seconds:
                sys.stdout.write(f"trials of about {seconds:g} s\n")
                job = calibrate(seconds, args, space)
                result[f"{seconds:g}"] = summary(job, measure(job, args, space), seconds)
    except BenchmarkFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_result("overhead", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
