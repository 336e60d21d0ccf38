"""The settings that a study stores as one JSON document, so that a process needs only its name to resume or join it.

The document holds every field of `RunSettings` that does not belong to a process (`src.config.LOCAL`), and the target,
the objective and the digest of the table. A command that resumes the study takes from it what is not given on the
command line (`resumed`). What makes scores incomparable is refused (`differences`). The document contains no
password: URLs are stored without it, and a worker takes its own from PGPASSWORD, `~/.pgpass` or AWS_*.

The three Jobs of `make fanout` start at the same time. If the study exists already, a worker or `wait` that is faster
than `create` would read the total and the timeout of an earlier run. A run therefore has a token: `create` writes it on
the study last, and the other processes of the run wait for it. An error that only one pod can detect is also written on
the study, so that the other pods end at once.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import optuna

from src.config import Metric, RunSettings, SearchSettings, SplitSettings, TableConfig, Task
from src.config_file import FileTableConfig
from src.data.sources.dispatch import SAMPLE
from src.data.table import Dataset
from src.secrets import MASK, mask_url, scrub

SETTINGS_ATTR = "settings"
STARTED_ATTR = "search_began"
"""Of a shared study: start of the first worker of the latest run, in seconds since 1970; None before that."""
RUN_ATTR = "run_token"
FAILED_RUN_ATTR = "failed_run"
MIN_SECONDS = 0.001
_MASKED_USER = re.compile(rf":{re.escape(MASK)}@")
_MASKED_PARAMETER = re.compile(rf"(?<=[?&])[^=&]+={re.escape(MASK)}&?")
Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class StudySettings(RunSettings):
    """What a study was created with; fields that belong to a process are not stored.

    Attributes:
        target: name of the target.
        task, metric: of the target.
        objective: `lightgbm`, or `user` for a user's own objective.
        described_source: description of the table's source.
        data_digest: of the table's content.
        features: own, derived or both.
    """

    target: str
    task: Task
    metric: Metric
    objective: str
    described_source: str
    data_digest: str
    features: str = "own"


def make_study_settings(settings: RunSettings, data: Dataset, objective: str) -> StudySettings:
    """The settings of a new study: file paths are absolute, and there is no password."""
    source, query = settings.data.source, settings.data.query
    stored = replace(
        settings.data, source=_location(source), query=None if query is None else scrub(query, source or "")
    )
    return StudySettings(
        **vars(settings) | vars(data.config) | {"data": stored},
        target=data.target,
        objective=objective,
        described_source=data.source,
        data_digest=data.digest,
        features=data.mode,
    )


def differences(before: StudySettings, now: StudySettings) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of each difference that makes scores incomparable, the most important first.

    An equal table may have another location.
    """
    yield from _differences(before, now, ("target", "task", "metric", "objective"))
    yield from _differences(before, now, ("features",))
    yield from _differences(before.search, now.search, ("seed",))
    yield from _differences(before.model, now.model, ("space", "constraint", "monotone"))
    if before.data_digest != now.data_digest:
        old, new = (f"{each.described_source} ({each.data_digest})" for each in (before, now))
        yield "data", old, new
    without_effect = "valid_fraction" if before.split.use_cv else "n_folds"
    split = (each.name for each in fields(SplitSettings) if each.name != without_effect)
    yield from _differences(before.split, now.split, split)


def _differences(before: object, now: object, names: Iterable[str]) -> Iterator[tuple[str, Any, Any]]:
    values = ((name, getattr(before, name), getattr(now, name)) for name in names)
    return ((name, old, new) for name, old, new in values if old != new)


