"""Searches one target in this process, while a background process projects the study to MLflow."""

import logging
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from src.errors import Interrupted
from src.modeling.open_study import OpenStudy
from src.names import study_option
from src.search.finish_time import DeadlineUpdate
from src.search.progress import SearchProgress
from src.search.search_task import SearchTask, make_task_objective, verbose
from src.search.stop_flag import StopFlag, interrupted_by, stop_on_signals
from src.search.trial_loop import WorkerContext, run_trials
from src.study.studies import n_finished

if TYPE_CHECKING:
    from src.tracking.projection.projector_process import ProjectorProcess

log = logging.getLogger(__name__)


def run_search(task: SearchTask, opened: OpenStudy) -> None:
    """Runs trials in this process until the study's total is reached; a background process writes to MLflow.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved and projected, the running one is queued again.
        SearchError: too many trials in a row fail.
        StoreError: the store failed.
    """
    study, settings = opened.study, task.settings.search
    stop_flag = StopFlag(deadline=None if settings.timeout is None else monotonic() + settings.timeout)
    progress = SearchProgress(study, settings.n_trials, task.data.config.metric)
    callbacks = [*task.callbacks, lambda study, trial: progress.update(now=False)]
    if task.limit is not None:
        callbacks.append(DeadlineUpdate(task.limit, stop_flag))
    context = WorkerContext(opened.manager.storage, settings.n_trials, stop_flag, callbacks)
    try:
        with stop_on_signals(stop_flag), projected_in_background([opened]), progress:
            run_trials(study, make_task_objective(task, study, stop_flag), context)
        if n_finished(study) < settings.n_trials:  # the timeout has passed, or a callback stopped the study
            log.warning("%s", progress_text(task, opened))
    except (Interrupted, KeyboardInterrupt):
        raise interrupted_by(stop_flag, progress_text(task, opened)) from None


def projected_in_background(studies: Sequence[OpenStudy]) -> "ProjectorProcess":
    """The process that writes to MLflow during the search without delaying it; use it as a context manager."""
    from src.tracking.projection.projector_process import ProjectedStudy, ProjectorProcess

    return ProjectorProcess(
        [
            ProjectedStudy(
                opened.manager.url.render_as_string(hide_password=False),
                opened.study.study_name,
                opened.task.shares_outer_run,
                opened.task.data.config.metric,
                opened.shared,
            )
            for opened in studies
        ],
        verbose(),
    )


def progress_text(task: SearchTask, opened: OpenStudy) -> str:
    """The number of finished trials, and how to resume."""
    return (
        f"{n_finished(opened.study)} of {task.settings.search.n_trials} trials are done and saved; "
        f"the same command with {study_option(opened.study.study_name)} resumes it"
    )
