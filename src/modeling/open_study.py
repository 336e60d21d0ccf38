"""Creates a search's study, or resumes it after a check that its settings are unchanged.

MLflow is imported at the first write, so that trials begin seconds earlier.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import optuna

from src.errors import ConfigError
from src.search.search_space import make_space
from src.search.search_task import SearchTask, check_model_settings, task_sampler, verbose
from src.search.starting_points import store_starting_points
from src.search.study_features import choose_study_features, with_study_features
from src.study.pruner import make_pruner
from src.study.store_lock import store_lock
from src.study.studies import OptunaStudyManager, set_optuna_verbosity
from src.study.study_settings import (
    SETTINGS_ATTR,
    StudySettings,
    as_json,
    change_search,
    differences,
    make_study_settings,
    study_settings_of,
)
from src.tracking.projection.parent_run import RunEnding

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession
    from src.tracking.projection.study_projection import StudyProjection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenStudy:
    """A study with its store and its projection, which is created lazily: MLflow takes seconds to import.

    Attributes:
        study: the Optuna study.
        manager: the manager of its store.
        task: the search task, with the study's total of trials.
        shared: other processes, also on other machines, work on the study at the same time.
        ending: how its parent run ends unless an error ends it; set after the final model is trained.
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
        """The projection that writes the study to MLflow."""
        from src.tracking.projection.study_projection import StudyProjection

        retry_policy = self.manager.storage.retry_policy
        lock = partial(store_lock, self.manager.url, f"projection-{self.study.study_name}", retry_policy)
        metric = self.task.data.config.metric
        return StudyProjection(self.study, self.session, lock, self.task.shares_outer_run, metric)


def open_study(task: SearchTask) -> OpenStudy:
    """Creates the target's study or resumes it.

    Raises:
        ConfigError: the store cannot be used, or the study was created with other data, another split, another seed or
            other constraints.
        StoreError: timed out waiting for the store.
    """
    check_model_settings(task)
    set_optuna_verbosity(verbose())
    settings, data = task.settings.search, task.data
    manager = OptunaStudyManager(settings.storage_dir, settings.storage_url, settings.wait_for_store)
    study = manager.create_or_load_study(
        settings.study_name or manager.unused_study_name(data.target),
        data.config.direction,
        sampler=task_sampler(settings, task.user_objective),
        pruner=make_pruner(settings.pruner),
    )
    now = study_settings(task)
    with store_lock(manager.url, "begin", manager.storage.retry_policy):  # one of several processes initializes it
        if _is_new(study, now):
            _initialize(study, task)
            study.set_user_attr(SETTINGS_ATTR, as_json(now))  # written last: it marks the study as complete
    return OpenStudy(study, manager, _with_total(with_study_features(task, study), study))


def refuse_incompatible_studies(tasks: Sequence[SearchTask]) -> None:
    """Checks the studies of several targets before the first search; `open_study` checks each one again.

    Raises:
        ConfigError: an existing study was created with other data, another split or another seed.
        StoreError: timed out waiting for the store.
    """
    set_optuna_verbosity(verbose())
    for task in tasks:
        search = task.settings.search
        manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
        if search.study_name in manager.list_studies():
            _is_new(manager.load_study(search.study_name), study_settings(task))


def study_settings(task: SearchTask) -> StudySettings:
    """The settings that a new study of this task stores."""
    return make_study_settings(task.settings, task.data, "lightgbm" if task.user_objective is None else "user")


def _with_total(task: SearchTask, study: optuna.Study) -> SearchTask:
    """Takes the total of trials from the study if the user gave none; else stores the given total on the study."""
    search, stored = task.settings.search, study_settings_of(study.user_attrs)
    if not search.keep_total or stored is None:
        change_search(study, n_trials=search.n_trials)
        return task
    search = replace(search, n_trials=stored.search.n_trials)
    return replace(task, settings=replace(task.settings, search=search))


def _initialize(study: optuna.Study, task: SearchTask) -> None:
    choose_study_features(task, study)
    if task.user_objective is None:
        space = make_space(task.settings.model.space, bool(task.data.categorical))
        store_starting_points(study, task.settings.search.seed, space)


def _is_new(study: optuna.Study, now: StudySettings) -> bool:
    """Whether the study still has to be initialized.

    Raises:
        ConfigError: it was initialized with other settings.
    """
    stored = study_settings_of(study.user_attrs)
    if stored is None:
        if study.get_trials(deepcopy=False):
            raise ConfigError(
                f"study {study.study_name!r} has trials without a record of data and split: use another --study-name"
            )
        return True
    for name, before, after in differences(stored, now):
        raise ConfigError(
            f"study {study.study_name!r} was created with {name} {before!r}, now it is {after!r}: "
            f"give the same value, or use another --study-name"
        )
    return False
