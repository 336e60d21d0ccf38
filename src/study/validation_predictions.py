"""Validation predictions of the best trials, stored in the study's database for the ensemble.

Workers and the process that trains the final model may run on different machines, which share only the database. The
predictions have their own table next to Optuna's tables; Optuna neither reads nor migrates it.

The table is only a cache: predictions that are missing at the end of the search are computed again, equal to the bit. A
failed write therefore never fails a trial, and waits for locks are short. A row holds the trial's exact value, so that
predictions of another attempt of the same trial are never used.
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
"""Number of best trials kept, the candidates of the ensemble. Trials below do not improve an ensemble; more candidates
make the selection slower and more prone to overfitting, and all of them are trained again if nothing is stored."""
MAX_STUDY_BYTES = 128 * 2**20
"""Of one study: enough for the best trials and the fixed configurations (25) with 1.3 million validation rows."""
MAX_STORE_BYTES = 2**30
"""Of all studies in a store; checked at a study's first write. Nightly searches run for years, but only studies that
may be resumed need predictions, so those of the oldest studies are deleted."""
ROW_BYTES = 4
"""Of a 32-bit float."""
MAX_LOGIT = 35.0
"""For larger logits the 64-bit probability is exactly 1, and the raw score cannot be recovered."""
SHORT_WAITS = {
    "sqlite": "PRAGMA busy_timeout = 10000",
    "postgresql": "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'",
}
"""At the start of a transaction: a cache should not wait long for a lock."""

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
    """A row without its predictions."""

    number: int
    value: float
    pinned: bool
    n_rows: int


def create_table(engine: sqlalchemy.Engine) -> None:
    """Creates the table if it is missing; to be called under the lock for creating Optuna's tables.

    Without the right to create tables there is no cache; the first trial logs a warning.
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
    """LightGBM's predictions during training as raw scores (sums of leaf values): (n_rows,) 32-bit floats."""
    if task != "binary":
        return predictions.astype(np.float32)
    with np.errstate(divide="ignore"):  # a probability of exactly 0 or 1
        logit = np.log(predictions) - np.log1p(-predictions)
    raw: np.ndarray = np.clip(logit, -MAX_LOGIT, MAX_LOGIT).astype(np.float32)
    return raw


