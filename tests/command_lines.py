"""Finds the commands that images, compose file and manifests call, and the options which those commands really have."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MODULE = re.compile(r"src(\.\w+)+")


@dataclass(frozen=True)
class CommandLine:
    """A call of a module of this repository, with everything that follows the module's name."""

    module: str
    words: tuple[str, ...]

    @property
    def options(self) -> set[str]:
        """The options without their values."""
        return _options(self.words)


def commands_in(text: str) -> list[CommandLine]:
    """Every call of a module of src in a Dockerfile or in YAML documents, those in a Dockerfile's comments too."""
    lists = word_lists_in(text)
    calls = [(words, i) for words in lists for i, word in enumerate(words) if MODULE.fullmatch(word)]
    return [CommandLine(words[i], tuple(words[i + 1 :])) for words, i in calls]


def options_after(text: str, *start: str) -> set[str]:
    """The options of every call of another program, as in `options_after(text, "mlflow", "server")`.

    In an image the program is its ENTRYPOINT, so that the words may begin with the second of `start`.
    """
    found: set[str] = set()
    for words in word_lists_in(text):
        for first in (start, start[1:]):
            if first and tuple(words[: len(first)]) == first:
                found |= _options(words)
    return found


def word_lists_in(text: str) -> list[list[str]]:
    """Every list of words that may be a command."""
    if not re.search(r"^FROM ", text, re.MULTILINE):
        return [words for document in yaml.safe_load_all(text) for words in _walk(document)]
    joined = text.replace("\\\n", " ")
    lists = re.findall(r"^\s*(?:ENTRYPOINT|(?:HEALTHCHECK .*)?CMD)\s+(\[.*\])\s*$", joined, re.MULTILINE)
    comments = re.findall(r"^#(.*)$", text.replace("\\\n#", " "), re.MULTILINE)
    return [json.loads(found) for found in lists] + [words for line in comments for words in _from_line(line)]


def _walk(node: Any) -> Iterator[list[str]]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        words = [word for word in node if isinstance(word, str)]
        if words:
            yield words
        for value in node:  # a single word is no line
            if not isinstance(value, str) or " " in value:
                yield from _walk(value)
    elif isinstance(node, str):
        for line in node.replace("\\\n", " ").splitlines():
            yield from _from_line(line)


def _from_line(line: str) -> Iterator[list[str]]:
    if MODULE.search(line):
        yield shlex.split(line, posix=True)


def _options(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}


@cache
def options_of(module: str) -> frozenset[str]:
    """The long options of a module that is a command, from its own parser."""
    parser = importlib.import_module(module).build_parser()
    return frozenset(name for action in parser._actions for name in action.option_strings if name.startswith("--"))


@cache
def mlflow_options_of(*command: str) -> frozenset[str]:
    """The options of one of MLflow's commands, as in `mlflow_options_of("models", "serve")`."""
    from mlflow.cli import cli

    found: Any = cli
    for name in command:
        found = found.commands[name]
    return frozenset(name for param in found.params for name in (*param.opts, *param.secondary_opts))


@cache
def weed_options_of(command: str) -> frozenset[str]:
    """The options of one of SeaweedFS's commands, as `weed mini -h` lists them."""
    weed = Path(sys.executable).with_name("weed")
    shown = subprocess.run([str(weed), "help", command], capture_output=True, text=True, check=False)
    return frozenset(re.findall(r"^  (-[\w.]+)", shown.stdout + shown.stderr, re.MULTILINE))
