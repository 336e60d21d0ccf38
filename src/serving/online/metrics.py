"""The server's metrics, in Prometheus's text format."""

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from src.serving.online.http import Answer
from src.serving.online.version import ServedVersion

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PREFIX = "daily_profit_"
_BY_VERSION = ("target", "version")


class ServingMetrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        by_status = (*_BY_VERSION, "status")
        self.requests = self._counter("requests", "answered requests", *by_status)
        self.seconds = Histogram(
            f"{_PREFIX}request_seconds", "seconds to the answer", by_status, buckets=_SECONDS, registry=self._registry
        )
        self.rows = self._counter("rows", "predicted rows", *_BY_VERSION)
        self.swaps = self._counter("swaps", "versions that began to answer", "target", "role")
        self.failed_swaps = self._counter("failed_swaps", "versions that were refused", "target", "role")
        self.failed_polls = self._counter("failed_polls", "polls without an answer of MLflow")
        self.checked_rows = self._counter("checked_rows", "rows whose values were checked", *_BY_VERSION)
        self.unseen_values = self._counter(
            "unseen_values", "values of checked rows whose category was not in training", *_BY_VERSION, "column"
        )
        self.rows_outside = self._counter(
            "rows_outside_training_range", "checked rows with a number outside its range in training", *_BY_VERSION
        )
        self.shadow_rows = self._counter("shadow_rows", "rows predicted in the shadow", *_BY_VERSION)
        self.shadow_failures = self._counter("shadow_failures", "requests that a shadow model refused", *_BY_VERSION)
        self.dropped = self._counter("dropped_requests", "requests left out of the log or the shadow")
        self.failed_log_writes = self._counter("failed_log_writes", "times that the log could not be written")
        self.unlogged_rows = self._counter(
            "unlogged_rows", "predictions that were given up after failed writes of the log"
        )
        self._version = self._gauge("model_version", "version that answers")
        self._age = self._gauge("model_age_seconds", "seconds since the model was trained")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}{name}", text, ("target",), registry=self._registry)

    def text(self, versions: Iterable[ServedVersion]) -> Answer:
        """All metrics now.

        Args:
            versions: those that answer now.
        """
        for version in versions:
            self._version.labels(version.target).set(version.number)
            trained_at = version.metadata.get("trained_at")
            if trained_at is not None:
                age = datetime.now(UTC) - datetime.fromisoformat(trained_at)
                self._age.labels(version.target).set(age.total_seconds())
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE_LATEST)

    def count(self, target: str, version: ServedVersion | None, status: int, seconds: float) -> None:
        """Counts an answered request."""
        labels = (target, "" if version is None else str(version.number), str(status))
        self.requests.labels(*labels).inc()
        self.seconds.labels(*labels).observe(seconds)
