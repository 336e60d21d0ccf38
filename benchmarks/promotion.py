"""How often `promote` accepts one of twenty challengers that are no better, and one that is better.

    python -m benchmarks.promotion

Predictions of a champion and of challengers are simulated on the same dates, with the errors and ranks of
`benchmarks/coverage.py`: rows share the factors of their date, which are first-order autoregressions. A run has twenty
equal challengers in a row, each a contest with its bar; it counts if any of them passes. The better challenger has
errors that are smaller by a stated share, and one contest, the first on its dates.
"""

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.coverage import (
    ALIKE,
    APART,
    APART_SPREAD,
    SPREAD,
    Design,
    Floats,
    autoregressions,
    dates_of,
    errors_of_dates,
)
from benchmarks.record import bench_parser, print_table, write_result
from src.config import Metric, PromotionSettings
from src.tracking.registry.comparison import Predictions, judge
from src.tracking.registry.contests import refusal_of, required_confidence

CHALLENGERS = 20


def challengers(
    rng: np.random.Generator, design: Design, metric: Metric, number: int, better: float = 0.0
) -> Iterator[Predictions]:
    """The predictions of a champion and of challengers on the same rows.

    Args:
        rng: draws all.
        design: dates, accounts and autocorrelation.
        metric: `mae` or `auc`.
        number: of challengers.
        better: share by which their errors are smaller; of `mae` alone.
    """
    dates = dates_of(design)
    one, of_classes, *own = autoregressions(rng, design, number + 2)
    champion, rest = _predict(rng, design, metric, (one, of_classes))
    for factor in own:
        other = ALIKE * one + math.sqrt(1 - ALIKE**2) * factor
        challenger = rest(other, 1 - better)
        uris = ("models:/simulated/1", "models:/simulated/2")
        yield Predictions("simulated", metric, uris, champion[0], challenger, champion[1], dates, "digest")


def _predict(rng: np.random.Generator, design: Design, metric: Metric, factors: tuple[Floats, Floats]) -> Any:
    """The champion's predictions and the true values, and a function that gives those of an equal model."""
    n_rows = design.n_dates * design.n_accounts
    if metric == "auc":
        rate = ndtr(SPREAD * np.repeat(factors[1], design.n_accounts))
        y = (rng.random(n_rows) < rate).astype(np.float64)

        def predict(factor: Floats, scale: float = 1.0) -> Floats:
            apart = APART + APART_SPREAD * np.repeat(factor, design.n_accounts)
            found: Floats = y * apart + rng.normal(size=n_rows)
            return found
    else:
        y = rng.normal(size=n_rows)

        def predict(factor: Floats, scale: float = 1.0) -> Floats:
            return y + scale * errors_of_dates(rng, factor, design)

    return (predict(factors[0]), y), predict


def share_promoted(design: Design, metric: Metric, runs: int, seed: int) -> float:
    """Share of runs in which any of twenty equal challengers passes."""
    rng = np.random.default_rng([seed, design.n_dates, round(1000 * design.autocorrelation), metric == "auc"])
    alpha = PromotionSettings.min_probability
    promoted = 0
    for _ in range(runs):
        contests = enumerate(challengers(rng, design, metric, CHALLENGERS), 1)
        promoted += any(refusal_of(judge(each), required_confidence(alpha, k)) is None for k, each in contests)
    return promoted / runs


def share_accepted(design: Design, better: float, runs: int, seed: int) -> float:
    """Share of runs in which a challenger with smaller errors passes the first contest."""
    rng = np.random.default_rng([seed, design.n_dates, round(1000 * better)])
    required = required_confidence(PromotionSettings.min_probability, 1)
    found = (judge(each) for _ in range(runs) for each in challengers(rng, design, "mae", 1, better))
    return sum(refusal_of(result, required) is None for result in found) / runs


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("promotion", "How often equal and better challengers are promoted.")
    parser.add_argument("--runs", type=int, default=400, help="of each number of dates and autocorrelation")
    parser.add_argument("--dates", type=int, nargs="+", default=[60, 130, 250, 650], help="that are compared")
    parser.add_argument("--accounts", type=int, default=5, help="rows of a date")
    parser.add_argument(
        "--autocorrelations", type=float, nargs="+", default=[0, 0.5, 0.9, 0.95], help="of a date's factors"
    )
    parser.add_argument("--better", type=float, nargs="+", default=[0.05, 0.1, 0.15, 0.2], help="shares of the error")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    args = parser.parse_args(argv)
    if args.quick:
        args.runs, args.dates, args.autocorrelations, args.better = 4, [60], [0.9], [0.2]
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    rows, metrics = list[dict[str, Any]](), list[Metric](["mae", "auc"])
    for n_dates in args.dates:
        for follows in args.autocorrelations:
            design = Design(n_dates, args.accounts, follows)
            for metric in metrics:
                share = share_promoted(design, metric, args.runs, args.seed)
                what = f"any of {CHALLENGERS} equal, {metric.upper()}, autocorrelation {follows:g}"
                rows.append({"challengers": what, "dates": n_dates, "promoted": share})
        for better in args.better:
            share = share_accepted(Design(n_dates, args.accounts, 0.5), better, args.runs, args.seed)
            what = f"one with errors smaller by {100 * better:g} %, MAE, autocorrelation 0.5"
            rows.append({"challengers": what, "dates": n_dates, "promoted": share})
        sys.stdout.write(f"  {n_dates} dates: {args.runs} runs each\n")
        sys.stdout.flush()
    for row in rows:
        row["standard error"] = math.sqrt(row["promoted"] * (1 - row["promoted"]) / args.runs)
    print_table(rows)
    write_result("promotion", {"shares": rows, "options": vars(args)}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
