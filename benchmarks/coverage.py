"""Coverage of the intervals in reports, and how often `promote` accepts a model that is not better.

    python -m benchmarks.coverage

Many tables with known true values are simulated: rows of several accounts per date, whose losses, hit rates and profits
share factors of the date, which are first-order autoregressions. The functions of `src` are called on each table; the
benchmark counts how often they return an interval, and how often it contains the true value.
"""

import math
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr

from benchmarks.record import bench_parser, print_table, write_result
from src.config import Metric, PromotionSettings
from src.evaluation.intervals import Estimate, difference_estimate, score_estimate, skill_estimate
from src.reporting.model.bins import bin_means, measure_profit
from src.reporting.model.groups import AccountSizes, score_accounts, score_periods
from src.reporting.model.hold_out import HoldOut
from src.tracking.registry.comparison import ASSUMED_AUTOCORRELATION
from src.tracking.registry.contests import required_confidence

Floats = NDArray[np.float64]
DAY_0 = np.datetime64("2020-01-01")
ALIKE = 0.7
"""Correlation of the date factors of two models."""
SPREAD, OF_ROW = 0.5, 0.3
"""Standard deviation of the logarithm of a date's error size, and of a row's relative error size."""
WORSE = 1.1
"""Ratio of the naive baseline's errors to the model's."""
APART, NAIVE_APART, APART_SPREAD = 1.0, 0.6, 1.5
"""Mean distance of ones and zeros in standard deviations, for model and baseline, and its spread over dates."""
PROFIT, OF_DATE, OF_TRADE = 0.2, 2.0, 2.0
"""Mean profit of a row, its spread between and within dates; the prediction, of variance 1, is added."""
TOP = 0.3
"""The share of rows that the report's text is about."""


@dataclass(frozen=True)
class Design:
    """Size of the simulated tables and autocorrelation of their date factors."""

    n_dates: int
    n_accounts: int
    autocorrelation: float


@dataclass(frozen=True)
class Found:
    """One interval: its kind, its bounds (None if there is none), the true value, and the estimate, if there is one."""

    kind: str
    bounds: tuple[float | None, float | None]
    truth: float
    estimate: Estimate | None = None


@dataclass
class Tally:
    """Counts of one kind of interval.

    Attributes:
        drawn: numbers that could have an interval.
        given: numbers that have one.
        held: intervals that contain the true value.
        passed: equal models that `promote` would accept in the first contest on these dates.
        measured: sum of the autocorrelations of dates.
    """

    drawn: int = 0
    given: int = 0
    held: int = 0
    passed: int = 0
    measured: float = 0.0

    def add(self, found: Found, required: float) -> None:
        """Counts one more interval."""
        low, high = found.bounds
        self.drawn += 1
        if low is not None and high is not None:
            self.given += 1
            self.held += low <= found.truth <= high
        if found.estimate is not None:
            self.measured += found.estimate.autocorrelation or 0.0
            sign = 1 if "AUC" in found.kind else -1
            confidence = found.estimate.confidence_above(0.0, ASSUMED_AUTOCORRELATION)
            better = confidence if sign == 1 or confidence is None else 1 - confidence
            self.passed += better is not None and better >= required

    @property
    def coverage(self) -> float:
        """Share of the given intervals that contain the true value; NaN if there are none."""
        return self.held / self.given if self.given else math.nan

    @property
    def error(self) -> float:
        """Standard error of the coverage, from the finite number of tables."""
        return math.sqrt(self.coverage * (1 - self.coverage) / self.given) if self.given else math.nan


def measure(design: Design, n_tables: int, seed: int, parts: "tuple[Part, ...] | None" = None) -> dict[str, Tally]:
    """Simulates tables and counts, by kind of interval."""
    rng = np.random.default_rng([seed, design.n_dates, round(1000 * design.autocorrelation)])
    tallies: dict[str, Tally] = {}
    required = required_confidence(PromotionSettings.min_probability, contest=1)
    for _ in range(n_tables):
        for part in parts or PARTS:
            for found in part(rng, design):
                tallies.setdefault(found.kind, Tally()).add(found, required)
    return tallies


Part = Callable[[np.random.Generator, Design], Iterator[Found]]


