"""The main command: tunes, evaluates, reports and registers a model of each named target.

    python -m src.modeling.train_with_optuna --targets net_profit --n-trials 100

`train_target` shows the whole flow. Heavy packages are imported where they are used, so that `--help` and a mistyped
option answer at once.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from src.cli import command_parser, run_command
from src.config import MODEL_CONFIGS, RunSettings, TargetConfig
from src.errors import RunError
from src.modeling.command_line import parse_command_line, resolve_settings
from src.modeling.tasks import make_tasks
from src.modeling.total_time import limit_time, share_time
from src.suggest import listing
from src.workers.fork_server import start_fork_server

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from src.modeling.open_study import OpenStudy
    from src.reporting.summary import Outcome
    from src.search.search_task import SearchTask

log = logging.getLogger(__name__)

__all__ = ["MODEL_CONFIGS", "build_parser", "main", "optimize_hyperparameters", "train_target", "train_targets"]


def optimize_hyperparameters(
    target: str,
    config: TargetConfig | None = None,
    n_trials: int | None = None,
    use_cv: bool | None = None,
    n_folds: int | None = None,
    *,
    objective: Callable[..., float] | None = None,
    callbacks: Sequence[Callable[..., None]] = (),
    data: "pd.DataFrame | str | Path | None" = None,
    settings: RunSettings | None = None,
) -> tuple["optuna.Study", dict[str, Any]]:
    """Searches one target and projects the study to MLflow; no final model is trained.

    Arguments that are None are taken from `settings`; without settings the defaults of the command line apply.

    Args:
        target: name of the target column.
        config: task and metric; taken from `settings` when None.
        n_trials: the study's total of finished trials.
        use_cv: True walks forward over `n_folds` expanding windows, False uses one validation period; either
            overrides `cv_auto` too.
        n_folds: number of windows.
        objective: your own function, `(trial, X_train, y_train, X_val, y_val) -> score`; its mean over the folds
            is the trial's value, in the direction of the metric.
        callbacks: Optuna's `(study, trial)` functions, called after each trial.
        data: a table, or its location; the sample table when None.
        settings: everything else: split, seed, store, study name, column names.

    Returns:
        The study, and the hyperparameters of its best trial.

    Raises:
        UserError: the input is wrong.
        RunError: the store failed, or no trial is complete.
    """
    from src.modeling.open_study import open_study
    from src.modeling.parallel_search import search_study
    from src.modeling.run_ending import ends_parent_run
    from src.study.studies import best_trial

    settings = _with_arguments(settings or RunSettings(), n_trials, use_cv, n_folds)
    if config is not None:
        table = settings.data.table
        table = replace(table, targets={**table.targets, target: config})
        settings = replace(settings, data=replace(settings.data, table=table))
    if settings.search.max_workers > 1:
        start_fork_server()
    started = monotonic()
    (task,) = limit_time(make_tasks([target], settings, data), started, n_finishes=0)
    opened = open_study(replace(task, user_objective=objective, callbacks=tuple(callbacks)))
    with ends_parent_run(opened):
        search_study(opened.task, opened)
        return opened.study, dict(best_trial(opened.study).params)


def _with_arguments(
    settings: RunSettings, n_trials: int | None, use_cv: bool | None, n_folds: int | None
) -> RunSettings:
    """The settings, overridden by the arguments that are not None."""
    if n_trials is not None:
        settings = replace(settings, search=replace(settings.search, n_trials=n_trials, keep_total=False))
    if n_folds is not None:
        settings = replace(settings, split=replace(settings.split, n_folds=n_folds))
    if use_cv is not None:
        settings = replace(settings, split=replace(settings.split, use_cv=use_cv), cv_auto=False)
    return settings


def train_target(task: "SearchTask") -> "Outcome":
    """Searches one target, then trains, evaluates, registers and reports its final model.

    Raises:
        DailyProfitError: see `src.errors`; trials and files finished before it are kept.
    """
    from src.modeling.open_study import open_study
    from src.modeling.parallel_search import search_study
    from src.modeling.run_ending import ends_parent_run

    opened = open_study(task)
    with ends_parent_run(opened):
        search_study(opened.task, opened)
        return _finish_target(opened.task, opened)


def _finish_target(task: "SearchTask", opened: "OpenStudy") -> "Outcome":
    """After the search: trains the final model, evaluates, saves, registers and reports it."""
    from src.final.chosen_model import fit_chosen_model
    from src.modeling.finish import record_outcome, write_outcome
    from src.study.studies import best_trial

    best = best_trial(opened.study)
    model = fit_chosen_model(task, opened.study, best)
    written = write_outcome(task, opened, best, model)
    return record_outcome(task, opened, model, written)


def _train_one_by_one(tasks: "Sequence[SearchTask]") -> "Iterator[Outcome | RunError]":
    for position, task in enumerate(tasks):
        try:
            (limited,) = share_time([task], len(tasks) - position)
            outcome = train_target(limited)
        except RunError as error:  # for example no complete trial, MLflow unavailable: the next target still runs
            yield error
        else:
            yield outcome


def train_targets(
    targets: Sequence[str], settings: RunSettings, in_processes: bool = False, started: float | None = None
) -> list["Outcome"]:
    """Trains all targets; names, locations, tables and splits are checked before the first search.

    In this process targets are trained one after the other. With worker processes, up to `max_workers` targets are
    searched at once, so that every target has at least one worker; their final models follow one after the other.

    Args:
        targets: names of the target columns.
        settings: settings for all targets.
        in_processes: runs trials in supervised processes, also with a single worker.
        started: `time.monotonic()` from which `--total-timeout` counts; now when None.

    Raises:
        UserError, Interrupted: raised at once; earlier targets are complete.
        RunError: raised at the end if a target failed; models and reports of the other targets are saved.
    """
    n_workers, started = settings.search.max_workers, monotonic() if started is None else started
    if in_processes or n_workers > 1:
        start_fork_server()
    tasks = limit_time(make_tasks(targets, settings, writes_results=True), started)
    if settings.search.study_name and len(tasks) > 1:
        from src.modeling.open_study import refuse_incompatible_studies

        refuse_incompatible_studies(tasks)
    if not in_processes and n_workers == 1:
        return _collect_outcomes(targets, _train_one_by_one(tasks))
    # Imported late, so that wrong input is reported within two seconds.
    from src.modeling.parallel_search import search_together

    starts = range(0, len(tasks), n_workers)
    batches = (share_time(tasks[first : first + n_workers], len(tasks) - first) for first in starts)
    return _collect_outcomes(
        targets, chain.from_iterable(search_together(batch, n_workers, _finish_target) for batch in batches)
    )


def _collect_outcomes(targets: Sequence[str], results: "Iterable[Outcome | RunError]") -> list["Outcome"]:
    """Prints the summary of all targets, also after an error; logs each failure at once."""
    from src.reporting.summary import summary_text

    outcomes: list[Outcome] = []
    failures: dict[str, RunError] = {}
    try:
        for target, result in zip(targets, results, strict=False):
            failure = result if isinstance(result, RunError) else result.failure
            if failure is not None:
                failures[target] = failure
                if len(targets) > 1:
                    log.warning("%s: %s", target, failure)
            if not isinstance(result, RunError):
                outcomes.append(result)
    finally:
        if outcomes:
            from src.tracking.connection.session import shown_uri

            sys.stdout.write(summary_text(outcomes, shown_uri()) + "\n")
    if len(failures) > 1:
        raise RunError(f"{len(failures)} of {len(targets)} targets failed, {listing(failures)}: see the warnings above")
    for failure in failures.values():
        raise failure
    return outcomes


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "tune", "Tunes, evaluates, reports and registers a LightGBM model of each target (all when none is named)."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    command_line = parse_command_line(build_parser, argv)

    def command() -> int:
        train_targets(*resolve_settings(command_line), started=command_line.started)
        return 0

    return run_command(command, command_line.args.verbose)


if __name__ == "__main__":
    sys.exit(main())
