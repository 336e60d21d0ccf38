"""What earlier searches of a target found, for a new one to begin with: in the same store, behind registered models.

A search that saw a day which the new one is to be judged on has chosen its parameters on that day too. It is left out,
and so is the office of a registered model: who is champion was decided on such days.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FixedTrial, TrialState

from src.modeling.search_space import suggest_hyperparameters
from src.modeling.search_task import SearchTask
from src.modeling.starting_points import N_EARLIER, Params
from src.tracking.earlier_models import EarlierModel, EarlierModels

log = logging.getLogger(__name__)

SEARCH_UNTIL_ATTR = "search_until"
"""Of a study: the last day that its search saw; '' for a table without dates."""


def search_until(task: SearchTask) -> str:
    """The last day that the search sees; '' for a table without dates."""
    dates = task.data.dates
    return "" if dates is None else str(dates[task.rows.search[-1]])


def best_of_earlier_searches(task: SearchTask, study: optuna.Study, same: Mapping[str, Any]) -> list[Params]:
    """Parameters of this store's studies and, where these are too few, of models that others registered.

    Args:
        task: the new search.
        study: its study.
        same: as `best_of_earlier_studies` takes it.
    """
    until = search_until(task)
    found = best_of_earlier_studies(study, same, until)
    if len(found) < N_EARLIER:
        found += best_of_earlier_models(_registered_elsewhere(task, study), until)
    return found[:N_EARLIER]


def _registered_elsewhere(task: SearchTask, study: optuna.Study) -> list[EarlierModel]:
    """Models of this target and metric whose studies are not in this store."""
    target, metric = task.data.target, task.data.config.metric
    models = (task.earlier or EarlierModels([target])).of(target)
    known = {each.study_name for each in study._storage.get_all_studies()}
    return [each for each in models if each.metric == metric and each.study_name not in known]


def best_of_earlier_studies(study: optuna.Study, same: Mapping[str, Any], until: str) -> list[Params]:
    """Best parameters of other studies in the store, the newest first.

    Args:
        study: the new one.
        same: items that the `settings` of an earlier study must have: target, task, metric, objective.
        until: the last day that this study's search sees. A study that saw later days has chosen its parameters on
            days that this one is to be judged on.
    """
    storage = study._storage
    found: list[Params] = []
    for other in sorted(storage.get_all_studies(), key=lambda each: -each._study_id):
        settings = other.user_attrs.get("settings", {})
        seen_until = other.user_attrs.get(SEARCH_UNTIL_ATTR)
        if other._study_id == study._study_id or seen_until is None or seen_until > until:
            continue
        if any(settings.get(name) != value for name, value in same.items()):
            continue
        if not storage.get_all_trials(other._study_id, deepcopy=False, states=(TrialState.COMPLETE,)):
            continue
        found.append(dict(storage.get_best_trial(other._study_id).params))
        log.info("the best trial of study %s is tried first", other.study_name)
        if len(found) == N_EARLIER:
            break
    return found


def best_of_earlier_models(models: Sequence[EarlierModel], until: str) -> list[Params]:
    """Parameters of registered models, in their order.

    Args:
        models: of this target and metric, the newest first.
        until: as `best_of_earlier_studies` takes it.
    """
    found: list[Params] = []
    for model in models:
        if len(found) == N_EARLIER:
            break
        if model.search_until > until:
            continue
        if not is_in_space(model.params):
            log.info("%s was made with parameters outside the search space: it is not tried first", model.uri)
            continue
        found.append(model.params)
        log.info("what %s was made with is tried first", model.uri)
    return found


def is_in_space(params: Params) -> bool:
    """Whether a trial could have drawn these parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna only warns of a value outside its range
        try:
            return suggest_hyperparameters(FixedTrial(params)) == params
        except (TypeError, ValueError, UserWarning):  # of another kind, missing, outside
            return False
