"""What every command shares: its options, its logging, and how an error becomes one line and an exit status."""

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

from src.config import CV_MODES, DataSettings, RunSettings, SearchSettings, SplitSettings, TableConfig, TargetConfig
from src.console import LineFormatter, accept_any_text, output_failure
from src.disk import explain
from src.errors import ConfigError, DailyProfitError, Interrupted
from src.options import COMMANDS, Option, parser_options
from src.secrets import mask_url, scrub
from src.suggest import did_you_mean, listing, one_line, shorten

log = logging.getLogger(__name__)
INTERRUPTED = 130
Settings = TypeVar("Settings")


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line, without the usage block; `--help` shows defaults."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False, **kwargs)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, and for an unknown option it says which was probably meant."""
        accept_any_text()
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            close = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {one_line(' '.join(unknown), 200)}{close}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Ends the process with status 2; a URL that landed at the wrong place shows no password."""
        self.exit(2, f"error: {one_line(scrub(message, ''))} (see --help)\n")


def given_options(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> frozenset[str]:
    """Which options stand on a command line with a value, whatever it is; an empty one was not given.

    `mlflow run` passes every parameter of an entry point: there a value that is the default was not given either.

    Args:
        parser: of the command, made for this question; it is no use afterwards.
        argv: the command line.
    """
    args, defaults = vars(parser.parse_args(argv)), vars(parser.parse_args([]))
    for action in parser._actions:
        action.default, action.type = argparse.SUPPRESS, None
    raw = vars(parser.parse_args(argv))
    given = {name for name, value in raw.items() if value not in ("", []) and value != [""]}
    if os.environ.get("MLFLOW_RUN_ID"):
        given = {name for name in given if args[name] != defaults[name]}
    return frozenset(given)


def command_parser(command: str, description: str) -> OneLineParser:
    """The parser of a command, with its options of `src.options`; an empty value is the same as none.

    Args:
        command: its name in `src.options.COMMANDS`; those that share its module share its parser.
        description: what the module does.
    """
    parser = OneLineParser(prog=f"python -m {COMMANDS[command].module}", description=description)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in parser_options(command):
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add_option(groups[option.group], option)
    return parser


def _add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    how: dict[str, Any] = {"type": _or(option.default, option.kind), "metavar": option.metavar}
    if option.kind is bool:  # takes a value too, for `mlflow run`: `--use-cv`, `--use-cv true`, `--use-cv ''`
        how = {"nargs": "?", "const": True, "type": _boolean, "metavar": "true|false"}
    elif option.kind is list:
        how = {"nargs": "*", "action": _Words, "type": _words, "metavar": option.metavar}
    group.add_argument(f"--{option.name}", default=option.default, help=option.help.replace("%", "%%"), **how)


class _Words(argparse.Action):
    """Collects words, separated by spaces or commas; empty ones are none, for `mlflow run`."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        words = [word for several in values for word in several]
        if words:
            setattr(namespace, self.dest, words)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def run_settings(args: argparse.Namespace) -> RunSettings:
    """The frozen settings of parsed options.

    Raises:
        ConfigError: a value is out of range, or the `--config` file is wrong.
    """
    data = data_settings(args)
    if args.cv not in CV_MODES:
        raise ConfigError(f"--cv {args.cv!r} is unknown: use one of {', '.join(CV_MODES)}")
    split = settings_of(SplitSettings, args, use_cv=args.use_cv or args.cv == "on", seed=_seed(args.seed))
    return settings_of(
        RunSettings,
        args,
        data=data,
        split=split,
        search=settings_of(SearchSettings, args),
        register=not args.no_register,
        cv_auto=args.cv == "auto",
    )


def settings_of(kind: type[Settings], args: argparse.Namespace, **others: Any) -> Settings:
    """A settings dataclass of parsed options.

    Args:
        kind: the dataclass; a field has the value of the option that is named like it, or its default without one.
        args: the options.
        others: fields that are not just the option of their name.

    Raises:
        ConfigError: a value is out of range.
    """
    named = {each.name: getattr(args, each.name) for each in fields(kind) if each.name in args}  # type: ignore[arg-type]  # a dataclass
    return kind(**named | others)


