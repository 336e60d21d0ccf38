"""Options that a study stores, so that a worker needs only its name to join it.

The study attribute `settings` records what makes scores comparable (`settings_record`). The study options record how to
run the search: location and columns of the table, split, sampler, pruner and total. They contain no password: URLs are
stored without it, and a worker takes its own from PGPASSWORD, `~/.pgpass` or AWS_*.

The three Jobs of `make fanout` start at the same time. If the study exists already, a worker or `wait` that is faster
than `create` would read the total and the timeout of an earlier run. A run therefore has a token: `create` writes it on
the study last, and the other processes of the run wait for it. An error that only one pod can detect is also written on
the study, so that the other pods end at once.
"""

import re
import time
from argparse import Namespace
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import optuna

from src.config import RunSettings, TableConfig, TargetConfig
from src.config_file import FileTableConfig
from src.data.sources.dispatch import describe_source
from src.errors import ConfigError
from src.secrets import MASK, mask_url, scrub

OPTIONS_ATTR = "recipe"
STARTED_ATTR = "search_began"
"""Of a shared study: start of the first worker of the latest run, in seconds since 1970; None before that."""
RUN_ATTR = "run_token"
FAILED_RUN_ATTR = "failed_run"
TOTAL_OPTION = "n_trials"
MIN_SECONDS = 0.001
SAMPLE = describe_source(None, None)
SAME_MEANING = {"cv": ("use_cv", "cv"), "use_cv": ("use_cv", "cv")}
"""Options with the same meaning: if one is given, both count as given."""
OPTIONS = (
    "n_trials", "timeout", "sampler", "pruner", "ensemble_size", "seed", "use_cv", "n_folds", "purge_days",
    "test_fraction", "valid_fraction", "data", "query",
)  # fmt: skip
_MASKED_USER = re.compile(rf":{re.escape(MASK)}@")
_MASKED_PARAMETER = re.compile(rf"(?<=[?&])[^=&]+={re.escape(MASK)}&?")


def make_study_options(settings: RunSettings, target: str, source: str) -> dict[str, Any]:
    """The options of a new study, as JSON types.

    Args:
        settings: of its search.
        target: name of the target.
        source: description of the table's source.
    """
    split, data = settings.split, settings.data
    return {
        "target": target,
        "described": source,
        "data": _location(data.source),
        "query": None if data.query is None else scrub(data.query, data.source or ""),
        "table": table_as_json(data.table),
        "use_cv": split.use_cv,
        "n_folds": split.n_folds,
        "purge_days": split.purge_days,
        "test_fraction": split.test_fraction,
        "valid_fraction": split.valid_fraction,
        "seed": settings.search.seed,
        "sampler": settings.search.sampler,
        "pruner": settings.search.pruner,
        "ensemble_size": settings.ensemble_size,
        "timeout": settings.search.timeout,
        TOTAL_OPTION: settings.search.n_trials,
    }


def study_options_of(study: optuna.Study) -> dict[str, Any] | None:
    """The options that the study stores; None for a study of another program."""
    stored = study.user_attrs.get(OPTIONS_ATTR)
    return dict(stored) if isinstance(stored, dict) else None


def set_total(study: optuna.Study, n_trials: int) -> None:
    """Stores a new total on the study."""
    study_options = study_options_of(study)
    if study_options is not None and study_options[TOTAL_OPTION] != n_trials:
        study.set_user_attr(OPTIONS_ATTR, study_options | {TOTAL_OPTION: n_trials})


def set_timeout(study: optuna.Study, timeout: float) -> bool:
    """Stores a new timeout on the study; returns whether it changed."""
    study_options = study_options_of(study)
    if study_options is None or study_options["timeout"] == timeout:
        return False
    study.set_user_attr(OPTIONS_ATTR, study_options | {"timeout": timeout})
    return True


def with_study_options(
    args: Namespace, given: Collection[str], study_options: Mapping[str, Any], study_name: str
) -> Namespace:
    """Parsed options, with the study's values for options that were not given.

    Args:
        args: of a command that tunes.
        given: names of the options that the user gave; these have priority, and are checked later.
        study_options: of the study.
        study_name: for the error message.

    Raises:
        ConfigError: the study does not record the location of its table.
    """
    if "data" not in given and study_options["data"] is None and study_options["described"] != SAMPLE:
        raise ConfigError(
            f"study {study_name!r} does not record where its table is ({study_options['described']}), "
            f"because it was passed from Python: give --data"
        )
    merged = Namespace(**vars(args))
    for name in OPTIONS:
        if not set(SAME_MEANING.get(name, (name,))) & set(given):
            setattr(merged, name, study_options[name])
    if not {"use_cv", "cv"} & set(given):
        merged.cv = "off"
    if "data" in given and "query" not in given:  # another source, which may not be a database
        merged.query = args.query
    return merged


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


def table_from_json(stored: Mapping[str, Any]) -> TableConfig:
    """The column roles that `table_as_json` wrote.

    Args:
        stored: `table` of the study options, or of a model's metadata.
    """
    lists_as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    targets = {name: TargetConfig(**target) for name, target in stored["targets"].items()}
    return FileTableConfig(**lists_as_tuples | {"targets": targets})


def table_as_json(table: TableConfig) -> dict[str, Any]:
    """The column roles of a table, as JSON types."""
    values = {field.name: getattr(table, field.name) for field in fields(table)}
    return values | {
        "numbers": dict(table.numbers),
        "targets": {name: asdict(target) for name, target in table.targets.items()},
        "optional": table.optional if isinstance(table, FileTableConfig) else (),
    }


def _location(source: str | None) -> str | None:
    """The table's location for other processes: a file's absolute path, or a URL without its password."""
    if source is None:
        return None
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
    changed = timeout is not None and set_timeout(study, timeout)
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
