"""Computes derived features: a row's come from rows and dates strictly before it, and from its own date."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .blocks import Block, blocks
from .calendar_days import calendar_values
from .catalogue import Feature, longest_history
from .gaps import gap_values
from .own_past import OWN_STATISTICS, OwnPast
from .panel import Dates, Floats, Panel
from .peers import chunks, write_peer_features
from .ranks import DateRanks

Placed = list[tuple[int, Feature]]
"""Features with their columns in the result."""
Result = NDArray[np.float32]
Task = Callable[[], None]


def derive(
    panel: Panel, features: Sequence[Feature], sessions: Dates | None = None, threads: int | None = None
) -> Result:
    """Computes features for all rows of a panel.

    The bits of a row's feature depend on the last `history` rows of its account and on all rows of the last `history`
    dates before it; for family `rank`, on the last `history` rows of all accounts. They do not depend on any other row
    of the panel, nor on the number of threads.

    Args:
        panel: the rows.
        features: some of `candidates`.
        sessions: of the exchange, datetime64[D], in any order; only features of holidays and sessions need them.
        threads: None takes one per CPU.

    Returns:
        (n_rows, n_features) in Fortran order, rows in the panel's order; NaN is missing.

    Raises:
        ValueError: a feature needs a column, a group or sessions that are missing.
    """
    for feature in features:
        _check(panel, feature)
    result: Result = np.empty((len(panel), len(features)), dtype=np.float32, order="F")
    by_family: dict[str, Placed] = defaultdict(list)
    for place, feature in enumerate(features):
        by_family[feature.family].append((place, feature))
    tasks = [
        *_calendar_tasks(panel, by_family.pop("calendar", []), sessions, result),
        *_gap_tasks(panel, by_family.pop("gaps", []), result),
        *_rank_tasks(panel, by_family.pop("rank", []), result),
        *_peer_tasks(panel, by_family.pop("market", []) + by_family.pop("groups", []), result),
        *_own_tasks(panel, [feature for family in by_family.values() for feature in family], result),
    ]
    _run(tasks, threads or _cpus())
    return result


def _check(panel: Panel, feature: Feature) -> None:
    if feature.column is not None and feature.column not in panel.past:
        raise ValueError(
            f"the feature {feature.name!r} needs the past of column {feature.column!r}, which is missing: the table "
            f"has {', '.join(panel.past) or 'no such columns'}"
        )
    if feature.group is not None and feature.group not in panel.groups:
        raise ValueError(
            f"the feature {feature.name!r} needs the peer groups of column {feature.group!r}, which is missing: the "
            f"table has {', '.join(panel.groups) or 'no such columns'}"
        )


def _calendar_tasks(panel: Panel, features: Placed, sessions: Dates | None, result: Result) -> Iterator[Task]:
    for place, feature in features:
        values = calendar_values(feature.statistic, panel.distinct_dates, sessions)
        yield partial(_write, result[:, place], lambda of_date: of_date[panel.date_codes], values)


def _gap_tasks(panel: Panel, features: Placed, result: Result) -> Iterator[Task]:
    for place, feature in features:
        yield partial(_write, result[:, place], gap_values, panel, feature.statistic)


def _rank_tasks(panel: Panel, features: Placed, result: Result) -> Iterator[Task]:
    if features:
        ranks = DateRanks(panel)
        for place, feature in features:
            yield partial(_write, result[:, place], ranks.of_means, feature.column, feature.window)


def _peer_tasks(panel: Panel, features: Placed, result: Result) -> Iterator[Task]:
    for group, of_group in _by(features, "group").items():
        for chunk in chunks(panel, group):
            for column, of_column in _by(of_group, "column").items():
                yield partial(write_peer_features, chunk, panel.past[str(column)], of_column, result)
        for place, _ in of_group if group is not None else ():
            result[panel.groups[str(group)] < 0, place] = np.nan


def _own_tasks(panel: Panel, features: Placed, result: Result) -> Iterator[Task]:
    if features:
        by_column = _by(features, "column")
        for block in blocks(panel, longest_history([feature for _, feature in features])):
            yield partial(_write_own, block, by_column, result)


def _by(features: Placed, attribute: str) -> dict[str | None, Placed]:
    found: dict[str | None, Placed] = defaultdict(list)
    for place, feature in features:
        found[getattr(feature, attribute)].append((place, feature))
    return found


def _write(result: Result, compute: Callable[..., Floats], *arguments: object) -> None:
    result[:] = compute(*arguments)


def _write_own(block: Block, by_column: Mapping[str | None, Placed], result: Result) -> None:
    rows = block.make_rows()
    for column, features in by_column.items():
        past = OwnPast(rows, block.values(str(column)))
        for place, feature in features:
            block.write(OWN_STATISTICS[feature.statistic](past, feature), result[:, place])


def _run(tasks: Sequence[Task], threads: int) -> None:
    if threads == 1 or len(tasks) <= 1:
        for task in tasks:
            _quietly(task)
        return
    with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
        list(pool.map(_quietly, tasks))  # a task's error is raised here


def _quietly(task: Task) -> None:
    """0 / 0 gives the NaN that stands for a missing value; values beyond float32 become infinite."""
    with np.errstate(all="ignore"):
        task()


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not say which CPUs a process may use
        return os.cpu_count() or 1
