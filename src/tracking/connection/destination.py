"""Chooses the experiment of the runs from environment variables, before a search and again when runs are written.

An outer run (MLFLOW_RUN_ID, inside `mlflow run`) decides, else MLFLOW_EXPERIMENT_ID, else MLFLOW_EXPERIMENT_NAME.
Errors name the wrong variable. MLflow is not imported: the caller passes a `Lookup`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from src.config import DEFAULT_EXPERIMENT
from src.errors import ConfigError

RUN_ID, EXPERIMENT_ID, EXPERIMENT_NAME = "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"


class NoAnswer(Exception):
    """MLflow does not answer at the moment; it may answer later."""


@dataclass(frozen=True)
class Experiment:
    """An experiment in MLflow.

    Attributes:
        experiment_id: its id.
        name: its name.
        active: False for a deleted experiment, which keeps its name until it is purged.
        artifacts: artifact location, a path or a URI; empty if MLflow's default is not resolved yet.
    """

    experiment_id: str
    name: str
    active: bool
    artifacts: str


@dataclass(frozen=True)
class FoundRun:
    """A run in MLflow; `active` is False for a deleted run."""

    experiment_id: str
    active: bool


class Lookup(Protocol):
    """Read access to a tracking store; it also returns deleted experiments and runs."""

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment with this id; None if there is none."""

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment with this name; None if there is none."""

    def run(self, run_id: str) -> FoundRun | None:
        """The run with this id; None if there is none."""


class NewStore:
    """A store that MLflow has not created yet: it will have the default experiment and no run."""

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment with this id."""
        return _FIRST if experiment_id == _FIRST.experiment_id else None

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment with this name."""
        return _FIRST if name == _FIRST.name else None

    def run(self, run_id: str) -> FoundRun | None:
        """Always None."""
        return None


_FIRST = Experiment("0", "Default", True, "")


def experiment_name(environ: Mapping[str, str]) -> str:
    """The experiment name to use if neither a run nor an experiment id is given."""
    return environ.get(EXPERIMENT_NAME) or DEFAULT_EXPERIMENT


def choose_experiment(environ: Mapping[str, str], lookup: Lookup, shown_uri: str) -> Experiment | None:
    """The experiment that the environment names; None for a new name, whose experiment is created later.

    Args:
        environ: environment variables.
        lookup: reads MLflow.
        shown_uri: the tracking URI without a password, for messages.

    Raises:
        ConfigError: a variable names something deleted or missing, or two variables contradict each other.
        Exception: any error of the lookup.
    """
    if environ.get(RUN_ID):
        return _experiment_of_run(environ, lookup, shown_uri)
    given, name = environ.get(EXPERIMENT_ID), environ.get(EXPERIMENT_NAME)
    if not given:
        found = lookup.experiment_named(experiment_name(environ))
        if found is not None and not found.active:
            subject = (
                f"{EXPERIMENT_NAME} {name[:80]!r}" if name else f"{EXPERIMENT_NAME} is not set, and {found.name!r}"
            )
            raise ConfigError(f"{subject} is a deleted experiment: {_restore(found)}, or set it to another name")
        return found
    if not given.isdecimal():
        raise ConfigError(
            f"{EXPERIMENT_ID} {given[:80]!r} is not an id: use {EXPERIMENT_NAME} for a name, or give the numeric id"
        )
    found = lookup.experiment(given)
    if found is None:
        raise ConfigError(
            f"{EXPERIMENT_ID} {given!r}: {shown_uri} has no such experiment: correct or unset it, or set "
            f"MLFLOW_TRACKING_URI to its tracking store"
        )
    if not found.active:
        raise ConfigError(f"{EXPERIMENT_ID} {given!r} is a deleted experiment: {_restore(found)}, or unset it")
    if name and name != found.name:
        raise ConfigError(
            f"{EXPERIMENT_ID} {given!r} is experiment {found.name!r}, but {EXPERIMENT_NAME} is {name!r}: unset one"
        )
    return found


def _experiment_of_run(environ: Mapping[str, str], lookup: Lookup, shown_uri: str) -> Experiment | None:
    run_id, given = environ[RUN_ID], environ.get(EXPERIMENT_ID)
    run = lookup.run(run_id)
    if run is None:
        raise ConfigError(
            f"{RUN_ID} {run_id[:80]!r}: {shown_uri} has no such run: unset it, or set MLFLOW_TRACKING_URI to "
            f"its tracking store"
        )
    if not run.active:
        raise ConfigError(f"{RUN_ID} {run_id!r} is a deleted run: unset it, or restore the run")
    if given and given != run.experiment_id:
        raise ConfigError(
            f"{RUN_ID} {run_id!r} is a run of experiment {run.experiment_id}, but {EXPERIMENT_ID} is {given[:80]!r}: "
            f"unset one of them"
        )
    found = lookup.experiment(run.experiment_id)
    if found is not None and not found.active:
        raise ConfigError(f"{RUN_ID} {run_id!r} is a run of a deleted experiment: {_restore(found)}, or unset it")
    return found


def _restore(experiment: Experiment) -> str:
    return f"restore it (mlflow experiments restore --experiment-id {experiment.experiment_id})"
