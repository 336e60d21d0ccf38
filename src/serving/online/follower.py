"""Follows aliases of the registry: loads a new version beside the old one, and swaps them.

A version that cannot be loaded, or cannot predict its input example, is refused: the old one keeps serving. It is tried
again when the alias changes, and after `RETRY_SECONDS`, because its artifact store may have been unavailable; without
an old version it is tried at every poll.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from src.errors import DailyProfitError, TrackingError, UserError
from src.serving.online.metrics import ServingMetrics
from src.serving.online.version import ServedVersion, load_version
from src.suggest import one_line
from src.tracking.registry.served_model import pinned_uri

log = logging.getLogger(__name__)

RETRY_SECONDS = 300.0


@dataclass
class Slot:
    """The place of the version that has an alias.

    Attributes:
        target: the registered name.
        alias: the alias that is followed.
        optional: whether the alias may be absent, as that of a challenger.
        current: the version that answers. It is replaced by one assignment: a request takes it once and keeps it.
        refused: number of the version that was refused last, and when, by `monotonic`.
        reported: the last problem that was logged, so that it is logged once.
    """

    target: str
    alias: str
    optional: bool = False
    current: ServedVersion | None = None
    refused: tuple[int, float] | None = None
    reported: str = ""

    @property
    def uri(self) -> str:
        """The alias as a model URI."""
        return f"models:/{self.target}@{self.alias}"


def resolve(slot: Slot) -> int:
    """The number of the version that has the slot's alias now.

    Raises:
        UserError: there is no such name or alias.
        TrackingError: MLflow cannot be reached.
    """
    return int(pinned_uri(slot.uri).rpartition("/")[2])


class Follower:
    """A thread that polls the aliases; it is the only one that loads models."""

    def __init__(self, slots: Sequence[Slot], metrics: ServingMetrics, poll_seconds: float) -> None:
        self._slots = slots
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._outage = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Loads what the aliases name, and follows them."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after the step that it is in; the end of the process does not wait for a slow one."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
            except Exception:  # boundary of the thread: without it, the server would keep its versions for ever
                log.exception("polling the aliases failed: it is tried again in %g s", self._poll_seconds)
                self._metrics.failed_polls.inc()
            self._stop.wait(self._poll_seconds)

    def poll(self) -> None:
        """Looks at every alias once; an outage of MLflow is logged once."""
        try:
            for slot in self._slots:
                if not self._stop.is_set():
                    self._follow(slot)
        except TrackingError as error:
            self._metrics.failed_polls.inc()
            if not self._outage:
                log.warning("the loaded versions keep serving: %s", error)
            self._outage = True
            return
        if self._outage:
            log.warning("MLflow answers again")
        self._outage = False

    def _follow(self, slot: Slot) -> None:
        try:
            number = resolve(slot)
        except UserError as error:
            if slot.optional:
                slot.current = None
            elif slot.reported != str(error):
                log.warning("%s", error)
            slot.reported = str(error)
            return
        if slot.current is not None and slot.current.number == number:
            slot.refused, slot.reported = None, ""
        elif slot.refused is None or slot.refused[0] != number or self._retries(slot, slot.refused[1]):
            self._swap(slot, number)

    def _retries(self, slot: Slot, since: float) -> bool:
        return slot.current is None or monotonic() - since > RETRY_SECONDS

    def _swap(self, slot: Slot, number: int) -> None:
        try:
            version = load_version(slot.target, number, slot.alias)
        except Exception as error:  # boundary to the model's own code and files, which may raise anything
            log.debug("", exc_info=True)
            self._refuse(slot, number, error)
            return
        slot.current, slot.refused, slot.reported = version, None, ""
        self._metrics.swaps.labels(slot.target, slot.alias).inc()
        log.info("%s version %d serves as %s", slot.target, number, slot.alias)

    def _refuse(self, slot: Slot, number: int, error: Exception) -> None:
        slot.refused = (number, monotonic())
        self._metrics.failed_swaps.labels(slot.target, slot.alias).inc()
        kind = "" if isinstance(error, DailyProfitError) else f"{type(error).__name__}: "
        still = "no version serves" if slot.current is None else f"version {slot.current.number} keeps serving"
        line = f"{slot.target} version {number} ({slot.alias}) is refused, {still}: {kind}{one_line(error, 250)}"
        if line != slot.reported:
            log.error("%s", line)
        slot.reported = line
