"""Validation predictions of the best trials, kept in the study's database for the ensemble.

Workers and the process that trains the final model may run on different machines; the database is what they share. The
predictions have a table of their own beside Optuna's, which Optuna neither reads nor migrates.

A cache and nothing more: what is missing when the search ends is trained again, to the same bits. Hence a database that
refuses a write costs the cache, never the trial, and nothing waits long for it. A row holds the trial's exact value, so
that predictions of another attempt of the same trial are never used.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import optuna
import sqlalchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from src.config import Task
from src.disk import is_full
from src.secrets import scrub
from src.study.optuna_internals import id_of_study, models, storage_behind_cache
from src.study.store_location import SQLITE_BUSY_SECONDS
from src.suggest import one_line

log = logging.getLogger(__name__)

MAX_KEPT = 20
"""The best trials by value, and the ensemble's candidates: what ranks below has no say in a good ensemble, more of them
make the selection slower and luckier, and where nothing is kept all of them are trained again."""
MAX_STUDY_BYTES = 128 * 2**20
"""Of one study: the best trials and the fixed configurations, 25 in all, fit up to 1.3 million validation rows."""
MAX_STORE_BYTES = 2**30
"""Of all studies in a store when a new one begins to keep some. Nightly searches go on for years, but only studies that
may be resumed need predictions: those of the oldest studies are dropped."""
ROW_BYTES = 4
"""Of a 32-bit float."""
MAX_LOGIT = 35.0
"""Beyond it the probability is 1 in 64 bits, and its raw score cannot be told any more."""
SHORT_WAITS = {
    "sqlite": "PRAGMA busy_timeout = 10000",
    "postgresql": "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'",
}
"""At the beginning of a transaction: a cache is not worth a long wait for a lock."""

TABLE = sqlalchemy.Table(
    "daily_profit_predictions",
    sqlalchemy.MetaData(),  # not Optuna's, which would create the table wherever it creates its own
    sqlalchemy.Column(
        "study_id",
        sqlalchemy.ForeignKey(models.StudyModel.__table__.c.study_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    sqlalchemy.Column("trial_number", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("value", sqlalchemy.String(32), nullable=False),  # shortest text of exactly this 64-bit float
    sqlalchemy.Column("pinned", sqlalchemy.Boolean, nullable=False),
    sqlalchemy.Column("n_rows", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("scores", sqlalchemy.LargeBinary, nullable=False),  # last: SQLite reads a row up to what it needs
)
_ON_DELETE = (
    f"CREATE TRIGGER {TABLE.name}_of_deleted_study AFTER DELETE ON studies "
    f"BEGIN DELETE FROM {TABLE.name} WHERE study_id = OLD.study_id; END"
)
"""SQLite enforces foreign keys only on request, which Optuna does not make, and reuses the id of a deleted study."""


class StoredPredictions(NamedTuple):
    """What a row says about its predictions, without them."""

    number: int
    value: float
    pinned: bool
    n_rows: int


def create_table(engine: sqlalchemy.Engine) -> None:
    """Creates the table in a store that lacks it; to be called under the lock for creating Optuna's tables.

    A user without the right to create tables works without the cache; the first trial says so.
    """
    try:
        if not sqlalchemy.inspect(engine).has_table(TABLE.name):
            with engine.begin() as connection:
                TABLE.create(connection)
                if engine.name == "sqlite":
                    connection.exec_driver_sql(_ON_DELETE)
    except SQLAlchemyError as error:
        log.debug("the table %s cannot be created: %s", TABLE.name, _reason(error, engine))


def raw_scores(task: Task, predictions: np.ndarray) -> np.ndarray:
    """What LightGBM hands over while it trains, as the sum of leaves that it came from: (n_rows,) 32-bit floats."""
    if task != "binary":
        return predictions.astype(np.float32)
    with np.errstate(divide="ignore"):  # a probability of exactly 0 or 1
        logit = np.log(predictions) - np.log1p(-predictions)
    raw: np.ndarray = np.clip(logit, -MAX_LOGIT, MAX_LOGIT).astype(np.float32)
    return raw


class PredictionStore:
    """The kept predictions of one study.

    Args:
        engine: of the database that the study is in.
        study_id: Optuna's.
        maximize: whether a higher value is better.
    """

    def __init__(self, engine: sqlalchemy.Engine, study_id: int, maximize: bool) -> None:
        self._engine = engine
        self._study = study_id
        self._sign = -1 if maximize else 1
        self._said: set[str] = set()

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """The store of a study in a database."""
        return cls(storage_behind_cache(study).engine, id_of_study(study), study.direction.name == "MAXIMIZE")

    def keep(self, number: int, value: float, scores: np.ndarray, pinned: bool = False) -> None:
        """Keeps (n_rows,) raw scores of a complete trial if it is one of the best, or pinned.

        Predictions that rank too low are not sent. Several processes may do this at once: after the last one the rows
        are those of the best trials. A database that refuses costs the cache, never the trial.
        """
        new = StoredPredictions(number, float(value), pinned, len(scores))
        try:
            kept = self._kept()
            if number in self._surplus([new, *(row for row in kept if row.number != number)]):
                return
            self._write(new, scores)
            self._remove(self._surplus(self._kept()))
            if not kept:
                self._drop_oldest_studies()
        except SQLAlchemyError as error:  # the database is away or full, or the table is missing or not ours to write
            self._say_once(
                logging.WARNING,
                f"validation predictions of trial {number} cannot be kept in the store: "
                f"{_reason(error, self._engine)}: the search goes on, and the final model's choice trains the trial "
                f"again if it needs it{_remedy(error)}",
            )

    def load(self, values: Mapping[int, float], n_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Kept predictions, one trial after the other so that memory holds one at a time.

        Args:
            values: exact value by trial number.
            n_rows: length of the predictions; others are left out.

        Yields:
            A trial's number and its (n_rows,) raw scores, read-only; nothing for a trial that is not kept.
        """
        columns = TABLE.c
        for number, value in values.items():
            row = (columns.study_id == self._study) & (columns.trial_number == number)
            usable = row & (columns.value == repr(float(value))) & (columns.n_rows == n_rows)
            try:
                with self._transaction() as connection:
                    found = connection.execute(sqlalchemy.select(columns.scores).where(usable)).scalar()
            except SQLAlchemyError as error:  # as when keeping; the other trials would meet the same
                log.warning("kept validation predictions cannot be read: %s", _reason(error, self._engine))
                return
            if found is not None and len(found) == n_rows * ROW_BYTES:
                scores = np.frombuffer(found, dtype="<f4")
                if np.isfinite(scores).all():
                    yield number, scores

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(SHORT_WAITS[self._engine.name])
            try:
                yield connection
            finally:
                if self._engine.name == "sqlite":  # a setting of the connection, which Optuna uses next
                    connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * SQLITE_BUSY_SECONDS}")

    def _kept(self) -> list[StoredPredictions]:
        columns = TABLE.c
        query = sqlalchemy.select(columns.trial_number, columns.value, columns.pinned, columns.n_rows)
        with self._transaction() as connection:
            rows = connection.execute(query.where(columns.study_id == self._study)).all()
        return [StoredPredictions(number, float(value), pinned, n_rows) for number, value, pinned, n_rows in rows]

    def _surplus(self, rows: Sequence[StoredPredictions]) -> list[int]:
        """Numbers of the trials that are not to be kept; pinned ones come first, of equal ones the earlier trial."""
        surplus, places, room = [], MAX_KEPT, MAX_STUDY_BYTES
        for row in sorted(rows, key=lambda row: (not row.pinned, self._sign * row.value, row.number)):
            places -= not row.pinned
            room -= row.n_rows * ROW_BYTES
            if places < 0 or room < 0:
                surplus.append(row.number)
        if room < 0 <= places:
            size = rows[0].n_rows * ROW_BYTES / 2**20
            self._say_once(
                logging.INFO,
                f"validation predictions of {len(rows) - len(surplus)} trials are kept, {size:.0f} MiB each: a study "
                f"keeps {MAX_STUDY_BYTES // 2**20} MiB; other trials are trained again if the final model's choice "
                "needs them",
            )
        return surplus

    def _write(self, new: StoredPredictions, scores: np.ndarray) -> None:
        content = np.ascontiguousarray(scores, dtype="<f4").view(np.uint8).data
        row = {"value": repr(new.value), "pinned": new.pinned, "n_rows": new.n_rows, "scores": content}
        insert = (sqlite if self._engine.name == "sqlite" else postgresql).insert(TABLE)
        statement = insert.values(study_id=self._study, trial_number=new.number, **row)
        written = {name: statement.excluded[name] for name in row}
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["study_id", "trial_number"], set_=written)
            )

    def _remove(self, numbers: Sequence[int]) -> None:
        """Each in a transaction of its own: two processes that remove several in another order would deadlock."""
        for number in numbers:
            row = (TABLE.c.study_id == self._study) & (TABLE.c.trial_number == number)
            with self._transaction() as connection:
                connection.execute(sqlalchemy.delete(TABLE).where(row))

    def _drop_oldest_studies(self) -> None:
        """Called with a study's first predictions: takes those of the oldest other studies where a store has many."""
        study_id = TABLE.c.study_id
        sizes = sqlalchemy.select(study_id, sqlalchemy.func.sum(TABLE.c.n_rows) * ROW_BYTES).group_by(study_id)
        with self._transaction() as connection:
            newest_first = connection.execute(sizes.order_by(study_id.desc())).all()
        room = MAX_STORE_BYTES
        for other, size in newest_first:
            room -= size
            if room < 0 and other != self._study:
                with self._transaction() as connection:
                    connection.execute(sqlalchemy.delete(TABLE).where(study_id == other))

    def _say_once(self, level: int, message: str) -> None:
        """Trials after the first would say much the same."""
        kind = logging.getLevelName(level)
        log.log(logging.DEBUG if kind in self._said else level, "%s", message)
        self._said.add(kind)


def _remedy(error: SQLAlchemyError) -> str:
    if isinstance(error, ProgrammingError):  # of Postgres: no such table, no permission
        return f"; let the store's user create and write the table {TABLE.name}"
    return "; free space on the store's disk" if is_full(error) else ""


def _reason(error: SQLAlchemyError, engine: sqlalchemy.Engine) -> str:
    """The driver's words, in one line and without the password."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return scrub(one_line(lines[0], 200), engine.url.render_as_string(hide_password=False))
