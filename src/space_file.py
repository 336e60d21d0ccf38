"""The YAML file of `--space`: a search space that narrows or fixes parameters of another one.

    base: wide                       # or seed, the default
    num_leaves: [2, 64]              # a smaller range
    boosting_type: [gbdt]            # some of the choices
    learning_rate: 0.05              # a fixed value

Names and ranges are checked in `src/search/search_space.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.model_settings import SPACES, SpaceSettings
from src.suggest import one_line
from src.yaml_file import read_yaml

ENDINGS = (".yaml", ".yml")


def space_settings(value: str) -> SpaceSettings:
    """The search space that `--space` names.

    Raises:
        ConfigError: the name is unknown, or the file cannot be used.
    """
    if value in SPACES or not value.endswith(ENDINGS):
        return SpaceSettings(value)
    content = read_yaml(Path(value), "--space")
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(f"--space {value} has no keys with values: write for example `num_leaves: [2, 64]`")
    parameters = {str(name): _checked(str(name), entry, value) for name, entry in content.items() if name != "base"}
    try:
        return SpaceSettings(str(content.get("base", SPACES[0])), parameters)
    except ConfigError as error:  # its message lacks the file
        raise ConfigError(f"{value}: key `base`: {error}") from error


def _checked(name: str, entry: Any, path: str) -> Any:
    values = [_number(one) for one in (entry if isinstance(entry, list) else [entry])]
    if not values or not all(isinstance(one, bool | int | float | str) for one in values):
        raise ConfigError(
            f"--space {path}: `{name}` is {one_line(entry)!r}: write a range [low, high], a list of choices, or one "
            "value"
        )
    return values if isinstance(entry, list) else values[0]


def _number(value: Any) -> Any:
    """Numbers such as 1e-3, which YAML reads as a text, because they have no decimal point."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:  # a choice
        return value
