"""Makes the former champion champion again.

Order of the steps, so that a kill after any of them leaves exactly one champion and the repeated command does the rest:

    tags on the present champion ─ no alias `challenger` on it ─ alias `champion` ─ history

The version that is rolled back keeps no alias. While it has the tag `rolled_back_at`, it is not judged again and gets
no alias when its study is resumed.
"""

import logging
from datetime import datetime

from src.errors import UserError
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors
from src.tracking.registry.champion_history import (
    ROLLBACK,
    ROLLED_BACK_BY,
    ROLLED_BACK_TO,
    Change,
    champion_changes,
    former_champion,
    record_change,
    utc_now,
)
from src.tracking.registry.model_versions import CHALLENGER, CHAMPION, ROLLED_BACK_AT, version_aliases, version_number

log = logging.getLogger(__name__)


def plan_rollback(name: str) -> tuple[str, str]:
    """The numbers of the present and of the former champion.

    Raises:
        UserError: there is no champion, no former champion in the history, or it was deleted.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    if CHAMPION not in aliases:
        raise UserError(f"model {name!r} has no champion to roll back: set the alias champion on a version")
    present = version_number(aliases[CHAMPION])
    former = former_champion(champion_changes(name))
    if former is None:
        raise UserError(
            f"model {name!r} has no former champion: v{present} is the first in its history; to choose another "
            f"version, set the alias champion in MLflow"
        )
    with tracking_errors(f"read version {former} of model {name!r}"):
        version = none_if_absent(lambda number: MlflowClient().get_model_version(name, number), str(former))
    if version is None:
        raise UserError(
            f"the former champion v{former} of model {name!r} was deleted: set the alias champion on another version"
        )
    return present, str(former)


def roll_back(name: str, present: str, former: str, by: str, run_id: str) -> None:
    """Moves the alias `champion` to the former champion.

    Args:
        name: the registered name.
        present: number of the champion.
        former: number of the version that becomes champion again.
        by: the user.
        run_id: the MLflow run of the rollback.

    Raises:
        UserError: the alias `champion` was moved meanwhile.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"roll back model {name!r} to version {former}"):
        client, at = MlflowClient(), utc_now()
        tags = {ROLLED_BACK_AT: at, ROLLED_BACK_TO: former, ROLLED_BACK_BY: by}
        aliases = {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
        if aliases.get(CHAMPION) != present:
            raise UserError(f"the champion of {name!r} changed meanwhile, now v{aliases.get(CHAMPION)}: run it again")
        for key, value in tags.items():
            client.set_model_version_tag(name, present, key, value)
        for key in (
            ROLLED_BACK_AT,
            ROLLED_BACK_TO,
            ROLLED_BACK_BY,
        ):  # the former champion may have been rolled back too
            if key in client.get_model_version(name, former).tags:
                client.delete_model_version_tag(name, former, key)
        if aliases.get(CHALLENGER) in (present, former):
            client.delete_registered_model_alias(name, CHALLENGER)
        client.set_registered_model_alias(name, CHAMPION, former)
        record_change(client, name, Change(int(former), int(present), at, ROLLBACK, by, None, run_id))
    log.info("%s: version %s is champion again", name, former)


def rolled_back_on(name: str, number: str) -> str | None:
    """The day on which a version was rolled back, ISO 8601 in UTC; None if it was not.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"read version {number} of model {name!r}"):
        at = MlflowClient().get_model_version(name, number).tags.get(ROLLED_BACK_AT)
    return None if at is None else str(datetime.fromisoformat(at).date())
