"""Shared by all commands: parsing of options, logging, and errors as one line and an exit status."""

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, NoReturn, TypeVar

from src.config import CV_MODES, DataSettings, RunSettings, SearchSettings, SplitSettings, TableConfig, TargetConfig
from src.console import LineFormatter, accept_any_text, output_failure
from src.disk import explain
from src.errors import ConfigError, DailyProfitError, Interrupted
from src.model_settings import SPACES, ModelSettings, SpaceSettings, parse_monotone
from src.option_lookup import parser_options
from src.option_types import Option
from src.options import COMMANDS
from src.secrets import mask_url, scrub
from src.suggest import did_you_mean, listing, one_line, shorten

log = logging.getLogger(__name__)
INTERRUPTED = 130
Settings = TypeVar("Settings")


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong option in one line, without the usage block; `--help` shows the defaults."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False, **kwargs)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; for an unknown option the error suggests the closest known one."""
        accept_any_text()
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            close = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {one_line(' '.join(unknown), 200)}{close}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Exits with status 2. Passwords are masked, in case a URL was given to the wrong option."""
        self.exit(2, f"error: {one_line(scrub(message, ''))} (see --help)\n")


def given_options(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> frozenset[str]:
    """Names of the options that the user gave with a value; an empty value counts as not given.

    `mlflow run` passes every parameter of an entry point, so there a default value counts as not given too.

    Args:
        parser: a parser of the command, made for this call only: its defaults are removed here.
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
    """The parser of a command, with its options from `src.options`; an empty value means the default.

    Args:
        command: its name in `src.options.COMMANDS`; commands that share a module share the parser.
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
    settings: dict[str, Any] = {"type": _or_default(option.default, option.kind), "metavar": option.metavar}
    if option.kind is bool:  # takes a value too, for `mlflow run`: `--use-cv`, `--use-cv true`, `--use-cv ''`
        settings = {"nargs": "?", "const": True, "type": _boolean, "metavar": "true|false"}
    elif option.kind is list:
        action = partial(_WordsAction, repeatable=option.repeatable)
        settings = {"nargs": "*", "action": action, "type": _words, "metavar": option.metavar}
    group.add_argument(f"--{option.name}", default=option.default, help=option.help.replace("%", "%%"), **settings)


class _WordsAction(argparse.Action):
    """Collects words, separated by spaces or commas; empty words are ignored, because `mlflow run` passes them."""

    def __init__(self, *args: Any, repeatable: bool, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.repeatable = repeatable

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        words = [word for group in values for word in group]
        before = getattr(namespace, self.dest, self.default)
        if words:
            setattr(namespace, self.dest, [*before, *words] if self.repeatable and before else words)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def run_settings(args: argparse.Namespace) -> RunSettings:
    """The settings that parsed options describe.

    Raises:
        ConfigError: a value is out of range, or the `--config` file is wrong.
    """
    data = data_settings(args)
    if args.cv not in CV_MODES:
        raise ConfigError(f"--cv {args.cv!r} is unknown: use one of {', '.join(CV_MODES)}")
    split = settings_of(SplitSettings, args, use_cv=args.use_cv or args.cv == "on", seed=checked_seed(args.seed))
    return settings_of(
        RunSettings,
        args,
        data=data,
        split=split,
        search=settings_of(SearchSettings, args),
        model=model_settings(args, data.table),
        register=not args.no_register,
        cv_auto=args.cv == "auto",
    )


def model_settings(args: argparse.Namespace, table: TableConfig) -> ModelSettings:
    """The settings of the model; an option has priority over the `--config` file's key of the same name.

    Raises:
        ConfigError: a value is wrong.
    """
    constraint = args.constraint or getattr(table, "constraint", ())
    monotone = parse_monotone(args.monotone) or getattr(table, "monotone", {})
    return settings_of(ModelSettings, args, constraint=constraint, monotone=monotone, space=_space(args.space))


def _space(value: str) -> SpaceSettings:
    if value in SPACES:
        return SpaceSettings(value)
    from src.space_file import space_settings  # imports yaml

    return space_settings(value)


def settings_of(kind: type[Settings], args: argparse.Namespace, **others: Any) -> Settings:
    """Builds a settings dataclass from parsed options.

    Args:
        kind: the dataclass; a field takes the value of the option with the same name, else the field's default.
        args: the options.
        others: values of the fields that differ from the option of the same name.

    Raises:
        ConfigError: a value is out of range.
    """
    named = {field.name: getattr(args, field.name) for field in fields(kind) if field.name in args}  # type: ignore[arg-type]
    return kind(**named | others)


def data_settings(args: argparse.Namespace) -> DataSettings:
    """Which table the parsed options name.

    Raises:
        ConfigError: the `--config` file is wrong, or `mlflow run` has recorded a password.
    """
    refuse_recorded_passwords(args)
    table = TableConfig()
    if args.config is not None:
        from src.config_file import load_table_config

        table = load_table_config(args.config)
    if getattr(args, "features", None) is not None:
        table = replace(table, features=args.features)
    return DataSettings(args.data, args.query, table)


def refuse_recorded_passwords(args: argparse.Namespace) -> None:
    """Checks the options that may hold a password: `mlflow run` prints and records them before this process starts.

    Raises:
        ConfigError: an option holds a password.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    for option in ("storage_url", "data", "output"):
        value = getattr(args, option, None)  # not every command has both
        if run_id and value and mask_url(value) != value:
            raise ConfigError(
                f"-P {option}={mask_url(value)} holds a password, which `mlflow run` has recorded in run {run_id}: "
                f"delete that run, change the password, and set it as PGPASSWORD or OPTUNA_POSTGRES_PASSWORD"
            )


