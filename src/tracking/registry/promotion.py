"""Writes a comparison to the registry: a record on both versions, and the champion alias for a better challenger.

Every comparison is recorded, whatever its result, under its own tag `judged_<digest of its content>`. Later comparisons
overwrite nothing, and a repeated comparison, also after a kill, gets the same tag. The history of comparisons of a name
is the set of these tags over all its versions, with each digest counted once.

MLflow moves one alias at a time and has no conditional update. So the steps of a promotion are ordered such that a kill
after any step leaves exactly one champion, and the next promotion can complete the rest:

    record on both ─ tags on the challenger ─ alias `champion` ─ tags on the former champion ─ no alias `challenger`

A record says whether the challenger passed; `promoted_at` and the aliases say whether it was promoted.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.model_versions import CHALLENGER, CHAMPION, ScoreComparison, version_aliases

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PROMOTED_AT, PROMOTED_OVER = "promoted_at", "promoted_over"
REPLACED_AT, REPLACED_BY = "replaced_at", "replaced_by"
SCORE_TAGS = ("promotion_metric", "promotion_rows", "promotion_champion_score", "promotion_challenger_score")
"""Scores of the decision, the same on both versions; "champion" and "challenger" are the roles before it."""
JUDGED_PREFIX = "judged_"


def record_comparison(comparison: ScoreComparison, details: Mapping[str, Any]) -> None:
    """Tags both versions with the compared rows and the result; an existing record stays unchanged.

    Args:
        comparison: comparison of two versions of one name.
        details: further JSON values of the record: dates, interval, confidence, decision.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    name = comparison.challenger_uri.removeprefix("models:/").rpartition("/")[0]
    numbers = [version_number(uri) for uri in (comparison.challenger_uri, comparison.champion_uri)]
    record = {
        "challenger": int(numbers[0]), "champion": int(numbers[1]), "metric": comparison.metric,
        "rows": comparison.n_rows, "challenger_score": comparison.challenger_score,
        "champion_score": comparison.champion_score,
    } | dict(details)  # fmt: skip
    key = JUDGED_PREFIX + hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    with tracking_errors(f"record the comparison of version {numbers[0]} of model {name!r}"):
        client = MlflowClient()
        stored = [client.get_model_version(name, number).tags.get(key) for number in numbers]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        text = next(filter(None, stored), None) or json.dumps({"at": at} | record)
        for number, existing in zip(numbers, stored, strict=True):
            if existing is None:
                client.set_model_version_tag(name, number, key, text)


def promote_challenger(name: str, comparison: ScoreComparison) -> bool:
    """Makes the challenger champion if it is better in the comparison; otherwise changes nothing.

    Args:
        name: the registered name.
        comparison: comparison of this name's current champion and challenger.

    Returns:
        Whether the challenger became champion.

    Raises:
        UserError: the aliases have changed since the comparison, or do not exist.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    compared = {CHAMPION: comparison.champion_uri, CHALLENGER: comparison.challenger_uri}
    if aliases != compared:
        now = ", ".join(f"{alias} {aliases.get(alias, 'unassigned')}" for alias in compared)
        raise UserError(f"the champion or challenger alias of {name!r} changed meanwhile, now {now}: run promote again")
    if not comparison.better:
        return False
    number = version_number(comparison.challenger_uri)
    with tracking_errors(f"promote version {number} of model {name!r}"):
        client = MlflowClient()
        for key, value in _decision_tags(comparison).items():
            client.set_model_version_tag(name, number, key, value)
        client.set_registered_model_alias(name, CHAMPION, number)
        _complete(client, name, number)
    log.info("%s: version %s is champion", name, number)
    return True


def complete_promotion(name: str) -> bool:
    """Completes an interrupted promotion: its version is both champion and challenger.

    Returns:
        Whether there was an interrupted promotion.

    Raises:
        UserError: the name has no version.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    if CHAMPION not in aliases or aliases[CHAMPION] != aliases.get(CHALLENGER):
        return False
    number = version_number(aliases[CHAMPION])
    with tracking_errors(f"complete the promotion of version {number} of model {name!r}"):
        _complete(MlflowClient(), name, number)
    return True


def version_number(uri: str) -> str:
    """The version in `models:/<name>/<version>`."""
    return uri.rpartition("/")[2]


def _decision_tags(comparison: ScoreComparison) -> dict[str, str]:
    scores = (
        comparison.metric,
        str(comparison.n_rows),
        repr(comparison.champion_score),
        repr(comparison.challenger_score),
    )
    return {
        PROMOTED_AT: datetime.now(UTC).isoformat(timespec="seconds"),
        PROMOTED_OVER: version_number(comparison.champion_uri),
        **dict(zip(SCORE_TAGS, scores, strict=True)),
    }


def _complete(client: "MlflowClient", name: str, number: str) -> None:
    """The steps after the alias; they read only the new champion's tags, so that a later call can complete them."""
    decision = client.get_model_version(name, number).tags
    if PROMOTED_OVER in decision:  # missing if a user set both aliases by hand
        tags = {key: decision[key] for key in SCORE_TAGS}
        tags |= {REPLACED_AT: decision[PROMOTED_AT], REPLACED_BY: number}
        for key, value in tags.items():
            client.set_model_version_tag(name, decision[PROMOTED_OVER], key, value)
    # A challenger registered meanwhile keeps its alias.
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
