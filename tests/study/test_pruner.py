import random

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from src.config import PRUNERS, Direction
from src.study.pruner import MAKERS, CachedMedianPruner, make_pruner


def study_of_curves(direction: Direction, seed: int, n_trials: int) -> optuna.Study:
    """Finished trials whose curves have gaps, end early, or contain NaN."""
    rng = random.Random(seed)
    study = optuna.create_study(direction=direction)
    for _ in range(n_trials):
        steps = sorted(rng.sample(range(10, 200, 10), rng.randint(0, 15)))
        curve = {step: float("nan") if rng.random() < 0.05 else rng.random() for step in steps}
        state = rng.choice([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        value = None if state == TrialState.FAIL else 1.0
        study.add_trial(optuna.trial.create_trial(state=state, value=value, intermediate_values=curve))
    return study


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["minimize", "maximize"]), st.integers(0, 10**6), st.integers(0, 40))
@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")
def test_it_decides_what_optunas_median_pruner_decides(direction: Direction, seed: int, n_trials: int) -> None:
    study = study_of_curves(direction, seed, n_trials)
    oracle, ours = MedianPruner(n_startup_trials=10, n_warmup_steps=50), CachedMedianPruner()
    rng = random.Random(seed + 1)
    for _ in range(2):  # a second trial of the same study sees what ended in between
        trial = study.ask()
        for step in range(10, 200, 10):
            trial.report(float("nan") if rng.random() < 0.05 else rng.random(), step)
            seen = study.get_trials(deepcopy=False)[trial.number]
            assert ours.prune(study, seen) == oracle.prune(study, seen)
        study.tell(trial, 0.5)


def test_one_pruner_serves_two_studies() -> None:
    pruner = CachedMedianPruner(n_startup_trials=1, n_warmup_steps=0)
    decisions = []
    for others in (0.1, 0.9):
        study = optuna.create_study()
        study.add_trial(optuna.trial.create_trial(value=others, intermediate_values={10: others}))
        trial = study.ask()
        trial.report(0.5, 10)
        decisions.append(pruner.prune(study, study.get_trials(deepcopy=False)[trial.number]))
    assert decisions == [True, False]


def test_every_promised_name_makes_its_pruner() -> None:
    assert set(MAKERS) == set(PRUNERS)
    kinds = {"median": MedianPruner, "asha": SuccessiveHalvingPruner, "hyperband": HyperbandPruner, "none": NopPruner}
    assert all(isinstance(make_pruner(name), kinds[name]) for name in PRUNERS)
    assert isinstance(make_pruner("median"), MedianPruner)


@pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
def test_each_pruner_prunes_bad_trials_and_not_the_best(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        loss = trial.suggest_float("loss", 0, 1)
        for step in range(10, 400, 10):
            trial.report(loss, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), pruner=make_pruner(name))
    study.optimize(objective, n_trials=60)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.PRUNED) >= 10
    best = min(study.trials, key=lambda trial: trial.params["loss"])
    assert best.state == TrialState.COMPLETE


def pruned_at(study: optuna.Study, pruner: optuna.pruners.BasePruner, level: float, infeasible: bool) -> int | None:
    """Runs a trial of constant reports to its end, or until it is pruned; returns the step."""
    trial = study.ask()
    for step in range(10, 400, 10):
        trial.report(level, step)
        if pruner.prune(study, study.get_trials(deepcopy=False)[trial.number]) and not infeasible:
            study.tell(trial, state=TrialState.PRUNED)
            return step
    if infeasible:
        trial.set_constraint("leaves<=5", 0.1)
    study.tell(trial, level)
    return None


@pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_infeasible_trials_set_no_standard(name: str, direction: Direction) -> None:
    """A study decides as if its infeasible trials had never been run, however good they are."""
    rng = random.Random(3)
    whole, feasible = (optuna.create_study(direction=direction, study_name="s") for _ in range(2))
    of_whole, of_feasible = make_pruner(name), make_pruner(name)
    steps = []
    for number in range(60):
        infeasible = number % 2 == 1
        level = (1 if direction == "minimize" else -1) * (rng.random() - 5 * infeasible)
        steps.append(pruned_at(whole, of_whole, level, infeasible))
        if infeasible:
            feasible.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))  # hyperband goes by trial numbers
        else:
            assert pruned_at(feasible, of_feasible, level, infeasible) == steps[-1], f"trial {number}"
    assert sum(step is not None for step in steps) >= 5, "bad trials are pruned all the same"
