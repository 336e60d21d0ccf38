"""Bounds the time of the final fits where `--timeout` or `--total-timeout` is given.

From the end of the search to the registered model, at most 15 seconds on small tables and a quarter of `--timeout` on
large ones are spent; `FITS_SHARE` of this is for fits, the rest for scores, files and the registry. A model that would
take longer is made of fewer members: the best trial, and those with the most weight per second of their fits. Without a
time limit nothing is cut, and the same trials give the same model to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from optuna.trial import FrozenTrial

from src.search.finish_time import TableSize, TimeLimit, rounds_run, seconds_per_row_and_round

MIN_FINISH_SECONDS = 15.0
FINISH_SHARE = 0.25
"""Seconds from the end of the search to the registered model: this part of `--timeout`, at least the minimum."""
FITS_SHARE = 0.6
ROUNDS_SHARE = 0.25
"""Part of the fits' time that the measurement of the members' rounds may take; otherwise it is left out."""
SHORTEST_TIMEOUT = 1.0
"""A shorter `--timeout` runs no trial: it only finishes a study, as the finish of a distributed search does, and limits
nothing."""
FOLDS_PER_WINDOW = 2.0
"""Training rows of three walk-forward folds together, as a multiple of the rows of the single window."""


@dataclass(frozen=True)
class FitBudget:
    """Time for the final fits.

    Attributes:
        seconds: for all fits together.
        n_cpus: fits that run at the same time.
        option: the option that limits it, with its value, for messages.
    """

    seconds: float
    n_cpus: int
    option: str

    def affordable(self, fit_seconds: Sequence[float], weights: Sequence[float]) -> list[int]:
        """The positions of the members to keep: the first one, then those with the most weight per second.

        Args:
            fit_seconds: estimated seconds of each member's fit, the best trial first.
            weights: their weights.
        """
        kept = [0]
        for position in sorted(range(1, len(weights)), key=lambda at: (-weights[at] / max(fit_seconds[at], 1e-9), at)):
            together = [fit_seconds[at] for at in (*kept, position)]
            if max([*together, sum(together) / self.n_cpus]) <= self.seconds:
                kept.append(position)
        return sorted(kept)

    def allows_rounds(self, trials: Sequence[FrozenTrial], size: TableSize) -> bool:
        """Whether the measurement of the members' rounds, one thread per trial, takes a small part of the time."""
        seconds = [
            (seconds_per_row_and_round(trial, size) or 0.0) * size.fold_rows * FOLDS_PER_WINDOW * rounds_run(trial)
            for trial in trials
        ]
        return max([*seconds, sum(seconds) / self.n_cpus]) <= ROUNDS_SHARE * self.seconds


def fit_budget(
    timeout: float | None, limit: TimeLimit | None, n_trials: int, n_cpus: int, now: float | None = None
) -> FitBudget | None:
    """The time for the final fits of one target; None without a time limit.

    Args:
        timeout: `--timeout`.
        limit: of `--total-timeout`.
        n_trials: number of trials of the study.
        n_cpus: fits that run at the same time.
        now: `time.monotonic()` after the search.
    """
    budgets = []
    if timeout is not None and timeout >= SHORTEST_TIMEOUT:
        seconds = FITS_SHARE * max(MIN_FINISH_SECONDS, FINISH_SHARE * timeout)
        budgets.append(FitBudget(seconds, n_cpus, f"--timeout {timeout:g}"))
    if limit is not None:
        left = limit.end - (monotonic() if now is None else now) - limit.rest_seconds(n_trials)
        budgets.append(FitBudget(max(0.0, left), n_cpus, f"--total-timeout {limit.seconds:g}"))
    return min(budgets, key=lambda budget: budget.seconds, default=None)
