"""What a comparison leaves in the registry: its record on both versions, and a challenger that is better as champion.

A record is written whatever came out, under a tag of its own, `judged_<digest of its content>`: later comparisons add
to it and overwrite nothing, and the same comparison made again, after a kill too, is the same tag. All that ever judged
versions of a name are the tags of all its versions, each digest counted once.

MLflow moves one alias at a time and cannot move it on a condition. So the steps of a promotion stand in an order in
which a kill after any of them leaves one champion and can be completed by the next promotion:

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
"""What decided; the same on both versions, "champion" and "challenger" being what they were until then."""
JUDGED_PREFIX = "judged_"


def record_comparison(comparison: ScoreComparison, found: Mapping[str, Any]) -> None:
    """Tags both versions with which rows judged them and what came out; what is there already stays as it is.

    Args:
        comparison: of two versions of one name.
        found: what else is to be kept, plain values for JSON: dates, interval, confidence, decision.

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
    } | dict(found)  # fmt: skip
    key = JUDGED_PREFIX + hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    with tracking_errors(f"record what judged version {numbers[0]} of model {name!r}"):
        client = MlflowClient()
        known = [client.get_model_version(name, number).tags.get(key) for number in numbers]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        text = next(filter(None, known), None) or json.dumps({"at": at} | record)
        for number, there in zip(numbers, known, strict=True):
            if there is None:
                client.set_model_version_tag(name, number, key, text)


def promote_challenger(name: str, comparison: ScoreComparison) -> bool:
    """Makes the challenger champion if the comparison found it better; else nothing changes.

    Args:
        name: the registered name.
        comparison: of this name's present champion and challenger.

    Returns:
        Whether the challenger became champion.

    Raises:
        UserError: the aliases have moved since the comparison, or are not there.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    compared = {CHAMPION: comparison.champion_uri, CHALLENGER: comparison.challenger_uri}
    if aliases != compared:
        now = ", ".join(f"{alias} {aliases.get(alias, 'nobody')}" for alias in compared)
        raise UserError(f"the aliases of {name!r} changed since the models were compared, now {now}: compare again")
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
    """Completes a promotion that was killed on its way: its version is both champion and challenger.

    Returns:
        Whether there was one.

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
    """What follows the alias: all of it is read from the new champion's tags, so that it can be done later too."""
    decided = client.get_model_version(name, number).tags
    if PROMOTED_OVER in decided:  # not so where somebody set both aliases by hand
        tags = {key: decided[key] for key in SCORE_TAGS}
        tags |= {REPLACED_AT: decided[PROMOTED_AT], REPLACED_BY: number}
        for key, value in tags.items():
            client.set_model_version_tag(name, decided[PROMOTED_OVER], key, value)
    # A challenger that was registered in the meantime keeps its alias.
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
