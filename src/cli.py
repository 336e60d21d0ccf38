"""What every command shares: its options, its logging, and how an error becomes one line and an exit status."""

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from src.config import (
    CV_MODES,
    PRUNERS,
    SAMPLERS,
    DataSettings,
    RunSettings,
    SearchSettings,
    SplitSettings,
    TableConfig,
    TargetConfig,
)
from src.console import LineFormatter, accept_any_text, output_failure
from src.disk import explain
from src.errors import ConfigError, DailyProfitError, Interrupted
from src.secrets import mask_url, scrub
from src.suggest import did_you_mean, listing, one_line, shorten

log = logging.getLogger(__name__)
INTERRUPTED = 130


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
    args, defaults = vars(parser.parse_args(argv)), {action.dest: action.default for action in parser._actions}
    defaults["targets"] = ["all"]
    for action in parser._actions:
        action.default, action.type = argparse.SUPPRESS, None
    raw = vars(parser.parse_args(argv))
    given = {name for name, value in raw.items() if value not in ("", []) and value != [""]}
    if os.environ.get("MLFLOW_RUN_ID"):
        given = {name for name in given if args[name] != defaults[name]}
    return frozenset(given)


def add_tuning_options(parser: argparse.ArgumentParser, max_workers: int | None = SearchSettings.max_workers) -> None:
    """The options that every command that tunes takes. An empty value is the same as none: MLflow passes those.

    Args:
        parser: of the command.
        max_workers: the default; None leaves it to the command.
    """
    search, split = SearchSettings(), SplitSettings()
    what = parser.add_argument_group("what")
    what.add_argument("--targets", nargs="*", default=[], metavar="TARGET", help="names, comma-separated too, or all")
    add_table_options(what)
    long = parser.add_argument_group("search")
    add_value(long, "--n-trials", int, search.n_trials, "the study's total")
    add_value(long, "--timeout", float, None, "seconds for the search of one target")
    automatic = "" if max_workers else "; all CPUs, or 1 if distributed"
    add_value(long, "--max-workers", int, max_workers, f"processes that run trials{automatic}")
    add_value(long, "--sampler", str, search.sampler, f"who proposes parameters: {', '.join(SAMPLERS)}")
    add_value(long, "--pruner", str, search.pruner, f"who stops bad trials early: {', '.join(PRUNERS)}")
    size = RunSettings.ensemble_size
    add_value(long, "--ensemble-size", int, size, "trials, at most, that the final model is made of; 1 is no ensemble")
    add_value(long, "--seed", int, search.seed, "of split, search and LightGBM")
    judged = parser.add_argument_group("evaluation")
    add_flag(judged, "--use-cv", "walk forward over expanding windows")
    modes = ", ".join(CV_MODES)
    add_value(judged, "--cv", str, CV_MODES[0], f"{modes}: on is --use-cv, auto takes 3 windows where it can")
    add_value(judged, "--n-folds", int, split.n_folds, "windows, with --use-cv")
    add_value(judged, "--purge-days", int, split.purge_days, "dates left out before whatever is judged")
    add_value(judged, "--test-fraction", float, split.test_fraction, "of the dates, the last; 0 keeps no hold-out")
    add_value(judged, "--valid-fraction", float, split.valid_fraction, "of the dates that are left, the last")
    kept = parser.add_argument_group("where")
    kept.add_argument("--storage-url", type=_text, help="postgresql://… or sqlite:///…, else OPTUNA_POSTGRES_*, else:")
    add_value(kept, "--storage-dir", Path, search.storage_dir, "folder of the embedded store")
    kept.add_argument("--study-name", type=_text, help="goes on with this study, or names a new one")
    add_value(kept, "--output-dir", Path, RunSettings.output_dir, "folder of models and reports")
    add_flag(kept, "--no-register", "leave the model registry alone")
    add_flag(kept, "--verbose", "log what happens, with tracebacks")


def add_table_options(group: argparse._ArgumentGroup) -> None:
    """Where the table comes from and what its columns are called."""
    group.add_argument("--data", type=_text, help="Parquet file or folder, CSV, s3://…, SQL URL; the sample if absent")
    group.add_argument("--query", type=_text, help="SELECT statement, with a SQL URL")
    group.add_argument("--config", type=_path, help="YAML file naming columns, features and targets")


def run_settings(args: argparse.Namespace) -> RunSettings:
    """The frozen settings of parsed options.

    Raises:
        ConfigError: a value is out of range, or the `--config` file is wrong.
    """
    data = data_settings(args)
    if args.cv not in CV_MODES:
        raise ConfigError(f"--cv {args.cv!r} is unknown: use one of {', '.join(CV_MODES)}")
    folded = args.use_cv or args.cv == "on"
    split = SplitSettings(
        args.test_fraction, args.valid_fraction, folded, args.n_folds, args.purge_days, _seed(args.seed)
    )
    search = SearchSettings(
        n_trials=args.n_trials,
        timeout=args.timeout,
        max_workers=args.max_workers,
        sampler=args.sampler,
        pruner=args.pruner,
        seed=args.seed,
        study_name=args.study_name,
        storage_url=args.storage_url,
        storage_dir=args.storage_dir,
    )
    cv_auto = args.cv == "auto"
    return RunSettings(data, split, search, args.output_dir, not args.no_register, args.ensemble_size, cv_auto)


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


def add_flag(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    """A switch that also takes a value, for `mlflow run`: `--use-cv`, `--use-cv true`, `--use-cv ''`."""
    group.add_argument(name, nargs="?", const=True, default=False, type=_boolean, metavar="true|false", help=text)


def add_value(group: argparse._ArgumentGroup, name: str, kind: Callable[[str], Any], default: Any, text: str) -> None:
    """An option with a value of one kind; an empty one is the default."""
    group.add_argument(name, type=_or(default, kind), default=default, metavar=name[2:].upper(), help=text)


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _text(text: str) -> str | None:
    return text or None


def _path(text: str) -> Path | None:
    return Path(text) if text else None


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
