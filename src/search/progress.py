"""One progress bar per study: trials done, best value so far, pruned and failed counts, time left."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from src.study.feasibility import is_feasible
from src.study.studies import FINISHED

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BEFORE_FIT_BAR = 5.0
SECONDS_BETWEEN_UPDATES = 0.5
"""On a small table many trials end per second, and reading a long study takes milliseconds."""


class _LineWriter:
    """Writes tqdm's bar as a new line instead of redrawing it, for files and pod logs."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def make_bar(what: str, unit: str, total: int | None, **options: Any) -> "tqdm[Any]":
    """A bar that is redrawn in a terminal, and written as a line every ten seconds to a file or a pod's log.

    Args:
        what: the description.
        unit: name of the counted unit.
        total: number of units; None if unknown.
        **options: other options of tqdm.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        file=sys.stderr if terminal else _LineWriter(),
        mininterval=0.1 if terminal else SECONDS_BETWEEN_LINES,
        dynamic_ncols=terminal,
        **options,
    )


def fit_bar(what: str, rounds: int | None = None) -> "tqdm[Any]":
    """A bar of the boosting rounds of one or more fits, a context manager; a fit of a few seconds shows none.

    Args:
        what: the description.
        rounds: total of all fits; None if unknown.
    """
    return make_bar(what, "round", rounds, leave=not sys.stderr.isatty(), delay=SECONDS_BEFORE_FIT_BAR)


class SearchProgress:
    """Progress bar of a study; a context manager, with `update` to be called after each trial.

    Args:
        study: the study.
        n_trials: its total.
        metric: name of the value.
        position: line of the bar in a terminal, from 0, if several studies are searched at the same time.
    """

    def __init__(self, study: optuna.Study, n_trials: int, metric: str, position: int = 0) -> None:
        self.study = study
        self.metric = metric
        self.n_trials = n_trials
        self.position = position
        self._bar: tqdm[Any] | None = None
        self._updated = 0.0

    def __enter__(self) -> "SearchProgress":
        done = _finished([trial.state for trial in self.study.get_trials(deepcopy=False)])
        self._bar = make_bar(
            self.study.study_name,
            "trial",
            self.n_trials,
            initial=min(done, self.n_trials),
            position=self.position if sys.stderr.isatty() else 0,
        )
        self.update()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # otherwise the store may have failed, and another error would hide the first one
            self.update()
        if self._bar is not None:
            self._bar.close()

    def update(self, now: bool = True) -> None:
        """Reads the study and redraws the bar; with `now` False at most every `SECONDS_BETWEEN_UPDATES`."""
        if self._bar is None or (not now and time.monotonic() - self._updated < SECONDS_BETWEEN_UPDATES):
            return
        self._updated = time.monotonic()
        trials = self.study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        done, pruned, failed = _finished(states), states.count(TrialState.PRUNED), states.count(TrialState.FAIL)
        best = self._best(trials)
        shown = {"best " + self.metric: "-" if best is None else f"{best:.5g}", "pruned": pruned}
        if failed:
            shown["failed"] = failed
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(min(done, self.n_trials) - self._bar.n)

    def _best(self, trials: Sequence[FrozenTrial]) -> float | None:
        maximize, best = self.study.direction.name == "MAXIMIZE", None
        for trial in trials:
            value = trial.value if trial.state == TrialState.COMPLETE else None
            if value is None or (best is not None and (value <= best if maximize else value >= best)):
                continue
            if is_feasible(trial):  # asked for few trials: it takes longer than the comparison
                best = value
        return best


def _finished(states: Sequence[TrialState]) -> int:
    return sum(state in FINISHED for state in states)
