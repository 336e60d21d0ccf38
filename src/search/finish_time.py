"""Estimates how long final fits, registration and report take after a search, and ends the search early enough.

`--total-timeout` covers the whole command. What comes after the search is estimated from its trials, again after each
of them: seconds per row and round of the best trials give the time of the final fits; the rest is a constant for
loading libraries and drawing the report, and a time per trial and per value of the table. The constants are CPU seconds
of a core of a 2020s server; they are multiplied by the slowdown that the search itself sees: its seconds divided by its
CPU seconds, which is about 1 on an idle machine.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial, TrialState

from src.data.split_rows import SplitRows
from src.search.stop_flag import StopFlag
from src.study.trial_times import seconds_taken

LEAVE_SECONDS = 4.0
"""Writing the last trials and ending the run in MLflow, whoever makes the final model."""
REST_SECONDS = 7.0
"""Loading MLflow, creating its store, registering, measuring the model, drawing HTML and PDF: a table of 2,000 rows."""
SECONDS_PER_TRIAL = 0.004
"""Writing a trial to MLflow's database and reading it for the report."""
SECONDS_PER_VALUE = 1.6e-6
"""Scores, baselines and report by rows times features: 10 s for 200,000 rows by 33 features."""
FITS_SHARE = 0.35
"""Most of `--total-timeout` that final fits get: leaving members out costs more than ending the search earlier (see
docs/benchmarks.md, "Members and trials")."""
IDLE_SECONDS = 5.0
"""The slowdown counts from 1: as if the process had run this long on an idle machine before."""
UPDATE_SECONDS = 0.5


@dataclass(frozen=True)
class TableSize:
    """What the time of fits and scores depends on.

    Attributes:
        fold_rows: training rows of all folds of a trial together.
        n_folds: number of folds.
        search_rows: training rows of a final fit.
        values: rows times features of the whole table.
    """

    fold_rows: int
    n_folds: int
    search_rows: int
    values: int

    @classmethod
    def of(cls, rows: SplitRows, n_features: int) -> "TableSize":
        """The size of a split table."""
        n_rows, fold_rows = len(rows.search) + len(rows.test), sum(len(fold.train) for fold in rows.folds)
        return cls(fold_rows, len(rows.folds), len(rows.search), n_rows * n_features)

    @property
    def growth(self) -> float:
        """Rows of a final fit, divided by the mean number of training rows of a fold."""
        return self.search_rows * self.n_folds / self.fold_rows


def rounds_run(trial: FrozenTrial) -> int:
    """Boosting rounds that a trial ran; 0 for a trial without a curve."""
    steps = trial.user_attrs.get("curve", {}).get("steps", [])
    return int(steps[-1]) if steps else 0


def seconds_per_row_and_round(trial: FrozenTrial, size: TableSize) -> float | None:
    """Seconds of a trial per training row and round, evaluation included; None for a trial without a curve."""
    rounds, seconds = rounds_run(trial), seconds_taken(trial)
    return None if not rounds or seconds is None else seconds / (rounds * size.fold_rows)


def final_fit_seconds(trial: FrozenTrial, size: TableSize, rounds: int) -> float:
    """Estimated seconds of a fit with a trial's parameters on all search rows; 0 for a trial without a curve."""
    return (seconds_per_row_and_round(trial, size) or 0.0) * size.search_rows * rounds


@dataclass(frozen=True)
class TimeLimit:
    """The time at which a command has to end.

    Attributes:
        end: on the clock of `time.monotonic`, which all processes of a machine share.
        size: of the table.
        seconds: `--total-timeout` as given, for messages and for the share of final fits.
        ensemble_size: most members of the final model.
        n_cpus: fits that run at the same time.
        n_finishes: final models that are made after the search: targets that are searched at once; 0 in a worker of a
            shared study.
    """

    end: float
    size: TableSize
    seconds: float
    ensemble_size: int = 1
    n_cpus: int = 1
    n_finishes: int = 1

    def share(self, n_left: int, now: float, n_next: int = 1) -> "TimeLimit":
        """The limit of the next `n_next` of `n_left` targets: equal parts of the time that is left."""
        n_finishes = n_next if self.n_finishes else 0
        return replace(self, end=now + (self.end - now) * n_next / n_left, n_finishes=n_finishes)

    def search_deadline(self, trials: Sequence[FrozenTrial], slowdown: float = 1.0) -> float:
        """When the search has to end, given the trials so far."""
        return self.end - self.rest_seconds(len(trials), slowdown) - self.n_finishes * self._fits_seconds(trials)

    def rest_seconds(self, n_trials: int, slowdown: float = 1.0) -> float:
        """Estimated seconds after the search without the final fits."""
        own = REST_SECONDS + SECONDS_PER_VALUE * self.size.values
        return slowdown * (LEAVE_SECONDS + self.n_finishes * own + SECONDS_PER_TRIAL * n_trials)

    def leaves(self, seconds: float, now: float) -> bool:
        """Whether this many seconds are left."""
        return now + seconds <= self.end

    def _fits_seconds(self, trials: Sequence[FrozenTrial]) -> float:
        """Estimated seconds of one final model: as many fits as members, of the mean of the trials so far."""
        complete = [t for t in trials if t.state == TrialState.COMPLETE and "best_iteration" in t.user_attrs]
        rounds = [round(t.user_attrs["best_iteration"] * self.size.growth) for t in complete]
        fits = [final_fit_seconds(t, self.size, n) for t, n in zip(complete, rounds, strict=True)]
        if not fits:
            return 0.0
        n_members = min(self.ensemble_size, len(fits))
        together = max(max(fits), fmean(fits) * n_members / self.n_cpus)
        return min(together, FITS_SHARE * self.seconds)


class DeadlineUpdate:
    """An Optuna callback that moves the deadline of a search while its trials show how long the finish takes.

    Args:
        limit: of the command.
        stop_flag: of the search; its deadline is only ever moved to an earlier time than `latest`.
        latest: the deadline by `--timeout`; None without one.
        clock, cpu_clock: seconds and CPU seconds of this process.
    """

    def __init__(
        self,
        limit: TimeLimit,
        stop_flag: StopFlag,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._limit, self._stop_flag = limit, stop_flag
        self._latest = stop_flag.deadline
        self._clock, self._cpu_clock = clock, cpu_clock
        self._began = clock(), cpu_clock()
        self._updated = -UPDATE_SECONDS
        self._set(limit.search_deadline(()))

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Updates the deadline, and stops the study after it."""
        now = self._clock()
        if now - self._updated >= UPDATE_SECONDS:
            self._updated = now
            self._set(self._limit.search_deadline(study.get_trials(deepcopy=False), self._slowdown(now)))
        if self._stop_flag.deadline is not None and now >= self._stop_flag.deadline:
            study.stop()

    def _set(self, deadline: float) -> None:
        self._stop_flag.deadline = deadline if self._latest is None else min(deadline, self._latest)

    def _slowdown(self, now: float) -> float:
        seconds, cpu_seconds = now - self._began[0], self._cpu_clock() - self._began[1]
        return max(1.0, (seconds + IDLE_SECONDS) / (cpu_seconds + IDLE_SECONDS))
