"""Which experiment the runs go to, as the environment says it; asked before a search and again when they are written.

An outer run (MLFLOW_RUN_ID, inside `mlflow run`) decides, else MLFLOW_EXPERIMENT_ID, else MLFLOW_EXPERIMENT_NAME. What
can never work is told with the variable at fault. MLflow is not imported: who looks up is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from src.config import DEFAULT_EXPERIMENT
from src.errors import ConfigError

RUN_ID, EXPERIMENT_ID, EXPERIMENT_NAME = "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"


class NoAnswer(Exception):
    """MLflow cannot be asked at the moment; it may answer later."""


@dataclass(frozen=True)
class Experiment:
    """An experiment that MLflow has.

    Attributes:
        experiment_id: MLflow's.
        name: its name.
        active: False for a deleted one, which keeps its name until it is purged.
        artifacts: where its runs keep files, a path or a URI; empty where MLflow's default is not resolved yet.
    """

    experiment_id: str
    name: str
    active: bool
    artifacts: str


@dataclass(frozen=True)
class FoundRun:
    """A run that MLflow has; not active is deleted."""

    experiment_id: str
    active: bool


class Lookup(Protocol):
    """Questions to a tracking store; deleted experiments and runs are found too."""

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment of this id; None if there is none."""

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment of this name; None if there is none."""

    def run(self, run_id: str) -> FoundRun | None:
        """The run of this id; None if there is none."""


class NewStore:
    """What a store will have that MLflow has yet to make: its first experiment, and no run."""

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment of this id."""
        return _FIRST if experiment_id == _FIRST.experiment_id else None

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment of this name."""
        return _FIRST if name == _FIRST.name else None

    def run(self, run_id: str) -> FoundRun | None:
        """There is none."""
        return None


_FIRST = Experiment("0", "Default", True, "")


def experiment_name(environ: Mapping[str, str]) -> str:
    """The name of the experiment, where neither a run nor an id decides."""
    return environ.get(EXPERIMENT_NAME) or DEFAULT_EXPERIMENT


def choose_experiment(environ: Mapping[str, str], lookup: Lookup, shown_uri: str) -> Experiment | None:
    """The experiment that the environment names; None for a name that is new, which is made when it is needed.

    Args:
        environ: environment variables.
        lookup: asks MLflow.
        shown_uri: the tracking URI without a password, for messages.

    Raises:
        ConfigError: a variable names what is deleted or not there, or two contradict each other.
        Exception: what the lookup raises.
    """
    if environ.get(RUN_ID):
        return _experiment_of_run(environ, lookup, shown_uri)
    given, name = environ.get(EXPERIMENT_ID), environ.get(EXPERIMENT_NAME)
    if not given:
        found = lookup.experiment_named(experiment_name(environ))
        if found is not None and not found.active:
            what = f"{EXPERIMENT_NAME} {name[:80]!r}" if name else f"{EXPERIMENT_NAME} is not set, and {found.name!r}"
            raise ConfigError(f"{what} is a deleted experiment: {_restore(found)}, or set it to another name")
        return found
    if not given.isdecimal():
        raise ConfigError(f"{EXPERIMENT_ID} {given[:80]!r} is no number: give a name as {EXPERIMENT_NAME}, or the id")
    found = lookup.experiment(given)
    if found is None:
        raise ConfigError(
            f"{EXPERIMENT_ID} {given!r}: {shown_uri} has no such experiment: correct or unset it, or set "
            f"MLFLOW_TRACKING_URI to where it is"
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
            f"{RUN_ID} {run_id[:80]!r}: {shown_uri} has no such run: unset it, or set MLFLOW_TRACKING_URI to where "
            f"it is"
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
