"""The choice of the experiment, and its permanent errors."""

from collections.abc import Mapping

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from src.errors import ConfigError
from src.tracking.connection.database_lookup import DatabaseLookup
from src.tracking.connection.destination import Experiment, choose_experiment


@pytest.fixture
def names(mlflow_store: str) -> Mapping[str, str]:
    """Values to be put into variables: experiments 1 `kept` and 2 `gone`, a run of each, and a deleted run."""
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    kept, gone = (client.create_experiment(name) for name in ("kept", "gone"))
    run, lost, deleted = (client.create_run(experiment).info.run_id for experiment in (kept, gone, kept))
    client.delete_run(deleted)
    client.delete_experiment(gone)
    return {"kept": kept, "gone": gone, "run": run, "lost": lost, "deleted": deleted, "store": mlflow_store}


def choose(names: Mapping[str, str], variables: str) -> Experiment | None:
    """Variables as `NAME=value RUN=run`; a value that `names` has is replaced."""
    environ = {}
    for word in variables.split():
        key, _, value = word.partition("=")
        environ[{"RUN": "MLFLOW_RUN_ID", "ID": "MLFLOW_EXPERIMENT_ID", "NAME": "MLFLOW_EXPERIMENT_NAME"}[key]] = value
    for key in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environ = {name: names.get(value, value) if name == key else value for name, value in environ.items()}
    return choose_experiment(environ, DatabaseLookup(names["store"]), "the store")


@pytest.mark.parametrize("variables", ["NAME=kept", "ID=kept", "ID=kept NAME=kept", "RUN=run", "RUN=run ID=kept"])
def test_existing_experiments_are_found(names: Mapping[str, str], variables: str) -> None:
    found = choose(names, variables)
    assert found is not None
    assert (found.experiment_id, found.name) == (names["kept"], "kept")


def test_a_new_experiment_is_created_later(names: Mapping[str, str]) -> None:
    assert choose(names, "") is None
    assert choose(names, "NAME=new") is None
    assert choose(names, "ID= NAME=new RUN=") is None


def test_inside_mlflow_run_the_name_is_ignored(names: Mapping[str, str]) -> None:
    found = choose(names, "RUN=run NAME=gone")
    assert found is not None
    assert found.name == "kept"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            "NAME=gone",
            "MLFLOW_EXPERIMENT_NAME 'gone' is a deleted experiment: restore it (mlflow experiments restore --e",
        ),
        (
            "ID=gone",
            "MLFLOW_EXPERIMENT_ID '2' is a deleted experiment: restore it (mlflow experiments restore --experim",
        ),
        (
            "ID=77",
            "MLFLOW_EXPERIMENT_ID '77': the store has no such experiment: correct or unset it, or set MLFLOW_TRAC",
        ),
        ("ID=my-exp", "MLFLOW_EXPERIMENT_ID 'my-exp' is not an id: use MLFLOW_EXPERIMENT_NAME for a name"),
        ("ID=99999999999999999999", "has no such experiment"),
        (
            "ID=kept NAME=other",
            "MLFLOW_EXPERIMENT_ID '1' is experiment 'kept', but MLFLOW_EXPERIMENT_NAME is 'other': un",
        ),
        ("RUN=unknown", "MLFLOW_RUN_ID 'unknown': the store has no such run: unset it, or set MLFLOW_TRACKING_URI to"),
        ("RUN=deleted", "is a deleted run: unset it, or restore the run"),
        ("RUN=run ID=gone", "is a run of experiment 1, but MLFLOW_EXPERIMENT_ID is '2': unset one of them"),
        ("RUN=run ID=my-exp", "is a run of experiment 1, but MLFLOW_EXPERIMENT_ID is 'my-exp': unset one of them"),
        ("RUN=lost", "is a "),
    ],
)
def test_permanent_errors_name_the_variable(names: Mapping[str, str], variables: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(names, variables)
    assert message in str(caught.value)
    assert str(caught.value).startswith("MLFLOW_")
    assert len(str(caught.value)) < 500


def test_the_message_says_that_the_name_is_the_default(mlflow_store: str) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("daily-profit"))
    with pytest.raises(
        ConfigError, match=r"^MLFLOW_EXPERIMENT_NAME is not set, and 'daily-profit' is a deleted experime"
    ):
        choose({"store": mlflow_store}, "")
