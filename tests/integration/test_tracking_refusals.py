"""Real servers that can never accept the runs: an error before the search, with status 2 and the variable."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from src.errors import ConfigError
from src.study.studies import OptunaStudyManager
from src.tracking.connection.destination import NoAnswer
from src.tracking.connection.tracking_check import refuse_denied_access, refuse_permanent_errors
from tests.integration.conftest import S3Store, free_ports
from tests.integration.servers import PasswordProxy, TrackingServer
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
NAME = "num_trades_20240101_120000"
USER = {"MLFLOW_TRACKING_USERNAME": "quant", "MLFLOW_TRACKING_PASSWORD": "right"}
WRONG = USER | {"MLFLOW_TRACKING_PASSWORD": "wr0ng"}
SHARED = "src.modeling.optuna_parallel_optimization"
TUNE = ("src.modeling.train_with_optuna", "--ensemble-size", "1", "--study-name", NAME)
PARALLEL = (SHARED, "--mode", "parallel", "--max-workers", "2")
CREATE = (SHARED, "--mode", "create", "--study-name", NAME)
FIRST_WORKER = (SHARED, "--mode", "distributed")
WORKER = (SHARED, "--mode", "distributed", "--study-name", NAME)

READERS = (
    ("src.tracking.promote", "--targets", "num_trades", "--data", "table.parquet"),
    ("src.serving.predict", "--target", "num_trades", "--data", "table.parquet"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[TrackingServer]:
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    (port,) = free_ports(1)
    server = TrackingServer(folder, port)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def proxy(server: TrackingServer) -> Iterator[PasswordProxy]:
    proxy = PasswordProxy(server.uri, *USER.values())
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def gone(server: TrackingServer) -> Mapping[str, str]:
    """Ids by name: experiments and runs, some of them deleted."""
    client = MlflowClient(server.uri)
    kept, deleted = (client.create_experiment(name) for name in ("kept", "gone"))
    run, lost = (client.create_run(kept).info.run_id for _ in range(2))
    client.delete_run(lost)
    client.delete_experiment(deleted)
    return {"kept": kept, "deleted": deleted, "run": run, "lost": lost}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MLFLOW_EXPERIMENT_NAME": "gone"}, "MLFLOW_EXPERIMENT_NAME 'gone' is a deleted experiment: restore it"),
        ({"MLFLOW_EXPERIMENT_ID": "<deleted>"}, "MLFLOW_EXPERIMENT_ID '<deleted>' is a deleted experiment: restore it"),
        ({"MLFLOW_EXPERIMENT_ID": "77"}, "MLFLOW_EXPERIMENT_ID '77': http://127.0.0.1:"),
        ({"MLFLOW_EXPERIMENT_ID": "my-exp"}, "MLFLOW_EXPERIMENT_ID 'my-exp' is not an id"),
        ({"MLFLOW_RUN_ID": "<lost>"}, "MLFLOW_RUN_ID '<lost>' is a deleted run: unset it, or restore the run"),
        ({"MLFLOW_RUN_ID": "0" * 32}, f"MLFLOW_RUN_ID '{'0' * 32}': http://127.0.0.1:"),
        ({"MLFLOW_RUN_ID": "no/run"}, "MLFLOW_RUN_ID 'no/run': http://127.0.0.1:"),
        (
            {"MLFLOW_RUN_ID": "<run>", "MLFLOW_EXPERIMENT_ID": "0"},
            "MLFLOW_RUN_ID '<run>' is a run of experiment <kept>",
        ),
        (
            {"MLFLOW_EXPERIMENT_ID": "0", "MLFLOW_EXPERIMENT_NAME": "kept"},
            "MLFLOW_EXPERIMENT_ID '0' is experiment 'Def",
        ),
    ],
)
def test_a_server_is_checked(
    server: TrackingServer, gone: Mapping[str, str], variables: dict[str, str], message: str
) -> None:
    def filled(text: str) -> str:
        for name, value in gone.items():
            text = text.replace(f"<{name}>", value)
        return text

    environ = {"MLFLOW_TRACKING_URI": server.uri} | {name: filled(value) for name, value in variables.items()}
    with pytest.raises(ConfigError) as caught:
        refuse_permanent_errors(environ)
    assert str(caught.value).startswith(filled(message))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            WRONG,
            "refuses MLFLOW_TRACKING_USERNAME 'quant' with this MLFLOW_TRACKING_PASSWORD (401, You are not authent",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "refuses MLFLOW_TRACKING_TOKEN (401, "),
        ({}, "requires a login (401, You are not authenticated.): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING"),
        ({"MLFLOW_TRACKING_USERNAME": "quant"}, "requires a login (401, "),
        ({"MLFLOW_TRACKING_URI": "http://quant:wr0ng@"}, "refuses the user or password in MLFLOW_TRACKING_URI (401, "),
    ],
)
def test_a_refused_login_names_the_variable(proxy: PasswordProxy, variables: dict[str, str], message: str) -> None:
    uri = proxy.uri.replace("http://", variables.get("MLFLOW_TRACKING_URI", "http://"))
    with pytest.raises(ConfigError) as caught:
        refuse_permanent_errors(variables | {"MLFLOW_TRACKING_URI": uri})
    assert message in str(caught.value)
    assert not {"wr0ng", "t0ken"} & set(str(caught.value).replace(":", " ").split())


def test_credentials_that_mlflow_accepts_are_accepted(
    server: TrackingServer, proxy: PasswordProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse_permanent_errors(WRONG | {"MLFLOW_TRACKING_URI": server.uri})  # which needs no password
    refuse_permanent_errors(USER | {"MLFLOW_TRACKING_URI": proxy.uri})
    refuse_permanent_errors({"MLFLOW_TRACKING_URI": proxy.uri.replace("http://", "http://quant:right@")})
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    words = "\n".join(f"{name.lower()} = {value}" for name, value in USER.items())
    (tmp_path / ".mlflow/credentials").write_text(f"[mlflow]\n{words}\n")
    refuse_permanent_errors({"MLFLOW_TRACKING_URI": proxy.uri})
    assert MlflowClient(proxy.uri).get_experiment("0").name == "Default", "by MLflow's own client"


def test_a_user_with_limited_access_is_accepted(
    server: TrackingServer, proxy: PasswordProxy, gone: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = USER | {"MLFLOW_TRACKING_URI": proxy.uri}
    monkeypatch.setattr(proxy, "forbidden", ("experiment_id=0",))
    refuse_permanent_errors(environ | {"MLFLOW_EXPERIMENT_NAME": "of his own"})
    refuse_denied_access(environ)
    monkeypatch.setattr(proxy, "forbidden", ("experiment_name=kept",))
    with pytest.raises(ConfigError, match=r"refuses MLFLOW_TRACKING_USERNAME 'quant' .*\(403, Permission denied\)"):
        refuse_permanent_errors(environ | {"MLFLOW_EXPERIMENT_NAME": "kept"})


def test_another_program_on_the_port_is_refused(server: TrackingServer) -> None:
    for uri, message in (
        (f"{server.uri}/elsewhere", "answers, but is not an MLflow server (status 404)"),
        (server.uri.replace("http", "https"), "no secure connection ([SSL: WRONG_VERSION_NUMBER]"),
    ):
        with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI") as caught:
            refuse_permanent_errors({"MLFLOW_TRACKING_URI": uri})
        assert message in str(caught.value)


def test_a_database_refusal_is_reported(postgres_url: str) -> None:
    refuse_permanent_errors({"MLFLOW_TRACKING_URI": postgres_url})  # empty: MLflow creates its tables
    for old, new, message in (
        ("/test_", "/none_", r"database \"none_.*\" does not exist"),
        ("postgres@", "nobody:s3cret@", r"role \"nobody\" does not exist"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            refuse_permanent_errors({"MLFLOW_TRACKING_URI": postgres_url.replace(old, new)})
        assert "check user, password and database" in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_bucket_is_checked(server: TrackingServer, s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(server.uri)
    for name, bucket in (("s3 here", s3.bucket), ("s3 nowhere", "no-such-bucket")):
        client.create_experiment(name, f"s3://{bucket}/artifacts")
    environ = {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_EXPERIMENT_NAME": "s3 here"}
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError, match=r"there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        refuse_permanent_errors(environ | {"MLFLOW_S3_ENDPOINT_URL": s3.endpoint})
    for name, value in s3.settings().items():
        monkeypatch.setenv(name, value)
    environ |= s3.settings()
    refuse_permanent_errors(environ)
    with pytest.raises(
        ConfigError, match=r"stores artifacts in s3://no-such-bucket, and there is no such bucket: create it"
    ):
        refuse_permanent_errors(environ | {"MLFLOW_EXPERIMENT_NAME": "s3 nowhere"})
    with pytest.raises(NoAnswer, match="s3://mlflow: Could not connect"):
        refuse_permanent_errors(environ | {"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(
        ConfigError, match=r"s3://mlflow, which refuses access \(SignatureDoesNotMatch\): correct AWS_ACC"
    ):
        refuse_permanent_errors(environ)


def run(folder: Path, uri: str, command: tuple[str, ...], **variables: str) -> subprocess.CompletedProcess[str]:
    new = ("--targets", "num_trades", "--data", "table.parquet", "--n-trials", "2")
    store = ("--storage-url", f"sqlite:///{folder}/store/studies.db")
    environ = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri} | variables
    options = () if command in READERS else store if command is WORKER else (*new, *store)
    line = [sys.executable, "-m", *command, *options]
    return subprocess.run(line, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_table(n_days=60, n_accounts=4).to_parquet(tmp_path / "table.parquet")
    (tmp_path / "store").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", [TUNE, PARALLEL, CREATE, FIRST_WORKER, *READERS])
def test_every_command_that_needs_mlflow_is_refused_at_the_start(
    folder: Path, proxy: PasswordProxy, command: tuple[str, ...]
) -> None:
    done = run(folder, proxy.uri, command, **WRONG)
    assert done.returncode == 2, done.stderr
    (line,) = [item for item in done.stderr.splitlines() if "refuses" in item]
    assert line.startswith(
        f"error: {proxy.uri} refuses MLFLOW_TRACKING_USERNAME 'quant' with this MLFLOW_TRACKING_PASS"
    )
    assert "Traceback" not in done.stderr
    assert not (folder / "store/studies.db").exists() or not OptunaStudyManager(folder / "store").list_studies()


def test_a_worker_of_an_existing_study_works_without_mlflow(folder: Path, proxy: PasswordProxy) -> None:
    assert run(folder, proxy.uri, CREATE, **USER).returncode == 0
    done = run(folder, proxy.uri, WORKER, **WRONG)
    assert done.returncode == 0, done.stderr
    assert "refuses MLFLOW_TRACKING_USERNAME 'quant'" in done.stderr
    assert "the trials of this worker are kept, and their runs are written when the study is finished" in done.stderr
    finish = run(folder, proxy.uri, TUNE, **USER)
    assert finish.returncode == 0, finish.stderr
    client = MlflowClient(proxy.uri.replace("http://", "http://quant:right@"))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`optuna.study_name` = '{NAME}'")
    assert len(found) == 3, "the parent and two trials"
