"""Moves the champion alias to a better challenger.

MLflow moves one alias at a time and has no conditional update. So the steps of a promotion are ordered such that a kill
after any step leaves exactly one champion, and the next promotion can complete the rest:

    tags on the challenger ─ alias `champion` ─ tags on the former champion ─ history ─ no alias `challenger`

The record of the contest (see `contests`) says whether the challenger passed; `promoted_at` and the aliases say whether
it was promoted.
"""

import logging
from typing import TYPE_CHECKING

from src.errors import UserError
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.approval import APPROVAL_PENDING
from src.tracking.registry.champion_history import (
    PROMOTED_AT,
    PROMOTED_BY,
    PROMOTED_OVER,
    REPLACED_AT,
    REPLACED_BY,
    SCORE_TAGS,
    promotion_change,
    record_change,
    utc_now,
)
from src.tracking.registry.contests import DECISION_RUN
from src.tracking.registry.model_versions import (
    CHALLENGER,
    CHAMPION,
    ScoreComparison,
    version_aliases,
    version_number,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def promote_challenger(name: str, comparison: ScoreComparison, by: str | None = None) -> bool:
    """Makes the challenger champion if it is better in the comparison; otherwise changes nothing.

    Args:
        name: the registered name.
        comparison: comparison of this name's current champion and challenger.
        by: the user, and who approved.

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
        for key, value in _decision_tags(comparison, by).items():
            client.set_model_version_tag(name, number, key, value)
        client.set_registered_model_alias(name, CHAMPION, number)
        _complete(client, name, number)
    log.info("%s: version %s is champion", name, number)
    return True


def complete_promotion(name: str) -> str | None:
    """Completes an interrupted promotion: its version is both champion and challenger.

    Returns:
        The number of the promoted version; None if there was no interrupted promotion.

    Raises:
        UserError: the name has no version.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    if CHAMPION not in aliases or aliases[CHAMPION] != aliases.get(CHALLENGER):
        return None
    number = version_number(aliases[CHAMPION])
    with tracking_errors(f"complete the promotion of version {number} of model {name!r}"):
        _complete(MlflowClient(), name, number)
    return number


def _decision_tags(comparison: ScoreComparison, by: str | None) -> dict[str, str]:
    scores = (
        comparison.metric,
        str(comparison.n_rows),
        repr(comparison.champion_score),
        repr(comparison.challenger_score),
    )
    return {
        PROMOTED_AT: utc_now(),
        PROMOTED_OVER: version_number(comparison.champion_uri),
        **dict(zip(SCORE_TAGS, scores, strict=True)),
        **({} if by is None else {PROMOTED_BY: by}),
    }


def _complete(client: "MlflowClient", name: str, number: str) -> None:
    """The steps after the alias; they read only the new champion's tags, so that a later call can complete them."""
    decision = client.get_model_version(name, number).tags
    if PROMOTED_OVER in decision:  # missing if a user set both aliases by hand
        tags = {key: decision[key] for key in SCORE_TAGS}
        tags |= {REPLACED_AT: decision[PROMOTED_AT], REPLACED_BY: number}
        for key, value in tags.items():
            client.set_model_version_tag(name, decision[PROMOTED_OVER], key, value)
        record_change(client, name, promotion_change(decision, int(number), decision.get(DECISION_RUN)))
    if APPROVAL_PENDING in decision:
        client.delete_model_version_tag(name, number, APPROVAL_PENDING)
    # A challenger registered meanwhile keeps its alias.
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
