"""The server's metrics, in Prometheus's text format."""

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from src.serving.online.http import Answer
from src.serving.online.version import ServedVersion

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BY_VERSION = ("target", "version")


class ServingMetrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        prefix = "daily_profit_"
        by_status = (*_BY_VERSION, "status")
        self.requests = Counter(f"{prefix}requests", "answered requests", by_status, registry=registry)
        self.seconds = Histogram(
            f"{prefix}request_seconds", "seconds from request to answer", by_status, buckets=_SECONDS, registry=registry
        )
        self.rows = Counter(f"{prefix}rows", "rows of answered requests", _BY_VERSION, registry=registry)
        self.swaps = Counter(f"{prefix}swaps", "versions that began to answer", ("target", "role"), registry=registry)
        self.failed_swaps = Counter(
            f"{prefix}failed_swaps", "versions that were refused", ("target", "role"), registry=registry
        )
        self.failed_polls = Counter(f"{prefix}failed_polls", "polls without an answer of MLflow", registry=registry)
        self.checked_rows = Counter(f"{prefix}checked_rows", "rows whose values were checked", _BY_VERSION,
                                    registry=registry)  # fmt: skip
        self.unseen_values = Counter(
            f"{prefix}unseen_values", "values of checked rows whose category was not in training",
            (*_BY_VERSION, "column"), registry=registry,
        )  # fmt: skip
        self.rows_outside = Counter(
            f"{prefix}rows_outside_training_range", "checked rows with a number outside its range in training",
            _BY_VERSION, registry=registry,
        )  # fmt: skip
        self.shadow_rows = Counter(f"{prefix}shadow_rows", "rows predicted in the shadow", _BY_VERSION,
                                   registry=registry)  # fmt: skip
        self.shadow_failures = Counter(f"{prefix}shadow_failures", "requests that a shadow model refused",
                                       _BY_VERSION, registry=registry)  # fmt: skip
        self.dropped = Counter(
            f"{prefix}dropped_requests", "answered requests neither logged nor predicted in the shadow: the queue was "
            "full, or the log could not be written", registry=registry,
        )  # fmt: skip
        self._version = Gauge(f"{prefix}model_version", "version that answers", ("target",), registry=registry)
        self._age = Gauge(
            f"{prefix}model_age_seconds", "seconds since the model was trained", ("target",), registry=registry
        )

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
