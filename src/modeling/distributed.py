"""Creates a shared study (`--mode create`), and runs one worker of it (`--mode distributed`).

With `--run-token`, create, workers and finish belong to one run: see `study_settings`.

A worker needs the store and the study's name; all settings are stored on the study (`study_settings`). A worker may be
killed at any time. No worker owns the parent run in MLflow: the worker that holds the projection lock writes it, and
the first worker that leaves the complete study ends it.
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
from src.modeling.command_line import CommandLine, find_study_settings, settings_of_named_study, store_exists
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.parallel_search import search_study
from src.modeling.run_ending import end_parent_run_as, failure_text
from src.modeling.tasks import make_tasks, settings_of_target
from src.modeling.total_time import limit_time
from src.modeling.waiting import study_names, wait_for_run
from src.names import study_option
from src.search.search_task import SearchTask
from src.study.store_lock import store_lock, try_store_lock
from src.study.studies import OptunaStudyManager, n_finished, new_study_name
from src.study.study_settings import STARTED_ATTR, begin_run, record_failure, seconds_left, study_settings_of
from src.tracking.projection.parent_run import RunEnding, end_parent_run, find_parent_run

log = logging.getLogger(__name__)

PROJECTED_ATTR = "projected"
"""Study attribute: the number of finished trials when a worker ended the parent run."""


def worker_name(given: str | None, environ: Mapping[str, str]) -> str:
    """The worker's name in log lines: `--worker-id`, else its index in a Kubernetes Job, else host and process id."""
    return given or environ.get("JOB_COMPLETION_INDEX") or f"{platform.node()}:{os.getpid()}"


def join_studies(command_line: CommandLine, worker: str) -> None:
    """Runs trials of each target's study, one study after the other, until its total is reached; fits no final model.

    Without `--study-name` the worker joins the target's newest study in the store; the first worker creates it. With
    `--run-token` the worker waits until create has prepared the study; with `--create` as well, every worker of the run
    first does the work of create.

    Raises:
        UserError: the input is wrong, or contradicts the study's settings.
        Interrupted: a stop was requested; the running trial is queued again for another worker.
        RunError: the store was unavailable for longer than the retry time, or the search failed.
    """
    has_run_token = command_line.args.run_token is not None
    if command_line.args.create:
        create_studies(command_line)
    if has_run_token:
        wait_for_run(command_line)
    with _recording_failure(command_line, f"worker {worker}"):
        for task in _tasks(command_line, _newest_study_name):
            (limited,) = limit_time([task], command_line.started, n_finishes=0)
            _run_worker(_open_shared_study(limited), worker, has_run_token)


def create_studies(command_line: CommandLine) -> list[str]:
    """Creates each target's study, with its settings and starting points, and its parent run; runs no trial.

    An existing study gets the total and the timeout that are given. The run token is written last. If MLflow is
    unavailable, the parent run is created with the first trials.

    Returns:
        The studies' names; without `--study-name` they are new.

    Raises:
        UserError: the input is wrong, or contradicts a study's settings.
        StoreError: timed out waiting for the store.
    """
    with _recording_failure(command_line, "create"):
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
        log.warning("%s; the parent run is created with the first trials", error)
    sys.stdout.write(
        f"study {name} is ready: {n_finished(opened.study)} of {total} trials are finished\n"
        f"join it, with the same store: "
        f"python -m src.modeling.optuna_parallel_optimization --mode distributed {study_option(name)}\n"
    )
    return name


@contextlib.contextmanager
def _recording_failure(command_line: CommandLine, component: str) -> Iterator[None]:
    """Records a user error on the study and in MLflow, so that every pod of the run stops: the Job restarts none."""
    try:
        yield
    except UserError as error:
        if command_line.args.run_token is not None:
            try:
                _record_failure(command_line, component, error)
            except (UserError, StoreError) as record_error:  # the store itself is wrong, or no study name is given
                log.warning("the other pods of the run cannot be informed of the failure: %s", record_error)
            except TrackingError as tracking_error:  # the study has the record, so the other pods still stop
                log.warning("MLflow does not show that the run failed: %s", tracking_error)
        raise


def _record_failure(command_line: CommandLine, component: str, error: UserError) -> None:
    """Records it on an existing study of the run, else creates the first one: workers read all studies of the run."""
    settings = command_line.settings()
    search, known = settings.search, settings.data.table.targets
    names = study_names(command_line, settings)
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    existing = set(manager.list_studies())
    name = next((name for name in names if name in existing), None)
    if name is not None:
        study = manager.load_study(name)
    else:
        study = manager.create_or_load_study(
            names[0], known[chosen_targets(command_line.args.targets, known)[0]].direction
        )
    record_failure(study, command_line.args.run_token, component, str(error))
    parent_run = find_parent_run(study.study_name, study.user_attrs)
    if parent_run is not None:
        end_parent_run(parent_run.session, parent_run.run_id, RunEnding("FAILED", failure_text(error, manager.url)))


