"""Keeps every prediction that was given: what `--log-predictions` of `serve` and `predict` writes.

A row has the account and the date as text (empty where the rows have none), `prediction`, `target`, `model` and
`version` as in the output of `predict`, `role` (the alias of the version: `champion`, or `challenger` in the shadow)
and `time` (UTC, of the answer). `monitor` joins outcomes to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

import numpy as np
import pandas as pd

from src.data import encoding
from src.evaluation.scoring import Floats
from src.tracking.registry.served_model import PREDICTION

Keys = tuple[str | None, str | None]
"""Names of the account and the date column; None for one that is missing."""
WRITE_ROWS, WRITE_SECONDS = 50_000, 10.0
"""A write is due when so many rows have come, or so many seconds have passed."""
MAX_ROWS, RETRY_SECONDS = 200_000, 30.0
"""Rows that are kept while the log cannot be written, and how often it is tried again."""
LABELS = ("target", "model", "version", "role")


class LogError(Exception):
    """The log could not be written.

    Attributes:
        is_transient: whether the same rows may be written later.
        lost: number of predictions that were given up.
    """

    def __init__(self, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.is_transient, self.lost = is_transient, 0


class LogSink(Protocol):
    """Where the rows of a log go."""

    def write(self, rows: pd.DataFrame) -> None:
        """Writes rows, all or none.

        Raises:
            LogError: they could not be written.
        """


@dataclass(frozen=True)
class Labels:
    """What all rows of a call have in common; `model` is the registered name, `role` the alias or an empty text."""

    target: str
    model: str
    version: str
    role: str


class PredictionLog:
    """Collects predictions, and writes them after some seconds or rows, and at the end. Not thread-safe.

    Args:
        sink: where they are written.
        keys: names of the account and date columns of the log.
    """

    def __init__(self, sink: LogSink, keys: Keys) -> None:
        self._sink, self._keys = sink, keys
        self._parts: list[pd.DataFrame] = []
        self._n_rows, self._last_write, self._not_before = 0, monotonic(), 0.0

    def add(
        self, rows: pd.DataFrame, names: Keys, predictions: Floats, labels: Labels, when: datetime | None = None
    ) -> None:
        """Adds the predictions of rows.

        Args:
            rows: (n_rows, ...) with the account and the date, if there are any.
            names: of the account and date columns in `rows`.
            predictions: (n_rows,).
            labels: of all rows.
            when: time of the answer; None means now.
        """
        found = {shown: name for shown, name in zip(self._keys, names, strict=True) if shown is not None}
        columns = {shown: _texts(rows, name) for shown, name in found.items()}
        part = pd.DataFrame({**columns, PREDICTION: predictions}, index=pd.RangeIndex(len(predictions)))
        part = part.assign(**{name: pd.Series([getattr(labels, name)]).repeat(len(part)).array for name in LABELS})
        moment = pd.Timestamp((when or datetime.now(UTC)).astimezone(UTC)).as_unit("us")
        self._parts.append(part.assign(time=moment))
        self._n_rows += len(part)

    def flush(self, *, now: bool = False) -> bool:
        """Writes the collected predictions if a write is due; returns whether it wrote.

        Rows that could not be written for a reason that may pass are kept for the next time, `MAX_ROWS` at most.

        Args:
            now: write in any case.

        Raises:
            LogError: the log could not be written.
        """
        moment = monotonic()
        due = self._n_rows > WRITE_ROWS or moment - self._last_write > WRITE_SECONDS
        if not (now or (due and moment >= self._not_before)) or not self._n_rows:
            return False
        try:
            self._sink.write(pd.concat(self._parts, ignore_index=True))
        except LogError as error:
            self._not_before = monotonic() + RETRY_SECONDS
            if not error.is_transient or self._n_rows > MAX_ROWS or now:
                error.lost = self._n_rows
                self._parts, self._n_rows = [], 0
            raise
        self._parts, self._n_rows, self._last_write = [], 0, monotonic()
        return True


def _texts(rows: pd.DataFrame, name: str | None) -> pd.Series:
    """A key column as text that every database takes; missing where the rows do not have it."""
    if name is None or name not in rows:
        return pd.Series([None] * len(rows), dtype="str")
    positions, values = encoding.distinct(rows[name])
    texts = [_storable(encoding.text_of(value)) for value in values]
    labels = np.array([*(text if text.strip() else None for text in texts), None], dtype=object)
    return pd.Series(labels[positions], dtype="str")


def _storable(text: str) -> str:
    """Without NUL and half characters, which JSON may contain and Postgres refuses."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def log_columns(keys: Keys) -> Mapping[str, str]:
    """Names and kinds (`text`, `number`, `time`) of the columns of a log."""
    texts = dict.fromkeys((name for name in keys if name is not None), "text")
    return {**texts, PREDICTION: "number", **dict.fromkeys(LABELS, "text"), "time": "time"}
