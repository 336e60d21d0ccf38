"""The derived features of a study: chosen once, when the study is created, and the same for all its trials."""

import logging
from dataclasses import replace

import optuna

from src.errors import ConfigError, DataError
from src.search.derived_features import (
    FEATURES_ATTR,
    DerivedFeatures,
    add_derived_features,
    all_candidates,
    keep_features,
)
from src.search.search_task import SearchTask

log = logging.getLogger(__name__)


def choose_study_features(task: SearchTask, study: optuna.Study) -> None:
    """Chooses the derived features of a new study and stores them on it; nothing in mode `own`.

    Raises:
        DataError: a derived feature would have the name of a column of the table.
        ConfigError: there is no such exchange calendar.
    """
    if task.data.history is None:
        return
    from src.search.feature_choice import choose_features  # imports LightGBM

    candidates = all_candidates(task.data)
    data = add_derived_features(task.data, candidates)
    names, record = choose_features(data, candidates.features, task.rows, task.settings.search.seed)
    _, chosen = keep_features(data, candidates, names)
    study.set_user_attr(FEATURES_ATTR, replace(chosen, choice=record).to_json())
    log.info("%s", describe_choice(replace(chosen, choice=record)))


def describe_choice(derived: DerivedFeatures) -> str:
    """The choice in one line."""
    choice = derived.choice or {}
    families = [name for name, counts in choice.get("families", {}).items() if counts["kept"]]
    return (
        f"{len(derived.features)} of {derived.considered} derived features are used "
        f"({choice.get('set')}): {', '.join(families)}"
    )


def with_study_features(task: SearchTask, study: optuna.Study) -> SearchTask:
    """The task with the derived features that the study stores; unchanged in mode `own`.

    Raises:
        ConfigError: the study stores no derived features, or features that this version does not know.
    """
    if task.data.history is None or task.derived is not None:
        return task
    stored = study.user_attrs.get(FEATURES_ATTR)
    if stored is None:
        raise ConfigError(
            f"study {study.study_name!r} was created without derived features: use --features own, or another "
            "--study-name"
        )
    try:
        derived = DerivedFeatures.from_json(stored)
    except DataError as error:  # written by a later version; the message lacks the study
        raise ConfigError(f"study {study.study_name!r}: {error}") from error
    return replace(task, data=add_derived_features(task.data, derived), derived=derived)
