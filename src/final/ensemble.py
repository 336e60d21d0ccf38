"""Builds the final model from the search's trials: the best trial alone, or an ensemble (`--ensemble-size`)."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from src.final.ensemble_selection import Scorer, select_members
from src.final.final_model import FinalModel, final_rounds, make_member, train_final_model, train_members
from src.final.fit_budget import FitBudget, fit_budget
from src.final.fixed_configs import Weighting, add_fixed_configs, find_fixed_configs, suitable_configs
from src.final.member_rounds import measure_rounds_factor, members_to_measure
from src.final.threads import run_in_threads
from src.search.binned_folds import BinnedFolds
from src.search.boosting import READ_EVERY_ROUNDS, BestPredictions
from src.search.device import used_params
from src.search.finish_time import TableSize, final_fit_seconds
from src.search.objective import retrain_and_predict
from src.search.search_task import SearchTask
from src.search.starting_points import is_fixed_config
from src.search.stop_flag import StopFlag
from src.study.feasibility import complete_trials
from src.study.validation_predictions import MAX_KEPT, PredictionStore
from src.workers.cpus import available_cpus

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The trials from which an ensemble is selected.

    Attributes:
        trials: the best complete trials by number, then the fixed configurations that are not among the best.
        predictions: (n_trials, n_rows) raw scores of the validation rows, all folds one after the other.
        scorer: scores predictions of these rows.
        n_best: number of best trials; members are selected from the first `n_best` rows only.
        fixed: rows of the fixed configurations, LightGBM's defaults first.
    """

    trials: tuple[FrozenTrial, ...]
    predictions: np.ndarray
    scorer: Scorer
    n_best: int
    fixed: tuple[int, ...]

    def compose(self, size: int, start: int | None) -> Weighting:
        """Chooses at most `size` members, the best trial first; at most half are fixed configurations.

        Args:
            size: 2 or more.
            start: row of the best trial; None if ties keep it out of the candidates.
        """
        best = self._best_row() if start is None else start
        fixed = suitable_configs(self.fixed, best, self.predictions, self.scorer)[: size // 2]
        n_selected = size - sum(row != best for row in fixed)
        selection = select_members(self.predictions[: self.n_best], self.scorer, n_selected, best)
        return add_fixed_configs(selection, fixed, self.predictions, self.scorer)

    def keep(self, composition: Weighting, positions: Sequence[int]) -> Weighting:
        """The composition with some of its members only, whose weights add up to 1 again."""
        if len(positions) == len(composition.rows):
            return composition
        rows = [composition.rows[at] for at in positions]
        total = sum(composition.weights[at] for at in positions)
        weights = [composition.weights[at] / total for at in positions]
        mean = np.average(self.predictions[rows], axis=0, weights=weights)
        return Weighting(tuple(rows), tuple(weights), self.scorer.score(mean))

    def _best_row(self) -> int:
        return min(range(self.n_best), key=lambda row: self.scorer.loss(self.predictions[row]))


def fit_final_model(task: SearchTask, study: optuna.Study, best: FrozenTrial) -> FinalModel:
    """Trains the final model on all rows of the search.

    Args:
        task: the search task, with the requested `ensemble_size`.
        study: the study; complete trials may become members, pruned ones never do.
        best: the study's best trial; the first member of an ensemble, or the model itself.
    """
    seed, device, size = task.settings.search.seed, task.settings.search.device, task.settings.ensemble_size
    if size > 1 and task.user_objective is not None:
        log.warning("--ensemble-size %d is ignored: trials of your own objective store no predictions", size)
    if size == 1 or task.user_objective is not None:
        return train_final_model(best, task.data, task.rows, seed, device)
    candidates = gather_candidates(task, study)
    members, composition = compose_members(candidates, size, best)
    if len(members) == 1:
        log.info("the final model is trial %d alone: no ensemble is better on the validation rows", best.number)
        return train_final_model(best, task.data, task.rows, seed, device)
    members, composition, rounds_factor, cuts = affordable_ensemble(task, study, candidates, (members, composition))
    if len(members) == 1:
        return replace(train_final_model(best, task.data, task.rows, seed, device), cuts=cuts)
    return replace(train_mean(task, members, composition, rounds_factor), cuts=cuts)


def affordable_ensemble(
    task: SearchTask,
    study: optuna.Study,
    candidates: Candidates,
    ensemble: tuple[list[FrozenTrial], Weighting],
) -> tuple[list[FrozenTrial], Weighting, float, tuple[str, ...]]:
    """The members whose fits the time allows, their weights, the factor of their rounds, and what is cut."""
    members, composition = ensemble
    budget = fit_budget(task.settings.search.timeout, task.limit, len(study.trials), available_cpus())
    rounds_factor, cuts = _rounds_factor(task, members, budget)
    kept, more_cuts = _affordable(task, members, composition, rounds_factor, budget)
    return [members[at] for at in kept], candidates.keep(composition, kept), rounds_factor, (*cuts, *more_cuts)


def _rounds_factor(
    task: SearchTask, members: Sequence[FrozenTrial], budget: FitBudget | None
) -> tuple[float, tuple[str, ...]]:
    """The factor of the members' rounds, 1 where its measurement would take too long; and what is cut."""
    size = TableSize.of(task.rows, task.data.features.shape[1])
    if budget is None or len(task.rows.folds) > 1 or budget.allows_rounds(members_to_measure(members), size):
        return measure_rounds_factor(task, members), ()
    return 1.0, (f"the members' rounds were not measured on folds, to keep {budget.option}",)


def _affordable(
    task: SearchTask, members: Sequence[FrozenTrial], composition: Weighting, factor: float, budget: FitBudget | None
) -> tuple[list[int], tuple[str, ...]]:
    """The positions of the members whose final fits the time allows; and what is cut."""
    if budget is None:
        return list(range(len(members))), ()
    size = TableSize.of(task.rows, task.data.features.shape[1])
    seconds = [final_fit_seconds(trial, size, final_rounds(trial, task.rows, factor)) for trial in members]
    kept = budget.affordable(seconds, composition.weights)
    left_out = [str(trial.number) for at, trial in enumerate(members) if at not in kept]
    if not left_out:
        return kept, ()
    return kept, (
        f"{len(left_out)} of {len(members)} members (trials {', '.join(left_out)}) were left out: all final fits would "
        f"take about {sum(seconds) / budget.n_cpus:.0f} s, and {budget.option} leaves {budget.seconds:.0f} s for them",
    )


def compose_members(candidates: Candidates, size: int, best: FrozenTrial) -> tuple[list[FrozenTrial], Weighting]:
    """The members of an ensemble of at most `size` trials, the best one first, and their weights."""
    best_numbers = [trial.number for trial in candidates.trials][: candidates.n_best]
    start = best_numbers.index(best.number) if best.number in best_numbers else None  # ties may exclude it
    composition = candidates.compose(size, start)
    return [candidates.trials[row] for row in composition.rows], composition


def train_mean(
    task: SearchTask, trials: Sequence[FrozenTrial], composition: Weighting, rounds_factor: float
) -> FinalModel:
    """Trains the weighted mean of several trials."""
    search = task.settings.search
    members = []
    for trial, weight in zip(trials, composition.weights, strict=True):
        rounds = final_rounds(trial, task.rows, rounds_factor)
        member = make_member(trial, task.data, search.seed, rounds, weight, search.device)
        members.append(replace(member, is_fixed_config=is_fixed_config(trial.params)))
    return train_members(members, task.data, task.rows, composition.score, rounds_factor, available_cpus())


def gather_candidates(task: SearchTask, study: optuna.Study) -> Candidates:
    """The best trials with their validation predictions; trials without stored predictions are trained again."""
    trials = _best_trials(study)
    n_best = len(trials)
    fixed = find_fixed_configs(study)
    numbers = {trial.number for trial in trials}
    trials += [trial for trial in fixed if trial.number not in numbers]
    scorer = make_scorer(task)
    rows = {trial.number: row for row, trial in enumerate(trials)}
    predictions = np.empty((len(trials), len(scorer.y)), dtype=np.float32)
    missing = dict(enumerate(trials))
    values = {trial.number: _value(trial) for trial in trials}
    for number, scores in PredictionStore.of(study).load(values, len(scorer.y)):
        predictions[rows[number]] = scores
        del missing[rows[number]]
    if missing:
        log.warning(
            "validation predictions of %d of the %d best trials are not stored here: training these trials again",
            len(missing), len(trials),
        )  # fmt: skip
        for number, scores in _retrain_missing(task, list(missing.values())):
            predictions[rows[number]] = scores
    return Candidates(tuple(trials), predictions, scorer, n_best, tuple(rows[trial.number] for trial in fixed))


def make_scorer(task: SearchTask) -> Scorer:
    """The scorer of the task's validation rows, in the order in which trials store their predictions."""
    y = [task.data.y[fold.valid] for fold in task.rows.folds]
    ends = list(accumulate(len(fold_y) for fold_y in y))
    folds = tuple(slice(end - len(fold_y), end) for end, fold_y in zip(ends, y, strict=True))
    dates = task.data.dates
    days = None if dates is None else np.concatenate([dates[fold.valid] for fold in task.rows.folds])
    return Scorer(task.data.config.metric, np.concatenate(y), folds, days)


def _best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """At most `MAX_KEPT` feasible trials, by number; the search stores predictions of no more trials."""
    usable = [t for t in complete_trials(study) if math.isfinite(_value(t)) and "best_iteration" in t.user_attrs]
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    best = sorted(usable, key=lambda trial: (sign * _value(trial), trial.number))[:MAX_KEPT]
    return sorted(best, key=lambda trial: trial.number)


def _retrain_missing(task: SearchTask, trials: Sequence[FrozenTrial]) -> Iterator[tuple[int, np.ndarray]]:
    """(trial number, raw scores), one `max_bin` after the other, so that only one set of Datasets is in memory."""
    by_bins = sorted(trials, key=_max_bin)
    for max_bin, group in groupby(by_bins, key=_max_bin):
        folds = BinnedFolds(task.data, task.rows.folds, device=task.settings.search.device)
        folds.datasets(max_bin)  # built before threads share them
        same_bins = list(group)
        jobs = [_job(folds, trial, task.settings.search.seed) for trial in same_bins]
        scores = run_in_threads(jobs, available_cpus())
        yield from zip([trial.number for trial in same_bins], scores, strict=True)


def _job(folds: BinnedFolds, trial: FrozenTrial, seed: int) -> Callable[[StopFlag], np.ndarray]:
    def job(stop_flag: StopFlag) -> np.ndarray:
        return retrain_and_predict(folds, used_params(trial), _predicted_round(trial), seed, stop_flag)

    return job


def _predicted_round(trial: FrozenTrial) -> int:
    """The round whose predictions a trial stored, or would have stored in a search with an ensemble."""
    stored = trial.user_attrs.get("predicted_round")
    if stored is not None:
        return int(stored)
    best: int = trial.user_attrs["best_iteration"]
    return best if BestPredictions.reads_round(best) else best - best % READ_EVERY_ROUNDS


def _max_bin(trial: FrozenTrial) -> int:
    return int(used_params(trial)["max_bin"])


def _value(trial: FrozenTrial) -> float:
    return math.nan if trial.value is None else trial.value
