"""Validation predictions in a real Postgres: workers store them, and the finish on another machine uses them."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from src.study.studies import OptunaStudyManager
from src.study.validation_predictions import MAX_KEPT, TABLE, PredictionStore
from tests.integration.fleet import FINISH, NAME, ROOT, Fleet
from tests.integration.servers import PostgresServer

SCORES = np.linspace(-1, 1, 20_000, dtype=np.float32)
TRAINED_AGAIN = "best trials are not stored here: training these trials again"


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str, mlflow_store: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres_url, mlflow_store)
    yield fleet
    fleet.stop()


def connect(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(make_url(url), poolclass=NullPool)


def finish(fleet: Fleet, machine: str) -> tuple[str, dict[str, Any], str]:
    """Runs the finish on a machine with separate folders; returns output, metadata and model."""
    own = ("--output-dir", machine, "--storage-dir", f"{machine}/store")
    output = fleet.done(fleet.run(FINISH, "--study-name", NAME, *own))
    metadata = json.loads((fleet.folder / machine / "models/lgb_num_trades_optuna_metadata.json").read_text())
    return output, metadata, (fleet.folder / metadata["model_file"]).read_text()


@pytest.mark.timeout(400)
def test_the_finish_on_another_machine_retrains_no_trial_and_gives_the_same_model(fleet: Fleet) -> None:
    fleet.done(fleet.create(14, "--pruner", "none", "--ensemble-size", "4"))
    workers = [fleet.worker(number) for number in range(2)]
    for worker in workers:
        fleet.done(worker)
    output, metadata, model = finish(fleet, "one")
    assert "training these trials again" not in output
    assert len(metadata["members"]) > 1, "validation predictions chose several trials"
    with connect(fleet.url).begin() as connection:
        assert connection.execute(sqlalchemy.delete(TABLE)).rowcount == 14
    again_said, again_metadata, again_model = finish(fleet, "two")
    assert f"validation predictions of 14 of the 14 {TRAINED_AGAIN}" in again_said
    assert again_model == model
    for name in ("members", "hyperparameters", "validation_score", "test_score"):
        assert again_metadata[name] == metadata[name]
    assert not list(fleet.folder.glob("**/predictions")), "no folder of files"


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


KEEP = """
import sys
import numpy as np
from src.modeling.optuna_utils import OptunaStudyManager
from src.study.validation_predictions import PredictionStore
store = PredictionStore.of(OptunaStudyManager(storage_url=sys.argv[1]).load_study("s"))
for number in range(int(sys.argv[2]), 200, 4):
    store.keep(number, -float(number), np.full(20000, number, dtype=np.float32), pinned=number < 5)
"""


def test_concurrent_workers_store_predictions_in_postgres(postgres_url: str) -> None:
    study = OptunaStudyManager(storage_url=postgres_url).create_or_load_study("s")
    command = [sys.executable, "-c", KEEP, postgres_url]
    workers = [
        subprocess.Popen([*command, str(number)], cwd=ROOT, stderr=subprocess.PIPE, text=True) for number in range(4)
    ]
    while any(worker.poll() is None for worker in workers):
        study.optimize(lambda trial: 1.0, n_trials=1)
    lines = [line for worker in workers for line in worker.communicate()[1].splitlines()]
    assert [line for line in lines if not line.startswith("waiting for the lock")] == [], "no deadlock, no conflict"
    best = {*range(5), *range(200 - MAX_KEPT, 200)}
    found = dict(PredictionStore.of(study).load({number: -float(number) for number in range(200)}, 20_000))
    assert found.keys() == best
    assert all(set(scores.tolist()) == {number} for number, scores in found.items())


def test_connection_losses_cost_only_the_cached_predictions(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager = OptunaStudyManager(storage_url=postgres_url)
    store, over = PredictionStore.of(manager.create_or_load_study("s")), threading.Event()
    kill = sqlalchemy.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def cut_all() -> None:
        while not over.wait(0.01):
            with connect(postgres_url).connect() as connection:
                connection.execute(kill)

    thread = threading.Thread(target=cut_all)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not warnings_in(caplog) and time.monotonic() < until:
            store.keep(1, 0.5, SCORES)
    finally:
        over.set()
        thread.join()
    (output,) = warnings_in(caplog)
    assert output.startswith("validation predictions of trial 1 cannot be written to the store: ")
    store.keep(2, 0.4, SCORES)
    ((_, found),) = store.load({2: 0.4}, len(SCORES))
    np.testing.assert_array_equal(found, SCORES)


def test_a_user_who_may_not_create_tables_searches_without_the_cache(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.database("studies")
    engine = OptunaStudyManager(storage_url=url).storage.engine
    with engine.begin() as connection:
        TABLE.drop(connection)
        connection.execute(sqlalchemy.text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        connection.execute(sqlalchemy.text("CREATE ROLE guest LOGIN"))
        connection.execute(sqlalchemy.text("GRANT ALL ON ALL TABLES IN SCHEMA public TO guest"))
        connection.execute(sqlalchemy.text("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guest"))
    engine.dispose()
    guest = make_url(url).set(username="guest", password=None).render_as_string(hide_password=False)
    manager = OptunaStudyManager(storage_url=guest)
    study = manager.create_or_load_study("s")
    store = PredictionStore.of(study)
    for number in range(3):
        store.keep(number, 0.5, SCORES)
        study.optimize(lambda trial: 0.5, n_trials=1)
    (output,) = warnings_in(caplog)
    assert output.startswith(
        'validation predictions of trial 0 cannot be written to the store: relation "daily_profit_predictions" does '
    )
    assert output.endswith("; grant the database user the right to create and write the table daily_profit_predictions")
    assert len(output) <= 500
    assert dict(store.load({0: 0.5}, len(SCORES))) == {}
    manager.storage.engine.dispose()


RACE = """
import sys, time, pathlib
from src.modeling.optuna_utils import OptunaStudyManager
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.001)
OptunaStudyManager(storage_url=sys.argv[1])
"""


def test_many_processes_open_a_store_of_an_older_version(tmp_path: Path, postgres_url: str) -> None:
    with OptunaStudyManager(storage_url=postgres_url).storage.engine.begin() as connection:
        TABLE.drop(connection)
    command = [sys.executable, "-c", RACE, postgres_url, str(tmp_path / "go")]
    openers = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    (tmp_path / "go").touch()
    assert [opener.wait(120) for opener in openers] == [0] * 4
    with connect(postgres_url).connect() as connection:
        assert sqlalchemy.inspect(connection).has_table(TABLE.name)


@pytest.mark.parametrize("by", ["our storage", "Optuna alone"])
def test_a_deleted_study_takes_its_predictions_with_it(postgres_url: str, by: str) -> None:
    manager = OptunaStudyManager(storage_url=postgres_url)
    for name in "st":
        PredictionStore.of(manager.create_or_load_study(name)).keep(0, 0.5, SCORES)
    optuna.delete_study(study_name="s", storage=manager.storage if by == "our storage" else postgres_url)
    with connect(postgres_url).connect() as connection:
        left = connection.execute(sqlalchemy.select(TABLE.c.study_id)).scalars().all()
    assert left == [manager.load_study("t")._study_id]
