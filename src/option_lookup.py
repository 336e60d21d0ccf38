"""Looks up the options and the arguments of a command in the table of `src/options.py`."""

from collections.abc import Mapping

from src.option_types import Option
from src.options import COMMANDS, OPTIONS


def options_of(*commands: str) -> list[Option]:
    """The options that any of these commands takes, in the order of the table, with the first such command's overrides.

    Options with a fixed value are included.
    """
    options = [(option, [name for name in commands if name in option.commands]) for option in OPTIONS]
    return [option.of(names[0]) for option, names in options if names]


def parser_options(command: str) -> list[Option]:
    """The options of a command's module, which all its commands share."""
    return options_of(*(name for name, other in COMMANDS.items() if other.module == COMMANDS[command].module))


def arguments(command: str, values: Mapping[str, str]) -> list[str]:
    """The words after `python -m` that run a command.

    Args:
        command: its name.
        values: by option name, such as `{n_trials}` or `$(N_TRIALS)`; other options are left out.

    Raises:
        KeyError: the command does not take one of the options.
    """
    left = {**values, **COMMANDS[command].fixed}
    words = [f"--{option.name}={left.pop(option.name)}" for option in options_of(command) if option.name in left]
    if left:
        raise KeyError(f"{command} takes no {', '.join(left)}")
    return [COMMANDS[command].module, *words]
