"""Workers of one study on a real Postgres: joining, races, equal seeds, SIGTERM, and lost connections."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from mlflow.tracking import MlflowClient
from optuna.trial import FixedTrial, FrozenTrial
from sqlalchemy.engine import make_url

from src.errors import ConfigError, StoreError
from src.search.search_space import suggest_hyperparameters
from src.search.stop_flag import StopFlag
from src.search.trial_loop import WorkerContext, run_trials
from src.study import study_storage
from src.study.store_lock import store_lock
from src.study.studies import OptunaStudyManager
from src.study.study_settings import study_settings_of
from tests.integration.fleet import FINISH, NAME, ROOT, SHARED, Fleet
from tests.integration.servers import PostgresServer

LINE = ("--targets", "num_trades", "--data", "table.parquet")


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str, mlflow_store: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres_url.replace("postgres@", "postgres:t0p-secret@"), mlflow_store)
    yield fleet
    fleet.stop()


RACE = """
import multiprocessing, sys
import mlflow, src.modeling.distributed, src.tracking.projection.study_projection, src.tracking.connection.session
from src.modeling.optuna_parallel_optimization import main
context = multiprocessing.get_context("fork")
together = context.Barrier(8)
def create():
    together.wait()
    sys.exit(main(sys.argv[1:]))
