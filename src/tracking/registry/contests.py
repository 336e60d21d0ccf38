"""The recorded contests of a name: which dates they used, and how sure the next decision has to be.

Every challenger that is compared on the same dates is one more chance to be better by luck. The k-th contest on the
same dates therefore needs the one-sided confidence 1 - alpha / (k (k + 1)), where alpha = 1 - `--min-probability`. The
shares 1 / (k (k + 1)) add up to 1, so any number of challengers that are no better pass with probability alpha at most.

A record is the tag `judged_<digest of the comparison>` of the registered model, so it stays when a version is deleted,
and of both versions. It is written before the decision is made, so of two contests at the same time at least one
counts the other. The same comparison again, also after a kill, has the same tag and the same number.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.comparison import ModelComparison
from src.tracking.registry.model_versions import version_number, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

Record = dict[str, Any]
JUDGED_PREFIX = "judged_"
DECISION_RUN = "decision_run"
"""Tag of a version with the MLflow run of the latest decision on it."""


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger passes.

    Attributes:
        key: name of the contest's tag.
        contest: 1 for the first contest on these dates, 2 for the second.
        required: one-sided confidence, 0 to 1, that this contest needs.
        refusal: why the champion stays; None if the challenger passes.
        run_id: the MLflow run of the same decision, made before; None for a new decision.
    """

    key: str
    contest: int
    required: float
    refusal: str | None
    run_id: str | None = None


def required_confidence(min_probability: float, contest: int) -> float:
    """The one-sided confidence, 0 to 1, that the contest with this number on the same dates needs."""
    return 1 - (1 - min_probability) / (contest * (contest + 1))


def refusal_of(result: ModelComparison, required: float) -> str | None:
    """Why the champion stays; None if the challenger passes."""
    if not result.comparison.better:
        return "the challenger is not better"
    if result.confidence is None:  # where no confidence is required, the better score alone decides
        return "too few dates to be sure" if required > 0.5 else None
    if result.confidence < required:
        return f"better with less than {100 * required:.4g} % confidence"
    return None


def contest_record(result: ModelComparison) -> Record:
    """What identifies a contest: both versions, the rows and the result, as JSON values."""
    compared, (first, last) = result.comparison, result.dates or (None, None)
    return {
        "challenger": int(version_number(compared.challenger_uri)),
        "champion": int(version_number(compared.champion_uri)), "metric": compared.metric, "rows": compared.n_rows,
        "challenger_score": compared.challenger_score, "champion_score": compared.champion_score,
        "first": first, "last": last, "dates": result.n_dates, "data_digest": result.data_digest,
        "difference": result.difference.value, "low": result.difference.low, "high": result.difference.high,
        "confidence": result.confidence,
    }  # fmt: skip


def contest_key(record: Record) -> str:
    """The name of a contest's tag."""
    return JUDGED_PREFIX + hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]


def version_pair(uris: tuple[str, str]) -> tuple[int, int]:
    """The version numbers of champion and challenger."""
    return int(version_number(uris[0])), int(version_number(uris[1]))


def judged_until(records: Mapping[str, Record], versions: tuple[int, int], last_date: str | None) -> str | None:
    """The last date that an earlier contest used; None without one.

    A contest of the same versions up to the table's last date is the same contest, repeated: it does not count.

    Args:
        records: the recorded contests.
        versions: numbers of champion and challenger.
        last_date: the table's last date, ISO 8601; None for a table without dates.
    """
    lasts = [
        str(record["last"])
        for record in records.values()
        if record.get("last") is not None
        and not ((record["champion"], record["challenger"]) == versions and record["last"] == last_date)
    ]
    return max(lasts, default=None)


def verdict_on(result: ModelComparison, records: Mapping[str, Record], min_probability: float) -> Verdict:
    """Decides a contest.

    Args:
        result: the comparison.
        records: the recorded contests, with or without this one.
        min_probability: confidence that one single contest on its dates would need; see the module.
    """
    record = contest_record(result)
    key = contest_key(record)
    same = records.get(key, {})
    known = same.get("contest")
    others = sum(1 for other, earlier in records.items() if other != key and _share_dates(earlier, record))
    contest = others + 1 if known is None else int(known)
    required = required_confidence(min_probability, contest)
    run_id = same.get("run_id") if same.get("min_probability") == min_probability else None
    return Verdict(key, contest, required, refusal_of(result, required), run_id)


def _share_dates(one: Record, other: Record) -> bool:
    if one.get("first") is None or other.get("first") is None:  # rows without dates: the same table, the same rows
        return bool(one.get("data_digest") == other.get("data_digest"))
    return bool(one["first"] <= other["last"] and other["first"] <= one["last"])


def recorded_contests(name: str) -> dict[str, Record]:
    """The contests of a name by their tag, also those that earlier versions recorded on model versions only.

    Raises:
        UserError: a tag was edited and is no longer JSON.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"read the contests of model {name!r}"):
        client = MlflowClient()
        tags = [version.tags for version in versions_of(client, name)]
        tags.append(client.get_registered_model(name).tags)
    texts = {key: text for found in tags for key, text in found.items() if key.startswith(JUDGED_PREFIX)}
    return {key: json_tag(name, key, text) for key, text in texts.items()}


def json_tag(name: str, key: str, text: str) -> Record:
    """The JSON object in a tag of a registered model or of its versions.

    Raises:
        UserError: the tag was edited and is no longer a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"the tag {key} of model {name!r} is not a JSON object: delete it in MLflow")
    return value


def enter_contest(result: ModelComparison, min_probability: float) -> Verdict:
    """Records a contest on the registered model, then decides it.

    Raises:
        UserError: a recorded contest is not JSON.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    name, record = result.target, contest_record(result)
    key = contest_key(record)
    with tracking_errors(f"record a contest of model {name!r}"):
        client = MlflowClient()
        if key not in client.get_registered_model(name).tags:
            _set_on_model(client, name, key, record)
    return verdict_on(result, recorded_contests(name), min_probability)


def record_verdict(result: ModelComparison, verdict: Verdict, min_probability: float, run_id: str) -> None:
    """Adds the verdict to the record, on the registered model and on both versions; the same verdict changes nothing.

    Args:
        result: the comparison.
        verdict: of `enter_contest`.
        min_probability: see `verdict_on`.
        run_id: the MLflow run of the decision.

    Raises:
        UserError: a recorded contest is not JSON.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    name, record = result.target, contest_record(result)
    record |= {
        "contest": verdict.contest, "min_probability": min_probability, "required_confidence": verdict.required,
        "passed": verdict.refusal is None, "run_id": run_id,
    }  # fmt: skip
    with tracking_errors(f"record a contest of model {name!r}"):
        client = MlflowClient()
        text = client.get_registered_model(name).tags.get(verdict.key)
        if text is None or {"at": None} | record != json_tag(name, verdict.key, text) | {"at": None}:
            text = _set_on_model(client, name, verdict.key, record)
        for number in (str(record["challenger"]), str(record["champion"])):
            if client.get_model_version(name, number).tags.get(verdict.key) != text:
                client.set_model_version_tag(name, number, verdict.key, text)
                client.set_model_version_tag(name, number, DECISION_RUN, run_id)


def _set_on_model(client: "MlflowClient", name: str, key: str, record: Record) -> str:
    text = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds")} | record)
    client.set_registered_model_tag(name, key, text)
    return text
