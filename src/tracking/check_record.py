"""Writes the findings of `check` to the run that `mlflow run` started."""

import logging
from collections.abc import Mapping
from typing import Any

from src.errors import TrackingError

log = logging.getLogger(__name__)

VERDICT_TAG = "daily_profit.check"
"""Tag with the worst severity: ok, note or suspicious."""


def log_check(record: Mapping[str, Any], text: str, environ: Mapping[str, str]) -> None:
    """Adds `check.json`, `check.txt`, the number of findings per severity and the verdict; without a run does nothing.

    Args:
        record: from `src.table_check.report.as_json`.
        text: the same as a text table.
        environ: environment variables with the run and the tracking URI.
    """
    if not environ.get("MLFLOW_RUN_ID"):
        return
    try:
        _log(record, text, environ)
    except TrackingError as error:  # the findings are printed already, and decide the exit status
        log.warning("the findings are not in MLflow: %s", error)


def _log(record: Mapping[str, Any], text: str, environ: Mapping[str, str]) -> None:
    from mlflow.entities import Metric, RunTag

    from src.tracking.connection.session import TrackingSession, now_ms
    from src.tracking.connection.tracking_errors import tracking_errors

    session, run_id, time = TrackingSession(environ), environ["MLFLOW_RUN_ID"], now_ms()
    severities = [finding["severity"] for finding in record["findings"]]
    counts = {"check_suspicious": severities.count("suspicious"), "check_notes": severities.count("note")}
    metrics = [Metric(name, value, time, 0) for name, value in counts.items()]
    with tracking_errors(f"write the findings to run {run_id}"):
        session.client.log_batch(run_id, metrics=metrics, tags=[RunTag(VERDICT_TAG, record["verdict"])])
        session.client.log_dict(run_id, dict(record), "check.json")
        session.client.log_text(run_id, text + "\n", "check.txt")