creators = [context.Process(target=create) for _ in range(8)]
for creator in creators: creator.start()
for creator in creators: creator.join()
sys.exit(sum(creator.exitcode != 0 for creator in creators))
"""


@pytest.mark.timeout(300)
def test_a_race_of_eight_creators_ends_in_one_study_and_one_parent_run(fleet: Fleet) -> None:
    line = ["--mode", "create", "--storage-url", fleet.url, "--study-name", NAME, *LINE, "--n-trials", "4"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": fleet.uri}
    command = [sys.executable, "-c", RACE, *line]
    race = subprocess.run(command, cwd=fleet.folder, env=environment, capture_output=True, text=True, check=False)
    assert race.returncode == 0, race.stderr
    assert race.stdout.count(f"study {NAME} is ready: 0 of 4 trials") == 8
    assert OptunaStudyManager(storage_url=fleet.url).list_studies() == [NAME]
    assert len(fleet.study().user_attrs["starting_points"]) == 10
    client = MlflowClient(fleet.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (parent,) = client.search_runs(experiments)
    assert parent.info.run_name == NAME
    assert fleet.study().trials == [], "no trial is run"


@pytest.mark.timeout(300)
def test_a_worker_and_the_finish_need_only_the_name(fleet: Fleet) -> None:
    fleet.done(fleet.create(3, "--seed", "7", "--test-fraction", "0.3", "--ensemble-size", "2", "--pruner", "none"))
    wrong = fleet.worker(9, "--seed", "8")
    assert "was created with seed 7, now it is 8" in fleet.done(wrong, status=2).splitlines()[-1]
    said = fleet.done(fleet.worker(5))
    assert "worker 5 joins study num_trades_20240101_120000: 0 of 3 trials are finished" in said
    assert "trial 2 starts" in said
    assert "worker 5 leaves study num_trades_20240101_120000: it has all 3 trials" in said
    assert "worker 6 leaves" in fleet.done(fleet.worker(6, "--n-trials", "5"))
    stored = study_settings_of(fleet.study().user_attrs)
    assert stored is not None and stored.search.n_trials == 5
    assert "already has its 5 trials" in fleet.done(fleet.worker(7)), (
        "the total is the study's, not the worker's default"
    )
    fleet.done(fleet.run(SHARED, "--mode", "wait", "--study-name", NAME))
    assert "num_trades v1 @champion" in fleet.done(fleet.run(FINISH, "--study-name", NAME))
    fleet.check(5)
    dump = subprocess.run(
        [sys.executable, "-c", "import sys; print(open(sys.argv[1], 'rb').read())", str(fleet.folder / "mlflow.db")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "t0p-secret" not in dump + str(fleet.study().user_attrs)


def test_the_command_of_the_contract_and_the_variables(fleet: Fleet) -> None:
    mode = ("--mode", "distributed", "--worker-id", "1", *LINE, "--n-trials", "2")
    first = fleet.run(SHARED, *mode)
    assert "worker 1 leaves study num_trades_2" in fleet.done(first)
    url = make_url(fleet.url)
    variables = {"USER": "postgres", "PASSWORD": "t0p-secret", "HOST": str(url.query["host"]), "DB": str(url.database)}
    env = {f"OPTUNA_POSTGRES_{name}": value for name, value in variables.items()}
    fleet.url = ""
    second = fleet.run(SHARED, *mode, **env)
    assert "already has its 2 trials: use another --study-name to start a new one" in fleet.done(second), (
        "the target's newest study"
    )


def test_a_table_in_a_database_is_found_without_storing_its_password(fleet: Fleet) -> None:
    import pandas as pd

    with sqlalchemy.create_engine(make_url(fleet.url)).begin() as connection:
        pd.read_parquet(fleet.folder / "table.parquet").to_sql("days", connection)
    given = ("--data", fleet.url.replace("t0p-secret", "data-secret"), "--query", "SELECT * FROM days ORDER BY index")
    fleet.done(fleet.run(SHARED, "--mode", "create", "--study-name", NAME, "--targets", "num_trades", *given))
    stored = study_settings_of(fleet.study().user_attrs)
    assert "data-secret" not in str(fleet.study().user_attrs)
    assert stored is not None and stored.data.query == "SELECT * FROM days ORDER BY index"
    said = fleet.done(fleet.worker(0, "--n-trials", "1", "--verbose"))
    assert "leaves study" in said
    assert "secret" not in said


def drain(fleet: Fleet) -> str:
    """Sends SIGTERM to a worker during a trial; returns its output."""
    worker = fleet.worker(0)
    while not any(trial.state.name == "RUNNING" and trial.params for trial in fleet.study().trials):
        assert worker.poll() is None, fleet.output(worker)
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    said = fleet.done(worker, status=143, seconds=30)
    assert time.monotonic() - asked < 25, "a pod has thirty seconds"
    return said


def test_a_worker_stopped_by_sigterm_requeues_its_trial_and_exits_with_143(tmp_path: Path, postgres_url: str) -> None:
    """Status 143 at once, also if SIGTERM arrives during a trial; nothing is lost."""
    fleet = Fleet(tmp_path, postgres_url, "http://127.0.0.1:9", days=300, accounts=100)
    try:
        fleet.done(fleet.create(60))
        waiting: list[FrozenTrial] = []
        while not waiting:  # the signal may have arrived between two trials
            said = drain(fleet)
            assert "Traceback" not in said
            assert re.search(r"leaves study num_trades_20240101_120000: stopped: \d+ of 60 trials are done", said)
            states = [trial.state.name for trial in fleet.study().trials]
            assert set(states) <= {"COMPLETE", "PRUNED", "WAITING"}
            waiting = [trial for trial in fleet.study().trials if trial.state.name == "WAITING"]
        (trial,) = waiting
        assert trial.number == len(states) - 1
        assert suggest_hyperparameters(FixedTrial(trial.params)).keys() == trial.params.keys(), "all of them are kept"
        waiter = fleet.run(SHARED, "--mode", "wait", "--study-name", NAME)
        while "waiting for study" not in fleet.output(waiter):
            assert waiter.poll() is None, fleet.output(waiter)
            time.sleep(0.05)
        waiter.terminate()
        fleet.done(waiter, status=143)
    finally:
        fleet.stop()


WORKER = """
import sys
from src.search.stop_flag import StopFlag
from src.modeling.optuna_utils import OptunaStudyManager
from src.study.sampler import make_sampler
from src.search.search_space import suggest_hyperparameters
from src.search.trial_loop import WorkerContext, run_trials
manager = OptunaStudyManager(storage_url=sys.argv[1])
study = manager.load_study("s", make_sampler("tpe", 42))
objective = lambda trial: suggest_hyperparameters(trial)["learning_rate"]
run_trials(study, objective, WorkerContext(manager.storage, 40, StopFlag()))
"""


def test_two_workers_with_the_same_seed_propose_no_equal_parameters(postgres_url: str) -> None:
    study = OptunaStudyManager(storage_url=postgres_url).create_or_load_study("s")
    command = [sys.executable, "-c", WORKER, postgres_url]
    workers = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    trials = study.trials
    assert len(trials) == 40
    assert len({str(sorted(trial.params.items())) for trial in trials}) == 40
    assert len({trial.system_attrs["worker"] for trial in trials}) == 2, "one worker alone proves nothing"


def quick(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    trial.report(x, 1)
    trial.suggest_int("k", 1, 9)
    trial.set_user_attr("note", trial.number)
    return x


def loses_an_answer(engine: sqlalchemy.Engine, url: str, number: int) -> Callable[[], int]:
    """Executes the commit with this number but loses its answer; returns a counter of commits."""
    commits = 0

    def lose(connection: sqlalchemy.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits == number:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.commit()
            _cut(url, raw.info.backend_pid)

    sqlalchemy.event.listen(engine, "commit", lose)
    return lambda: commits


def _cut(url: str, pid: int) -> None:
    engine = sqlalchemy.create_engine(make_url(url), poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_commit_whose_answer_is_lost_is_done_once(postgres_url: str) -> None:
    """For every commit of three trials: creation, parameters, end, or a commit that only reads."""
    number, commits = 0, 1
    while number < commits:
        number += 1
        manager = OptunaStudyManager(storage_url=postgres_url)
        study = manager.create_or_load_study(f"s{number}")
        study.enqueue_trial({"x": 0.5})
        so_far = loses_an_answer(manager.storage.engine, postgres_url, number)
        run_trials(study, quick, WorkerContext(manager.storage, 3, StopFlag()))
        commits = so_far()
        seen = OptunaStudyManager(storage_url=postgres_url).load_study(f"s{number}").trials
        assert [(t.state.name, t.number, t.user_attrs) for t in seen] == [
            ("COMPLETE", i, {"note": i}) for i in range(3)
        ], f"answer {number} was lost"
        assert all(t.value == t.params["x"] == t.intermediate_values[1] for t in seen)
        manager.storage.engine.dispose()
    assert number > 10


def test_repeated_connection_losses_cost_no_trial(postgres_url: str) -> None:
    manager = OptunaStudyManager(storage_url=postgres_url)
    study, over = manager.create_or_load_study("s"), threading.Event()
    cut = sqlalchemy.create_engine(make_url(postgres_url), poolclass=sqlalchemy.pool.NullPool)

    def cut_all() -> None:
        while not over.wait(0.05):
            with cut.connect() as connection:
                connection.execute(
                    sqlalchemy.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    thread = threading.Thread(target=cut_all)
    thread.start()
    try:
        run_trials(study, quick, WorkerContext(manager.storage, 25, StopFlag()))
    finally:
        over.set()
        thread.join()
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 25


def test_a_restarted_server_marks_no_worker_as_dead(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = OptunaStudyManager(storage_url=postgres_server.url).storage
    assert storage._was_recently_unavailable()
    monkeypatch.setattr(study_storage, "GRACE_SECONDS", 0.0)
    assert not storage._was_recently_unavailable()
    storage.engine.dispose()


def test_a_lock_request_is_repeated_after_a_connection_loss(postgres_url: str) -> None:
    manager = OptunaStudyManager(storage_url=postgres_url)
    took: list[str] = []

    def second(patient: bool) -> None:
        try:
            with store_lock(manager.url, "x", manager.storage.retry_policy if patient else None):
                took.append(f"taken, patient {patient}")
        except StoreError as error:
            took.append(str(error))

    waiters = [threading.Thread(target=second, args=[patient]) for patient in (True, False)]
    engine = sqlalchemy.create_engine(make_url(postgres_url), poolclass=sqlalchemy.pool.NullPool)
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%' "
        "AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
    )
    with store_lock(manager.url, "x"):
        for waiter in waiters:
            waiter.start()
        with engine.connect() as connection:
            while len(pids := list(connection.execute(sqlalchemy.text(waiting)).scalars())) < 2:
                connection.rollback()
                time.sleep(0.02)
        for pid in pids:
            _cut(postgres_url, pid)
        waiters[1].join(20)
        assert len(took) == 1
        assert "cannot take a lock: " in took[0]
        assert "try again when it is available" in took[0]
    waiters[0].join(20)
    assert took[1:] == ["taken, patient True"]


def test_a_refusal_fails_at_once_and_an_outage_is_waited_for(postgres_url: str) -> None:
    missing = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match='database "nowhere" does not exist'):
        OptunaStudyManager(storage_url=missing, wait_seconds=60)
    with pytest.raises(StoreError, match=r"cannot be reached: .*Connection refused"):
        OptunaStudyManager(storage_url="postgresql://u:s3cret@127.0.0.1:9/db", wait_seconds=0.3)
    with pytest.raises(ConfigError, match=r"cannot be reached: .*Connection refused"):
        OptunaStudyManager(storage_url="postgresql://u:s3cret@127.0.0.1:9/db")
    assert os.environ.get("PGPASSWORD") is None
