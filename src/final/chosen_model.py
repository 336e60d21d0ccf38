"""The registered model of a search with constraints (`--constraint`) or another choice than the score (`--select`).

The final model is measured, and registered only if it meets every constraint as a whole. Tried are, in this order:

1. with `--select score`, ensembles: of `--ensemble-size` trials, then of half as many, and so on;
2. single trials, in the order of the choice.

A model whose measures would be too large is not trained. They are known before: a trial stores them, and those of an
ensemble add up. Leaves and time are estimates; where a trained model turns out larger than expected, the estimates of
the models after it are corrected by the same factor, so that a few fits suffice.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from src.data.encoding import encode
from src.errors import SearchError
from src.final.ensemble import (
    Candidates,
    affordable_ensemble,
    compose_members,
    fit_final_model,
    gather_candidates,
    train_mean,
)
from src.final.final_model import FinalModel, final_rounds, train_final_model
from src.final.fixed_configs import Weighting
from src.final.monotone_check import check_monotone
from src.model_settings import Constraint
from src.names import study_option
from src.search.measures import PREDICTED_ROWS, count_leaves, fold_spread, predict_ms_per_1000
from src.search.search_task import SearchTask
from src.study.feasibility import complete_trials
from src.study.pareto_front import candidates_of, choose
from src.suggest import number

log = logging.getLogger(__name__)

ADDITIVE = ("trees", "leaves", "predict_ms_per_1000")


@dataclass(frozen=True)
class Plan:
    """A model that could be trained.

    Attributes:
        trials: its members.
        measures: expected measures.
        composition: weights of an ensemble; None for a single trial.
        rounds_factor: factor of the rounds of an ensemble's members.
    """

    trials: Sequence[FrozenTrial]
    measures: dict[str, float]
    composition: Weighting | None = None
    rounds_factor: float = 1.0


@dataclass
class ModelChoice:
    """Trains planned models until one meets the constraints.

    Attributes:
        task: the search.
        constraints: limits of the model.
        corrections: measured over expected value of the trained models, at least 1, by quantity.
        closest: the trained model that came closest, as text.
    """

    task: SearchTask
    constraints: Sequence[Constraint]
    corrections: dict[str, float] = field(default_factory=dict)
    closest: str = ""
    _least_excess: float = np.inf

    def may_meet(self, plan: Plan) -> bool:
        """Whether the planned model is expected to meet every constraint."""
        return all(
            each.excess(plan.measures[each.quantity] * self.corrections.get(each.quantity, 1.0)) <= 0
            for each in self.constraints
        )

    def train(self, plan: Plan) -> FinalModel | None:
        """The trained model with its measures; None if it does not meet every constraint."""
        task, trial = self.task, plan.trials[0]
        if plan.composition is None:
            model = _train_single(task, trial)
        else:
            model = train_mean(task, plan.trials, plan.composition, plan.rounds_factor)
        measures = measure_model(model, task) | {
            name: value for name, value in plan.measures.items() if name not in ADDITIVE
        }
        violated = [each for each in self.constraints if each.excess(measures[each.quantity]) > 0]
        if not violated:
            return replace(model, measures=measures)
        self._learn(plan, measures, violated)
        return None

    def _learn(self, plan: Plan, measures: dict[str, float], violated: Sequence[Constraint]) -> None:
        values = ", ".join(f"{each.quantity} {number(measures[each.quantity])}" for each in violated)
        numbers = ", ".join(str(trial.number) for trial in plan.trials)
        log.info("the final model of trial %s has %s: another choice is tried", numbers, values)
        for each in violated:
            factor = measures[each.quantity] / plan.measures[each.quantity]
            self.corrections[each.quantity] = max(factor, self.corrections.get(each.quantity, 1.0))
        excess = sum(each.excess(measures[each.quantity]) for each in violated)
        if excess < self._least_excess:
            self._least_excess, self.closest = excess, f"of trial {numbers}, has {values}"


def fit_chosen_model(task: SearchTask, study: optuna.Study, best: FrozenTrial) -> FinalModel:
    """Trains the model to register, on all rows of the search.

    Args:
        task: the search task, with the constraints and the selection.
        study: the study; feasible complete trials may be chosen.
        best: the study's best feasible trial.

    Raises:
        SearchError: no model meets the constraints after its final fit.
        RunError: the model is not monotone in a feature in which it has to be.
    """
    model = _fit_feasible_model(task, study, best)
    return replace(model, monotone=check_monotone(model, task.data, task.rows))


def _fit_feasible_model(task: SearchTask, study: optuna.Study, best: FrozenTrial) -> FinalModel:
    settings = task.settings.model
    choice = ModelChoice(task, settings.constraints)
    model = None
    if settings.select == "score":
        if not choice.constraints:
            model = fit_final_model(task, study, best)
            return replace(model, measures=measure_model(model, task))
        model = _fit_ensemble(choice, study, best)
    return model or _fit_single_trial(choice, study, best)


def _fit_ensemble(choice: ModelChoice, study: optuna.Study, best: FrozenTrial) -> FinalModel | None:
    """The largest of the ensembles that meets the constraints; None if none does."""
    task, size = choice.task, choice.task.settings.ensemble_size
    if size == 1 or not any(choice.may_meet(plan_trial(task, trial)) for trial in complete_trials(study)):
        return None
    candidates = gather_candidates(task, study)
    while size > 1:
        trials, composition = compose_members(candidates, size, best)
        if len(trials) == 1:
            return None
        if choice.may_meet(_plan_mean(task, candidates, trials, composition)):
            trials, composition, rounds_factor, cuts = affordable_ensemble(
                task, study, candidates, (trials, composition)
            )
            plan = _plan_mean(task, candidates, trials, composition, rounds_factor)
            if choice.may_meet(plan) and (model := choice.train(plan)):
                return replace(model, cuts=cuts)
        size //= 2
    log.info("no ensemble meets the constraints: the final model is a single trial")
    return None


def _fit_single_trial(choice: ModelChoice, study: optuna.Study, best: FrozenTrial) -> FinalModel:
    task, select = choice.task, choice.task.settings.model.select
    trials = {trial.number: trial for trial in complete_trials(study)}
    candidates = candidates_of(trials.values(), study.direction.name == "MAXIMIZE")
    if not candidates:
        log.warning("--select %s is ignored: the trials were run by an earlier version and have no measures", select)
        return _train_single(task, best)
    plans = {each.number: plan_trial(task, trials[each.number]) for each in candidates}
    tried: set[int] = set()
    while left := [each for each in candidates if each.number not in tried and choice.may_meet(plans[each.number])]:
        chosen = choose(left, select)
        tried.add(chosen.number)
        log.info("--select %s: the final model is trial %d", select, chosen.number)
        if model := choice.train(plans[chosen.number]):
            return model
    limits = " and ".join(map(str, choice.constraints))
    raise SearchError(
        f"no final model of study {study.study_name!r} meets --constraint {limits}: the closest, {choice.closest}; "
        f"start another study with a higher limit, or give a larger --n-trials and resume with "
        f"{study_option(study.study_name)}"
    )


def _train_single(task: SearchTask, trial: FrozenTrial) -> FinalModel:
    search = task.settings.search
    return train_final_model(trial, task.data, task.rows, search.seed, search.device)


def measure_model(model: FinalModel, task: SearchTask) -> dict[str, float]:
    """Trees and leaves of a trained model, and its prediction time if a constraint limits it."""
    measures = {"trees": float(model.booster.num_trees()), "leaves": float(count_leaves(model.booster))}
    if task.settings.model.limits("predict_ms_per_1000"):
        features = task.data.features.iloc[task.rows.search[-PREDICTED_ROWS:]]
        measures["predict_ms_per_1000"] = predict_ms_per_1000(model.booster, encode(features, model.levels))
    return measures


def plan_trial(task: SearchTask, trial: FrozenTrial) -> Plan:
    """The model of a single trial."""
    spread = {name: trial.user_attrs[name] for name in ("fold_spread",) if name in trial.user_attrs}
    return Plan([trial], _expected(task, trial) | spread)


def _plan_mean(
    task: SearchTask,
    candidates: Candidates,
    trials: Sequence[FrozenTrial],
    composition: Weighting,
    rounds_factor: float = 1.0,
) -> Plan:
    spread = _spread_of_mean(candidates, composition)
    expected = [_expected(task, trial, rounds_factor) for trial in trials]
    measures = {name: sum(each[name] for each in expected) for name in expected[0]}
    return Plan(trials, measures | spread, composition, rounds_factor)


def _expected(task: SearchTask, trial: FrozenTrial, rounds_factor: float = 1.0) -> dict[str, float]:
    """The trial's measures that add up, for the rounds of its final fit."""
    rounds, stored = final_rounds(trial, task.rows, rounds_factor), trial.user_attrs
    return {name: stored[name] * rounds / stored["trees"] for name in ADDITIVE if name in stored}


def _spread_of_mean(candidates: Candidates, composition: Weighting) -> dict[str, float]:
    """The ensemble's spread over the folds, with members trained without the folds' validation rows."""
    scorer = candidates.scorer
    if len(scorer.folds) < 2:
        return {}
    mean = np.zeros(len(scorer.y))
    for row, weight in zip(composition.rows, composition.weights, strict=True):
        mean += weight * candidates.predictions[row]
    return {"fold_spread": fold_spread(scorer.metric, scorer.score_folds(mean))}
