from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, create_trial

from src.errors import SearchError
from src.study.feasibility import complete_trials, excess_of, is_feasible
from src.study.studies import best_trial


def trial(value: float, **constraints: float) -> FrozenTrial:
    named = {name.replace("_most_", "<="): excess for name, excess in constraints.items()}
    return create_trial(value=value, constraints=named)


def study_of(*trials: FrozenTrial) -> optuna.Study:
    study = optuna.create_study()
    study.add_trials(trials)
    return study


def test_a_trial_is_feasible_if_no_constraint_is_above_zero() -> None:
    assert is_feasible(trial(1.0))
    assert is_feasible(trial(1.0, trees_most_5=0.0, leaves_most_9=-0.5))
    assert not is_feasible(trial(1.0, trees_most_5=0.01, leaves_most_9=-0.5))
    assert excess_of(trial(1.0, trees_most_5=0.25, leaves_most_9=-0.5)) == 0.25


def test_the_best_trial_is_feasible() -> None:
    study = study_of(trial(1.0, trees_most_5=0.2), trial(3.0, trees_most_5=-0.2), trial(2.0, trees_most_5=0.0))
    assert best_trial(study).number == study.best_trial.number == 2
    assert [each.number for each in complete_trials(study)] == [1, 2]


def test_without_a_feasible_trial_the_error_names_constraint_and_closest_value() -> None:
    measured: dict[str, Any] = {"trees": 7.0, "leaves": 8.0}
    closest = create_trial(value=2.0, constraints={"trees<=5": 0.4, "leaves<=9": -0.1}, user_attrs=measured)
    study = study_of(trial(1.0, trees_most_5=0.9), closest)
    with pytest.raises(SearchError) as caught:
        best_trial(study)
    assert "meets --constraint trees<=5: the closest, trial 1, has trees 7; " in str(caught.value)


def test_a_constraint_of_a_users_objective_is_named_too() -> None:
    with pytest.raises(SearchError, match=r"the closest, trial 0, has memory 0\.5 \(0 or less is feasible\)"):
        best_trial(study_of(trial(1.0, memory=0.5)))