def errors(rng: np.random.Generator, design: Design) -> Iterator[Found]:
    """MAE and RMSE, the skill over a baseline with larger errors, and the difference to an equal model."""
    dates, (one, other) = dates_of(design), _factors(rng, design)
    y = rng.normal(size=dates.size)
    model = y + errors_of_dates(rng, one, design)
    equal = errors_of_dates(rng, other, design)
    # Of a log-normal size of the date and a folded normal size of the row.
    row = 2 * math.exp(-0.5 / OF_ROW**2) * OF_ROW / math.sqrt(2 * math.pi) + 1 - 2 * ndtr(-1 / OF_ROW)
    truths = {"mae": math.exp(SPREAD**2 / 2) * row, "rmse": math.exp(SPREAD**2) * math.sqrt(1 + OF_ROW**2)}
    metrics: tuple[Metric, ...] = ("mae", "rmse")
    for metric in metrics:
        name = metric.upper()
        yield _of(name, score_estimate(metric, y, model, dates), truths[metric])
        yield _of(f"skill of {name}", skill_estimate(metric, y, model, y + WORSE * equal, dates), 1 - 1 / WORSE)
        yield _of(f"difference of {name}", difference_estimate(metric, y, model, y + equal, dates), 0)
    yield from _groups(HoldOut("mae", y, model, y + WORSE * equal, dates, _accounts(design)), truths["mae"])


def ranks(rng: np.random.Generator, design: Design) -> Iterator[Found]:
    """AUC, its skill over a baseline with a lower AUC, and the difference to an equal model."""
    dates, (one, other) = dates_of(design), _factors(rng, design)
    rate = ndtr(SPREAD * np.repeat(_factors(rng, design)[0], design.n_accounts))
    y = (rng.random(dates.size) < rate).astype(np.float64)
    means = ((APART, one), (NAIVE_APART, other), (APART, other))
    model, naive, equal = (
        y * (mean + APART_SPREAD * np.repeat(of_date, design.n_accounts)) + rng.normal(size=y.size)
        for mean, of_date in means
    )
    truth, of_naive = (float(ndtr(mean / math.sqrt(2 + APART_SPREAD**2))) for mean in (APART, NAIVE_APART))
    yield _of("AUC", score_estimate("auc", y, model, dates), truth)
    gained = (truth - of_naive) / (1 - of_naive)
    yield _of("skill of AUC", skill_estimate("auc", y, model, naive, dates), gained)
    yield _of("difference of AUC", difference_estimate("auc", y, model, equal, dates), 0)


def money(rng: np.random.Generator, design: Design) -> Iterator[Found]:
    """The report's net profits, and means of a target by tenths of the prediction.

    Half of the prediction's variance is common to a date, so that the highest predictions cluster in good periods. The
    true value is the expected profit of the taken rows.
    """
    dates = dates_of(design)
    of_date, of_prediction = (_factors(rng, design)[0] for _ in range(2))
    own = rng.normal(size=dates.size)
    prediction = math.sqrt(0.5) * (np.repeat(of_prediction, design.n_accounts) + own)
    expected = PROFIT + prediction
    chance = OF_DATE * np.repeat(of_date, design.n_accounts) + OF_TRADE * rng.normal(size=dates.size)
    earned = expected + chance
    tested = HoldOut("rmse", earned, prediction, np.zeros(dates.size), dates, _accounts(design), earned)
    found = measure_profit(tested)
    if found is None or len(found.bins) < 10:
        return
    for tenth in bin_means(tested, earned):
        yield Found("mean of a tenth", (tenth.low, tenth.high), PROFIT + tenth.prediction)
    choice = found.choices[round(10 * TOP) - 1]
    taken = np.argsort(prediction)[-choice.rows :]
    per_day, of_all = (float(rows.sum()) / design.n_dates for rows in (expected[taken], expected))
    yield Found("profit a day, highest 30 %", (choice.low, choice.high), per_day)
    yield Found("profit a day, less taking all", (choice.gain_low, choice.gain_high), per_day - of_all)


PARTS: tuple[Part, ...] = (errors, ranks, money)


def _groups(tested: HoldOut, truth: float) -> Iterator[Found]:
    months, accounts = score_periods(tested), score_accounts(tested, AccountSizes(np.empty(0, object), np.empty(0), ""))
    for kind, groups in (("month", months), ("account", accounts)):
        for group in groups.scores if groups is not None else ():
            yield Found(f"MAE of one {kind}", (group.low, group.high), truth)
            yield Found(f"skill of one {kind}", (group.skill_low, group.skill_high), 1 - 1 / WORSE)