def study_document(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON document among a study's user attributes; None for a study of another program, or an incomplete one."""
    stored = attributes.get(SETTINGS_ATTR)
    if not isinstance(stored, Mapping) or "target" not in stored:
        return None
    return dict(stored) if "search" in stored else _document_of_earlier_version(stored, attributes.get("recipe", {}))


def _document_of_earlier_version(record: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a study whose settings are still in two attributes, a record `settings` and a `recipe`."""

    def part(kind: type) -> dict[str, Any]:
        return {each.name: recipe[each.name] for each in fields(kind) if each.name in recipe}

    return part(RunSettings) | {
        **{name: record.get(name) for name in ("target", "task", "metric", "objective", "data_digest")},
        "described_source": record.get("data"),
        "data": {"source": recipe.get("data"), "query": recipe.get("query"), "table": recipe.get("table", {})},
        "split": part(SplitSettings) | record.get("split", {}),
        "search": part(SearchSettings) | {"seed": record.get("seed")},
    }


def study_settings_of(attributes: Mapping[str, Any]) -> StudySettings | None:
    """The settings among a study's user attributes; None for a study of another program, or an incomplete one.

    Raises:
        ConfigError: a later version of this project wrote a value that is unknown here.
    """
    document = study_document(attributes)
    return None if document is None else from_json(StudySettings, document)


def change_search(study: optuna.Study, **changes: Any) -> bool:
    """Stores other values of fields of `SearchSettings` on the study; returns whether they changed."""
    document = study_document(study.user_attrs)
    if document is None or document["search"] | changes == document["search"]:
        return False
    study.set_user_attr(SETTINGS_ATTR, document | {"search": document["search"] | changes})
    return True


def resumed(stored: Any, now: Settings, given: Collection[str]) -> Settings:
    """The settings of a command that resumes a study.

    Args:
        stored: of the study.
        now: of the command; options that were not given have their defaults.
        given: names of the given options. The fields that they set, and those of the process, are taken from `now`.
    """
    values = {}
    for each in fields(now):  # type: ignore[arg-type]
        before, after = getattr(stored, each.name), getattr(now, each.name)
        if is_dataclass(after) and not each.metadata:
            values[each.name] = resumed(before, after, given)
        elif each.metadata.get("study", True) and not set(each.metadata.get("options", [each.name])) & set(given):
            values[each.name] = before
    return replace(now, **values)  # type: ignore[type-var]


def as_json(value: Any) -> Any:
    """A settings dataclass as JSON types, without the fields that belong to a process."""
    if isinstance(value, TableConfig):
        value = FileTableConfig(**vars(value))
    if is_dataclass(value):
        return {
            each.name: as_json(getattr(value, each.name)) for each in fields(value) if each.metadata.get("study", True)
        }
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[Settings], stored: Mapping[str, Any]) -> Settings:
    """The settings dataclass that `as_json` wrote; a missing field has its default, an unknown one is ignored.

    Raises:
        ConfigError: a value is out of range.
    """
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind) if each.name in stored]  # type: ignore[arg-type]
    return kind(**{name: _value(hints[name], stored[name]) for name in names})


def _value(hint: Any, stored: Any) -> Any:
    """A field's value from JSON types; `hint` is the field's type."""
    kind, inner = get_origin(hint), get_args(hint)
    if stored is None:
        return None
    if kind is UnionType:  # X | None
        return _value(inner[0], stored)
    if is_dataclass(hint):
        return from_json(FileTableConfig if hint is TableConfig else hint, stored)  # type: ignore[arg-type]
    if kind is tuple:
        return tuple(_value(inner[0], item) for item in stored)
    if kind is Mapping:
        return {name: _value(inner[1], item) for name, item in stored.items()}
    return Path(stored) if hint is Path else stored


def seconds_left(
    attributes: Mapping[str, Any], timeout: float | None, at_least: float | None = MIN_SECONDS
) -> float | None:
    """Seconds left of a shared study's timeout; all of it before the first worker starts, None without a timeout.

    Args:
        attributes: the study's user attributes.
        timeout: seconds for the whole search.
        at_least: lower bound of the result; None allows negative numbers.
    """
    started = attributes.get(STARTED_ATTR)
    if timeout is None or started is None:
        return timeout
    left = float(timeout + started - time.time())
    return left if at_least is None else max(at_least, left)


def _location(source: str | None) -> str | None:
    """The table's location for other processes: a file's absolute path, or a URL without its password."""
    if source is None or source.startswith(SAMPLE):
        return source
    if "://" not in source:
        return str(Path(source).expanduser().absolute())
    return _MASKED_PARAMETER.sub("", _MASKED_USER.sub("@", mask_url(source))).rstrip("?&")


def begin_run(study: optuna.Study, token: str | None, timeout: float | None) -> None:
    """Prepares a study for a run, as the last step of `create`; idempotent for the same token.

    Each run has the whole timeout, which counts from the run's first worker.

    Args:
        study: with its total stored.
        token: of the run; None for a `create` without a token.
        timeout: seconds for the search; None keeps the study's timeout.
    """
    attributes = study.user_attrs
    if token is not None and attributes.get(RUN_ATTR) == token:
        return
    changed = timeout is not None and change_search(study, timeout=timeout)
    if (changed or token is not None) and attributes.get(STARTED_ATTR) is not None:
        study.set_user_attr(STARTED_ATTR, None)
    if token is not None:
        study.set_user_attr(RUN_ATTR, token)


def record_failure(study: optuna.Study, token: str, who: str, message: str) -> None:
    """Writes on the study that the run failed, and why."""
    study.set_user_attr(FAILED_RUN_ATTR, {"token": token, "who": who, "message": message})


def failure_of(attributes: Mapping[str, Any], token: str | None) -> str | None:
    """Why the run with this token failed; None if no failure is recorded.

    Args:
        attributes: the study's user attributes.
        token: of the run; failures of other runs are ignored.
    """
    failure = attributes.get(FAILED_RUN_ATTR)
    if token is None or not isinstance(failure, Mapping) or failure.get("token") != token:
        return None
    return f"{failure['who']} failed: {failure['message']}"
