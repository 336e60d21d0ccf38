"""What earlier searches of a target found, for a new one to begin with: in the same store, behind registered models.

A search that saw a row which the new one is to be judged on has chosen its parameters on that row too, so it is left
out (see `SeenRows`). Which registered model is champion plays no part: that was decided on such rows.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FixedTrial, TrialState

from src.search.earlier_model import EarlierModel
from src.search.search_space import suggest_hyperparameters
from src.search.search_task import SearchTask
from src.search.starting_points import N_EARLIER, Params
from src.study.optuna_internals import id_of_study, storage_of

log = logging.getLogger(__name__)

SEARCH_UNTIL_ATTR = "search_until"
"""Of a study: the last day that its search saw; None for a table without dates, which was '' in earlier versions."""


@dataclass(frozen=True)
class SeenRows:
    """Which rows a search has seen, as far as a later search has to know.

    Attributes:
        until: its last day, as YYYY-MM-DD; None or '' for a table without dates.
        data_digest: of its table.
        test_fraction, split_seed: with the table, they decide which rows of one without dates are held out.
    """

    until: str | None
    data_digest: str | None
    test_fraction: float | None
    split_seed: int | None

    def exclude_test_rows_of(self, new: "SeenRows") -> bool:
        """Whether a search that saw these rows cannot have seen one that the new search's model is judged on.

        With dates, it saw no later day than the new search sees. Without dates, it held out the same rows of the same
        table. Between a table with dates and one without, nothing is known.
        """
        if new.until and self.until:
            return self.until <= new.until
        return not new.until and not self.until and self._hold_out == new._hold_out

    @property
    def _hold_out(self) -> tuple[str | None, float | None, int | None]:
        return self.data_digest, self.test_fraction, self.split_seed


def last_search_day(task: SearchTask) -> str | None:
    """The last day that the search sees; None for a table without dates."""
    dates = task.data.dates
    return None if dates is None else str(dates[task.rows.search[-1]])


def rows_seen_by(task: SearchTask) -> SeenRows:
    """Which rows a new search sees."""
    split = task.settings.split
    return SeenRows(last_search_day(task), task.data.digest, split.test_fraction, split.seed)


def best_of_earlier_searches(
    task: SearchTask, study: optuna.Study, same: Mapping[str, Any], registered: Callable[[], Sequence[EarlierModel]]
) -> list[Params]:
    """Parameters of this store's studies and, where these are too few, of models that others registered.

    Args:
        task: the new search.
        study: its study.
        same: as `best_of_earlier_studies` takes it.
        registered: gives the versions of the target's registered model; called only if the store has too few studies.
    """
    new = rows_seen_by(task)
    found = best_of_earlier_studies(study, same, new)
    if len(found) < N_EARLIER:
        found += best_of_earlier_models(_from_elsewhere(registered(), task, study), new)
    return found[:N_EARLIER]


def _from_elsewhere(models: Sequence[EarlierModel], task: SearchTask, study: optuna.Study) -> list[EarlierModel]:
    """Those of the task's metric whose studies are not in this store."""
    known = {each.study_name for each in storage_of(study).get_all_studies()}
    metric = task.data.config.metric
    return [each for each in models if each.metric == metric and each.study_name not in known]


def best_of_earlier_studies(study: optuna.Study, same: Mapping[str, Any], new: SeenRows) -> list[Params]:
    """Best parameters of other studies in the store, the newest first.

    Args:
        study: the new one.
        same: items that the `settings` of an earlier study must have: target, task, metric, objective.
        new: which rows the new study's search sees.
    """
    storage = storage_of(study)
    found: list[Params] = []
    for other in sorted(storage.get_all_studies(), key=lambda each: -id_of_study(each)):
        if len(found) == N_EARLIER:
            break
        settings = other.user_attrs.get("settings", {})
        if id_of_study(other) == id_of_study(study) or any(settings.get(name) != value for name, value in same.items()):
            continue
        if not _rows_seen(other.user_attrs).exclude_test_rows_of(new):
            continue
        if not storage.get_all_trials(id_of_study(other), deepcopy=False, states=(TrialState.COMPLETE,)):
            continue
        found.append(dict(storage.get_best_trial(id_of_study(other)).params))
        log.info("the best trial of study %s is tried first", other.study_name)
    return found


def _rows_seen(attributes: Mapping[str, Any]) -> SeenRows:
    """Which rows a study's search has seen, from its user attributes."""
    settings = attributes.get("settings", {})
    split = settings.get("split", {})
    until = attributes.get(SEARCH_UNTIL_ATTR)
    return SeenRows(until, settings.get("data_digest"), split.get("test_fraction"), split.get("seed"))


def best_of_earlier_models(models: Sequence[EarlierModel], new: SeenRows) -> list[Params]:
    """Parameters of registered models, in their order.

    Args:
        models: of this target and metric, the newest first.
        new: which rows the new study's search sees.
    """
    found: list[Params] = []
    for model in models:
        if len(found) == N_EARLIER:
            break
        seen = SeenRows(model.search_until, model.data_digest, model.test_fraction, model.split_seed)
        if not seen.exclude_test_rows_of(new):
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
