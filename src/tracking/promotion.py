"""The change of office: the challenger becomes champion, and both versions are tagged with what decided it.

MLflow moves one alias at a time and cannot move it on a condition. So the steps stand in an order in which a kill
after any of them leaves one champion and can be completed by the next promotion:

    tags on the challenger ─ alias `champion` ─ tags on the former champion ─ alias `challenger` taken away
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from src.errors import UserError
from src.tracking.registry import CHALLENGER, CHAMPION, Comparison, office_holders
from src.tracking.tracking_errors import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PROMOTED_AT, PROMOTED_OVER = "promoted_at", "promoted_over"
REPLACED_AT, REPLACED_BY = "replaced_at", "replaced_by"
SCORE_TAGS = ("promotion_metric", "promotion_rows", "promotion_champion_score", "promotion_challenger_score")
"""What decided; the same on both versions, "champion" and "challenger" being what they were until then."""


def promote_challenger(name: str, comparison: Comparison) -> bool:
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

    holders = office_holders(name)
    compared = {CHAMPION: comparison.champion_uri, CHALLENGER: comparison.challenger_uri}
    if holders != compared:
        now = ", ".join(f"{alias} {holders.get(alias, 'nobody')}" for alias in compared)
        raise UserError(f"the office of {name!r} changed since the models were compared, now {now}: compare again")
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

    holders = office_holders(name)
    if CHAMPION not in holders or holders[CHAMPION] != holders.get(CHALLENGER):
        return False
    number = version_number(holders[CHAMPION])
    with tracking_errors(f"complete the promotion of version {number} of model {name!r}"):
        _complete(MlflowClient(), name, number)
    return True


def version_number(uri: str) -> str:
    """The version in `models:/<name>/<version>`."""
    return uri.rpartition("/")[2]


def _decision_tags(comparison: Comparison) -> dict[str, str]:
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