def data_settings(args: argparse.Namespace) -> DataSettings:
    """The table that parsed options name.

    Raises:
        ConfigError: the `--config` file is wrong, or `mlflow run` has recorded a password.
    """
    refuse_recorded_passwords(args)
    table = TableConfig()
    if args.config is not None:
        from src.config_file import load_table_config

        table = load_table_config(args.config)
    return DataSettings(args.data, args.query, table)


def refuse_recorded_passwords(args: argparse.Namespace) -> None:
    """`mlflow run` prints its parameters and records them for ever before this process starts.

    Raises:
        ConfigError: one of them holds a password.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    for option in ("storage_url", "data"):
        value = getattr(args, option, None)  # not every command has both
        if run_id and value and mask_url(value) != value:
            raise ConfigError(
                f"-P {option}={mask_url(value)} holds a password, which `mlflow run` has recorded in run {run_id}: "
                f"delete that run, change the password, and give it as PGPASSWORD or OPTUNA_POSTGRES_PASSWORD"
            )


def chosen_targets(names: Sequence[str], known: Mapping[str, TargetConfig]) -> list[str]:
    """Target names, from separate and comma-separated words; none or `all` means every known one.

    Raises:
        ConfigError: a name is unknown.
    """
    words = [word.strip() for name in names for word in name.split(",") if word.strip()]
    if not words or words == ["all"]:
        return list(known)
    for word in words:
        if word not in known:
            close = did_you_mean(word, known)
            raise ConfigError(f"target {word!r} is unknown{close}: use {listing(known)}, or all")
    return list(dict.fromkeys(words))


def run_command(command: Callable[[], int], verbose: bool = False, tells: bool = False) -> int:
    """Runs a command and returns its exit status: 0 done, 2 the user's mistake, 1 anything else, 130 interrupted.

    Args:
        command: what is run.
        verbose: all that it does is logged.
        tells: what it begins and ends is logged, for a process that nobody watches.
    """
    set_up_logging(verbose, tells)
    try:
        status = command()
    except DailyProfitError as error:
        log.debug("", exc_info=True)
        line = str(error) or type(error).__name__
        return _end_with(line if isinstance(error, Interrupted) else f"error: {line}", error.exit_status)
    except KeyboardInterrupt:
        return _end_with("interrupted", INTERRUPTED)
    except OSError as error:  # a full disk, a folder without permission, a reader of the output that is gone
        log.debug("", exc_info=True)
        of_output = output_failure()
        return _end_with(f"error: {explain(error if error.filename else of_output or error)}", 1)
    of_output = output_failure()
    return status if of_output is None else _end_with(f"error: {explain(of_output)}", 1)


def _end_with(line: str, status: int) -> int:
    print(shorten(line), file=sys.stderr)
    return status


def set_up_logging(verbose: bool, tells: bool = False) -> None:
    """Quiet by default: warnings of this project only; with `tells` also its milestones, with `verbose` all."""
    timed = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    form = timed if verbose or tells else "warning: %(message)s"
    accept_any_text()  # also in processes without a command line: workers, the one that writes to MLflow
    logging.basicConfig(level=logging.WARNING, force=True)
    logging.getLogger().handlers[0].setFormatter(LineFormatter(form))
    for name in ("src", "__main__"):  # also back again, where one process runs several commands
        own = logging.DEBUG if verbose else logging.INFO if tells else logging.NOTSET
        logging.getLogger(name).setLevel(own)
    if verbose:
        return
    # What other libraries tell of their own doings is not ours to show; MLflow reads these when it is imported.
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry of a server that is away; we say it once
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what it raises, too
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for category in (UserWarning, FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _or(default: Any, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter that takes an empty value for the default, with the kind's name in argparse's message."""

    def convert(text: str) -> Any:
        if text == "":
            return default
        value = kind(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(text)
        return value

    convert.__name__ = {int: "whole number", float: "number", str: "name"}.get(kind, "path")  # type: ignore[call-overload]
    return convert


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**31:
        raise ConfigError(f"--seed {seed} is out of range: 0 to {2**31 - 1}")
    return seed
