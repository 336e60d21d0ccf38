"""How far the members of an ensemble are trained.

The best round on one validation window is a figure with much chance in it; the best round of three walk-forward folds
that advance together, scaled to the rows like the other, is a second one for the price of a few fits. Two members are
trained on such folds once more, and the rounds of all are multiplied by the square root of the ratio of both figures
(in the mean of the two members): the geometric mean of what one window and what three say.

Measured with the mean of the five fixed configurations on twenty-two real tables, on rows that neither search nor
selection saw: 0.3 % better in the mean, from -0.1 % to 2.5 %. The folds' figure by itself gained no more and lost up to
2 %; the same factor everywhere, 1.5 for the absolute error, gained 0.25 % and lost up to 0.4 %. The rule was chosen on
these tables.
"""

import logging
import math
from collections.abc import Callable, Sequence
from statistics import geometric_mean
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial

from src.data.auto_folds import FOLDS, make_fold_rows, with_folds
from src.data.split_rows import SplitRows
from src.errors import DataError
from src.final.fit_progress import FitProgress
from src.final.threads import run_in_threads
from src.search.binned_folds import BinnedFolds
from src.search.dart import is_dart
from src.search.objective import ObjectiveSettings, make_objective
from src.search.search_task import SearchTask
from src.search.starting_points import FIXED_CONFIGS, is_fixed_config
from src.search.stop_flag import StopFlag
from src.workers.cpus import available_cpus

log = logging.getLogger(__name__)

N_MEASURED = 2
"""Fixed configurations first, and LightGBM's defaults before the others: they are cheap, and no score chose them."""
MAX_ROUNDS_FACTOR = 3.0
"""Of the rounds, and of their inverse: where window and folds disagree by more, one of them is no guide at all."""


def measure_rounds_factor(task: SearchTask, members: Sequence[FrozenTrial]) -> float:
    """By what the rounds of the members are multiplied; 1 where the search has folds already, or no folds can be made.

    Args:
        task: what was searched.
        members: complete trials, with `best_iteration` among their user attributes.
    """
    folded = _folded_rows(task)
    measured = _members_to_measure(members)
    if folded is None or not measured:
        return 1.0
    folds = BinnedFolds(task.data, folded.folds)
    for max_bin in {trial.params["max_bin"] for trial in measured}:
        folds.datasets(max_bin)  # here, before threads share them
    with FitProgress(f"{FOLDS} folds of {task.data.target}") as progress:
        jobs = [_job(folds, trial, task.settings.search.seed, progress) for trial in measured]
        best_rounds = run_in_threads(jobs, available_cpus())
    ratios = [
        best * folded.growth / (trial.user_attrs["best_iteration"] * task.rows.growth)
        for trial, best in zip(measured, best_rounds, strict=True)
    ]
    rounds_factor = math.sqrt(geometric_mean(ratios))
    log.info("members are trained for %.2f times the rounds of the one window, after %d folds", rounds_factor, FOLDS)
    return min(MAX_ROUNDS_FACTOR, max(1 / MAX_ROUNDS_FACTOR, rounds_factor))


def _folded_rows(task: SearchTask) -> SplitRows | None:
    """The same rows in walk-forward folds, by the rule of `--cv auto`, its budget apart."""
    if len(task.rows.folds) > 1:
        return None
    try:
        return make_fold_rows(task.data, with_folds(task.settings.split))
    except DataError as error:
        log.info("members are trained for the rounds of the one window: %s", error)
        return None


def _members_to_measure(members: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    usable = [trial for trial in members if not is_dart(trial.params)]
    return sorted(usable, key=_rank)[:N_MEASURED]


def _rank(trial: FrozenTrial) -> tuple[int, int]:
    place = FIXED_CONFIGS.index(dict(trial.params)) if is_fixed_config(trial.params) else len(FIXED_CONFIGS)
    return place, trial.number


class _TrialWithProgress(FixedTrial):
    """A trial of given parameters that shows how far it is."""

    progress: FitProgress
    seen = 0

    def report(self, value: float, step: int) -> None:
        self.progress.advance(step - self.seen)
        self.seen = step


def _job(folds: BinnedFolds, trial: FrozenTrial, seed: int, progress: FitProgress) -> Callable[[StopFlag], int]:
    def job(stop_flag: StopFlag) -> int:
        again: Any = _TrialWithProgress(trial.params, trial.number)
        again.progress = progress
        make_objective(folds, ObjectiveSettings(seed=seed, stop_flag=stop_flag))(again)
        return int(again.user_attrs["best_iteration"])

    return job