def _of(kind: str, estimate: Estimate | None, truth: float) -> Found:
    if estimate is None:
        return Found(kind, (None, None), truth)
    return Found(kind, (estimate.low, estimate.high), truth, estimate)


def dates_of(design: Design) -> NDArray[np.datetime64]:
    """Trading days, repeated for every account."""
    return np.repeat(np.busday_offset(DAY_0, np.arange(design.n_dates), roll="forward"), design.n_accounts)


def _accounts(design: Design) -> NDArray[np.object_]:
    return np.tile(np.array([f"A{i:02d}" for i in range(design.n_accounts)], object), design.n_dates)


def _factors(rng: np.random.Generator, design: Design) -> tuple[Floats, Floats]:
    """Two correlated autoregressions of mean 0 and variance 1, each (n_dates,)."""
    one, other = autoregressions(rng, design, 2)
    return one, ALIKE * one + math.sqrt(1 - ALIKE**2) * other


def autoregressions(rng: np.random.Generator, design: Design, number: int) -> Floats:
    """(number, n_dates) independent first-order autoregressions of mean 0 and variance 1."""
    follows = design.autocorrelation
    shocks = rng.normal(size=(number, design.n_dates))
    shocks[:, 1:] *= math.sqrt(1 - follows**2)  # the first value has the stationary distribution
    found: Floats = lfilter([1], [1, -follows], shocks, axis=1)
    return found


def errors_of_dates(rng: np.random.Generator, of_date: Floats, design: Design) -> Floats:
    """(n_rows,) errors of a model whose size follows a factor of the date."""
    size = np.exp(SPREAD * np.repeat(of_date, design.n_accounts))
    signs = rng.choice(np.array([-1.0, 1.0]), size.size)
    found: Floats = size * (1 + OF_ROW * rng.normal(size=size.size)) * signs
    return found


def table(tallies: dict[Design, dict[str, Tally]]) -> list[dict[str, Any]]:
    """One row per kind and number of dates, with coverage and share of intervals for every autocorrelation."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    kinds = dict.fromkeys(kind for found in tallies.values() for kind in found)
    for kind in kinds:
        for design, found in tallies.items():
            if kind not in found:
                continue
            row = rows.setdefault((kind, design.n_dates), {"interval of": kind, "dates": design.n_dates})
            tally, shown = found[kind], f"{design.autocorrelation:g}"
            row[f"covers, {shown}"] = f"{100 * tally.coverage:.1f} ± {100 * tally.error:.1f} %" if tally.given else "-"
            row[f"given, {shown}"] = f"{100 * tally.given / tally.drawn:.0f} %"
            if kind.startswith("difference"):
                row[f"passed, {shown}"] = f"{100 * tally.passed / tally.drawn:.1f} %"
            if tally.measured:
                row[f"measured, {shown}"] = f"{tally.measured / tally.drawn:.2f}"
    return list(rows.values())


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("coverage", "Coverage of intervals, and how often an equal model is promoted.")
    parser.add_argument("--tables", type=int, default=600, help="simulated tables for each number of dates")
    parser.add_argument("--dates", type=int, nargs="+", default=[20, 60, 130, 250, 650], help="dates of a table")
    parser.add_argument("--accounts", type=int, default=26, help="rows of a date")
    parser.add_argument("--autocorrelations", type=float, nargs="+", default=[0, 0.9, 0.95], help="of a date's factors")
    parser.add_argument("--seed", type=int, default=0, help="of the tables")
    args = parser.parse_args(argv)
    if args.quick:
        args.tables, args.dates, args.accounts = 20, [20, 60], 10
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    tallies = {}
    for n_dates in args.dates:
        for follows in args.autocorrelations:
            design = Design(n_dates, args.accounts, follows)
            tallies[design] = measure(design, args.tables, args.seed)
            sys.stdout.write(f"  {n_dates} dates, autocorrelation {follows:g}: {args.tables} tables\n")
            sys.stdout.flush()
    print_table(table(tallies))
    counts = [
        asdict(design) | {"interval_of": kind} | asdict(tally) | {"coverage": tally.coverage, "error": tally.error}
        for design, found in tallies.items()
        for kind, tally in found.items()
    ]
    write_result("coverage", {"counts": counts}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
