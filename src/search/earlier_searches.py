"""Best parameters of earlier searches of a target, as starting points: from the same store and from registered models.

An earlier search that used test rows of the new search would leak them through its parameters, so it is left out (see
`SeenRows`). Whether a model is champion is ignored for the same reason: that was decided on such rows.
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
"""Of a study: the last date of its search rows; None for a table without dates ('' in earlier versions)."""


@dataclass(frozen=True)
class SeenRows:
    """What a later search has to know of the rows that a search used.

    Attributes:
        until: last date, as YYYY-MM-DD; None or '' for a table without dates.
        data_digest: of the table.
        test_fraction, split_seed: determine, with the table, the hold-out of a table without dates.
    """

    until: str | None
    data_digest: str | None
    test_fraction: float | None
    split_seed: int | None

    def exclude_test_rows_of(self, new: "SeenRows") -> bool:
        """Whether a search that used these rows cannot have used a test row of the new search.

        With dates: its last date is not later than that of the new search. Without dates: it held out the same rows of
        the same table. If only one of the tables has dates, the answer is no.
        """
        if new.until and self.until:
            return self.until <= new.until
        return not new.until and not self.until and self._hold_out == new._hold_out

    @property
    def _hold_out(self) -> tuple[str | None, float | None, int | None]:
        return self.data_digest, self.test_fraction, self.split_seed


def last_search_day(task: SearchTask) -> str | None:
    """Last date of the search rows; None for a table without dates."""
    dates = task.data.dates
    return None if dates is None else str(dates[task.rows.search[-1]])


def rows_seen_by(task: SearchTask) -> SeenRows:
    """The rows that a new search uses."""
    split = task.settings.split
    return SeenRows(last_search_day(task), task.data.digest, split.test_fraction, split.seed)


def best_of_earlier_searches(
    task: SearchTask, study: optuna.Study, same: Mapping[str, Any], registered: Callable[[], Sequence[EarlierModel]]
) -> list[Params]:
    """Parameters of this store's studies and, if there are too few, of registered models.

    Args:
        task: the new search.
        study: its study.
        same: as in `best_of_earlier_studies`.
        registered: returns the versions of the target's registered model; called only if the store has too few studies.
    """
    new = rows_seen_by(task)
    points = best_of_earlier_studies(study, same, new)
    if len(points) < N_EARLIER:
        points += best_of_earlier_models(_of_other_stores(registered(), task, study), new)
    return points[:N_EARLIER]


def _of_other_stores(models: Sequence[EarlierModel], task: SearchTask, study: optuna.Study) -> list[EarlierModel]:
    """The models with the task's metric whose studies are not in this store."""
    known = {other.study_name for other in storage_of(study).get_all_studies()}
    metric = task.data.config.metric
    return [model for model in models if model.metric == metric and model.study_name not in known]


def best_of_earlier_studies(study: optuna.Study, same: Mapping[str, Any], new: SeenRows) -> list[Params]:
    """Best parameters of other studies in the store, the newest first.

    Args:
        study: the new one.
        same: items that the `settings` of an earlier study must have: target, task, metric, objective.
        new: the rows of the new study's search.
    """
    storage = storage_of(study)
    points: list[Params] = []
    for other in sorted(storage.get_all_studies(), key=lambda known: -id_of_study(known)):
        if len(points) == N_EARLIER:
            break
        settings = other.user_attrs.get("settings", {})
        if id_of_study(other) == id_of_study(study) or any(settings.get(name) != value for name, value in same.items()):
            continue
        if not _rows_seen(other.user_attrs).exclude_test_rows_of(new):
            continue
        if not storage.get_all_trials(id_of_study(other), deepcopy=False, states=(TrialState.COMPLETE,)):
            continue
        points.append(dict(storage.get_best_trial(id_of_study(other)).params))
        log.info("the parameters of the best trial of study %s are a starting point", other.study_name)
    return points


def _rows_seen(attributes: Mapping[str, Any]) -> SeenRows:
    """The rows of a study's search, from its user attributes."""
    settings = attributes.get("settings", {})
    split = settings.get("split", {})
    until = attributes.get(SEARCH_UNTIL_ATTR)
    return SeenRows(until, settings.get("data_digest"), split.get("test_fraction"), split.get("seed"))


def best_of_earlier_models(models: Sequence[EarlierModel], new: SeenRows) -> list[Params]:
    """Parameters of registered models, in their order.

    Args:
        models: of this target and metric, the newest first.
        new: the rows of the new study's search.
    """
    points: list[Params] = []
    for model in models:
        if len(points) == N_EARLIER:
            break
        seen = SeenRows(model.search_until, model.data_digest, model.test_fraction, model.split_seed)
        if not seen.exclude_test_rows_of(new):
            continue
        if not is_in_space(model.params):
            log.info("the parameters of %s are outside the search space: they are no starting point", model.uri)
            continue
        points.append(model.params)
        log.info("the parameters of %s are a starting point", model.uri)
    return points


def is_in_space(params: Params) -> bool:
    """Whether the parameters are in the search space."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna only warns about a value outside its range
        try:
            return suggest_hyperparameters(FixedTrial(params)) == params
        except (TypeError, ValueError, UserWarning):  # of another type, missing, out of range
            return False