def _tasks(
    command_line: CommandLine, default_name: Callable[[SearchSettings, str], str | None]
) -> Iterator[SearchTask]:
    """Each target's task; the table is read when the iterator reaches the target.

    Args:
        command_line: the command.
        default_name: returns the study to use when the user gave no name; None creates a new one.
    """
    base = command_line.settings()
    stored = settings_of_named_study(command_line, base)
    targets = command_line.targets(command_line.settings(stored) if stored else base, stored)
    several = len(targets) > 1
    for target in targets:
        name = settings_of_target(base, target, several).search.study_name or default_name(base.search, target)
        stored = find_study_settings(base.search, name) if name else None
        settings = command_line.settings(stored, name)
        search = replace(settings.search, study_name=name)
        if command_line.args.mode == "create":
            search = replace(search, device=SearchSettings.device)  # it trains nothing, and its machine may have no GPU
        settings = replace(settings, search=search)
        # An existing study needs no MLflow here: another worker, or the finish, writes its runs.
        needs_mlflow = stored is None or command_line.args.mode == "create"
        (task,) = make_tasks([target], settings, writes_results=True, needs_mlflow=needs_mlflow)
        yield replace(task, shares_outer_run=several)


def _newest_study_name(search: SearchSettings, target: str) -> str | None:
    if not store_exists(search):
        return None
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    try:
        return manager.newest_study(target)
    finally:
        manager.storage.engine.dispose()


def _open_shared_study(task: SearchTask) -> OpenStudy:
    """The task's study. A lock makes two workers that start at once without a name share one new study."""
    search = task.settings.search
    if search.study_name is not None:
        return replace(open_study(task), shared=True)
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    with store_lock(manager.url, f"join-{task.data.target}", manager.storage.retry_policy):
        name = manager.newest_study(task.data.target) or new_study_name(task.data.target)
        manager.create_or_load_study(name, task.data.config.direction)
    task = replace(task, settings=replace(task.settings, search=replace(search, study_name=name)))
    return replace(open_study(task), shared=True)


def _run_worker(opened: OpenStudy, worker: str, has_run_token: bool) -> None:
    study, total = opened.study, opened.task.settings.search.n_trials
    names = f"worker {worker}", f"study {study.study_name}"
    finished = n_finished(study)
    log.info("%s joins %s: %d of %d trials are finished", *names, finished, total)
    if finished >= total:
        log.warning("%s already has its %d trials: use another --study-name to start a new one", names[1], total)
    else:
        if study.user_attrs.get(STARTED_ATTR) is None:  # the study's timeout counts from its first worker
            study.set_user_attr(STARTED_ATTR, time.time())
        try:
            search_study(_with_remaining_time(opened) if has_run_token else opened.task, opened)
        except Interrupted as error:
            log.info("%s leaves %s: %s", *names, error)
            raise
        except RunError as error:
            log.info("%s leaves %s because it failed", *names)
            raise error
        finished = n_finished(study)
        log.info("%s leaves %s: %s", *names, _reason_to_leave(finished, total))
    _end_parent_run_once(opened)


def _with_remaining_time(opened: OpenStudy) -> SearchTask:
    """The task with the remaining time of the study: a pod that replaces a lost one gets no extra time."""
    task, attributes = opened.task, opened.study.user_attrs
    stored = study_settings_of(attributes)
    left = seconds_left(attributes, None if stored is None else stored.search.timeout)
    return replace(task, settings=replace(task.settings, search=replace(task.settings.search, timeout=left)))


def _reason_to_leave(finished: int, total: int) -> str:
    if finished >= total:
        return f"it has all {total} trials"
    return f"its timeout has passed, or a callback stopped it; {finished} of {total} trials are finished"


def _end_parent_run_once(opened: OpenStudy) -> None:
    """Writes missing MLflow runs and ends the parent run; a lock selects one of the workers that leave at once."""
    study, finished = opened.study, n_finished(opened.study)
    try:
        with try_store_lock(opened.manager.url, f"last-pass-{study.study_name}") as held:
            if held and study.user_attrs.get(PROJECTED_ATTR) != finished and end_parent_run_as(opened, opened.ending):
                study.set_user_attr(PROJECTED_ATTR, finished)
    except (StoreError, ConfigError) as error:  # the store is unavailable; the finish writes the rest
        log.warning("%s; missing MLflow runs are written when the study is resumed", error)
