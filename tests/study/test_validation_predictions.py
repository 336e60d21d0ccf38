import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from src.study import validation_predictions
from src.study.studies import OptunaStudyManager
from src.study.validation_predictions import MAX_KEPT, TABLE, PredictionStore, create_table, raw_scores

SCORES = np.linspace(-1, 1, 7, dtype=np.float32)


@pytest.fixture
def store(study: optuna.Study) -> PredictionStore:
    return PredictionStore.of(study)


@pytest.fixture
def engine(manager: OptunaStudyManager) -> sqlalchemy.Engine:
    return manager.storage.engine


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlalchemy.Engine]:
    """A store for many examples with separate studies."""
    manager = OptunaStudyManager(tmp_path_factory.mktemp("store"))
    yield manager.storage.engine
    manager.storage.engine.dispose()


def load(store: PredictionStore, number: int, value: float, n_rows: int = len(SCORES)) -> np.ndarray | None:
    return dict(store.load({number: value}, n_rows)).get(number)


def numbers(engine: sqlalchemy.Engine, study_id: int = 1) -> set[int]:
    with engine.connect() as connection:
        query = sqlalchemy.select(TABLE.c.trial_number).where(TABLE.c.study_id == study_id)
        return set(connection.execute(query).scalars())


def test_what_is_kept_is_found_by_another_process_of_the_study(tmp_path: Path, study: optuna.Study) -> None:
    store = PredictionStore.of(study)
    assert load(store, 3, 0.5) is None, "nothing yet"
    store.keep(3, 0.5, SCORES)
    found = load(PredictionStore.of(OptunaStudyManager(tmp_path).load_study("s")), 3, 0.5)
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, SCORES)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(value=FLOATS, scores=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_value_and_scores_come_back_to_the_bit(
    shared_engine: sqlalchemy.Engine, value: float, scores: list[float]
) -> None:
    store = PredictionStore(shared_engine, study_id=1, maximize=True)
    kept = np.array(scores, dtype=np.float32)
    store.keep(1, np.float64(value), kept, pinned=True)
    found = load(store, 1, value, len(kept))
    assert found is not None
    assert found.tobytes() == kept.tobytes()
    with np.errstate(over="ignore"):  # of the largest number there is
        other = float(np.nextafter(value, np.inf))
    assert load(store, 1, other, len(kept)) is None, "another attempt of the trial"
    assert load(store, 1, value, len(kept) + 1) is None, "of another split"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-9, 9), st.booleans()), max_size=60), st.booleans())
def test_the_best_and_the_pinned_are_kept_and_of_equal_ones_the_earlier(
    shared_engine: sqlalchemy.Engine, trials: list[tuple[int, int, bool]], maximize: bool
) -> None:
    with shared_engine.begin() as connection:
        connection.execute(sqlalchemy.delete(TABLE))
    store = PredictionStore(shared_engine, 1, maximize)
    unique = {number: (value / 3, pinned) for number, value, pinned in trials}
    for number, (value, pinned) in unique.items():
        store.keep(number, value, SCORES, pinned)
    others = [number for number, (_, pinned) in unique.items() if not pinned]
    ranked = sorted(others, key=lambda number: (-unique[number][0] if maximize else unique[number][0], number))
    pinned_ones = {number for number, (_, pinned) in unique.items() if pinned}
    assert numbers(shared_engine) == pinned_ones | set(ranked[:MAX_KEPT])
    assert set(dict(store.load({n: unique[n][0] for n in unique}, len(SCORES)))) == numbers(shared_engine)


def test_another_attempt_of_a_trial_takes_the_place_of_the_first(store: PredictionStore) -> None:
    store.keep(1, 0.5, SCORES)
    store.keep(1, 0.25, SCORES[::-1])
    assert load(store, 1, 0.5) is None
    found = load(store, 1, 0.25)
    assert found is not None
    np.testing.assert_array_equal(found, SCORES[::-1])


def test_predictions_that_rank_too_low_are_not_sent(
    engine: sqlalchemy.Engine, store: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MAX_KEPT):
        store.keep(number, float(number), SCORES)
    sent: list[str] = []
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *call: sent.append(call[2].split()[0]))
    store.keep(99, 99.0, SCORES)
    assert sent == ["PRAGMA", "SELECT", "PRAGMA"]
    store.keep(98, -1.0, SCORES)
    assert {"INSERT", "DELETE"} <= set(sent)


def test_workers_that_keep_at_once_do_not_disturb_each_other(
    tmp_path: Path, study: optuna.Study, caplog: pytest.LogCaptureFixture
) -> None:
    managers = [OptunaStudyManager(tmp_path) for _ in range(8)]
    stores = [PredictionStore(manager.storage.engine, study._study_id, maximize=True) for manager in managers]

    def work(number: int) -> None:
        stores[number % 8].keep(number, float(number), np.full(5000, number, dtype=np.float32))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(80)))
    best = range(80 - MAX_KEPT, 80)
    assert numbers(managers[0].storage.engine) == set(best)
    for number, found in stores[0].load({number: float(number) for number in best}, 5000):
        assert set(found.tolist()) == {number}
    assert caplog.records == []


