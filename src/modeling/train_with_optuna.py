"""The main job, whole: tune, judge, report and register a model of each named target.

    python -m src.modeling.train_with_optuna --targets net_profit --n-trials 100

`train_target` is the table of contents of the product. What is heavy is imported where it is used, so that `--help`
and a mistyped option answer at once.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import OneLineParser, add_tuning_options, chosen_targets, run_command, run_settings
from src.config import MODEL_CONFIGS, DataSettings, RunSettings, SplitSettings, TargetConfig
from src.errors import TrackingError

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from src.data.table import Dataset
    from src.modeling.rows import Rows
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
    from src.modeling.rows import make_rows
    from src.modeling.search import best_trial, open_study, parent_run, run_search
    from src.modeling.search_task import SearchTask

    settings = settings or RunSettings()
    split = replace(settings.split, use_cv=use_cv, n_folds=n_folds)
    settings = replace(settings, split=split, search=replace(settings.search, n_trials=n_trials))
    dataset = _dataset_for(target, config, data, settings.data)
    task = SearchTask(dataset, make_rows(dataset, split), settings, objective, tuple(callbacks))
    opened = open_study(task)
    with parent_run(opened):
        run_search(task, opened)
        return opened.study, dict(best_trial(opened.study).params)


def train_target(task: "SearchTask") -> "Outcome":
    """One target from rows to a registered model.

    Raises:
        DailyProfitError: see `src.errors`; what was finished before it is kept.
    """
    from src.modeling.final_model import train_final_model
    from src.modeling.finish import record_outcome, write_outcome
    from src.modeling.search import best_trial, open_study, parent_run, run_search

    opened = open_study(task)
    with parent_run(opened):
        run_search(task, opened)
        best = best_trial(opened.study)
        model = train_final_model(best, task.data, task.rows, task.settings.search.seed)
        written = write_outcome(task, opened, best, model)
        return record_outcome(task, opened, written)


def train_targets(targets: Sequence[str], settings: RunSettings) -> list["Outcome"]:
    """Trains one target after the other; names, places, tables and splits are checked before the first search.

    Raises:
        TrackingError: at the end, if MLflow was away; all targets are trained, and their models and reports saved.
        DailyProfitError: anything else, at once; the targets before it are done.
    """
    checked = _checked_tables(targets, settings)
    # Not before: a mistake is then told in a second or two.
    from src.modeling.search_task import SearchTask
    from src.modeling.summary import summary_text
    from src.tracking.session import shown_uri

    several = len(targets) > 1
    outcomes: list[Outcome] = []
    away: list[TrackingError] = []
    try:
        for data, rows in checked:
            of_target = _named(settings, data.target, several)
            try:
                outcomes.append(train_target(SearchTask(data, rows, of_target, shares_outer_run=several)))
            except TrackingError as error:  # the model is saved; MLflow's absence is no reason to skip the next target
                away.append(error)
    finally:
        if outcomes:
            sys.stdout.write(summary_text(outcomes, shown_uri()) + "\n")
    for earlier in away[:-1]:
        log.warning("%s", earlier)
    if away:
        raise away[-1]
    return outcomes


def _checked_tables(targets: Sequence[str], settings: RunSettings) -> list[tuple["Dataset", "Rows"]]:
    """Each target's table and its rows, after everything was checked that can be before a search."""
    from src.data.sources import describe_source, read_table
    from src.data.table import load_dataset
    from src.modeling.preflight import check_places
    from src.modeling.rows import make_rows

    for target in targets:
        check_places(target, _named(settings, target, len(targets) > 1))
    frame = read_table(settings.data.source, settings.data.query)
    source = describe_source(settings.data.source, settings.data.query)
    checked = []
    said: set[str] = set()
    for target in targets:
        data = load_dataset(frame, settings.data.table, target, source)
        for warning in data.warnings:
            if warning not in said:
                log.warning("%s", warning)
        said.update(data.warnings)
        checked.append((data, make_rows(data, settings.split)))
    return checked


def _named(settings: RunSettings, target: str, several: bool) -> RunSettings:
    """With several targets, `--study-name NAME` names the studies NAME_<target>."""
    name = settings.search.study_name
    if name is None or not several:
        return settings
    return replace(settings, search=replace(settings.search, study_name=f"{name}_{target}"))


def _dataset_for(
    target: str, config: TargetConfig | None, data: "pd.DataFrame | str | Path | None", settings: DataSettings
) -> "Dataset":
    import pandas as pd

    from src.data.sources import describe_source, read_table
    from src.data.table import load_dataset

    table = settings.table
    if config is not None:
        table = replace(table, targets={**table.targets, target: config})
    if isinstance(data, pd.DataFrame):
        return load_dataset(data, table, target, "data frame")
    source = settings.source if data is None else str(data)
    return load_dataset(read_table(source, settings.query), table, target, describe_source(source, settings.query))


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
    args = build_parser().parse_args(argv)

    def command() -> int:
        settings = run_settings(args)
        targets = chosen_targets(args.targets, settings.data.table.targets)
        train_targets(targets, settings)
        return 0

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
