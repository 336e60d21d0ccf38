"""The registered model under constraints and by `--select`, over a study of 200 trials."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from src.config import RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import SearchError
from src.final import chosen_model
from src.final.chosen_model import fit_chosen_model
from src.final.final_model import FinalModel, final_rounds
from src.model_settings import ModelSettings
from src.search.search_task import SearchTask, make_task_objective, task_sampler
from src.search.stop_flag import StopFlag
from src.study.pruner import make_pruner
from src.study.studies import OptunaStudyManager, best_trial, set_optuna_verbosity
from tests.small_table import small_table

pytestmark = pytest.mark.slow
N_TRIALS = 200
LIMITS = ("trees<=120", "leaves<=1500", "fold_spread<=0.2")
Finished = Callable[..., tuple[SearchTask, optuna.Study]]


def make_task(folder: Path, constraint: tuple[str, ...] = LIMITS, select: str = "score", size: int = 6) -> SearchTask:
    data = load_dataset(small_table(n_days=40), TableConfig(), "net_profit")
    split = SplitSettings(use_cv=True, n_folds=3, test_fraction=0)
    search = SearchSettings(storage_dir=folder, seed=3)
    model = ModelSettings(constraint, select)
    settings = RunSettings(split=split, search=search, ensemble_size=size, model=model)
    return SearchTask(data, make_split_rows(data, split), settings)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a study of 200 real trials under three constraints."""
    folder = tmp_path_factory.mktemp("store")
    task = make_task(folder)
    study = OptunaStudyManager(folder).create_or_load_study(
        "s", sampler=task_sampler(task.settings.search, None), pruner=make_pruner("median")
    )
    set_optuna_verbosity()
    study.optimize(make_task_objective(task, study, StopFlag()), n_trials=N_TRIALS)
    return folder


@pytest.fixture
def finished(searched: Path, tmp_path: Path) -> Finished:
    def load(**changes: Any) -> tuple[SearchTask, optuna.Study]:
        shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
        return make_task(tmp_path, **changes), OptunaStudyManager(tmp_path).load_study("s")

    return load


def leaves_of(booster: lgb.Booster) -> int:
    text = booster.model_to_string()
    return sum(int(line.split("=")[1]) for line in text.splitlines() if line.startswith("num_leaves="))


def losses(trial: FrozenTrial) -> list[float]:
    found: list[float] = trial.user_attrs["fold_values"]
    return found


def spread(trial: FrozenTrial) -> float:
    return max(losses(trial)) / float(np.mean(losses(trial))) - 1


def feasible(study: optuna.Study) -> list[FrozenTrial]:
    """By the limits and the stored measures, not by what the trials say of their constraints."""
    return [
        trial
        for trial in study.get_trials(states=(TrialState.COMPLETE,))
        if trial.user_attrs["trees"] <= 120 and trial.user_attrs["leaves"] <= 1500 and spread(trial) <= 0.2
    ]


def test_trials_measure_their_final_models_and_say_what_they_violate(finished: Finished) -> None:
    task, study = finished()
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    meets = [trial for trial in complete if all(value <= 0 for value in trial.constraints.values())]
    assert [trial.number for trial in meets] == [trial.number for trial in feasible(study)]
    assert 20 < len(meets) < len(complete) - 20, "a study that shows something"
    for trial in complete:
        assert set(trial.constraints) == set(LIMITS)
        assert trial.user_attrs["trees"] == final_rounds(trial, task.rows)
        assert trial.user_attrs["fold_spread"] == pytest.approx(spread(trial))
        assert np.mean(losses(trial)) == pytest.approx(trial.value)
    assert any(trial.state == TrialState.PRUNED for trial in study.trials), "pruning works on"


