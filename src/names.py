"""What users may call a target, a study and an experiment; asked where settings are built, before any work.

A target's name is at once a column, a part of file names and of studies' names, a registered model and a part of
`models:/<target>@champion`. What MLflow 3.17 cannot address was found by registering, loading, promoting and
downloading a model of each such name: its registry refuses `/` and `:`, `models:/` URIs are cut at `?` and `@`, the
paths of artifacts at `#`, and `%41` becomes `A` in them.
"""

import os
import re
import shlex
from hashlib import sha256
from posixpath import normpath

from src.errors import ConfigError

LONGEST_TARGET = 180
"""Bytes; the names of its files and of its studies are longer by some 40, and may have 255 and 200."""
LONGEST_STUDY = 200
"""Bytes: a file system takes 255, and locks are named after the study."""
LONGEST_EXPERIMENT = 500
LONGEST_KEY = 250
EVERY_TARGET = "all"
_NOT_IN_TARGETS = '/\\:@?#",'
_NOT_IN_STUDIES = "/\\,"
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def check_target_name(name: str) -> None:
    """Refuses the name of a column that cannot be a target's.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    fault = _fault(name, _NOT_IN_TARGETS, LONGEST_TARGET)
    if fault is None and name == EVERY_TARGET:
        fault = "means every target"
    if fault is None and (escape := _ESCAPE.search(name)):
        fault = f"has {escape[0]!r}, which MLflow reads as one sign"
    if fault is not None:
        raise ConfigError(
            f"target {_shown(name)} {fault}: rename the column, without any of {' '.join(_NOT_IN_TARGETS)} and with at "
            f"most {LONGEST_TARGET} bytes, because a target names files, studies and a registered model"
        )


def check_study_name(name: str) -> None:
    """Refuses a name that cannot be a study's.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    fault = _fault(name, _NOT_IN_STUDIES, LONGEST_STUDY)
    if fault is not None:
        raise ConfigError(
            f"--study-name {_shown(name)} {fault}: use printable characters, none of {' '.join(_NOT_IN_STUDIES)} and "
            f"at most {LONGEST_STUDY} bytes, because it names a folder of the report, too"
        )


def study_option(name: str) -> str:
    """`--study-name NAME` as a shell takes it."""
    return f"--study-name {shlex.quote(name)}"


def check_experiment_name(name: str) -> None:
    """Refuses a value of MLFLOW_EXPERIMENT_NAME that MLflow does.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_EXPERIMENT:
        raise ConfigError(
            f"MLFLOW_EXPERIMENT_NAME {_shown(name)} names no experiment: set it to 1 to {LONGEST_EXPERIMENT} printable "
            f"characters, or leave it out"
        )


def mlflow_key(name: str) -> str:
    """The name of a param as MLflow takes it: the same where it can be, else without the signs that MLflow refuses.

    A digest keeps apart what would be the same without them.
    """
    is_path = normpath(name) != name or name.startswith(("/", ".."))
    if re.fullmatch(r"[/\w.\- :]+", name) and not is_path and name != "." and len(name) <= LONGEST_KEY:
        return name
    plain = re.sub(r"[^\w\- ]", "_", name)
    return f"{plain[: LONGEST_KEY - 9]}_{sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def _fault(name: str, refused: str, longest: int) -> str | None:
    """What is wrong with a name, to follow it in a sentence; None where nothing is."""
    if not isinstance(name, str) or not name.strip():
        return "is blank"
    if not name.isprintable():
        return "has a character that cannot be printed"
    found = [sign for sign in refused if sign in name]
    if found:
        return f"has {found[0]!r} in it"
    if name[0] in ".-" or name != name.strip():
        return f"begins with {name[0]!r}" if name[0] in ".- " else "ends with ' '"
    return _too_long_or_not_a_file_name(name, longest)


def _too_long_or_not_a_file_name(name: str, longest: int) -> str | None:
    if len(name.encode()) > longest:
        return f"is too long, with {len(name.encode())} bytes"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # an ASCII or Latin-1 locale
        return "cannot be written as a file's name in this locale (PYTHONUTF8=1 would let it)"
    return None


def _shown(name: object) -> str:
    text = str(name)
    return repr(text if len(text) <= 60 else text[:59] + "…")
