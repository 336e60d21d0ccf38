"""One worker of many on a shared study: how it joins, what it leaves behind, why it leaves; and who makes the study.

With `--run-token` create, workers and finish are one run: see `study_options`.

A worker needs the store and the study's name; everything else is on the study (`study_options`). Any of them may be
killed at any time. The parent run in MLflow is nobody's: the one that projects at the moment writes it, and who leaves
a study that has its total, first of all, ends it.
"""

import contextlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from src.cli import chosen_targets
from src.config import SearchSettings
from src.errors import ConfigError, Interrupted, RunError, StoreError, TrackingError, UserError
from src.modeling.command_line import CommandLine, find_study_options, options_of_named_study, store_exists
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.parallel_search import search_study
from src.modeling.run_ending import end_parent_run_as, failure_text
from src.modeling.tasks import make_tasks, settings_of_target
from src.modeling.waiting import study_names, wait_for_run
from src.names import study_option
from src.search.search_task import SearchTask
from src.study.store_lock import store_lock, try_store_lock
from src.study.studies import OptunaStudyManager, n_finished, new_study_name
from src.study.study_options import STARTED_ATTR, begin_run, record_failure, seconds_left, study_options_of
from src.tracking.projection.parent_run import RunEnding, end_parent_run, find_parent_run

log = logging.getLogger(__name__)

PROJECTED_ATTR = "projected"
"""Of a study: how many finished trials it had when a worker ended its parent run."""


def worker_name(given: str | None, environ: Mapping[str, str]) -> str:
    """What a worker's log calls it: `--worker-id`, else its index in a Kubernetes Job, else host and process."""
    return given or environ.get("JOB_COMPLETION_INDEX") or f"{platform.node()}:{os.getpid()}"


def join_studies(command_line: CommandLine, worker: str) -> None:
    """Runs trials of each target's study, one study after the other, until each has its total; nothing is trained.

    Without a name it is the target's newest study in the store; the first worker to come makes it. With `--run-token`
    create makes it, and is waited for; with `--create` too, every worker of the run first does what create does.

    Raises:
        UserError: the input is wrong, or contradicts what the study was made with.
        Interrupted: a stop was requested; the running trial waits for another worker.
        RunError: the store failed for longer than is waited for, or the search did.
    """
    in_a_run = command_line.args.run_token is not None
    if command_line.args.create:
        create_studies(command_line)
    if in_a_run:
        wait_for_run(command_line)
    with _failure_noted(command_line, f"worker {worker}"):
        for task in _tasks(command_line, _newest):
            _work(_open(task), worker, in_a_run)


def create_studies(command_line: CommandLine) -> list[str]:
    """Makes each target's study, with its settings and starting points, and its parent run; no trial is run.

    A study that is there gets the total and the timeout that are given, and the token of the run as the last thing.
    MLflow may be away: the parent run is then made with the first trials.

    Returns:
        The studies' names; without `--study-name` they are new ones.

    Raises:
        UserError: the input is wrong, or contradicts what a study was made with.
        StoreError: the store was waited for in vain.
    """
    with _failure_noted(command_line, "create"):
        return [_create(command_line, task) for task in _tasks(command_line, lambda search, target: None)]


def _create(command_line: CommandLine, task: SearchTask) -> str:
    opened = replace(open_study(task), shared=True)
    name, total = opened.study.study_name, opened.task.settings.search.n_trials
    begin_run(
        opened.study,
        command_line.args.run_token,
        command_line.args.timeout if "timeout" in command_line.given else None,
    )
    try:
        opened.projection.project()
    except (TrackingError, StoreError) as error:
        log.warning("%s; the parent run is made with the first trials", error)
    sys.stdout.write(
        f"study {name} is ready: {n_finished(opened.study)} of {total} trials are finished\n"
        f"join it, with the same store: "
        f"python -m src.modeling.optuna_parallel_optimization --mode distributed {study_option(name)}\n"
    )
    return name


@contextlib.contextmanager
def _failure_noted(command_line: CommandLine, who: str) -> Iterator[None]:
    """A mistake ends every pod of the run and not only this one, because its Job starts it no more; MLflow shows it."""
    try:
        yield
    except UserError as error:
        if command_line.args.run_token is not None:
            try:
                _note_failure(command_line, who, error)
            except (UserError, StoreError) as unnoted:  # the store itself is what is wrong, or nothing names the study
                log.warning("the others of the run are not told: %s", unnoted)
            except TrackingError as away:  # the others are told all the same
                log.warning("MLflow does not show that the run failed: %s", away)
        raise


