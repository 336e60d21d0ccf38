"""One target's search in this process: trials until the study has its total, MLflow written beside them."""

import logging
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from src.errors import Interrupted
from src.modeling.brake import Brake, interrupted, stop_on_signals
from src.modeling.open_study import OpenStudy
from src.modeling.progress import SearchProgress
from src.modeling.search_task import SearchTask, make_task_objective, verbose
from src.modeling.studies import n_finished
from src.modeling.trial_loop import WorkerContext, run_trials
from src.names import study_option

if TYPE_CHECKING:
    from src.tracking.projector_process import ProjectorProcess

log = logging.getLogger(__name__)


def run_search(task: SearchTask, opened: OpenStudy) -> None:
    """Runs trials in this process until the study has its total; MLflow is written beside them.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished trials are saved and projected, the running one waits again.
        SearchError: trial after trial fails.
        StoreError: the store failed.
    """
    study, settings = opened.study, task.settings.search
    brake = Brake(deadline=None if settings.timeout is None else monotonic() + settings.timeout)
    progress = SearchProgress(study, settings.n_trials, task.data.config.metric)
    callbacks = [*task.callbacks, lambda study, trial: progress.update(now=False)]
    context = WorkerContext(opened.manager.storage, settings.n_trials, brake, callbacks)
    try:
        with stop_on_signals(brake), projected([opened]), progress:
            run_trials(study, make_task_objective(task, study, brake), context)
        if n_finished(study) < settings.n_trials:  # the time is up, or a callback stopped the study
            log.warning("%s", so_far(task, opened))
    except (Interrupted, KeyboardInterrupt):
        raise interrupted(brake, so_far(task, opened)) from None


def projected(studies: Sequence[OpenStudy]) -> "ProjectorProcess":
    """What writes MLflow beside the search and never holds it up; to be used as a context manager around it."""
    from src.tracking.projector_process import Projected, ProjectorProcess

    return ProjectorProcess(
        [
            Projected(
                each.manager.url.render_as_string(hide_password=False),
                each.study.study_name,
                each.task.shares_outer_run,
                each.task.data.config.metric,
                each.shared,
            )
            for each in studies
        ],
        verbose(),
    )


def so_far(task: SearchTask, opened: OpenStudy) -> str:
    """What is done, and how to go on."""
    return (
        f"{n_finished(opened.study)} of {task.settings.search.n_trials} trials are done and saved; "
        f"the same command with {study_option(opened.study.study_name)} goes on"
    )
