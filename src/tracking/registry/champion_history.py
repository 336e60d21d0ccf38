"""Who was champion, from when to when, and why.

Each promotion and each rollback adds a tag `champion_<time>_v<version>` to the registered model, after the alias has
moved. MLflow does not record who moves an alias: a champion that these tags do not explain was set by hand. Promotions
of earlier versions of this program are read from the tags of the replaced versions.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors
from src.tracking.registry.contests import json_tag
from src.tracking.registry.model_versions import CHAMPION, ROLLED_BACK_AT, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHANGE_PREFIX = "champion_"
FIRST, CONTEST, ROLLBACK, BY_HAND = "first version", "contest", "rollback", "set by hand"
PROMOTED_AT, PROMOTED_OVER, PROMOTED_BY = "promoted_at", "promoted_over", "promoted_by"
REPLACED_AT, REPLACED_BY = "replaced_at", "replaced_by"
SCORE_TAGS = ("promotion_metric", "promotion_rows", "promotion_champion_score", "promotion_challenger_score")
"""Scores of the decision, the same on both versions; "champion" and "challenger" are the roles before it."""
ROLLED_BACK_TO, ROLLED_BACK_BY = "rolled_back_to", "rolled_back_by"


@dataclass(frozen=True)
class Change:
    """A move of the alias `champion`.

    Attributes:
        version: the new champion.
        over: the champion before.
        at: time, ISO 8601 in UTC; None if it is unknown.
        why: one of the constants above.
        by: the user, and who approved; None if unknown.
        figures: of a contest: `SCORE_TAGS` without their prefix.
        run_id: the MLflow run of the decision.
    """

    version: int
    over: int | None
    at: str | None
    why: str
    by: str | None = None
    figures: Mapping[str, str] | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class ChampionPeriod:
    """A period of one champion; `until` is None for the present one, or if the end is unknown."""

    change: Change
    until: str | None
    is_present: bool


def utc_now() -> str:
    """The time in UTC, ISO 8601 with milliseconds, so that changes within one second stay in order."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def record_change(client: "MlflowClient", name: str, change: Change) -> None:
    """Adds a change to the history; the same change again adds nothing."""
    digits = "".join(filter(str.isdigit, str(change.at).partition("+")[0]))
    client.set_registered_model_tag(name, f"{CHANGE_PREFIX}{digits}_v{change.version}", json.dumps(asdict(change)))


def promotion_change(tags: Mapping[str, str], version: int, run_id: str | None) -> Change:
    """The change that the tags of a promoted version describe."""
    figures = {key.removeprefix("promotion_"): tags[key] for key in SCORE_TAGS if key in tags}
    over = int(tags[PROMOTED_OVER])
    return Change(version, over, tags[PROMOTED_AT], CONTEST, tags.get(PROMOTED_BY), figures, run_id)


def champion_changes(name: str) -> list[Change]:
    """The changes of a name's champion, the first one first; empty if it never had one.

    Raises:
        UserError: a tag of the history was edited.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"read the history of model {name!r}"):
        client = MlflowClient()
        model = client.get_registered_model(name)
        versions = {int(version.version): version for version in versions_of(client, name)}
        recorded = _recorded(name, model.tags, versions)
        present = model.aliases.get(CHAMPION)
        champions = [change.over for change in recorded[:1]] + ([] if present is None else [int(present)])
        if champions[:1] in ([], [None]):
            return recorded
        first = _first(client, int(champions[0] or 0), versions, model.creation_timestamp)
    changes = [first]
    for change in recorded:
        if _is_repeated(change, changes[-1]):
            continue
        if change.over is not None and change.over != changes[-1].version:
            changes.append(_unrecorded(changes[-1].version, change.over, versions))
        changes.append(change)
    if present is not None and int(present) != changes[-1].version:
        changes.append(_unrecorded(changes[-1].version, int(present), versions))
    return changes


def _is_repeated(change: Change, before: Change) -> bool:
    """Whether two commands at the same time recorded the same promotion."""
    return (change.version, change.over, change.run_id) == (before.version, before.over, before.run_id)


def _recorded(name: str, model_tags: Mapping[str, str], versions: "Mapping[int, ModelVersion]") -> list[Change]:
    found = {}
    for version in versions.values():  # promotions before the registered model kept a history
        if REPLACED_AT in version.tags and REPLACED_BY in version.tags:
            tags = dict(version.tags) | {PROMOTED_AT: version.tags[REPLACED_AT], PROMOTED_OVER: str(version.version)}
            change = promotion_change({**tags, PROMOTED_BY: ""}, int(version.tags[REPLACED_BY]), None)
            found[change.at, change.version] = replace(change, by=None)
    for key, text in model_tags.items():
        if key.startswith(CHANGE_PREFIX):
            change = Change(**json_tag(name, key, text))
            found[change.at, change.version] = change
    return sorted(found.values(), key=lambda change: str(change.at))


def _first(client: "MlflowClient", version: int, versions: "Mapping[int, ModelVersion]", created_ms: int) -> Change:
    """The first known champion: the first version of a name gets the alias when it is registered."""
    if version != min([*versions, version]):
        return Change(version, None, None, BY_HAND)
    at = datetime.fromtimestamp(created_ms / 1000, UTC).isoformat(timespec="milliseconds")
    run_id = versions[version].run_id if version in versions else None
    run = none_if_absent(client.get_run, run_id) if run_id else None
    return Change(version, None, at, FIRST, None if run is None else run.data.tags.get("mlflow.user"), None, run_id)


def _unrecorded(before: int, after: int, versions: "Mapping[int, ModelVersion]") -> Change:
    """A change without a record: of a command that was killed after it moved the alias, or made by hand."""
    old = versions[before].tags if before in versions else {}
    new = versions[after].tags if after in versions else {}
    if old.get(ROLLED_BACK_TO) == str(after):
        return Change(after, before, old[ROLLED_BACK_AT], ROLLBACK, old.get(ROLLED_BACK_BY))
    if new.get(PROMOTED_OVER) == str(before):
        return promotion_change(new, after, None)
    return Change(after, before, None, BY_HAND)


def champion_periods(changes: list[Change]) -> list[ChampionPeriod]:
    """The periods between changes."""
    ends = [change.at for change in changes[1:]] + [None]
    last = len(changes) - 1
    return [ChampionPeriod(change, ends[i], i == last) for i, change in enumerate(changes)]


def former_champion(changes: list[Change]) -> int | None:
    """The version that a rollback makes champion; None if the present champion is the first one.

    A rollback undoes a change, so a second rollback goes one change further back.
    """
    stack: list[int] = []
    for change in changes:
        if change.why == ROLLBACK and change.version in stack:
            while stack[-1] != change.version:
                stack.pop()
        elif stack[-1:] != [change.version]:
            stack.append(change.version)
    return stack[-2] if len(stack) > 1 else None
