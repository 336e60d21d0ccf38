"""One progress bar per study: trials done, best value so far, pruned and failed counts, time left."""

import sys
from typing import Any

import optuna
from optuna.trial import TrialState
from tqdm import tqdm

from src.modeling.optuna_utils import FINISHED

SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """Where tqdm would draw over its last bar, a file or a pod's log gets another line."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


class SearchProgress:
    """Shows a study's state; use as a context manager and call `update` after each trial.

    In a terminal the bar is redrawn in place; in a file or a pod's log it is a line every ten seconds.

    Args:
        study: what is shown.
        n_trials: its total.
        metric: names the best value.
        position: line of the bar in a terminal, from 0, where several studies are searched at once.
    """

    def __init__(self, study: optuna.Study, n_trials: int, metric: str, position: int = 0) -> None:
        self.study = study
        self.metric = metric
        self.n_trials = n_trials
        self.position = position
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "SearchProgress":
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=self.n_trials,
            initial=min(self._count()[0], self.n_trials),
            desc=self.study.study_name,
            unit="trial",
            file=sys.stderr if terminal else _Lines(),
            mininterval=0.1 if terminal else SECONDS_BETWEEN_LINES,
            dynamic_ncols=terminal,
            position=self.position if terminal else 0,
            leave=True,
        )
        self.update()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # otherwise the store may be what failed, and its error is the one to tell
            self.update()
        if self._bar is not None:
            self._bar.close()

    def update(self) -> None:
        """Reads the study and redraws the bar."""
        if self._bar is None:
            return
        done, pruned, failed = self._count()
        best = self._best()
        shown = {"best " + self.metric: "-" if best is None else f"{best:.5g}", "pruned": pruned}
        if failed:
            shown["failed"] = failed
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(min(done, self.n_trials) - self._bar.n)

    def _count(self) -> tuple[int, int, int]:
        states = [trial.state for trial in self.study.get_trials(deepcopy=False)]
        done = sum(state in FINISHED for state in states)
        return done, states.count(TrialState.PRUNED), states.count(TrialState.FAIL)

    def _best(self) -> float | None:
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [trial.value for trial in complete if trial.value is not None]
        if not values:
            return None
        return max(values) if self.study.direction.name == "MAXIMIZE" else min(values)
