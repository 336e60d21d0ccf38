"""Keeps predictions as a folder of Parquet parts, which every command reads by `--data FOLDER`.

Columns: the keys (account and date, where the request has them) as text, `prediction`, `target`, `version`, `role` (the
alias: `champion`, or `challenger` in the shadow) and `time` (UTC, when the request was answered).
"""

import os
import socket
import uuid
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from src.data import encoding
from src.errors import ConfigError
from src.serving.online.version import ServedVersion, answers_of
from src.tracking.registry.served_model import PREDICTION

FLUSH_ROWS, FLUSH_SECONDS = 50_000, 10.0


class PredictionLog:
    """Collects predictions and writes them as a part after some seconds or rows, and at the end.

    Args:
        folder: is created; several servers may share it.
        keys: names of the account and date columns; a model with derived features knows its own.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, keys: tuple[str, ...]) -> None:
        self._folder = folder
        self._keys = keys
        self._parts: list[pd.DataFrame] = []
        self._since = monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path(".probe").write_bytes(b"")
            self._path(".probe").unlink()
        except OSError as error:  # a file of that name, no permission, read-only
            reason = f"{error.strerror}: give a folder that this user can write"
            raise ConfigError(f"--log-predictions {folder} cannot be written: {reason}") from error

    def add(self, version: ServedVersion, frame: pd.DataFrame, predictions: Any, when: datetime) -> None:
        """Adds the predictions of a request.

        Args:
            version: that predicted.
            frame: (n_rows, ...) the request.
            predictions: what the model returned.
            when: time of the answer.
        """
        keyed = predictions if isinstance(predictions, pd.DataFrame) else frame
        names = [str(name) for name in keyed.columns if name != PREDICTION]
        keys = names if version.has_history else [name for name in self._keys if name in names]
        columns: dict[str, Any] = {name: encoding.texts_of(keyed[name]).astype(object) for name in keys}
        values = answers_of(predictions)
        columns |= {PREDICTION: values, "target": version.target, "version": version.number, "role": version.role}
        part = pd.DataFrame(columns, index=np.arange(len(values)))
        self._parts.append(part.assign(time=pd.Timestamp(when.astimezone(UTC)).as_unit("us")))

    def flush(self, *, now: bool = False) -> None:
        """Writes the collected predictions if there are many, or some seconds have passed.

        Args:
            now: write in any case.

        Raises:
            OSError: the disk is full, or the folder has become unwritable; the predictions are dropped.
        """
        due = monotonic() - self._since > FLUSH_SECONDS or sum(map(len, self._parts)) > FLUSH_ROWS
        if not (due or now):
            return
        parts, self._parts, self._since = self._parts, [], monotonic()
        if not parts:
            return
        table = pd.concat(parts, ignore_index=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.parquet"
        partial = self._path(f".{name}")
        try:
            table.to_parquet(partial, index=False)
            partial.replace(self._path(name))
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name
