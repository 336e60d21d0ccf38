"""The main job, whole: tune, judge, report and register a model of each named target.

    python -m src.modeling.train_with_optuna --targets net_profit --n-trials 100

`train_target` is the table of contents of the product. What is heavy is imported where it is used, so that `--help`
and a mistyped option answer at once.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import OneLineParser, add_tuning_options, run_command
from src.config import MODEL_CONFIGS, DataSettings, RunSettings, SplitSettings, TargetConfig
from src.errors import RunError
from src.modeling.asked import ask, settle
from src.modeling.fork_server import start_fork_server

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from src.modeling.search import OpenStudy
    from src.modeling.search_task import SearchTask
    from src.modeling.summary import Outcome

log = logging.getLogger(__name__)

__all__ = ["MODEL_CONFIGS", "build_parser", "main", "optimize_hyperparameters", "train_target", "train_targets"]


def optimize_hyperparameters(
    target: str,
    config: TargetConfig | None = None,
    n_trials: int = 100,
    use_cv: bool = False,
    n_folds: int = SplitSettings.n_folds,
    *,
    objective: Callable[..., float] | None = None,
    callbacks: Sequence[Callable[..., None]] = (),
    data: "pd.DataFrame | str | Path | None" = None,
    settings: RunSettings | None = None,
) -> tuple["optuna.Study", dict[str, Any]]:
    """Searches one target and projects the study into MLflow; no final model is trained.

    Args:
        target: name of the target column.
        config: task and metric; those of `settings`, the contract's by default, when None.
        n_trials: the study's total of finished trials.
        use_cv: walk forward over `n_folds` expanding windows instead of one validation period.
        n_folds: number of windows.
        objective: a function of your own, `(trial, X_train, y_train, X_val, y_val) -> score`; its mean over the folds
            is the trial's value, in the direction of the metric.
        callbacks: Optuna's `(study, trial)` functions, called after each trial.
        data: a table, or where it lies; the sample table when None.
        settings: everything else: split, seed, store, study name, column names.

    Returns:
        The study, and the hyperparameters of its best trial.

    Raises:
        UserError: the input is wrong.
        RunError: the store failed, or no trial is complete.
    """
    from src.data.table import load_dataset
    from src.modeling.parallel_search import search_study
    from src.modeling.rows import make_rows
    from src.modeling.search import best_trial, open_study, parent_run
    from src.modeling.search_task import SearchTask
    from src.tracking.tracking_check import TrackingCheck

    mlflow = TrackingCheck(os.environ)
    settings = settings or RunSettings()
    if settings.search.max_workers > 1:
        start_fork_server()
    split = replace(settings.split, use_cv=use_cv, n_folds=n_folds)
    settings = replace(settings, split=split, search=replace(settings.search, n_trials=n_trials))
    table = settings.data.table
    if config is not None:
        table = replace(table, targets={**table.targets, target: config})
    frame, source = read_data(data, settings.data)
    dataset = load_dataset(frame, table, target, source)
    task = SearchTask(dataset, make_rows(dataset, split), settings, objective, tuple(callbacks))
    mlflow.join()
    opened = open_study(task)
    with parent_run(opened):
        search_study(task, opened)
        return opened.study, dict(best_trial(opened.study).params)


def train_target(task: "SearchTask") -> "Outcome":
    """One target from rows to a registered model.

    Raises:
        DailyProfitError: see `src.errors`; what was finished before it is kept.
    """
    from src.modeling.parallel_search import search_study
    from src.modeling.search import open_study, parent_run

    opened = open_study(task)
    with parent_run(opened):
        search_study(opened.task, opened)
        return _conclude(opened.task, opened)


def _conclude(task: "SearchTask", opened: "OpenStudy") -> "Outcome":
    """After the search: the final model, its judgement, its files, its registration."""
    from src.modeling.ensemble import fit_final_model
    from src.modeling.finish import record_outcome, write_outcome
    from src.modeling.search import best_trial

    best = best_trial(opened.study)
    model = fit_final_model(task, opened.study, best)
    written = write_outcome(task, opened, best, model)
    return record_outcome(task, opened, written)


def _train_one_by_one(tasks: "Sequence[SearchTask]") -> "Iterator[Outcome | RunError]":
    for task in tasks:
        try:
            outcome = train_target(task)
        except RunError as error:  # a search without a result, MLflow away: no reason to skip the next target
            yield error
        else:
            yield outcome


def train_targets(targets: Sequence[str], settings: RunSettings, in_processes: bool = False) -> list["Outcome"]:
    """Trains all targets; names, places, tables and splits are checked before the first search.

    In this process one target comes after the other. In processes as many are searched at once as there are workers,
    so that each has one at least; then each is finished in turn, and the next ones follow.

    Args:
        targets: their names.
        settings: of all of them.
        in_processes: also a single worker is a supervised process.

    Raises:
        UserError, Interrupted: at once; the targets before it are done.
        RunError: at the end, if a target failed; the others are trained, and their models and reports saved.
    """
    size = settings.search.max_workers
    if in_processes or size > 1:
        start_fork_server()
    tasks = _begun_to_ask(targets, settings)
    if settings.search.study_name and len(tasks) > 1:
        from src.modeling.search import refuse_other_studies

        refuse_other_studies(tasks)
    if not in_processes and size == 1:
        return _gather(targets, _train_one_by_one(tasks))
    # Not before: a mistake is then told in a second or two.
    from src.modeling.parallel_search import search_together

    waves = [tasks[first : first + size] for first in range(0, len(tasks), size)]
    return _gather(targets, chain.from_iterable(search_together(wave, size, _conclude) for wave in waves))


def _begun_to_ask(targets: Sequence[str], settings: RunSettings) -> list["SearchTask"]:
    """The checked tasks; of new studies the registry is asked what it knows while the table is read."""
    from src.tracking.earlier_models import EarlierModels

    earlier = None if settings.search.study_name else EarlierModels(targets)
    return [replace(task, earlier=earlier) for task in checked_tasks(targets, settings)]


def _gather(targets: Sequence[str], results: "Iterable[Outcome | RunError]") -> list["Outcome"]:
    """Shows what came of the targets, in their order, whatever ends them; a failure is told at once."""
    from src.modeling.summary import summary_text

    outcomes: list[Outcome] = []
    failures: dict[str, RunError] = {}
    try:
        for target, result in zip(targets, results, strict=False):
            if isinstance(result, RunError):
                failures[target] = result
                if len(targets) > 1:
                    log.warning("%s: %s", target, result)
            else:
                outcomes.append(result)
    finally:
        if outcomes:
            from src.tracking.session import shown_uri

            sys.stdout.write(summary_text(outcomes, shown_uri()) + "\n")
    if len(failures) > 1:
        raise RunError(f"{len(failures)} of {len(targets)} targets failed, {', '.join(failures)}: each said why above")
    for failure in failures.values():
        raise failure
    return outcomes


def checked_tasks(targets: Sequence[str], settings: RunSettings, needs_mlflow: bool = True) -> list["SearchTask"]:
    """Each target's search, after everything was checked that can be before one begins.

    Args:
        targets: their names.
        settings: of all of them.
        needs_mlflow: whether an MLflow that will never take the runs is an error, or only told.

    Raises:
        UserError: a name, a place, the table or the split cannot be used, or MLflow will never take the runs.
    """
    from src.data.sources import describe_source, read_table
    from src.data.table import load_dataset
    from src.modeling.auto_folds import choose_folds
    from src.modeling.preflight import check_places
    from src.modeling.rows import make_rows
    from src.modeling.search_task import SearchTask
    from src.tracking.tracking_check import TrackingCheck

    several = len(targets) > 1
    for target in targets:
        check_places(target, named(settings, target, several))
    mlflow = TrackingCheck(os.environ, needs_mlflow)
    frame = read_table(settings.data.source, settings.data.query)
    source = describe_source(settings.data.source, settings.data.query)
    tasks = []
    said: set[str] = set()
    for target in targets:
        data = load_dataset(frame, settings.data.table, target, source)
        for warning in data.warnings:
            if warning not in said:
                log.warning("%s", warning)
        said.update(data.warnings)
        of_target = replace(named(settings, target, several), split=choose_folds(data, settings), cv_auto=False)
        tasks.append(SearchTask(data, make_rows(data, of_target.split), of_target, shares_outer_run=several))
    mlflow.join()
    return tasks


def named(settings: RunSettings, target: str, several: bool) -> RunSettings:
    """One target's settings: with several targets, `--study-name NAME` names the studies NAME_<target>."""
    name = settings.search.study_name
    if name is None or not several:
        return settings
    return replace(settings, search=replace(settings.search, study_name=f"{name}_{target}"))


def read_data(data: "pd.DataFrame | str | Path | None", settings: DataSettings) -> tuple["pd.DataFrame", str]:
    """A table that is given, or lies somewhere, or is the sample; and where it comes from, in words.

    Raises:
        UserError: the table cannot be read.
    """
    import pandas as pd

    from src.data.sources import describe_source, read_table

    if isinstance(data, pd.DataFrame):
        return data, "data frame"
    source = settings.source if data is None else str(data)
    return read_table(source, settings.query), describe_source(source, settings.query)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m src.modeling.train_with_optuna",
        description="Tunes, judges, reports and registers a LightGBM model of each target (all when none is named).",
    )
    add_tuning_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    asked = ask(build_parser, argv)

    def command() -> int:
        train_targets(*settle(asked))
        return 0

    return run_command(command, asked.args.verbose)


if __name__ == "__main__":
    sys.exit(main())
