import importlib.util
from pathlib import Path
from typing import Any

import optuna
import pytest

from src.config import SAMPLERS
from src.errors import ConfigError
from src.search.search_space import suggest_hyperparameters
from src.study.sampler import MAKERS, TrialSeededTPESampler, make_sampler, seeds_of_trial
from src.study.studies import OptunaStudyManager

WITHOUT_TORCH = [name for name in SAMPLERS if name != "gp"]


def objective(trial: optuna.Trial) -> float:
    drawn = suggest_hyperparameters(trial)
    return float(drawn["learning_rate"] + drawn["feature_fraction"])


def draw(name: str, seed: int = 1, n_trials: int = 16) -> list[dict[str, Any]]:
    """Parameters of the trials of a study in memory."""
    study = optuna.create_study(sampler=make_sampler(name, seed))
    study.optimize(objective, n_trials=n_trials)
    return [trial.params for trial in study.trials]


def draw_in_runs(name: str, folder: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """The same of a study that is loaded from its store with a new sampler for every run."""
    for n_trials in sizes:
        study = OptunaStudyManager(folder).create_or_load_study("s", sampler=make_sampler(name, 1))
        study.optimize(objective, n_trials=n_trials)
    return [trial.params for trial in study.trials]


def test_every_promised_name_has_a_maker() -> None:
    assert set(MAKERS) == set(SAMPLERS)


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_an_interrupted_study_draws_the_same_parameters(name: str, tmp_path: Path) -> None:
    whole = draw(name)
    assert draw_in_runs(name, tmp_path, (5, 7, 4)) == whole
    assert len({str(params) for params in whole}) == len(whole), "no two trials are equal"
    assert draw(name, seed=2) != whole


class OptunasTPE(optuna.samplers.TPESampler):
    """The oracle: Optuna's TPE, seeded per trial."""

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        first, second = seeds_of_trial(1, trial.number)
        self._rng.rng.seed(first)
        self._random_sampler._rng.rng.seed(second)


def test_tpe_draws_what_optunas_draws() -> None:
    drawn = []
    for sampler in (OptunasTPE(), TrialSeededTPESampler(1)):
        study = optuna.create_study(sampler=sampler)

        def pruned_now_and_then(trial: optuna.Trial) -> float:
            value = objective(trial)
            trial.report(value, 10)
            if trial.number % 3 == 2:
                raise optuna.TrialPruned
            return value

        study.optimize(pruned_now_and_then, n_trials=60)
        drawn.append([trial.params for trial in study.trials])
    assert drawn[0] == drawn[1]
    assert {len(params) for params in drawn[0][10:]} >= {15}, "dart has parameters that the others lack"


def test_of_a_long_study_the_best_and_the_latest_are_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.study.sampler.MAX_WORSE", 30)
    sampler = TrialSeededTPESampler(1)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=80)
    asked = study.ask()
    asked.suggest_float("x", 0, 1)
    better, worse = sampler._better_and_worse(study, study.get_trials(deepcopy=False)[asked.number])
    values = sorted(trial.value for trial in study.trials if trial.value is not None)
    assert sorted(trial.params["x"] for trial in better) == values[:8]
    assert len(worse) == 30
    assert {trial.number for trial in worse} | {trial.number for trial in better} >= set(range(55, 80))


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_num_leaves_is_limited_by_the_depth(name: str) -> None:
    draws = draw(name, n_trials=40)
    assert all(drawn["num_leaves"] <= max(10, 2 ** drawn["max_depth"]) for drawn in draws)
    assert any(drawn["num_leaves"] > 64 for drawn in draws), "deep trees keep the whole range"


def test_a_users_objective_has_no_depth_limit() -> None:
    study = optuna.create_study(sampler=make_sampler("random", 1, limit_depth=False))
    trials = [study.ask() for _ in range(20)]
    drawn = [(trial.suggest_int("max_depth", 1, 2), trial.suggest_int("num_leaves", 10, 200)) for trial in trials]
    assert any(leaves > 10 for _, leaves in drawn)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here, so gp works")
def test_a_sampler_without_its_package_names_it() -> None:
    with pytest.raises(ConfigError, match=r"--sampler 'gp' needs the package torch.*pip install torch"):
        make_sampler("gp", 1)