def test_the_sampler_learns_the_constraints(finished: Finished) -> None:
    _, study = finished()
    meets = {trial.number for trial in feasible(study)}
    complete = [trial.number for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    early, late = ([n for n in complete if (n >= N_TRIALS // 2) == later] for later in (False, True))
    assert len(meets.intersection(late)) / len(late) > len(meets.intersection(early)) / len(early)


def brute_force_choice(trials: list[FrozenTrial], select: str) -> int:
    """The definition, trial by trial."""

    def key(trial: FrozenTrial) -> tuple[float, float, float]:
        return float(np.mean(losses(trial))), spread(trial), trial.user_attrs["leaves"]

    front = [
        trial
        for trial in trials
        if not any(
            all(a <= b for a, b in zip(key(other), key(trial), strict=True)) and key(other) != key(trial)
            for other in trials
        )
    ]
    best = min(front, key=key)
    allowed = min(0.01 * key(best)[0], stdev(losses(best)) / 3**0.5)
    near = [trial for trial in front if key(trial)[0] <= key(best)[0] + allowed]
    return min(near, key=lambda trial: key(trial)[{"score": 0, "stable": 1, "small": 2}[select]]).number


@pytest.mark.parametrize("select", ["score", "stable", "small"])
def test_every_winner_is_feasible_and_the_choice_of_the_front(finished: Finished, select: str) -> None:
    task, study = finished(select=select, size=1)
    model = fit_chosen_model(task, study, best_trial(study))
    tried = feasible(study)
    (member,) = model.members
    winner = study.trials[member.trial]
    while brute_force_choice(tried, select) != member.trial:  # its final model turned out too large
        number = brute_force_choice(tried, select)
        refit = fit_alone(task, study, study.trials[number])
        assert leaves_of(refit.booster) > 1500, f"trial {number} is chosen by definition and would be feasible"
        tried = [trial for trial in tried if trial.number != number]
    assert model.booster.num_trees() <= 120
    assert leaves_of(model.booster) <= 1500
    assert spread(winner) <= 0.2
    assert model.measures == {
        "trees": model.booster.num_trees(), "leaves": leaves_of(model.booster),
        "fold_spread": pytest.approx(spread(winner)),
    }  # fmt: skip
    assert model.validation_score == winner.value


def fit_alone(task: SearchTask, study: optuna.Study, trial: FrozenTrial) -> FinalModel:
    alone = replace(task, settings=replace(task.settings, ensemble_size=1, model=ModelSettings()))
    return fit_chosen_model(alone, study, trial)


def test_an_ensemble_is_registered_only_if_it_is_feasible_as_a_whole(finished: Finished) -> None:
    """Each member may have 120 trees, but all together too: the ensemble is made smaller, then given up."""
    task, study = finished()
    model = fit_chosen_model(task, study, best_trial(study))
    assert model.booster.num_trees() <= 120
    assert leaves_of(model.booster) <= 1500
    roomy = replace(task, settings=replace(task.settings, model=ModelSettings(("trees<=800", "leaves<=9000"))))
    together = fit_chosen_model(roomy, study, best_trial(study))
    assert len(together.members) > 1
    assert together.booster.num_trees() <= 800
    assert leaves_of(together.booster) <= 9000
    meets = {trial.number for trial in feasible(study)}
    assert meets.issuperset(member.trial for member in together.members), "no infeasible trial is a member"


def test_a_time_is_measured_on_the_final_model(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first models are too slow, whatever their trials promised; the next choice is a faster trial."""
    task, study = finished(constraint=("predict_ms_per_1000<=2",), size=1)
    for trial in study.get_trials(deepcopy=False):
        trial.user_attrs["predict_ms_per_1000"] = trial.user_attrs.get("trees", 0) / 20
    measured = iter([3.0, 1.9])
    monkeypatch.setattr(chosen_model, "predict_ms_per_1000", lambda *_: next(measured))
    model = fit_chosen_model(task, study, best_trial(study))
    assert model.measures["predict_ms_per_1000"] == 1.9
    first = study.trials[best_trial(study).number]
    assert model.booster.num_trees() < final_rounds(first, task.rows)


def test_if_every_final_model_is_too_large_the_error_names_the_closest(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, study = finished(size=1)
    monkeypatch.setattr(chosen_model, "count_leaves", lambda _: 99000)
    with pytest.raises(
        SearchError, match=r"no final model of study 's' meets --constraint trees<=120 and leaves<=1500"
    ) as e:
        fit_chosen_model(task, study, best_trial(study))
    assert f"the closest, of trial {best_trial(study).number}, has leaves 99000; start another study" in str(e.value)