def chosen_targets(names: Sequence[str], known: Mapping[str, TargetConfig]) -> list[str]:
    """Target names from separate or comma-separated words; no word, or `all`, means all known targets.

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


def run_command(command: Callable[[], int], verbose: bool = False, milestones: bool = False) -> int:
    """Runs a command and returns its exit status: 0 done, 2 a user's mistake, 1 any other failure, 130 interrupted.

    Args:
        command: the function to run.
        verbose: log at DEBUG.
        milestones: log at INFO, for processes without a progress bar.
    """
    set_up_logging(verbose, milestones)
    try:
        status = command()
    except DailyProfitError as error:
        log.debug("", exc_info=True)
        line = str(error) or type(error).__name__
        return _end_with(line if isinstance(error, Interrupted) else f"error: {line}", error.exit_status)
    except KeyboardInterrupt:
        return _end_with("interrupted", INTERRUPTED)
    except OSError as error:  # a full disk, a folder without permission, a closed pipe
        log.debug("", exc_info=True)
        output_error = output_failure()
        return _end_with(f"error: {explain(error if error.filename else output_error or error)}", 1)
    output_error = output_failure()
    return status if output_error is None else _end_with(f"error: {explain(output_error)}", 1)


def _end_with(line: str, status: int) -> int:
    print(shorten(line), file=sys.stderr)
    return status


def set_up_logging(verbose: bool, milestones: bool = False) -> None:
    """Logs this project's warnings; with `milestones` also at INFO, with `verbose` everything."""
    timed = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    form = timed if verbose or milestones else "warning: %(message)s"
    accept_any_text()  # also in processes without a command line: workers, the projector process
    logging.basicConfig(level=logging.WARNING, force=True)
    logging.getLogger().handlers[0].setFormatter(LineFormatter(form))
    for name in ("src", "__main__"):  # reset too, where one process runs several commands
        own = logging.DEBUG if verbose else logging.INFO if milestones else logging.NOTSET
        logging.getLogger(name).setLevel(own)
    if verbose:
        return
    # Other libraries' progress messages are hidden. MLflow reads the variables when it is imported.
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # logs every retry; this project logs an outage once
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs tracebacks that it also raises
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for category in (UserWarning, FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is not a boolean: use true or false")
    return words[text.lower()]


def _or_default(default: Any, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter that turns an empty value into the default; its name appears in argparse's error message."""

    def convert(text: str) -> Any:
        if text == "":
            return default
        value = kind(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(text)
        return value

    convert.__name__ = {int: "whole number", float: "number", str: "name"}.get(kind, "path")  # type: ignore[call-overload]
    return convert


def checked_seed(seed: int) -> int:
    """The value of `--seed`.

    Raises:
        ConfigError: it is out of range.
    """
    if not 0 <= seed < 2**31:
        raise ConfigError(f"--seed {seed} is out of range: 0 to {2**31 - 1}")
    return seed
