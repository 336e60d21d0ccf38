"""What happens to a request after its answer: the log, the prediction of a challenger, checks of its values.

One thread does it, fed by a queue with a limit. When the queue is full, requests are dropped from it and counted: no
answer waits for this thread or fails because of it.
"""

import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from src.data import encoding
from src.serving.online.follower import Slot
from src.serving.online.metrics import ServingMetrics
from src.serving.online.version import ServedVersion, answers_of
from src.serving.prediction_log.collect import WRITE_SECONDS, Keys, Labels, LogError, PredictionLog
from src.suggest import one_line

log = logging.getLogger(__name__)

MAX_QUEUED_ROWS = 200_000
MAX_QUEUED_REQUESTS = 2_000
CHECK_SHARE = 0.05
"""Most of the thread's time that goes into checks of values: they cost as much as the prediction of a row."""
_SECONDS_TO_END = 10.0


@dataclass(frozen=True)
class Answered:
    """A request that was answered.

    Attributes:
        version: that answered.
        frame: the request's rows.
        predictions: what the model returned.
        params: the request's `params`.
        when: time of the answer.
    """

    version: ServedVersion
    frame: pd.DataFrame
    predictions: Any
    params: dict[str, Any] | None
    when: datetime = field(default_factory=lambda: datetime.now(UTC))


class Afterwards:
    """The thread and its queue.

    Args:
        metrics: of the server.
        shadows: the slot of the challenger, by target; empty without `--shadow`.
        prediction_log: None without `--log-predictions`.
        keys: names of the account and date columns of requests; a model with derived features knows its own.
    """

    def __init__(
        self,
        metrics: ServingMetrics,
        shadows: Mapping[str, Slot],
        prediction_log: PredictionLog | None = None,
        keys: Keys = (None, None),
    ) -> None:
        self._metrics = metrics
        self._shadows = shadows
        self._log, self._keys = prediction_log, keys
        self._queue: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        self._queued_rows = 0
        self._lock = threading.Lock()
        self._next_check = 0.0
        self._log_failed = False
        self._thread = threading.Thread(target=self._run, name="afterwards", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Handles what is queued, at most for some seconds, and writes the rest of the log."""
        self._queue.put(None)
        self._thread.join(timeout=_SECONDS_TO_END)

    def put(self, answered: Answered) -> None:
        """Hands over a request, or drops it."""
        rows = len(answered.frame)
        with self._lock:
            full = self._queued_rows + rows > MAX_QUEUED_ROWS and self._queued_rows > 0
            if not full and self._queue.qsize() < MAX_QUEUED_REQUESTS:
                self._queued_rows += rows
                self._queue.put(answered)
                return
        if self._log is not None or self._shadows:
            self._metrics.dropped.inc()

    def _run(self) -> None:
        item: Answered | None
        while (item := self._next()) is not None:
            with self._lock:
                self._queued_rows -= len(item.frame)
            try:
                self._handle(item)
            except Exception as error:  # boundary of the thread: the rows may hold anything
                self._metrics.dropped.inc()
                log.debug("", exc_info=True)
                log.warning("a request could not be handled after its answer: %s", one_line(error))
        self._flush(now=True)

    def _next(self) -> Answered | None:
        while True:
            try:
                return self._queue.get(timeout=WRITE_SECONDS)
            except queue.Empty:  # no request for a while
                self._flush()

    def _handle(self, item: Answered) -> None:
        if self._log is not None:
            self._add(self._log, item.version, item.predictions, item)
        slot = self._shadows.get(item.version.target)
        shadow = None if slot is None else slot.current
        if shadow is not None and shadow.number != item.version.number:
            self._predict_in_shadow(shadow, item)
        self._flush()
        if monotonic() >= self._next_check:
            started = monotonic()
            self._check(item)
            self._next_check = monotonic() + (monotonic() - started) / CHECK_SHARE

    def _predict_in_shadow(self, shadow: ServedVersion, item: Answered) -> None:
        labels = (shadow.target, str(shadow.number))
        try:
            predictions = shadow.predict(item.frame, item.params if shadow.has_history else None)
        except Exception as error:  # boundary to the model's own code: a challenger may refuse what a champion takes
            self._metrics.shadow_failures.labels(*labels).inc()
            log.debug("%s version %s refused a request: %s", *labels, one_line(error), exc_info=True)
            return
        self._metrics.shadow_rows.labels(*labels).inc(len(predictions))
        if self._log is not None:
            self._add(self._log, shadow, predictions, item)

    def _add(self, prediction_log: PredictionLog, version: ServedVersion, predictions: Any, item: Answered) -> None:
        labels = Labels(version.target, version.target, str(version.number), version.role)
        history = version.metadata.get("derived_features", {}).get("history")
        # With derived features the answer has rows of its own: those of the request that were to be predicted.
        rows, names = (
            (item.frame, self._keys) if history is None else (predictions, (history["account"], history["date"]))
        )
        prediction_log.add(rows, names, answers_of(predictions), labels, item.when)

    def _flush(self, *, now: bool = False) -> None:
        if self._log is None:
            return
        try:
            if self._log.flush(now=now):
                self._log_failed = False
        except LogError as error:  # a full disk, a database that is down: serving goes on without the log
            self._metrics.failed_log_writes.inc()
            self._metrics.unlogged_rows.inc(error.lost)
            if error.lost or not self._log_failed:
                lost = f"{error.lost} predictions are lost" if error.lost else "it is tried again"
                log.error("predictions could not be logged, serving goes on, %s: %s", lost, one_line(error, 400))
            self._log_failed = True

    def _check(self, item: Answered) -> None:
        version, frame = item.version, item.frame
        if not version.metadata or not len(frame):
            return
        labels = (version.target, str(version.number))
        self._metrics.checked_rows.labels(*labels).inc(len(frame))
        for name, levels in version.metadata.get("categorical_levels", {}).items():
            if name in frame:
                codes = encoding.level_codes(frame[name], levels)
                unseen = encoding.texts_of(frame[name]).notna().to_numpy() & np.isnan(codes)
                self._metrics.unseen_values.labels(*labels, name).inc(int(np.count_nonzero(unseen)))
        if version.ranges is not None:
            matrix = version.code.encode(frame)
            low, high = version.ranges.T
            outside = ((matrix < low) | (matrix > high)).any(axis=1)
            self._metrics.rows_outside.labels(*labels).inc(int(np.count_nonzero(outside)))