def test_a_large_table_keeps_as_many_of_the_best_as_fit_and_says_so_once(
    engine: sqlalchemy.Engine,
    store: PredictionStore,
    study: optuna.Study,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(validation_predictions, "MAX_STUDY_BYTES", 5 * SCORES.nbytes + 1)
    with caplog.at_level(logging.INFO):
        store.keep(0, 100.0, SCORES, pinned=True)
        for number in range(1, 12):
            store.keep(number, float(12 - number), SCORES)
        store.keep(12, 50.0, SCORES)
    assert numbers(engine) == {0, 8, 9, 10, 11}
    (record,) = caplog.records
    assert record.getMessage().startswith("validation predictions of 5 trials are stored, 0 MiB each: the limit is")


def test_a_store_drops_the_predictions_of_its_oldest_studies(
    manager: OptunaStudyManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_predictions, "MAX_STORE_BYTES", 5 * SCORES.nbytes)
    stores = [PredictionStore.of(manager.create_or_load_study(name)) for name in "abcd"]
    for store in stores[:3]:
        store.keep(0, 0.5, SCORES)
        store.keep(1, 0.6, SCORES)
    engine = manager.storage.engine
    stores[3].keep(0, 0.5, SCORES)
    assert [len(numbers(engine, study_id)) for study_id in (1, 2, 3, 4)] == [0, 2, 2, 1]
    stores[0].keep(7, 0.5, SCORES)
    assert numbers(engine, 1) == {7}, "an old study that is resumed keeps its own"


def test_broken_rows_are_not_used(engine: sqlalchemy.Engine, store: PredictionStore) -> None:
    store.keep(1, 0.5, SCORES)
    for content in (b"", SCORES.tobytes()[:-4], SCORES.tobytes() + b"1234"):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.update(TABLE).values(scores=content))
        assert load(store, 1, 0.5) is None
    store.keep(2, 0.25, np.full(7, np.nan))
    assert load(store, 2, 0.25) is None


def test_without_the_table_there_is_no_cache_and_one_warning(
    engine: sqlalchemy.Engine, store: PredictionStore, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.begin() as connection:
        TABLE.drop(connection)
    with caplog.at_level(logging.WARNING):
        store.keep(7, 0.5, SCORES)
        store.keep(8, 0.4, SCORES)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("validation predictions of trial 7 cannot be written to the store: no such table")
    assert message.endswith("the search continues, and the trial is trained again if the ensemble needs it")
    assert len(message) <= 500
    caplog.clear()
    assert dict(store.load({7: 0.5, 8: 0.4}, 7)) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "stored validation predictions cannot be read: no such table: daily_profit_predictions"
    ]


def test_a_store_of_an_older_version_gets_the_table_when_it_is_opened(
    engine: sqlalchemy.Engine, tmp_path: Path, store: PredictionStore
) -> None:
    with engine.begin() as connection:
        TABLE.drop(connection)
    OptunaStudyManager(tmp_path)
    store.keep(7, 0.5, SCORES)
    assert load(store, 7, 0.5) is not None
    create_table(engine)
    assert load(store, 7, 0.5) is not None, "creating it again changes nothing"


def test_a_locked_store_is_not_waited_for_long(
    engine: sqlalchemy.Engine,
    tmp_path: Path,
    store: PredictionStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    short = validation_predictions.SHORT_WAITS["sqlite"].replace("10000", "10")
    monkeypatch.setitem(validation_predictions.SHORT_WAITS, "sqlite", short)
    with closing(sqlite3.connect(tmp_path / "studies.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        store.keep(7, 0.5, SCORES)
    assert "cannot be written to the store: database is locked: the search continues" in caplog.text
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000, "Optuna's own patience"


def test_a_full_disk_costs_only_the_cache(
    engine: sqlalchemy.Engine, store: PredictionStore, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.connect() as connection:  # the pool has this one connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    store.keep(7, 0.5, np.zeros(100_000, dtype=np.float32))
    assert "cannot be written to the store: database or disk is full: the search continues" in caplog.text
    assert caplog.records[-1].getMessage().endswith("; free space on the store's disk")
    assert numbers(engine) == set(), "nothing by half"


@pytest.mark.parametrize("by", ["our storage", "Optuna alone"])
def test_a_deleted_study_leaves_nothing_to_the_next_one_with_its_id(
    tmp_path: Path, manager: OptunaStudyManager, study: optuna.Study, by: str
) -> None:
    kept = PredictionStore.of(study)
    kept.keep(1, 0.5, SCORES)
    storage = manager.storage if by == "our storage" else f"sqlite:///{tmp_path / 'studies.db'}"
    optuna.delete_study(study_name="s", storage=storage)
    again = manager.create_or_load_study("s")
    assert again._study_id == study._study_id
    assert load(PredictionStore.of(again), 1, 0.5) is None


def test_optuna_upgrades_a_store_with_the_table(tmp_path: Path, store: PredictionStore) -> None:
    store.keep(1, 0.5, SCORES)
    plain = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'studies.db'}")
    with plain.engine.begin() as connection:  # as Optuna 3.1 left it
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v3.0.0.d'"))
    assert plain.get_current_version() != plain.get_head_version()
    plain.upgrade()
    assert plain.get_current_version() == plain.get_head_version()
    assert load(store, 1, 0.5) is not None


def test_raw_scores_of_probabilities_are_their_logits() -> None:
    raw = np.array([-700.0, -34.0, -20.0, -1e-9, 0.0, 0.1, 5.0, 15.0, 800.0])
    with np.errstate(over="ignore"):
        probabilities = 1 / (1 + np.exp(-raw))
    found = raw_scores("binary", probabilities)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1:-1], raw[1:-1], rtol=1e-6, atol=1e-9)
    assert np.isfinite(found).all()
    assert (found[0], found[-1]) == (-35, 35)
    np.testing.assert_array_equal(raw_scores("regression", raw), raw.astype(np.float32))
