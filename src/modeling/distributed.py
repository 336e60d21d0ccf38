"""One worker of many on a shared study: how it joins, what it leaves behind, why it leaves; and who makes the study.

A worker needs the store and the study's name; everything else is on the study (`recipe`). Any of them may be killed at
any time. The parent run in MLflow is nobody's: the one that projects at the moment writes it, and who leaves a study
that has its total, first of all, ends it.
"""

import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from src.config import SearchSettings
from src.errors import ConfigError, Interrupted, RunError, StoreError, TrackingError
from src.modeling.asked import Asked, find_recipe, named_recipe, store_exists
from src.modeling.optuna_utils import OptunaStudyManager, new_study_name
from src.modeling.parallel_search import search_study
from src.modeling.recipe import BEGAN_ATTR
from src.modeling.search import OpenStudy, end_parent_run_as, n_finished, open_study
from src.modeling.search_task import SearchTask
from src.modeling.store_lock import store_lock, try_store_lock
from src.modeling.tasks import make_tasks, named
from src.names import study_option

log = logging.getLogger(__name__)

PROJECTED_ATTR = "projected"
"""Of a study: how many finished trials it had when a worker ended its parent run."""


def worker_name(given: str | None, environ: Mapping[str, str]) -> str:
    """What a worker's log calls it: `--worker-id`, else its index in a Kubernetes Job, else host and process."""
    return given or environ.get("JOB_COMPLETION_INDEX") or f"{platform.node()}:{os.getpid()}"


def join_studies(asked: Asked, worker: str) -> None:
    """Runs trials of each target's study, one study after the other, until each has its total; nothing is trained.

    Without a name it is the target's newest study in the store; the first worker to come makes it.

    Raises:
        UserError: the input is wrong, or contradicts what the study was made with.
        Interrupted: a stop was requested; the running trial waits for another worker.
        RunError: the store failed for longer than is waited for, or the search did.
    """
    for task in _tasks(asked, _newest):
        _work(_open(task), worker)


def create_studies(asked: Asked) -> list[str]:
    """Makes each target's study, with its settings and starting points, and its parent run; no trial is run.

    MLflow may be away: the parent run is then made with the first trials.

    Returns:
        The studies' names; without `--study-name` they are new ones, and those that were there are left as they are.

    Raises:
        UserError: the input is wrong, or contradicts what a study was made with.
        StoreError: the store was waited for in vain.
    """
    names = []
    for task in _tasks(asked, lambda search, target: None):
        opened = replace(open_study(task), shared=True)
        name, total = opened.study.study_name, opened.task.settings.search.n_trials
        try:
            opened.projection.project()
        except (TrackingError, StoreError) as error:
            log.warning("%s; the parent run is made with the first trials", error)
        sys.stdout.write(
            f"study {name} is ready: {n_finished(opened.study)} of {total} trials are finished\n"
            f"join it, with the same store: "
            f"python -m src.modeling.optuna_parallel_optimization --mode distributed {study_option(name)}\n"
        )
        names.append(name)
    return names


def _tasks(asked: Asked, unnamed: Callable[[SearchSettings, str], str | None]) -> Iterator[SearchTask]:
    """Each target's task; its table is read when its turn comes.

    Args:
        asked: the command.
        unnamed: which study is meant where none is named; None for a new one.
    """
    base = asked.settings()
    recipe = named_recipe(asked, base)
    targets = asked.targets(asked.settings(recipe) if recipe else base, recipe)
    several = len(targets) > 1
    for target in targets:
        name = named(base, target, several).search.study_name or unnamed(base.search, target)
        recipe = find_recipe(base.search, name) if name else None
        settings = asked.settings(recipe, name)
        settings = replace(settings, search=replace(settings.search, study_name=name))
        # A study that is there can be worked on without MLflow: another worker, or who finishes it, writes its runs.
        needs_mlflow = recipe is None or asked.args.mode == "create"
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
    with store_lock(manager.url, f"join-{task.data.target}", manager.storage.patience):
        name = manager.newest_study(task.data.target) or new_study_name(task.data.target)
        manager.create_or_load_study(name, task.data.config.direction)
    task = replace(task, settings=replace(task.settings, search=replace(search, study_name=name)))
    return replace(open_study(task), shared=True)


def _work(opened: OpenStudy, worker: str) -> None:
    study, total = opened.study, opened.task.settings.search.n_trials
    who = f"worker {worker}", f"study {study.study_name}"
    finished = n_finished(study)
    log.info("%s joins %s: %d of %d trials are finished", *who, finished, total)
    if finished >= total:
        log.warning("%s has its %d trials: another --study-name starts a new one", who[1], total)
    else:
        if BEGAN_ATTR not in study.user_attrs:  # from here on the study's own timeout runs, whoever joins it when
            study.set_user_attr(BEGAN_ATTR, time.time())
        try:
            search_study(opened.task, opened)
        except Interrupted as error:
            log.info("%s leaves %s: %s", *who, error)
            raise
        except RunError as error:
            log.info("%s leaves %s because it failed", *who)
            raise error
        finished = n_finished(study)
        log.info("%s leaves %s: %s", *who, _why(finished, total))
    _end_parent_run_once(opened)


def _why(finished: int, total: int) -> str:
    if finished >= total:
        return f"it has its {total} trials"
    return f"the time is up, or a callback stopped it; {finished} of {total} trials are finished"


def _end_parent_run_once(opened: OpenStudy) -> None:
    """Writes what MLflow lacks and ends the parent run, in one of the workers that leave at the same time."""
    study, finished = opened.study, n_finished(opened.study)
    try:
        with try_store_lock(opened.manager.url, f"last-pass-{study.study_name}") as held:
            if held and study.user_attrs.get(PROJECTED_ATTR) != finished and end_parent_run_as(opened, "FINISHED"):
                study.set_user_attr(PROJECTED_ATTR, finished)
    except (StoreError, ConfigError) as error:  # the store is away; whoever finishes the study writes the rest
        log.warning("%s; missing MLflow runs are written when the study is resumed", error)
