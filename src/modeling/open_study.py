"""A search's study with its store and its projection: created or resumed, with the same settings as before.

MLflow is imported when it is first written to: trials begin seconds earlier.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import optuna

from src.errors import ConfigError
from src.search.earlier_model import EarlierModel
from src.search.earlier_searches import SEARCH_UNTIL_ATTR, best_of_earlier_searches, last_search_day
from src.search.search_task import SearchTask, task_sampler, verbose
from src.search.starting_points import Params, store_starting_points
from src.study.pruner import make_pruner
from src.study.store_lock import store_lock
from src.study.studies import OptunaStudyManager, set_optuna_verbosity
from src.study.study_options import OPTIONS_ATTR, TOTAL_OPTION, make_study_options, set_total, study_options_of
from src.tracking.projection.parent_run import RunEnding

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession
    from src.tracking.projection.study_projection import StudyProjection

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
        from src.tracking.connection.session import TrackingSession

        return TrackingSession()

    @cached_property
    def projection(self) -> "StudyProjection":
        """What writes the study into MLflow."""
        from src.tracking.projection.study_projection import StudyProjection

        retry_policy = self.manager.storage.retry_policy
        lock = partial(store_lock, self.manager.url, f"projection-{self.study.study_name}", retry_policy)
        metric = self.task.data.config.metric
        return StudyProjection(self.study, self.session, lock, self.task.shares_outer_run, metric)


def open_study(task: SearchTask) -> OpenStudy:
    """Creates the target's study or goes on with it.

    Raises:
        ConfigError: the store cannot be used, or the study was made from other data, another split or another seed.
        StoreError: the store was waited for in vain.
    """
    set_optuna_verbosity(verbose())
    settings, data = task.settings.search, task.data
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url, settings.wait_for_store)
    study = manager.create_or_load_study(
        settings.study_name or manager.unused_study_name(data.target),
        data.config.direction,
        sampler=task_sampler(settings, task.user_objective),
        pruner=make_pruner(settings.pruner),
    )
    record = settings_record(task)
    # Before the lock of the whole store is taken: a registry may take ten seconds to answer.
    earlier = [] if SETTINGS_ATTR in study.user_attrs else _earlier_params(task, study, record)
    with store_lock(manager.url, "begin", manager.storage.retry_policy):  # of several that come first, one begins it
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
    set_optuna_verbosity(verbose())
    for task in tasks:
        search = task.settings.search
        manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
        if search.study_name in manager.list_studies():
            _is_new(manager.load_study(search.study_name), settings_record(task))


def _with_total(task: SearchTask, study: optuna.Study) -> SearchTask:
    """The task with the study's total where none was asked for; else the study with the task's."""
    search, study_options = task.settings.search, study_options_of(study)
    if not search.keep_total or study_options is None:
        set_total(study, search.n_trials)
        return task
    return replace(task, settings=replace(task.settings, search=replace(search, n_trials=study_options[TOTAL_OPTION])))


def _earlier_params(task: SearchTask, study: optuna.Study, record: Mapping[str, Any]) -> list[Params]:
    """What a new study of LightGBM may begin with; an objective of the user's own begins with nothing."""
    if task.user_objective is not None:
        return []
    same = {name: record[name] for name in ("target", "task", "metric", "objective")}
    return best_of_earlier_searches(task, study, same, partial(_registered_models, task))


def _registered_models(task: SearchTask) -> Sequence[EarlierModel]:
    """What the registry says of the target's models; it is asked now where it was not asked in advance."""
    from src.tracking.registry.earlier_models import EarlierModels

    target = task.data.target
    return (task.registered_models or EarlierModels([target]).of)(target)


def _begin(study: optuna.Study, task: SearchTask, earlier: Sequence[Params]) -> None:
    study.set_user_attr(OPTIONS_ATTR, make_study_options(task.settings, task.data.target, task.data.source))
    study.set_user_attr(SEARCH_UNTIL_ATTR, last_search_day(task))
    if task.user_objective is None:
        store_starting_points(study, task.settings.search.seed, earlier)


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
