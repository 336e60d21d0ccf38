"""What a row of the table of options in `src/options.py` says, and what a command is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Command:
    """The module and the fixed options that an entry point of MLproject, or a pod, runs.

    Attributes:
        module: has `build_parser` and `main`; several commands may be modes of one module.
        fixed: values of the options that select this command in the module.
        entry_point: whether it is an entry point of MLproject.
    """

    module: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    entry_point: bool = True


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: without the dashes.
        kind: type of the value: int, float, str, Path, bool for a switch, list for words (separated by commas too).
        default: of this type, or None.
        help: one line of `--help`, and the comment of its setting in Kubernetes.
        group: heading in `--help`.
        commands: names of the commands in COMMANDS that take it.
        metavar: placeholder for the value in `--help`; the name in capitals when empty.
        parameter: its name in MLproject; derived from the name when empty.
        in_pods: whether a Kubernetes setting gives its value. False for what belongs to the machine (store, CPUs,
            folders), and where another option has the same meaning.
        repeatable: whether a list collects the words of a repeated option; otherwise the last one counts.
        overrides: attributes that differ for a command, by the command's name.
    """

    name: str
    kind: type
    default: Any
    help: str
    group: str
    commands: tuple[str, ...]
    metavar: str = ""
    parameter: str = ""
    in_pods: bool = True
    repeatable: bool = False
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metavar", self.metavar or self.name.upper())
        object.__setattr__(self, "parameter", self.parameter or self.name.replace("-", "_"))

    def of(self, command: str) -> "Option":
        """The option with the overrides of a command."""
        return replace(self, **self.overrides.get(command, {}))

    @property
    def variable(self) -> str:
        """Its name as a make variable and as a Kubernetes setting."""
        return self.parameter.upper()

    @property
    def default_text(self) -> str:
        """The default as text of a command line; empty without a default."""
        if self.kind is bool:
            return str(self.default).lower()
        if self.kind is list:
            return ",".join(self.default)
        return "" if self.default is None else str(self.default)
