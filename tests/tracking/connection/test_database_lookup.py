"""MLflow's tables give the same answers as its client, and a database that MLflow cannot open is refused."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.tracking import MlflowClient

from src.errors import ConfigError
from src.study.studies import OptunaStudyManager
from src.tracking.connection.database_lookup import DatabaseLookup
from src.tracking.connection.destination import Lookup, NoAnswer
from src.tracking.connection.embedded_store import prepare_embedded_store
from src.tracking.connection.schema_revisions import known_revisions, newest_revisions
from src.tracking.connection.session import _ClientLookup

QUESTIONS: list[Callable[[Lookup], object]] = [
    lambda lookup: lookup.experiment("0"),
    lambda lookup: lookup.experiment("1"),
    lambda lookup: lookup.experiment("2"),
    lambda lookup: lookup.experiment("77"),
    lambda lookup: lookup.experiment_named("kept"),
    lambda lookup: lookup.experiment_named("gone"),
    lambda lookup: lookup.experiment_named("never made"),
    lambda lookup: lookup.run("0" * 32),
]


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    mlflow.set_tracking_uri(mlflow_store)
    return MlflowClient()


def test_the_tables_and_the_client_agree(client: MlflowClient, mlflow_store: str) -> None:
    kept, gone = (client.create_experiment(name) for name in ("kept", "gone"))
    client.delete_experiment(gone)
    runs = [client.create_run(kept).info.run_id for _ in range(2)]
    client.delete_run(runs[1])
    ours, theirs = DatabaseLookup(mlflow_store), _ClientLookup(client)
    questions = [*QUESTIONS, *(lambda lookup, run_id=run_id: lookup.run(run_id) for run_id in runs)]
    answers = [ask(ours) for ask in questions]
    assert answers == [ask(theirs) for ask in questions]
    assert [answer is None for answer in answers] == [False, False, False, True, False, False, True, True, False, False]


def test_the_revisions_are_those_of_the_installed_mlflow() -> None:
    assert newest_revisions() == {_get_latest_schema_revision()}
    assert len(known_revisions()) > 40
    assert [before for before in known_revisions().values() if before and before not in known_revisions()] == []


def stamp(uri: str, revision: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("ffffffffffff", "has the schema of a newer MLflow (ffffffffffff) than the installed one"),
        ("a5b4c3d2e1f0", "has the schema of an older MLflow: make a backup and run `mlflow db upgrade`"),
    ],
)
def test_another_schema_is_refused_as_mlflow_refuses_it(
    client: MlflowClient, mlflow_store: str, tmp_path: Path, revision: str, message: str
) -> None:
    client.create_run("0")
    DatabaseLookup(mlflow_store).refuse_other_schema()
    stamp(mlflow_store, revision)
    with pytest.raises(ConfigError) as caught:
        DatabaseLookup(mlflow_store).refuse_other_schema()
    assert message in str(caught.value)
    assert str(caught.value).startswith("MLFLOW_TRACKING_URI 'sqlite:///")
    copy = shutil.copy(mlflow_store.removeprefix("sqlite:///"), tmp_path / "copy.db")
    with pytest.raises(MlflowException):
        MlflowClient(f"sqlite:///{copy}").search_experiments()


def test_an_older_schema_without_data_is_created_again(mlflow_store: str) -> None:
    stamp(mlflow_store, "a5b4c3d2e1f0")
    DatabaseLookup(mlflow_store).refuse_other_schema()
    prepare_embedded_store(mlflow_store)
    assert MlflowClient(mlflow_store).get_experiment("0").name == "Default"


def test_a_newer_schema_is_never_created_again(mlflow_store: str) -> None:
    """Not even a database without runs: it may hold experiments."""
    stamp(mlflow_store, "ffffffffffff")
    prepare_embedded_store(mlflow_store)
    with pytest.raises(ConfigError, match="newer MLflow"):
        DatabaseLookup(mlflow_store).refuse_other_schema()


def test_an_empty_database_is_left_to_mlflow(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'empty.db'}"
    (tmp_path / "empty.db").touch()
    lookup = DatabaseLookup(uri)
    lookup.refuse_other_schema()
    assert [ask(lookup) for ask in QUESTIONS[1:]] == [None] * (len(QUESTIONS) - 1)
    first = lookup.experiment("0")
    assert first == lookup.experiment_named("Default"), "MLflow will make it"
    assert first is not None
    assert (first.experiment_id, first.name, first.active) == ("0", "Default", True)
    assert (tmp_path / "empty.db").stat().st_size == 0, "nothing is written"


def test_the_database_of_studies_is_refused(tmp_path: Path) -> None:
    OptunaStudyManager(tmp_path).create_or_load_study("s")
    with pytest.raises(ConfigError, match="is the database of Optuna's studies: give MLflow a separate database"):
        DatabaseLookup(f"sqlite:///{tmp_path / 'studies.db'}").refuse_other_schema()


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        DatabaseLookup(f"sqlite:///{tmp_path / 'text.db'}").refuse_other_schema()


def test_an_unavailable_database_gives_no_answer() -> None:
    lookup = DatabaseLookup("postgresql+psycopg2://quant:s3cret@127.0.0.1:9/mlflow")
    for ask in (lookup.refuse_other_schema, *(lambda ask=ask: ask(lookup) for ask in QUESTIONS[:1])):
        with pytest.raises(NoAnswer, match="Connection refused") as caught:
            ask()
        assert "s3cret" not in str(caught.value)
