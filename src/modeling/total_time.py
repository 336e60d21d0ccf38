"""`--total-timeout`: when a command has to end, and which part of the time each target gets.

Heavy packages are imported where they are used, so that `--help` and a mistyped option answer at once.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from src.errors import ConfigError

if TYPE_CHECKING:
    from src.search.search_task import SearchTask


def process_start() -> float:
    """When this process started, on the clock of `time.monotonic`."""
    import psutil

    return time.monotonic() - (time.time() - psutil.Process().create_time())


def limit_time(tasks: "Sequence[SearchTask]", started: float, n_finishes: int = 1) -> "list[SearchTask]":
    """The tasks with the end of the command; unchanged without `--total-timeout`.

    Args:
        tasks: all tasks of the command, with the same settings.
        started: when the command started, by `time.monotonic`.
        n_finishes: final models per task: 1, or 0 in a worker of a shared study.

    Raises:
        ConfigError: no time is left for a search.
    """
    from src.search.finish_time import TableSize, TimeLimit
    from src.workers.cpus import available_cpus

    limited = []
    for task in tasks:
        seconds = task.settings.search.total_timeout
        if seconds is None:
            return list(tasks)
        size, cpus = TableSize.of(task.rows, task.data.features.shape[1]), available_cpus()
        limited.append(
            replace(
                task,
                limit=TimeLimit(started + seconds, size, seconds, task.settings.ensemble_size, cpus, n_finishes),
            )
        )
    _check_time_is_left(limited, started)
    return limited


def _check_time_is_left(tasks: "Sequence[SearchTask]", started: float) -> None:
    now = time.monotonic()
    limits = [task.limit for task in tasks if task.limit is not None]
    needed = sum(limit.rest_seconds(0) for limit in limits)
    what = "final model and report take" if len(tasks) == 1 else f"{len(tasks)} final models and reports take"
    if limits and limits[0].end - now <= needed:
        raise ConfigError(
            f"--total-timeout {limits[0].seconds:g} leaves no time for a search: reading the table took "
            f"{now - started:.0f} s, and {what} about {needed:.0f} s: use more than {now - started + 2 * needed:.0f}"
        )


def share_time(tasks: "Sequence[SearchTask]", n_left: int) -> "list[SearchTask]":
    """The next tasks, which are searched at once, with their part of the time that is left.

    Args:
        tasks: the next tasks.
        n_left: number of tasks that are not finished, these included.
    """
    now, n = time.monotonic(), len(tasks)
    return [task if task.limit is None else replace(task, limit=task.limit.share(n_left, now, n)) for task in tasks]