def _note_failure(command_line: CommandLine, who: str, error: UserError) -> None:
    """On a study of the run that exists, else on the first, which is then made: they are all looked at."""
    settings = command_line.settings()
    search, known = settings.search, settings.data.table.targets
    names = study_names(command_line, settings)
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    there = set(manager.list_studies())
    name = next((name for name in names if name in there), None)
    if name is not None:
        study = manager.load_study(name)
    else:
        study = manager.create_or_load_study(
            names[0], known[chosen_targets(command_line.args.targets, known)[0]].direction
        )
    record_failure(study, command_line.args.run_token, who, str(error))
    shown = find_parent_run(study.study_name, study.user_attrs)
    if shown is not None:
        end_parent_run(shown.session, shown.run_id, RunEnding("FAILED", failure_text(error, manager.url)))


def _tasks(command_line: CommandLine, unnamed: Callable[[SearchSettings, str], str | None]) -> Iterator[SearchTask]:
    """Each target's task; its table is read when its turn comes.

    Args:
        command_line: the command.
        unnamed: which study is meant where none is named; None for a new one.
    """
    base = command_line.settings()
    study_options = options_of_named_study(command_line, base)
    targets = command_line.targets(command_line.settings(study_options) if study_options else base, study_options)
    several = len(targets) > 1
    for target in targets:
        name = settings_of_target(base, target, several).search.study_name or unnamed(base.search, target)
        study_options = find_study_options(base.search, name) if name else None
        settings = command_line.settings(study_options, name)
        settings = replace(settings, search=replace(settings.search, study_name=name))
        # A study that is there can be worked on without MLflow: another worker, or who finishes it, writes its runs.
        needs_mlflow = study_options is None or command_line.args.mode == "create"
        (task,) = make_tasks([target], settings, writes_results=True, needs_mlflow=needs_mlflow)
        yield replace(task, shares_outer_run=several)


def _newest(search: SearchSettings, target: str) -> str | None:
    if not store_exists(search):
        return None
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    try:
        return manager.newest_study(target)
    finally:
        manager.storage.engine.dispose()


def _open(task: SearchTask) -> OpenStudy:
    """The task's study. Two workers that come at once without a name make one study, and the second finds it."""
    search = task.settings.search
    if search.study_name is not None:
        return replace(open_study(task), shared=True)
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    with store_lock(manager.url, f"join-{task.data.target}", manager.storage.retry_policy):
        name = manager.newest_study(task.data.target) or new_study_name(task.data.target)
        manager.create_or_load_study(name, task.data.config.direction)
    task = replace(task, settings=replace(task.settings, search=replace(search, study_name=name)))
    return replace(open_study(task), shared=True)


def _work(opened: OpenStudy, worker: str, in_a_run: bool) -> None:
    study, total = opened.study, opened.task.settings.search.n_trials
    who = f"worker {worker}", f"study {study.study_name}"
    finished = n_finished(study)
    log.info("%s joins %s: %d of %d trials are finished", *who, finished, total)
    if finished >= total:
        log.warning("%s has its %d trials: another --study-name starts a new one", who[1], total)
    else:
        if (
            study.user_attrs.get(STARTED_ATTR) is None
        ):  # from here on the study's own timeout runs, whoever joins it when
            study.set_user_attr(STARTED_ATTR, time.time())
        try:
            search_study(_in_time_left(opened) if in_a_run else opened.task, opened)
        except Interrupted as error:
            log.info("%s leaves %s: %s", *who, error)
            raise
        except RunError as error:
            log.info("%s leaves %s because it failed", *who)
            raise error
        finished = n_finished(study)
        log.info("%s leaves %s: %s", *who, _why(finished, total))
    _end_parent_run_once(opened)


def _in_time_left(opened: OpenStudy) -> SearchTask:
    """The search with what is left of the study's time: the pod that replaces a lost one gets no new time."""
    task, study = opened.task, opened.study
    left = seconds_left(study.user_attrs, (study_options_of(study) or {}).get("timeout"))
    return replace(task, settings=replace(task.settings, search=replace(task.settings.search, timeout=left)))


def _why(finished: int, total: int) -> str:
    if finished >= total:
        return f"it has its {total} trials"
    return f"the time is up, or a callback stopped it; {finished} of {total} trials are finished"


def _end_parent_run_once(opened: OpenStudy) -> None:
    """Writes what MLflow lacks and ends the parent run, in one of the workers that leave at the same time."""
    study, finished = opened.study, n_finished(opened.study)
    try:
        with try_store_lock(opened.manager.url, f"last-pass-{study.study_name}") as held:
            if held and study.user_attrs.get(PROJECTED_ATTR) != finished and end_parent_run_as(opened, opened.ending):
                study.set_user_attr(PROJECTED_ATTR, finished)
    except (StoreError, ConfigError) as error:  # the store is away; whoever finishes the study writes the rest
        log.warning("%s; missing MLflow runs are written when the study is resumed", error)
