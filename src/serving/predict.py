"""Batch inference: a registered model over a table.

python -m src.serving.predict --target is_profitable --data table.parquet --output predictions.parquet

One row comes out for each that goes in, in the same order: account, date and prediction.
"""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.cli import command_parser, data_settings, run_command
from src.config import PREDICTION_ENDINGS, TableConfig
from src.config_file import FileTableConfig
from src.disk import is_full
from src.errors import ConfigError, DataError
from src.names import check_target_name
from src.suggest import did_you_mean, listing, one_line
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

log = logging.getLogger(__name__)

PREDICTION = "prediction"


def predict_table(model_uri: str, frame: "pd.DataFrame", table: TableConfig | None = None) -> "pd.DataFrame":
    """Predicts every row of a table.

    Args:
        model_uri: as MLflow takes it, usually `models:/<target>@champion`.
        frame: (n_rows, at least the model's features); further columns are ignored.
        table: names the account and the date column; None means the contract's names. One that a `--config` file
            names has to be there, the others may be absent.

    Returns:
        (n_rows, up to 3) in the order of the rows, with a fresh index: the account and the date column where the
        frame has them, and `prediction` (the target's unit, or a binary target's probability of 1).

    Raises:
        UserError: there is no such model.
        DataError: the table lacks features of the model or a key column that was named, or holds text where the model
            wants numbers.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    from src.tracking.registry.served_model import load_served

    return _predict(load_served(model_uri), frame, table or TableConfig())


def _predict(model: "PyFuncModel", frame: "pd.DataFrame", table: TableConfig) -> "pd.DataFrame":
    from src.tracking.registry.served_model import predict_rows, served_metadata, unseen_warnings

    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    keys = _key_columns(list(frame.columns), table)
    prediction = predict_rows(model, frame)
    for warning in unseen_warnings(frame, served_metadata(model)):
        log.warning("%s", warning)
    return frame[keys].reset_index(drop=True).assign(**{PREDICTION: prediction})


def _key_columns(names: list[str], table: TableConfig) -> list[str]:
    """The columns that say whose row it is and of which day."""
    optional = table.optional if isinstance(table, FileTableConfig) else (table.account, table.date)
    keys = []
    for role, name in (("account", table.account), ("date", table.date)):
        if name is None:
            continue
        if name == PREDICTION or names.count(name) > 1:
            raise DataError(f"the {role} column {name!r} stands twice in the result: rename or drop one of the two")
        if name in names:
            keys.append(name)
        elif name in optional:
            log.warning("the table has no column %r: its rows are told apart by their order only", name)
        else:
            close = did_you_mean(name, names)
            raise DataError(
                f"column {name!r} (the {role}) is missing{close}: the table has {listing(names)}; correct --config"
            )
    return keys


def write_predictions(frame: "pd.DataFrame", path: Path) -> None:
    """Writes predictions as `.parquet`, `.csv` or `.csv.gz`, whole or not at all.

    Args:
        frame: as `predict_table` returns it.
        path: where to; missing folders are made, an existing file is replaced.

    Raises:
        ConfigError: another ending, or a path that cannot be written.
        OSError: the disk is full; its `filename` is the path.
        DataError: keys that Parquet cannot hold.
    """
    ending = check_output(path)
    half = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".parquet":
            _write_parquet(frame, half, path)
        else:
            # No time of writing in the gzip header: the same predictions are the same file.
            how = {"method": "gzip", "mtime": 0} if ending == ".csv.gz" else None
            frame.to_csv(half, index=False, compression=how)
        half.replace(path)
    except OSError as error:  # the boundary to the disk: read-only, a folder in the way, full
        if is_full(error) or error.errno in (errno.EFBIG, errno.EIO):
            error.filename, error.filename2 = str(path), None
            raise
        raise ConfigError(f"--output {path} cannot be written: {error.strerror or error}; name another path") from error
    finally:
        if half.exists():
            half.unlink()


def _write_parquet(frame: "pd.DataFrame", half: Path, path: Path) -> None:
    from pyarrow import ArrowException

    try:
        frame.to_parquet(half, index=False)
    except ArrowException as error:  # the boundary to Parquet: an account column of numbers and texts, say
        reason = one_line(error)
        raise DataError(f"--output {path} cannot hold the table's keys: {reason}; name a .csv, which can") from error


def check_output(path: Path) -> str:
    """The ending of an output path, before any work is done for it.

    Raises:
        ConfigError: the ending is none that can be written.
    """
    for ending in sorted(PREDICTION_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending) and path.name != ending:
            return ending
    raise ConfigError(
        f"--output {path} has an ending that cannot be written: use one of {', '.join(PREDICTION_ENDINGS)}"
    )


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
    asked = _asked_model(args.target, args.model)
    # Looked up and loaded first: a table may take long to read.
    uri, model = _load(asked, args.target)
    predictions = _predict(model, read_table(data.source, data.query), data.table)
    write_predictions(predictions, args.output)
    shown = uri if uri == asked else f"{uri} ({asked})"
    sys.stdout.write(f"predicted {len(predictions)} rows with {shown} into {args.output}\n")
    return 0


def _asked_model(target: str | None, model: str | None) -> str:
    if model is not None:
        return model
    if target is None:
        raise ConfigError("no model is named: give --target NAME for its champion, or --model URI")
    check_target_name(target)
    return f"models:/{target}@champion"


def _load(asked: str, target: str | None) -> tuple[str, "PyFuncModel"]:
    """The model, with the version that an alias stands for at this moment."""
    from src.tracking.connection.session import TrackingSession
    from src.tracking.connection.tracking_check import refuse_denied_access
    from src.tracking.registry.served_model import load_served, pinned_uri, served_metadata

    if asked.startswith(("models:/", "runs:/")):
        refuse_denied_access(os.environ)
        _ = TrackingSession().client  # makes the store where there is none, and bounds the wait for a dead server
    uri = pinned_uri(asked)
    model = load_served(uri)
    predicted = served_metadata(model).get("target", target)
    if target is not None and predicted != target:
        raise ConfigError(f"--model {asked} predicts {predicted!r}, not --target {target!r}: leave one of them out")
    return uri, model


if __name__ == "__main__":
    sys.exit(main())
