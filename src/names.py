"""Allowed names of targets, studies and experiments; checked where settings are built, before any work.

A target's name is a column, a part of file names and study names, a registered model and a part of
`models:/<target>@champion`. The refused characters were determined with MLflow 3.17, by registering, loading,
promoting and downloading models of such names: its registry refuses `/` and `:`, `models:/` URIs are cut at `?` and
`@`, artifact paths are cut at `#`, and in them `%41` becomes `A`.
"""

import os
import re
import shlex
from hashlib import sha256
from posixpath import normpath

from src.errors import ConfigError

MAX_TARGET_BYTES = 180
"""File names and study names of a target are longer by up to 40 and 20 bytes; their limits are 255 and 200."""
MAX_STUDY_BYTES = 200
"""A file system allows 255, and lock files are named after the study."""
MAX_EXPERIMENT_CHARACTERS = 500
MAX_KEY_CHARACTERS = 250
ALL_TARGETS = "all"
_NOT_IN_TARGETS = '/\\:@?#",'
_NOT_IN_STUDIES = "/\\"
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def check_target_name(name: str) -> None:
    """Refuses a column name that is not allowed for a target.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    problem = _problem(name, _NOT_IN_TARGETS, MAX_TARGET_BYTES)
    if problem is None and name == ALL_TARGETS:
        problem = "means all targets"
    if problem is None and (escape := _ESCAPE.search(name)):
        problem = f"contains {escape[0]!r}, which MLflow decodes to one character"
    if problem is not None:
        raise ConfigError(
            f"target {_shown(name)} {problem}: rename the column, without any of {' '.join(_NOT_IN_TARGETS)} and with "
            f"at most {MAX_TARGET_BYTES} bytes, because a target names files, studies and a registered model"
        )


def check_study_name(name: str) -> None:
    """Refuses a name that is not allowed for a study.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    problem = _problem(name, _NOT_IN_STUDIES, MAX_STUDY_BYTES)
    if problem is not None:
        raise ConfigError(
            f"--study-name {_shown(name)} {problem}: use printable characters, none of {' '.join(_NOT_IN_STUDIES)} and "
            f"at most {MAX_STUDY_BYTES} bytes, because the report's folder has the same name"
        )


def study_option(name: str) -> str:
    """`--study-name NAME`, quoted for a shell."""
    return f"--study-name {shlex.quote(name)}"


def check_experiment_name(name: str) -> None:
    """Refuses a value of MLFLOW_EXPERIMENT_NAME that MLflow refuses.

    Raises:
        ConfigError: says what is wrong with it and what to do.
    """
    if not name.strip() or not name.isprintable() or len(name) > MAX_EXPERIMENT_CHARACTERS:
        raise ConfigError(
            f"MLFLOW_EXPERIMENT_NAME {_shown(name)} is not allowed: set it to 1 to {MAX_EXPERIMENT_CHARACTERS} "
            f"printable characters, or unset it"
        )


def mlflow_key(name: str) -> str:
    """The name of an MLflow param: unchanged if MLflow accepts it, else with `_` for the characters it refuses.

    A digest keeps such names distinct.
    """
    is_path = normpath(name) != name or name.startswith(("/", ".."))
    if re.fullmatch(r"[/\w.\- :]+", name) and not is_path and name != "." and len(name) <= MAX_KEY_CHARACTERS:
        return name
    plain = re.sub(r"[^\w\- ]", "_", name)
    return f"{plain[: MAX_KEY_CHARACTERS - 9]}_{sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def _problem(name: str, refused: str, longest: int) -> str | None:
    """What is wrong with a name, as the rest of a sentence that begins with it; None for a valid name."""
    if not isinstance(name, str) or not name.strip():
        return "is blank"
    if not name.isprintable():
        return "contains a character that is not printable"
    contained = [character for character in refused if character in name]
    if contained:
        return f"contains {contained[0]!r}"
    if name[0] in ".-" or name != name.strip():
        return f"begins with {name[0]!r}" if name[0] in ".- " else "ends with ' '"
    return _too_long_or_not_a_file_name(name, longest)


def _too_long_or_not_a_file_name(name: str, longest: int) -> str | None:
    if len(name.encode()) > longest:
        return f"is too long: {len(name.encode())} bytes"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # an ASCII or Latin-1 locale
        return "cannot be a file name in this locale (set PYTHONUTF8=1)"
    return None


def _shown(name: object) -> str:
    text = str(name)
    return repr(text if len(text) <= 60 else text[:59] + "…")
