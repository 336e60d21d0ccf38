"""Reads a YAML file that an option names, with errors in one line."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from src.errors import ConfigError
from src.suggest import did_you_mean, one_line


class _StrictLoader(yaml.SafeLoader):
    """Refuses repeated keys; PyYAML silently takes the last of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is repeated", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, option: str) -> Any:
    """The content of a YAML file that an option names; a repeated key is an error.

    Raises:
        ConfigError: the file is missing, cannot be read or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        close = did_you_mean(path.name, _names_beside(path))
        raise ConfigError(f"{option} {path} does not exist{close}: give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} {path} is not UTF-8 text: give a YAML file") from error
    except OSError as error:  # a folder, no permission, a name that is too long
        raise ConfigError(f"{option} {path} cannot be read: {error.strerror}: give a readable YAML file") from error
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{option} {path}{line}: {one_line(error.problem)}: correct the YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: `2024-99-99`, read as a date
        raise ConfigError(f"{option} {path} is not YAML: {one_line(error)}") from error


def _names_beside(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def check_keys(content: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    """Refuses unknown keys, with a suggestion.

    Raises:
        ConfigError: a key is unknown; the message begins with `where`.
    """
    for key in content:
        if key not in known:
            close = did_you_mean(str(key), known)
            raise ConfigError(f"{where}: unknown key {one_line(key)!r}{close}: use {', '.join(known)}")
