"""The MLflow run of a promotion's decision: figures as metrics, settings as params, versions and user as tags.

The run is created before the alias moves and ended afterwards. A run that a killed command left is ended by the
repeated command.
"""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from src.config import PromotionSettings
from src.tracking.connection.run_tags import origin_tags
from src.tracking.connection.session import TrackingSession, now_ms
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors
from src.tracking.registry.comparison import ModelComparison
from src.tracking.registry.contests import DECISION_RUN, Verdict, contest_record
from src.tracking.registry.model_versions import version_number

DECISION, REASON = "daily_profit.decision", "daily_profit.reason"
CHAMPION_TAG, CHALLENGER_TAG = "daily_profit.champion", "daily_profit.challenger"
APPROVED_BY = "daily_profit.approved_by"
PROMOTED, KEPT, WAITING, ROLLED_BACK, FAILED = "promoted", "kept", "waiting for approval", "rolled back", "failed"
_SOURCE = "src.tracking.promote"


def open_decision_run(
    session: TrackingSession, result: ModelComparison, verdict: Verdict, settings: PromotionSettings
) -> str:
    """Creates the run of a contest's decision, or finds the one that the same decision has already; returns its id.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    compared = result.comparison
    with tracking_errors(f"write the decision on model {result.target!r}"):
        if verdict.run_id is not None:
            known = none_if_absent(session.client.get_run, verdict.run_id)
            if known is not None and known.info.lifecycle_stage == "active":
                return verdict.run_id
        versions = (version_number(compared.challenger_uri), version_number(compared.champion_uri))
        run_id = _create(
            session, result.target, "promote-{}-v{}-against-v{}".format(result.target, *versions), versions
        )
        params = _params(result, settings)
        session.client.log_batch(
            run_id,
            [Metric(key, value, now_ms(), 0) for key, value in _metrics(result, verdict).items()],
            [Param(key, str(value)) for key, value in params.items() if value is not None],
        )
        sources = [str(session.client.get_model_version(result.target, number).source) for number in versions]
        models = [source.removeprefix("models:/") for source in sources if source.startswith("models:/m-")]
        session.client.log_inputs(run_id, models=[LoggedModelInput(model) for model in models])
    return run_id


def open_rollback_run(session: TrackingSession, name: str, champion: str, former: str) -> str:
    """Creates the run of a rollback, or finds the one of a rollback that was killed; returns its id.

    Args:
        session: connection to MLflow.
        name: the registered name.
        champion: number of the present champion.
        former: number of the version that becomes champion again.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    run_name = f"rollback-{name}-v{champion}-to-v{former}"
    with tracking_errors(f"write the rollback of model {name!r}"):
        quote = '"' if "'" in run_name else "'"
        left = f"attributes.run_name = {quote}{run_name}{quote} AND attributes.status = 'RUNNING'"
        if runs := session.client.search_runs([session.experiment_id], left, max_results=1):
            return str(runs[0].info.run_id)
        run_id = _create(session, name, run_name, (former, champion))
        for number in (champion, former):
            session.client.set_model_version_tag(name, number, DECISION_RUN, run_id)
    return run_id


def _create(session: TrackingSession, name: str, run_name: str, versions: tuple[str, str]) -> str:
    outer = session.outer_run
    tags = {
        "daily_profit.model": name,
        CHALLENGER_TAG: f"models:/{name}/{versions[0]}",
        CHAMPION_TAG: f"models:/{name}/{versions[1]}",
        **origin_tags(_SOURCE),
        **({} if outer is None else {MLFLOW_PARENT_RUN_ID: outer.info.run_id}),
    }
    return str(session.client.create_run(session.experiment_id, run_name=run_name, tags=tags).info.run_id)


def _metrics(result: ModelComparison, verdict: Verdict) -> dict[str, float]:
    record = contest_record(result)
    values: dict[str, Any] = {
        "champion_score": record["champion_score"], "challenger_score": record["challenger_score"],
        "difference": record["difference"], "difference_low": record["low"], "difference_high": record["high"],
        "confidence": record["confidence"], "required_confidence": verdict.required, "contest": verdict.contest,
        "n_dates": record["dates"], "n_rows": record["rows"],
    }  # fmt: skip
    return {key: float(value) for key, value in values.items() if value is not None}


def _params(result: ModelComparison, settings: PromotionSettings) -> dict[str, Any]:
    first, last = result.dates or (None, None)
    return {
        "target": result.target, "metric": result.comparison.metric, "first_date": first, "last_date": last,
        "data_digest": result.data_digest, "min_probability": settings.min_probability,
        "test_fraction": settings.test_fraction, "purge_days": settings.purge_days, "approve_by": settings.approve_by,
    }  # fmt: skip


def end_decision_run(
    session: TrackingSession, run_id: str, decision: str, reason: str, approved_by: str | None = None
) -> None:
    """Writes the decision and ends the run; a run that was deleted meanwhile stays deleted.

    Args:
        session: connection to MLflow.
        run_id: the run.
        decision: one of the constants above; `FAILED` ends the run as FAILED.
        reason: one line.
        approved_by: the second person.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    tags = {DECISION: decision, REASON: reason} | ({} if approved_by is None else {APPROVED_BY: approved_by})
    with tracking_errors(f"end run {run_id}"):
        run = none_if_absent(session.client.get_run, run_id)
        if run is None or run.info.lifecycle_stage != "active":
            return
        session.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        session.client.set_terminated(run_id, "FAILED" if decision == FAILED else "FINISHED")


def decision_run_of(name: str, number: str) -> str | None:
    """The run of the latest decision on a version; None if there is none.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    with tracking_errors(f"read version {number} of model {name!r}"):
        run_id: str | None = MlflowClient().get_model_version(name, number).tags.get(DECISION_RUN)
    return run_id
