"""Searches one target, or several at once, in several processes that share the tables in memory."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TypeVar

from src.errors import DailyProfitError, Interrupted, RunError
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.run_ending import ends_parent_run, ends_parent_runs_on_error
from src.modeling.run_search import progress_text, projected_in_background, run_search
from src.search.progress import SearchProgress
from src.search.search_task import SearchTask, verbose
from src.search.stop_flag import StopFlag, interrupted_by, stop_on_signals
from src.study.studies import n_finished
from src.study.study_storage import requeue_dead_trials
from src.workers.cpus import available_cpus
from src.workers.fork_server import start_fork_server
from src.workers.shared_table import TableSharer
from src.workers.work_folder import work_folder
from src.workers.worker_pool import PooledSearch, WorkerPool
from src.workers.worker_task import run_as_worker, share_task

log = logging.getLogger(__name__)

T = TypeVar("T")
TasksAndStudies = Sequence[tuple[SearchTask, OpenStudy]]


def search_study(task: SearchTask, opened: OpenStudy) -> None:
    """Runs one study's trials until its total is reached, in this process or in `max_workers` processes.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved.
        RunError: the search failed.
    """
    if task.settings.search.max_workers == 1:
        run_search(task, opened)
        return
    for error in run_searches([(task, opened)], task.settings.search.max_workers).values():
        raise error


def search_together(
    tasks: Sequence[SearchTask], n_workers: int, finish: Callable[[SearchTask, OpenStudy], T]
) -> Iterator[T | RunError]:
    """Opens all studies, searches them at once, then finishes one after the other.

    Args:
        tasks: at most `n_workers` tasks.
        n_workers: total number of processes.
        finish: called with each searched study while its parent run is open.

    Yields:
        For each task the result of `finish`, or its error; an error does not stop the other tasks.

    Raises:
        UserError: a study cannot be opened.
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved.
        RunError: no process can be started.
    """
    pairs = [(opened.task, opened) for opened in map(open_study, tasks)]
    unfinished = [opened for _, opened in pairs]
    with ends_parent_runs_on_error(unfinished):
        failures = run_searches(pairs, n_workers)
        for task, opened in pairs:
            if task.limit is not None:
                task = replace(task, limit=task.limit.share(len(unfinished), monotonic()))
            unfinished.pop(0)
            try:
                with ends_parent_run(opened):
                    if task.data.target in failures:
                        raise failures[task.data.target]
                    result = finish(task, opened)
            except RunError as error:
                yield error
            else:
                yield result


def run_searches(pairs: TasksAndStudies, n_workers: int) -> dict[str, DailyProfitError]:
    """Runs all studies at once until their totals are reached; a failed study does not stop the others.

    Args:
        pairs: tasks and their studies.
        n_workers: total number of processes.

    Returns:
        The errors by target.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved, running ones are queued again.
        RunError: no process can be started.
    """
    if n_workers > available_cpus():
        log.warning("--max-workers %d exceeds the %d available CPUs: workers share them", n_workers, available_cpus())
    stop_flag = StopFlag()
    start_fork_server()
    try:
        with stop_on_signals(stop_flag), work_folder() as folder:
            sharer = TableSharer(folder)
            searches = [_pooled_search(task, opened, sharer) for task, opened in pairs]
            return _supervise(pairs, WorkerPool(searches, n_workers, stop_flag, verbose()))
    except (Interrupted, KeyboardInterrupt):
        raise interrupted_by(stop_flag, "; ".join(progress_text(task, opened) for task, opened in pairs)) from None
    finally:
        for _, opened in pairs:  # queues again the trials of killed workers, also of those killed at the deadline
            requeue_dead_trials(opened.study)


def _supervise(pairs: TasksAndStudies, pool: WorkerPool) -> dict[str, DailyProfitError]:
    pool.start()  # first, so that the imports below overlap with the work of the workers
    with contextlib.ExitStack() as stack:
        stack.callback(pool.stop)
        bars = []
        stack.enter_context(projected_in_background([opened for _, opened in pairs]))
        for position, (task, opened) in enumerate(pairs):
            total, metric = task.settings.search.n_trials, task.data.config.metric
            bars.append(stack.enter_context(SearchProgress(opened.study, total, metric, position)))
        failures = pool.run(partial(_update, bars))
    for task, opened in pairs:
        if task.data.target not in failures and n_finished(opened.study) < task.settings.search.n_trials:
            log.warning("%s", progress_text(task, opened))  # the timeout has passed, or a callback stopped the study
    return failures


def _update(bars: Sequence[SearchProgress]) -> None:
    for bar in bars:
        bar.update()


def _pooled_search(task: SearchTask, opened: OpenStudy, sharer: TableSharer) -> PooledSearch:
    settings, study = task.settings.search, opened.study
    missing = max(0, settings.n_trials - n_finished(study))
    work = partial(run_as_worker, share_task(task, study.study_name, sharer)) if missing else _no_work
    return PooledSearch(
        name=task.data.target,
        work=work,
        timeout=_seconds_to_search(task),
        max_workers=missing,
        count_ended=lambda: sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)),
    )


def _seconds_to_search(task: SearchTask) -> float | None:
    """Longest search by `--timeout` and `--total-timeout`; the workers themselves may end it earlier."""
    seconds = [] if task.settings.search.timeout is None else [task.settings.search.timeout]
    if task.limit is not None:
        seconds.append(max(0.0, task.limit.search_deadline(()) - monotonic()))
    return min(seconds, default=None)


def _no_work(stop_flag: StopFlag) -> None:
    """The worker function of a study that has reached its total."""
