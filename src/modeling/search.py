"""One target's search: open its study, run trials beside the projection, keep the honest settings on the study.

MLflow is imported when it is first written to: trials begin seconds earlier.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from src.errors import ConfigError, Interrupted, SearchError
from src.modeling.brake import Brake
from src.modeling.earlier_searches import SEARCH_UNTIL_ATTR, best_of_earlier_searches, search_until
from src.modeling.optuna_utils import FINISHED, OptunaStudyManager, quiet_optuna
from src.modeling.progress import SearchProgress
from src.modeling.pruner import make_pruner
from src.modeling.recipe import RECIPE_ATTR, TOTAL, make_recipe, note_total, recipe_of
from src.modeling.search_task import SearchTask, make_task_objective, task_sampler, verbose
from src.modeling.starting_points import Params, keep_starting_points
from src.modeling.stopping import interrupted, stop_on_signals
from src.modeling.store_lock import store_lock
from src.modeling.trial_loop import WorkerContext, run_trials
from src.names import study_option
from src.tracking.parent_run import RunEnding

if TYPE_CHECKING:
    from src.tracking.projection import StudyProjection
    from src.tracking.projector_process import ProjectorProcess
    from src.tracking.session import TrackingSession

log = logging.getLogger(__name__)

SETTINGS_ATTR = "settings"


@dataclass(frozen=True)
class OpenStudy:
    """A study with its store and, when it is first asked for, its projection: MLflow takes seconds to import.

    Attributes:
        study: Optuna's.
        manager: of its store.
        task: what is searched, with the study's own total.
        shared: other processes, elsewhere too, work on it at the same time.
        ending: how its parent run ends, unless an error ends it; whoever trains the final model says so here.
    """

    study: optuna.Study
    manager: OptunaStudyManager
    task: SearchTask
    shared: bool = False
    ending: RunEnding = field(default_factory=RunEnding)

    @cached_property
    def session(self) -> "TrackingSession":
        """The connection to MLflow."""
        from src.tracking.session import TrackingSession

        return TrackingSession()

    @cached_property
    def projection(self) -> "StudyProjection":
        """What writes the study into MLflow."""
        from src.tracking.projection import StudyProjection

        patience = self.manager.storage.patience
        lock = partial(store_lock, self.manager.url, f"projection-{self.study.study_name}", patience)
        metric = self.task.data.config.metric
        return StudyProjection(self.study, self.session, lock, self.task.shares_outer_run, metric)


def open_study(task: SearchTask) -> OpenStudy:
    """Creates the target's study or goes on with it.

    Raises:
        ConfigError: the store cannot be used, or the study was made from other data, another split or another seed.
        StoreError: the store was waited for in vain.
    """
    quiet_optuna(verbose())
    settings, data = task.settings.search, task.data
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url, settings.wait_for_store)
    study = manager.create_or_load_study(
        settings.study_name or manager.unused_study_name(data.target),
        data.config.direction,
        sampler=task_sampler(task),
        pruner=make_pruner(settings.pruner),
    )
    record = settings_record(task)
    # Before the lock of the whole store is taken: a registry may take ten seconds to answer.
    earlier = [] if SETTINGS_ATTR in study.user_attrs else _earlier_params(task, study, record)
    with store_lock(manager.url, "begin", manager.storage.patience):  # of several that come first, one begins it
        if _is_new(study, record):
            _begin(study, task, earlier)
            study.set_user_attr(SETTINGS_ATTR, record)  # the last: who finds it finds all of it
    return OpenStudy(study, manager, _with_total(task, study))


def refuse_other_studies(tasks: Sequence[SearchTask]) -> None:
    """Asks of several targets before the first is searched what each study is asked again when it is opened.

    Raises:
        ConfigError: a study that exists was made from other data, another split or another seed.
        StoreError: the store was waited for in vain.
    """
    quiet_optuna(verbose())
    for task in tasks:
        search = task.settings.search
        manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
        if search.study_name in manager.list_studies():
            _is_new(manager.load_study(search.study_name), settings_record(task))


def _with_total(task: SearchTask, study: optuna.Study) -> SearchTask:
    """The task with the study's total where none was asked for; else the study with the task's."""
    search, recipe = task.settings.search, recipe_of(study)
    if not search.keep_total or recipe is None:
        note_total(study, search.n_trials)
        return task
    return replace(task, settings=replace(task.settings, search=replace(search, n_trials=recipe[TOTAL])))


def _earlier_params(task: SearchTask, study: optuna.Study, record: Mapping[str, Any]) -> list[Params]:
    """What a new study of LightGBM may begin with; an objective of the user's own begins with nothing."""
    if task.user_objective is not None:
        return []
    same = {name: record[name] for name in ("target", "task", "metric", "objective")}
    return best_of_earlier_searches(task, study, same)


def _begin(study: optuna.Study, task: SearchTask, earlier: Sequence[Params]) -> None:
    study.set_user_attr(RECIPE_ATTR, make_recipe(task))
    study.set_user_attr(SEARCH_UNTIL_ATTR, search_until(task))
    if task.user_objective is None:
        keep_starting_points(study, task.settings.search.seed, earlier)


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
            run_trials(study, make_task_objective(task, brake), context)
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


def n_finished(study: optuna.Study) -> int:
    """Complete and pruned trials."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The study's best complete trial.

    Raises:
        SearchError: there is none.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise SearchError(
            f"study {study.study_name!r} has no complete trial: give it more --timeout or --n-trials "
            f"and go on with {study_option(study.study_name)}"
        )
    return study.best_trial


def settings_record(task: SearchTask) -> dict[str, Any]:
    """What makes two scores comparable, as kept on the study; nothing secret is in it."""
    split = asdict(task.settings.split)
    del split["valid_fraction" if split["use_cv"] else "n_folds"]  # the one that says nothing here may be anything
    return {
        "target": task.data.target,
        "task": task.data.config.task,
        "metric": task.data.config.metric,
        "objective": "lightgbm" if task.user_objective is None else "user",
        "seed": task.settings.search.seed,
        "data": task.data.source,
        "data_digest": task.data.digest,
        "split": split,
    }


def _is_new(study: optuna.Study, settings: dict[str, Any]) -> bool:
    """Whether nobody has begun the study; if somebody has, it was with the same settings."""
    noted = study.user_attrs.get(SETTINGS_ATTR)
    if noted is None:
        if study.get_trials(deepcopy=False):
            raise ConfigError(
                f"study {study.study_name!r} has trials of unknown data and split: use another --study-name"
            )
        return True
    for name, before, now in _differences(noted, settings):
        raise ConfigError(
            f"study {study.study_name!r} was made with {name} {before!r}, now it is {now!r}: "
            f"give the same again, or use another --study-name"
        )
    return False


def _differences(noted: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of what differs, what says most first; a table of the same content may lie elsewhere."""
    for name in dict.fromkeys([*now, *noted]):
        before, after = noted.get(name), now.get(name)
        if before == after or name == "data":
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif name == "data_digest":
            yield "data", f"{noted.get('data')} ({before})", f"{now.get('data')} ({after})"
        else:
            yield name, before, after
