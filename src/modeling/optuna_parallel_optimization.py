"""Tunes with trials in several processes, or runs one worker of a study that many machines share.

    python -m src.modeling.optuna_parallel_optimization --mode parallel --n-trials 200 --max-workers 4
    python -m src.modeling.optuna_parallel_optimization --mode create --study-name NAME --targets net_profit …
    python -m src.modeling.optuna_parallel_optimization --mode distributed --study-name NAME
    python -m src.modeling.optuna_parallel_optimization --mode wait --study-name NAME

Several targets are searched at once and share the cores. Heavy packages are imported where they are used.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from src.cli import command_parser, run_command
from src.config import RunSettings
from src.errors import ConfigError, RunError
from src.modeling.command_line import CommandLine, parse_command_line, resolve_settings
from src.modeling.tasks import make_tasks
from src.modeling.total_time import limit_time, share_time
from src.modeling.train_with_optuna import train_targets
from src.options import SEARCH_MODES
from src.workers.cpus import available_cpus
from src.workers.fork_server import start_fork_server

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from src.modeling.open_study import OpenStudy
    from src.search.search_task import SearchTask

log = logging.getLogger(__name__)

Best = tuple["optuna.Study", dict[str, Any]]


class ParallelOptimizer:
    """Searches in supervised processes, one LightGBM thread each; no final model is trained.

    Args:
        n_jobs: total number of processes; None takes `max_workers` of `settings` if it is above 1, else the number of
            CPUs of this process.
        data: a table, or its location; the sample table when None.
        settings: everything else: split, seed, store, column names. With several targets, studies are named
            `<study name>_<target>` if a study name is given.

    Raises:
        ConfigError: fewer than one process.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        *,
        data: "pd.DataFrame | str | Path | None" = None,
        settings: RunSettings | None = None,
    ) -> None:
        if n_jobs is not None and n_jobs < 1:
            raise ConfigError(f"n_jobs {n_jobs} is too few: use 1 or more, or None for all CPUs")
        self.data = data
        self.settings = settings or RunSettings()
        max_workers = self.settings.search.max_workers if self.settings.search.max_workers > 1 else None
        self.n_jobs = n_jobs or max_workers or available_cpus()

    def optimize_parallel(
        self,
        target: str,
        n_trials: int | None = None,
        *,
        objective: Callable[..., float] | None = None,
        callbacks: Sequence[Callable[..., None]] = (),
    ) -> Best:
        """Searches one target.

        Args:
            target: name of the target column.
            n_trials: the study's total of finished trials; the value of `settings` when None.
            objective: your own function, `(trial, X_train, y_train, X_val, y_val) -> score`.
            callbacks: Optuna's `(study, trial)` functions, called in the process that ran the trial.

        Returns:
            The study, and the hyperparameters of its best trial.

        Raises:
            UserError: the input is wrong.
            RunError: the store failed, or no trial is complete.
        """
        (task,) = self._tasks([target], n_trials)
        return self._search([replace(task, user_objective=objective, callbacks=tuple(callbacks))], 1)[target]

    def optimize_ensemble_parallel(
        self, targets: Sequence[str], n_trials_per_target: int | None = None, max_workers: int = 3
    ) -> dict[str, Best]:
        """Searches several targets, up to `max_workers` at the same time.

        Args:
            targets: names of the target columns.
            n_trials_per_target: each study's total of finished trials; the value of `settings` when None.
            max_workers: number of targets searched at the same time; they share the `n_jobs` processes.

        Returns:
            For each target its study and the hyperparameters of the best trial.

        Raises:
            UserError: the input is wrong.
            RunError: a target failed; the studies of the others are complete.
        """
        if max_workers < 1:
            raise ConfigError(f"max_workers {max_workers} is too few: use 1 or more targets at once")
        return self._search(self._tasks(targets, n_trials_per_target), min(max_workers, self.n_jobs))

    def _tasks(self, targets: Sequence[str], n_trials: int | None) -> "list[SearchTask]":
        start_fork_server()  # imports packages while the table is read
        search = replace(self.settings.search, max_workers=self.n_jobs)
        if n_trials is not None:
            search = replace(search, n_trials=n_trials, keep_total=False)
        started = monotonic()
        tasks = make_tasks(list(dict.fromkeys(targets)), replace(self.settings, search=search), self.data)
        return limit_time(tasks, started, n_finishes=0)

    def _search(self, tasks: "Sequence[SearchTask]", at_once: int) -> dict[str, Best]:
        from src.modeling.parallel_search import search_together

        results: dict[str, Best] = {}
        failures: list[RunError] = []
        for first in range(0, len(tasks), at_once):
            batch = share_time(tasks[first : first + at_once], len(tasks) - first)
            for task, result in zip(batch, search_together(batch, self.n_jobs, _best), strict=True):
                if isinstance(result, RunError):
                    failures.append(result)
                else:
                    results[task.data.target] = result
        for failure in failures[:-1]:
            log.warning("%s", failure)
        if failures:
            raise failures[-1]
        return results


def _best(task: "SearchTask", opened: "OpenStudy") -> Best:
    from src.study.studies import best_trial

    return opened.study, dict(best_trial(opened.study).params)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "parallel", "Tunes with trials in several processes, or joins a shared study and runs trials of it."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    command_line = parse_command_line(build_parser, argv)
    args = command_line.args

    def command() -> int:
        if args.mode not in SEARCH_MODES:
            raise ConfigError(f"--mode {args.mode!r} is unknown: use {', '.join(SEARCH_MODES)}")
        if args.max_workers is None:
            args.max_workers = available_cpus() if args.mode == "parallel" else 1
        if args.mode == "parallel":
            targets, settings = resolve_settings(command_line)
            train_targets(targets, settings, in_processes=True, started=command_line.started)
        else:
            _run_distributed_mode(command_line)
        return 0

    return run_command(command, args.verbose, milestones=args.mode in SEARCH_MODES and args.mode != "parallel")


def _run_distributed_mode(command_line: CommandLine) -> None:
    from src.search.stop_flag import exit_on_sigterm
    from src.study.retry_policy import RETRY_SECONDS

    command_line = replace(command_line, wait=RETRY_SECONDS)
    with exit_on_sigterm():
        if command_line.args.mode == "wait":
            from src.modeling.waiting import wait_for_studies

            wait_for_studies(command_line)
            return
        from src.modeling.distributed import create_studies, join_studies, worker_name

        if command_line.args.mode == "create":
            create_studies(command_line)
        else:
            join_studies(command_line, worker_name(command_line.args.worker_id, os.environ))


if __name__ == "__main__":
    sys.exit(main())
