"""Feasible trials: those that meet every constraint that they set by Optuna's `trial.set_constraint`.

Trials of a study without constraints are all feasible.
"""

from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

from src.errors import SearchError
from src.names import study_option
from src.suggest import listing, number

FOLD_VALUES_ATTR = "fold_values"
"""User attribute of a complete trial with several folds: the scores of the folds in its best round."""


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether the trial meets its constraints: Optuna's values above 0 are violations."""
    return not any(value > 0 for value in trial.constraints.values())


def excess_of(trial: FrozenTrial) -> float:
    """The sum of the constraint values above 0, by which TPE ranks infeasible trials."""
    return sum(value for value in trial.constraints.values() if value > 0)


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The study's feasible complete trials, by number."""
    return [t for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if is_feasible(t)]


def no_feasible_trial(study_name: str, complete: Iterable[FrozenTrial]) -> SearchError:
    """The error for a study whose complete trials all violate a constraint.

    Args:
        study_name: name of the study.
        complete: its complete trials, at least one.
    """
    closest = min(complete, key=lambda trial: (excess_of(trial), trial.number))
    violated = [name for name, value in closest.constraints.items() if value > 0]
    return SearchError(
        f"no complete trial of study {study_name!r} meets --constraint {' and '.join(violated)}: the closest, trial "
        f"{closest.number}, has {listing(_measured(closest, name) for name in violated)}; start another study with a "
        f"higher limit, or give a larger --n-trials and resume with {study_option(study_name)}"
    )


def _measured(trial: FrozenTrial, constraint: str) -> str:
    """`trees 620` of `trees<=500`; the constraint's own value, if it comes from a user's objective."""
    quantity = constraint.partition("<=")[0]
    if quantity in trial.user_attrs:
        return f"{quantity} {number(trial.user_attrs[quantity])}"
    return f"{constraint} {number(trial.constraints[constraint])} (0 or less is feasible)"
