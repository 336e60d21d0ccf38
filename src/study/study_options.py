"""What is on a study so that its name is enough to join it: the options it was made with, as `--…` would give them.

`settings` on a study says what makes two scores comparable (`open_study.settings_record`); the study options are how to
get there again: where the table lies, what its columns are, split, sampler, pruner, and the study's total. No password
is ever in it: a URL is kept without, and whoever joins takes his own from PGPASSWORD, `~/.pgpass` or AWS_*.

The three Jobs of `make fanout` start at the same moment. On a study that exists already, a worker or a finish that is
faster than create would read the total and the timeout of an earlier run. Each run therefore has a token: create writes
it on the study after everything else, and nobody else of the run does anything before it is there. A mistake that only
one pod of a run can see is written on the study too, so that the others end at once.
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
"""Of a study that many machines share: when the first worker of its latest run came, in seconds since 1970; None where
nobody has come yet."""
RUN_ATTR = "run_token"
FAILED_RUN_ATTR = "failed_run"
TOTAL_OPTION = "n_trials"
LEAST_SECONDS = 0.001
SAMPLE = describe_source(None, None)
SAME_MEANING = {"cv": ("use_cv", "cv"), "use_cv": ("use_cv", "cv")}
"""Options that say one thing in two ways: who gives one of them has given both."""
OPTIONS = (
    "n_trials", "timeout", "sampler", "pruner", "ensemble_size", "seed", "use_cv", "n_folds", "purge_days",
    "test_fraction", "valid_fraction", "data", "query",
)  # fmt: skip
_MASKED_USER = re.compile(rf":{re.escape(MASK)}@")
_MASKED_PARAMETER = re.compile(rf"(?<=[?&])[^=&]+={re.escape(MASK)}&?")


def make_study_options(settings: RunSettings, target: str, source: str) -> dict[str, Any]:
    """The options of a new study, plain enough for JSON.

    Args:
        settings: of its search.
        target: name of the target.
        source: where the table comes from, in words.
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
    """The study's options; None for one that was made by something else."""
    found = study.user_attrs.get(OPTIONS_ATTR)
    return dict(found) if isinstance(found, dict) else None


def set_total(study: optuna.Study, n_trials: int) -> None:
    """Notes another total on the study."""
    study_options = study_options_of(study)
    if study_options is not None and study_options[TOTAL_OPTION] != n_trials:
        study.set_user_attr(OPTIONS_ATTR, study_options | {TOTAL_OPTION: n_trials})


def set_timeout(study: optuna.Study, timeout: float) -> bool:
    """Notes another timeout on the study; whether it is another one."""
    study_options = study_options_of(study)
    if study_options is None or study_options["timeout"] == timeout:
        return False
    study.set_user_attr(OPTIONS_ATTR, study_options | {"timeout": timeout})
    return True


def with_study_options(
    args: Namespace, given: Collection[str], study_options: Mapping[str, Any], study_name: str
) -> Namespace:
    """Parsed options, with the study's own in place of those that were not given.

    Args:
        args: of a command that tunes.
        given: names of the options that the user gave; they win, and what must not differ is told later.
        study_options: of the study.
        study_name: named in the error.

    Raises:
        ConfigError: only the program that made the study knows where its table was.
    """
    if "data" not in given and study_options["data"] is None and study_options["described"] != SAMPLE:
        raise ConfigError(
            f"study {study_name!r} does not say where its table ({study_options['described']}) lies, "
            f"because a program handed it over: give --data"
        )
    followed = Namespace(**vars(args))
    for name in OPTIONS:
        if not set(SAME_MEANING.get(name, (name,))) & set(given):
            setattr(followed, name, study_options[name])
    if not {"use_cv", "cv"} & set(given):
        followed.cv = "off"
    if "data" in given and "query" not in given:  # another place, which may be no database
        followed.query = args.query
    return followed


def seconds_left(
    attributes: Mapping[str, Any], timeout: float | None, at_least: float | None = LEAST_SECONDS
) -> float | None:
    """What is left of a shared study's timeout; all of it where nobody has begun, None without one.

    Args:
        attributes: the study's user attributes.
        timeout: seconds for the whole search.
        at_least: in place of less; None gives the negative number too.
    """
    began = attributes.get(STARTED_ATTR)
    if timeout is None or began is None:
        return timeout
    left = float(timeout + began - time.time())
    return left if at_least is None else max(at_least, left)


def table_from_json(kept: Mapping[str, Any]) -> TableConfig:
    """The names in a table, as `table_as_json` wrote them.

    Args:
        kept: on a study under `table`, or in a model's metadata.
    """
    lists_as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
    targets = {name: TargetConfig(**each) for name, each in kept["targets"].items()}
    return FileTableConfig(**lists_as_tuples | {"targets": targets})


def table_as_json(table: TableConfig) -> dict[str, Any]:
    """The names in a table, what a `--config` file said or the defaults, plain enough for JSON."""
    plain = {each.name: getattr(table, each.name) for each in fields(table)}
    return plain | {
        "numbers": dict(table.numbers),
        "targets": {name: asdict(each) for name, each in table.targets.items()},
        "optional": table.optional if isinstance(table, FileTableConfig) else (),
    }


def _location(source: str | None) -> str | None:
    """Where the table lies, for somebody elsewhere: a file's whole path, a URL without its password."""
    if source is None:
        return None
    if "://" not in source:
        return str(Path(source).expanduser().absolute())
    return _MASKED_PARAMETER.sub("", _MASKED_USER.sub("@", mask_url(source))).rstrip("?&")


def begin_run(study: optuna.Study, token: str | None, timeout: float | None) -> None:
    """Prepares a study for a run, as the last act of create; repeated with the same token it changes nothing.

    Every run has the whole timeout: it counts from the run's first worker.

    Args:
        study: with its total noted.
        token: of the run; None for a create by hand, which orders nothing.
        timeout: seconds for the search, if they were given; None keeps the study's own.
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
    """Writes on the study that the run cannot go on, and why."""
    study.set_user_attr(FAILED_RUN_ATTR, {"token": token, "who": who, "message": message})


def failure_of(attributes: Mapping[str, Any], token: str | None) -> str | None:
    """Why the run with this token cannot go on; None if nothing is known.

    Args:
        attributes: the study's user attributes.
        token: of the run; the failure of another run says nothing.
    """
    noted = attributes.get(FAILED_RUN_ATTR)
    if token is None or not isinstance(noted, Mapping) or noted.get("token") != token:
        return None
    return f"{noted['who']} failed: {noted['message']}"