class PredictionStore:
    """The stored predictions of one study.

    Args:
        engine: of the database that the study is in.
        study_id: Optuna's.
        maximize: whether a higher value is better.
    """

    def __init__(self, engine: sqlalchemy.Engine, study_id: int, maximize: bool) -> None:
        self._engine = engine
        self._study = study_id
        self._sign = -1 if maximize else 1
        self._logged: set[str] = set()

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """The prediction store of a study."""
        return cls(storage_behind_cache(study).engine, id_of_study(study), study.direction.name == "MAXIMIZE")

    def keep(self, number: int, value: float, scores: np.ndarray, pinned: bool = False) -> None:
        """Stores (n_rows,) raw scores of a complete trial if it is one of the best, or pinned.

        Predictions that rank too low are not sent. Several processes may do this concurrently: in the end the rows are
        those of the best trials. A failed write never fails the trial.
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
        except SQLAlchemyError as error:  # the database is unavailable or full, the table is missing or read-only
            self._log_once(
                logging.WARNING,
                f"validation predictions of trial {number} cannot be written to the store: "
                f"{_reason(error, self._engine)}: the search continues, and the trial is trained again if the "
                f"ensemble needs it{_remedy(error)}",
            )

    def load(self, values: Mapping[int, float], n_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Loads stored predictions, one trial at a time to save memory.

        Args:
            values: exact values by trial number.
            n_rows: length of the predictions; rows of another length are ignored.

        Yields:
            A trial's number and its (n_rows,) raw scores, read-only; nothing for a trial that is not stored.
        """
        columns = TABLE.c
        for number, value in values.items():
            row = (columns.study_id == self._study) & (columns.trial_number == number)
            usable = row & (columns.value == repr(float(value))) & (columns.n_rows == n_rows)
            try:
                with self._transaction() as connection:
                    stored = connection.execute(sqlalchemy.select(columns.scores).where(usable)).scalar()
            except SQLAlchemyError as error:  # as in `keep`; the other trials would fail too
                log.warning("stored validation predictions cannot be read: %s", _reason(error, self._engine))
                return
            if stored is not None and len(stored) == n_rows * ROW_BYTES:
                scores = np.frombuffer(stored, dtype="<f4")
                if np.isfinite(scores).all():
                    yield number, scores

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(SHORT_WAITS[self._engine.name])
            try:
                yield connection
            finally:
                if self._engine.name == "sqlite":  # reset, because Optuna uses the connection next
                    connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * SQLITE_BUSY_SECONDS}")

    def _kept(self) -> list[StoredPredictions]:
        columns = TABLE.c
        query = sqlalchemy.select(columns.trial_number, columns.value, columns.pinned, columns.n_rows)
        with self._transaction() as connection:
            rows = connection.execute(query.where(columns.study_id == self._study)).all()
        return [StoredPredictions(number, float(value), pinned, n_rows) for number, value, pinned, n_rows in rows]

    def _surplus(self, rows: Sequence[StoredPredictions]) -> list[int]:
        """Numbers of the trials to delete; pinned trials have priority, and the earlier trial if values are equal."""
        surplus, places_left, bytes_left = [], MAX_KEPT, MAX_STUDY_BYTES
        for row in sorted(rows, key=lambda row: (not row.pinned, self._sign * row.value, row.number)):
            places_left -= not row.pinned
            bytes_left -= row.n_rows * ROW_BYTES
            if places_left < 0 or bytes_left < 0:
                surplus.append(row.number)
        if bytes_left < 0 <= places_left:
            size = rows[0].n_rows * ROW_BYTES / 2**20
            self._log_once(
                logging.INFO,
                f"validation predictions of {len(rows) - len(surplus)} trials are stored, {size:.0f} MiB each: the "
                f"limit is {MAX_STUDY_BYTES // 2**20} MiB per study; other trials are trained again if the ensemble "
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
        """Deletes rows in separate transactions: two processes that delete in different order could deadlock."""
        for number in numbers:
            row = (TABLE.c.study_id == self._study) & (TABLE.c.trial_number == number)
            with self._transaction() as connection:
                connection.execute(sqlalchemy.delete(TABLE).where(row))

    def _drop_oldest_studies(self) -> None:
        """Deletes predictions of the oldest other studies above `MAX_STORE_BYTES`; called at a study's first write."""
        study_id = TABLE.c.study_id
        sizes = sqlalchemy.select(study_id, sqlalchemy.func.sum(TABLE.c.n_rows) * ROW_BYTES).group_by(study_id)
        with self._transaction() as connection:
            newest_first = connection.execute(sizes.order_by(study_id.desc())).all()
        bytes_left = MAX_STORE_BYTES
        for other, size in newest_first:
            bytes_left -= size
            if bytes_left < 0 and other != self._study:
                with self._transaction() as connection:
                    connection.execute(sqlalchemy.delete(TABLE).where(study_id == other))

    def _log_once(self, level: int, message: str) -> None:
        """Logs the first message of a level; later ones at DEBUG, because they would repeat it."""
        kind = logging.getLevelName(level)
        log.log(logging.DEBUG if kind in self._logged else level, "%s", message)
        self._logged.add(kind)


def _remedy(error: SQLAlchemyError) -> str:
    if isinstance(error, ProgrammingError):  # of Postgres: no such table, no permission
        return f"; grant the database user the right to create and write the table {TABLE.name}"
    return "; free space on the store's disk" if is_full(error) else ""


def _reason(error: SQLAlchemyError, engine: sqlalchemy.Engine) -> str:
    """The driver's message, in one line and without the password."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return scrub(one_line(lines[0], 200), engine.url.render_as_string(hide_password=False))
