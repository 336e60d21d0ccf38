"""What every test stands on: none of the machine's settings, one thread, nothing left in the tree."""

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

if TYPE_CHECKING:
    import optuna

    from src.study.studies import OptunaStudyManager

# LightGBM's OpenMP reads it once, when it is loaded; a second thread on a busy machine makes a fit many times slower.
os.environ["OMP_NUM_THREADS"] = "1"
# MLflow would send usage data from a thread of its own; tests talk to no server that they did not start.
os.environ["DO_NOT_TRACK"] = "true"

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "daily-profit-hypothesis")
# On a busy machine drawing examples may be slow, which is no failure.
settings.register_profile(
    "house",
    derandomize=True,
    deadline=None,
    max_examples=50,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

SETTINGS_OF_THE_MACHINE = ("MLFLOW_", "_MLFLOW_", "OPTUNA_", "AWS_")
STARTS_A_PROCESS_OR_SERVER = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.bind"}
"""Audit events of Python; `multiprocessing` binds a socket for its fork server."""
SLOW = "starts processes or servers, has an MLflow store, typesets PDFs, trains many models or simulates"
INTEGRATION = Path(__file__).with_name("integration")
SLOW_FOLDERS = {INTEGRATION, Path(__file__).with_name("k8s")}

_fast_test: list[str] = []
"""With --fast, the name of the running test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help=f"leave out the tests marked slow: what {SLOW}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"slow: {SLOW}; given to tests/integration, tests/k8s and users of an MLflow store"
    )
    if config.getoption("fast"):
        sys.addaudithook(_refuse_processes)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast the imports of the slow folders are not worth their seconds."""
    return True if config.getoption("fast") and collection_path in SLOW_FOLDERS else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what is always slow, leaves out what is slow with --fast, and begins with the longest files."""
    for item in items:
        if SLOW_FOLDERS.intersection(item.path.parents) or "_empty_mlflow_store" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    # Two processes end at about the same time only if no file of minutes is begun last.
    items.sort(key=lambda item: INTEGRATION not in item.path.parents)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.config.getoption("fast"):
        _fast_test[:] = [item.nodeid]
    result = yield
    _fast_test.clear()
    return result


def _refuse_processes(event: str, arguments: tuple[object, ...]) -> None:
    """Fails a fast test that starts a process or a server, so that it gets its mark."""
    if _fast_test and event in STARTS_A_PROCESS_OR_SERVER:
        pytest.fail(f"{event} {arguments}: mark {_fast_test[0]} with pytest.mark.slow")


@pytest.fixture(autouse=True)
def _isolated_environment() -> Iterator[None]:
    """Hides the user's settings of MLflow, Optuna and S3, and takes back what the test or MLflow itself set."""
    saved = _take_settings()
    yield
    _forget_mlflow()
    _take_settings()
    os.environ.update(saved)


def _take_settings() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(SETTINGS_OF_THE_MACHINE)}


def _forget_mlflow() -> None:
    """MLflow keeps its URIs, its experiment and the active run in globals, which outlive a test."""
    if "mlflow" not in sys.modules:
        return
    import mlflow
    from mlflow.tracking import fluent

    # Not `end_run`: it would write to a store, and the test's own may be gone by now.
    fluent._active_run_stack.set([])
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None is how the setting is taken back
    mlflow.set_registry_uri(None)  # type: ignore[arg-type]
    fluent._active_experiment_id = None


@pytest.fixture(scope="session")
def _empty_mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with MLflow's whole schema, made once: its migrations take seconds, a copy takes milliseconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("empty_mlflow_store")
    store = SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "mlruns"))
    store._dispose_engine()
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_store(_empty_mlflow_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the URI of a new embedded store, which MLflow uses as the default; its artifacts lie in `tmp_path`."""
    artifacts = tmp_path / "mlruns"
    database = shutil.copy(_empty_mlflow_store, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ? || '/' || experiment_id", (str(artifacts),))
    uri = f"sqlite:///{database}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    # Without it, an experiment made later would keep its artifacts in the working directory.
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(artifacts))
    return uri


@pytest.fixture
def manager(tmp_path: Path) -> "OptunaStudyManager":
    """The embedded store in a folder of the test's own."""
    from src.study.studies import OptunaStudyManager

    return OptunaStudyManager(tmp_path)


@pytest.fixture
def study(manager: "OptunaStudyManager") -> "optuna.Study":
    """A new study `s` in it."""
    return manager.create_or_load_study("s")
