"""Batch inference: predicts a table with a registered model.

python -m src.serving.predict --target is_profitable --data table.parquet --output predictions.parquet

The output has one row per input row, in the same order: account, date and prediction. `--from DATE` leaves out earlier
rows, which are still the past of a model with derived features; `--next-day` predicts the day after the table.
"""

import argparse
import datetime as dt
import errno
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import command_parser, data_settings, run_command
from src.config import PREDICTION_ENDINGS, TableConfig
from src.config_file import FileTableConfig
from src.disk import is_full
from src.errors import ConfigError, DataError
from src.names import check_target_name
from src.suggest import did_you_mean, listing, one_line
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

PREDICTION = "prediction"


@dataclass(frozen=True)
class RowsToPredict:
    """Which rows are predicted.

    Attributes:
        since: the first date; None predicts all rows.
        next_day: one new row per account, for the trading day after the table's last date.
    """

    since: dt.date | None = None
    next_day: bool = False


def predict_table(model_uri: str, frame: "pd.DataFrame", table: TableConfig | None = None) -> "pd.DataFrame":
    """Predicts every row of a table.

    Args:
        model_uri: an MLflow model URI, usually `models:/<target>@champion`.
        frame: (n_rows, at least the model's features); further columns are ignored.
        table: settings with the names of the account and date columns; None means the default names. A column that a
            `--config` file names must exist; default columns may be missing.

    Returns:
        (n_rows, up to 3) in the order of the rows, with a new index: the account and date columns if the frame has
        them, and `prediction` (in the target's unit, or a binary target's probability of 1).

    Raises:
        UserError: there is no such model.
        DataError: the table lacks features of the model or a configured key column, or has text in a numeric feature.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    from src.tracking.registry.served_model import load_served

    return _predict(load_served(model_uri), frame, table or TableConfig())


def _predict(
    model: "PyFuncModel", frame: "pd.DataFrame", table: TableConfig, rows: RowsToPredict = RowsToPredict()
) -> "pd.DataFrame":
    from src.tracking.registry.served_model import served_metadata
    from src.tracking.registry.served_rows import check_columns, history_warnings, predict_rows, unseen_warnings

    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    metadata = served_metadata(model)
    keys = _key_columns(list(frame.columns), table, metadata)
    check_columns(model, list(frame.columns))
    frame, positions = _choose_rows(frame, table, metadata, rows)
    prediction = predict_rows(model, frame, positions)
    for warning in (*unseen_warnings(frame, metadata), *history_warnings(model, frame, positions)):
        log.warning("%s", warning)
    chosen = frame if positions is None else frame.iloc[positions]
    return chosen[keys].reset_index(drop=True).assign(**{PREDICTION: prediction})


def _choose_rows(
    frame: "pd.DataFrame", table: TableConfig, metadata: Mapping[str, Any], rows: RowsToPredict
) -> "tuple[pd.DataFrame, NDArray[np.int64] | None]":
    """The table, with rows of the next day if asked, and the positions of the rows to predict; None means all.

    Raises:
        ConfigError: `--from` is later than the table, or `--next-day` does not suit the model.
        DataError: a date cannot be read, or there is none.
    """
    if rows.next_day:
        from src.serving.next_day import add_next_day

        return add_next_day(frame, metadata)
    if rows.since is None:
        return frame, None
    import numpy as np

    from src.data.keys import parse_days

    date = _date_column(table, metadata)
    if date is None or date not in frame.columns:
        raise ConfigError(f"--from {rows.since} needs dates, and the table has no column {date!r}: name it in --config")
    days = parse_days(frame[date], np.arange(len(frame)))
    positions = np.flatnonzero(days >= np.datetime64(rows.since))
    if len(days) and not len(positions):
        raise ConfigError(f"--from {rows.since} is after the table's last date, {days.max()}: give an earlier date")
    return frame, positions


def _date_column(table: TableConfig, metadata: Mapping[str, Any]) -> str | None:
    """The date column of the model, if it has one: it was trained on that name."""
    history = metadata.get("derived_features", {}).get("history")
    return table.date if history is None else str(history["date"])


def _key_columns(names: list[str], table: TableConfig, metadata: Mapping[str, Any]) -> list[str]:
    """The account and date columns that identify a row; a model with derived features knows their names."""
    if "derived_features" in metadata:
        history = metadata["derived_features"]["history"]
        return [name for name in (history["account"], history["date"]) if name is not None]
    optional = table.optional if isinstance(table, FileTableConfig) else (table.account, table.date)
    keys = []
    for role, name in (("account", table.account), ("date", table.date)):
        if name is None:
            continue
        if name == PREDICTION or names.count(name) > 1:
            raise DataError(
                f"the {role} column {name!r} would be duplicated in the result: rename or drop one of the two"
            )
        if name in names:
            keys.append(name)
        elif name in optional:
            log.warning("the table has no column %r: match its rows to predictions by their order", name)
        else:
            close = did_you_mean(name, names)
            raise DataError(
                f"column {name!r} (the {role}) is missing{close}: the table has {listing(names)}; correct --config"
            )
    return keys


def write_predictions(frame: "pd.DataFrame", path: Path) -> None:
    """Writes predictions as `.parquet`, `.csv` or `.csv.gz` atomically.

    Args:
        frame: the result of `predict_table`.
        path: output path; missing folders are created, an existing file is replaced.

    Raises:
        ConfigError: an unknown file extension, or a path that cannot be written.
        OSError: the disk is full; its `filename` is the path.
        DataError: keys that Parquet cannot hold.
    """
    ending = check_output(path)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".parquet":
            _write_parquet(frame, partial, path)
        else:
            # No timestamp in the gzip header, so that equal predictions give equal files.
            compression = {"method": "gzip", "mtime": 0} if ending == ".csv.gz" else None
            frame.to_csv(partial, index=False, compression=compression)
        partial.replace(path)
    except OSError as error:  # from the disk: read-only, a folder of that name, full
        if is_full(error) or error.errno in (errno.EFBIG, errno.EIO):
            error.filename, error.filename2 = str(path), None
            raise
        raise ConfigError(f"--output {path} cannot be written: {error.strerror or error}; give another path") from error
    finally:
        if partial.exists():
            partial.unlink()


def _write_parquet(frame: "pd.DataFrame", partial: Path, path: Path) -> None:
    from pyarrow import ArrowException

    try:
        frame.to_parquet(partial, index=False)
    except ArrowException as error:  # from Parquet: for example an account column of numbers and text
        reason = one_line(error)
        raise DataError(f"--output {path} cannot hold the table's keys: {reason}; give a .csv path") from error


def check_output(path: Path) -> str:
    """The file extension of an output path, checked before any work.

    Raises:
        ConfigError: the extension is unknown.
    """
    for ending in sorted(PREDICTION_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending) and path.name != ending:
            return ending
    raise ConfigError(f"--output {path} has an unknown file extension: use one of {', '.join(PREDICTION_ENDINGS)}")


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "predict", "Predicts every row of a table with a registered model; the table needs no target column."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _command(args), args.verbose)


def _command(args: argparse.Namespace) -> int:
    from src.data.sources.dispatch import read_table

    check_tracking_uri(os.environ)
    data = data_settings(args)
    check_output(args.output)
    rows = RowsToPredict(_first_date(vars(args)["from"]), args.next_day)
    if rows.since is not None and rows.next_day:
        raise ConfigError("--from and --next-day contradict each other: give one of them")
    requested = _requested_uri(args.target, args.model)
    # Loaded before the table, which may take long to read.
    uri, model = _load(requested, args.target)
    predictions = _predict(model, read_table(data.source, data.query), data.table, rows)
    write_predictions(predictions, args.output)
    shown = uri if uri == requested else f"{uri} ({requested})"
    sys.stdout.write(f"predicted {len(predictions)} rows with {shown} into {args.output}\n")
    return 0


def _first_date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--from {text!r} is not a date: write it as 2024-01-31") from error


def _requested_uri(target: str | None, model: str | None) -> str:
    if model is not None:
        return model
    if target is None:
        raise ConfigError("no model is given: use --target NAME for its champion, or --model URI")
    check_target_name(target)
    return f"models:/{target}@champion"


def _load(requested: str, target: str | None) -> tuple[str, "PyFuncModel"]:
    """The model and its URI; an alias is resolved to its current version."""
    from src.tracking.connection.session import TrackingSession
    from src.tracking.connection.tracking_check import refuse_denied_access
    from src.tracking.registry.served_model import load_served, pinned_uri, served_metadata

    if requested.startswith(("models:/", "runs:/")):
        refuse_denied_access(os.environ)
        _ = TrackingSession().client  # creates a missing store, and limits the wait for a dead server
    uri = pinned_uri(requested)
    model = load_served(uri)
    predicted = served_metadata(model).get("target", target)
    if target is not None and predicted != target:
        raise ConfigError(f"--model {requested} predicts {predicted!r}, not --target {target!r}: leave one of them out")
    return uri, model


if __name__ == "__main__":
    sys.exit(main())
