"""Writes a run of `monitor` to MLflow: a run of its own, with metrics stepped by date."""

import logging
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import TrackingError
from src.monitoring.result import Monitored, as_json, verdict

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession

log = logging.getLogger(__name__)

ALARM_TAG = "daily_profit.monitor"
"""Tag with the verdict."""
MODEL_TAG = "daily_profit.model"
"""Tag with the monitored version, as `models:/<name>/<version>`."""
_EPOCH = date(1970, 1, 1)
_PER_REQUEST = 500
_NOT_IN_NAMES = re.compile(r"[^\w\-. /]")


def log_monitoring(result: Monitored, text: str, report: Path, environ: Mapping[str, str]) -> str | None:
    """Adds the run `monitor-<target>-<last date>`, inside the run of `mlflow run` if there is one.

    The step of a metric is the number of days since 1970-01-01.

    Args:
        result: of the run.
        text: the same as a text table.
        report: the report page.
        environ: environment variables with the outer run and the tracking URI.

    Returns:
        The id of the run; None, with a warning, if MLflow fails.
    """
    from src.tracking.connection.session import TrackingSession

    try:
        return _log(result, text, report, TrackingSession(environ))
    except TrackingError as error:  # the result is printed already, and decides the exit status
        log.warning("the result is not in MLflow: %s", error)
        return None


def _log(result: Monitored, text: str, report: Path, session: "TrackingSession") -> str:
    from mlflow.entities import Metric, RunTag

    from src.tracking.connection.session import now_ms
    from src.tracking.connection.tracking_errors import tracking_errors

    tags: dict[str, Any] = {ALARM_TAG: verdict(result), MODEL_TAG: result.model}
    if session.outer_run is not None:
        tags["mlflow.parentRunId"] = session.outer_run.info.run_id
    with tracking_errors("write the result of monitor"):
        name = f"monitor-{result.target}-{result.new.last}"
        client = session.client
        run_id = str(client.create_run(session.experiment_id, run_name=name, tags=tags).info.run_id)
        time = now_ms()
        metrics = [Metric(metric, value, time, step) for metric, value, step in metrics_of(result)]
        for first in range(0, len(metrics), _PER_REQUEST):
            client.log_batch(run_id, metrics=metrics[first : first + _PER_REQUEST])
        client.log_dict(run_id, as_json(result), "monitor.json")
        client.log_text(run_id, text + "\n", "monitor.txt")
        client.log_artifact(run_id, str(report), "report")
        client.log_batch(run_id, tags=[RunTag("daily_profit.alarms", str(len(result.alarms)))])
        client.set_terminated(run_id)
    return run_id


def metrics_of(result: Monitored) -> Iterator[tuple[str, float, int]]:
    """Names, values and steps: per date rows and mean prediction, the score, and every statistic at the last date."""
    for day, rows, mean in result.daily:
        yield "rows", float(rows), _step(day)
        yield "mean_prediction", mean, _step(day)
    for part in result.score.parts if result.score is not None else ():
        yield "score", part.score, _step(part.last)
    for version in result.answered.versions if result.answered is not None else ():
        for of_dates in version.parts:
            yield _name("answered_score", version.shown), of_dates.score, _step(of_dates.last)
    for difference in result.answered.differences if result.answered is not None else ():
        name = _name("answered_difference", f"{difference.challenger} {difference.champion}")
        yield name, difference.difference, _step(difference.last)
    last = _step(result.new.last)
    yield "alarms", float(len(result.alarms)), last
    for line in result.lines:
        if line.measure != "score":
            yield _name(line.measure, line.what), line.value, last


def _name(measure: str, what: str) -> str:
    return _NOT_IN_NAMES.sub("_", f"{measure}.{what}")[:250]


def _step(day: str) -> int:
    return (date.fromisoformat(day) - _EPOCH).days
