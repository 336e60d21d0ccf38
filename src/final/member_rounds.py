"""Chooses the number of boosting rounds of an ensemble's members.

The best round on one validation window is a noisy estimate. Three walk-forward folds give a second estimate for a few
more fits: the best round of their mean score, scaled to the number of rows in the same way. Two members are trained on
such folds, and the rounds of all members are multiplied by the square root of the mean ratio of the two estimates: this
gives the geometric mean of both.

Measured with the mean of the five fixed configurations on twenty-two real tables, on rows that neither search nor
selection used: 0.3 % better on average, from -0.1 % to 2.5 %. The estimate of the folds alone gained no more and lost
up to 2 %; a constant factor of 1.5 for the absolute error gained 0.25 % and lost up to 0.4 %. The rule was chosen on
these tables.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import geometric_mean
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial
from tqdm import tqdm

from src.data.auto_folds import FOLDS, make_fold_rows, with_folds
from src.data.split_rows import SplitRows
from src.errors import DataError
from src.final.threads import run_in_threads
from src.search.binned_folds import BinnedFolds
from src.search.dart import is_dart
from src.search.objective import ObjectiveSettings, make_objective
from src.search.progress import fit_bar
from src.search.search_task import SearchTask
from src.search.starting_points import FIXED_CONFIGS, config_position
from src.search.stop_flag import StopFlag
from src.workers.cpus import available_cpus

log = logging.getLogger(__name__)

N_MEASURED = 2
"""Members to measure: fixed configurations first, LightGBM's defaults before others; cheap, not selected by score."""
MAX_ROUNDS_FACTOR = 3.0
"""Limit of the factor and of its inverse: a larger ratio means that one of the two estimates is useless."""


def measure_rounds_factor(task: SearchTask, members: Sequence[FrozenTrial]) -> float:
    """The factor of the members' rounds; 1 if the search already has folds, or if no folds can be made.

    Args:
        task: the search task.
        members: complete trials with the user attribute `best_iteration`.
    """
    folded = _folded_rows(task)
    measured = members_to_measure(members)
    if folded is None or not measured:
        return 1.0
    folds = BinnedFolds(task.data, folded.folds, device=task.settings.search.device)
    for max_bin in {trial.params["max_bin"] for trial in measured}:
        folds.datasets(max_bin)  # built before threads share them
    with fit_bar(f"{FOLDS} folds of {task.data.target}") as progress:
        settings = ObjectiveSettings(seed=task.settings.search.seed, space=task.settings.model.space)
        jobs = [_job(folds, trial, settings, progress) for trial in measured]
        best_rounds = run_in_threads(jobs, available_cpus())
    ratios = [
        best * folded.growth / (trial.user_attrs["best_iteration"] * task.rows.growth)
        for trial, best in zip(measured, best_rounds, strict=True)
    ]
    rounds_factor = math.sqrt(geometric_mean(ratios))
    log.info(
        "members are trained for %.2f times the rounds of the single window, measured on %d folds", rounds_factor, FOLDS
    )
    return min(MAX_ROUNDS_FACTOR, max(1 / MAX_ROUNDS_FACTOR, rounds_factor))


def _folded_rows(task: SearchTask) -> SplitRows | None:
    """The same rows in walk-forward folds, as with `--cv auto` but without its limit on the budget."""
    if len(task.rows.folds) > 1:
        return None
    try:
        return make_fold_rows(task.data, with_folds(task.settings.split))
    except DataError as error:
        log.info("members are trained for the rounds of the single window: %s", error)
        return None


def members_to_measure(members: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The members whose rounds are measured; dart is not."""
    usable = [trial for trial in members if not is_dart(trial.params)]
    return sorted(usable, key=_rank)[:N_MEASURED]


def _rank(trial: FrozenTrial) -> tuple[int, int]:
    position = config_position(trial.params)
    return len(FIXED_CONFIGS) if position is None else position, trial.number


class _TrialWithProgress(FixedTrial):
    """A trial with given parameters that updates a progress bar."""

    progress: "tqdm[Any]"
    last_step = 0

    def report(self, value: float, step: int) -> None:
        self.progress.update(step - self.last_step)
        self.last_step = step


def _job(
    folds: BinnedFolds, trial: FrozenTrial, settings: ObjectiveSettings, progress: "tqdm[Any]"
) -> Callable[[StopFlag], int]:
    def job(stop_flag: StopFlag) -> int:
        repeated: Any = _TrialWithProgress(trial.params, trial.number)
        repeated.progress = progress
        make_objective(folds, replace(settings, stop_flag=stop_flag))(repeated)
        return int(repeated.user_attrs["best_iteration"])

    return job
