"""Medians, ranks and losses from the scores of runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from statistics import mean, median, stdev

from src.config import Metric


@dataclass(frozen=True)
class Run:
    """One contender on one table with one seed.

    Attributes:
        table: its name.
        metric: of the table.
        seed: of split and contender.
        contender: its name.
        score: on the test rows; None if the run failed.
    """

    table: str
    metric: Metric
    seed: int
    contender: str
    score: float | None


@dataclass(frozen=True)
class Loss:
    """A run that another contender beat, by `percent` of the winning score."""

    table: str
    seed: int
    contender: str
    score: float | None
    winner: str
    winning_score: float
    percent: float | None


def median_scores(runs: Iterable[Run]) -> dict[str, dict[str, float | None]]:
    """Per table and contender, the median over seeds of the successful runs; None if there are none."""
    scores: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        of_contender = scores.setdefault(run.table, {}).setdefault(run.contender, [])
        if run.score is not None:
            of_contender.append(run.score)
    return {
        table: {contender: median(values) if values else None for contender, values in found.items()}
        for table, found in scores.items()
    }


def ranks(runs: Sequence[Run]) -> dict[tuple[str, int], dict[str, float]]:
    """Per table and seed, the rank of each contender, 1 is the best; ties share their mean rank, failures are last."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for cell in dict.fromkeys((run.table, run.seed) for run in runs):
        scores = {run.contender: _cost(run) for run in runs if (run.table, run.seed) == cell}
        found[cell] = {
            contender: sum(other < cost for other in scores.values())
            + (sum(other == cost for other in scores.values()) + 1) / 2
            for contender, cost in scores.items()
        }
    return found


def mean_ranks(runs: Sequence[Run]) -> dict[str, float]:
    """The contenders' mean ranks over tables and seeds, the best first; all tables have the same weight.

    Cells without all contenders are left out, because their ranks are not comparable.
    """
    everyone = {run.contender for run in runs}
    whole = [found for found in ranks(runs).values() if found.keys() == everyone]
    means = {contender: mean(cell[contender] for cell in whole) for contender in sorted(everyone)} if whole else {}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def losses(runs: Sequence[Run], contender: str, rivals: Iterable[str]) -> list[Loss]:
    """The cells in which one of `rivals` was better than `contender`: table, seed, the best rival, and the margin."""
    by_cell: Mapping[tuple[str, int], dict[str, Run]] = _by_cell(runs)
    found = []
    for (table, seed), cell in by_cell.items():
        if contender not in cell:
            continue
        best = min((cell[name] for name in rivals if name in cell), key=_cost, default=None)
        ours = cell[contender]
        if best is None or best.score is None or _cost(best) >= _cost(ours):
            continue
        percent = None if ours.score is None or not best.score else 100 * abs(ours.score - best.score) / abs(best.score)
        found.append(Loss(table, seed, contender, ours.score, best.contender, best.score, percent))
    return found


@dataclass(frozen=True)
class Gain:
    """The share of a rival's error that a contender saves, over tables; for AUC, of what is missing to 1.

    Attributes:
        rival: the other contender.
        mean: over tables, of the means over seeds, in percent.
        standard_error: of that mean, over tables; NaN for one table.
        tables: percent per table.
    """

    rival: str
    mean: float
    standard_error: float
    tables: Mapping[str, float]


def gain(runs: Sequence[Run], contender: str, rival: str) -> Gain | None:
    """The gain of a contender over a rival; None if no table and seed has both."""
    found: dict[str, list[float]] = {}
    for (table, _), cell in _by_cell(runs).items():
        ours, other = (_error(cell[name]) if name in cell else None for name in (contender, rival))
        if ours is not None and other:
            found.setdefault(table, []).append(100 * (1 - ours / other))
    if not found:
        return None
    tables = {table: mean(values) for table, values in found.items()}
    values = list(tables.values())
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else nan
    return Gain(rival, mean(values), error, tables)


def _error(run: Run) -> float | None:
    """The score as an error that is 0 for perfect predictions."""
    if run.score is None:
        return None
    return 1 - run.score if run.metric == "auc" else run.score


def _by_cell(runs: Sequence[Run]) -> dict[tuple[str, int], dict[str, Run]]:
    cells: dict[tuple[str, int], dict[str, Run]] = {}
    for run in runs:
        cells.setdefault((run.table, run.seed), {})[run.contender] = run
    return cells


def _cost(run: Run) -> float:
    """The score with a sign such that lower is better."""
    if run.score is None:
        return float("inf")
    return -run.score if run.metric == "auc" else run.score
