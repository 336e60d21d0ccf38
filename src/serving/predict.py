"""Batch inference: a registered model over a table."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from src.config import TableConfig
from src.errors import ConfigError

log = logging.getLogger(__name__)

PREDICTION = "prediction"
_ENDINGS = (".parquet", ".csv", ".csv.gz")


def predict_table(model_uri: str, frame: pd.DataFrame, table: TableConfig | None = None) -> pd.DataFrame:
    """Predicts every row of a table.

    Args:
        model_uri: as MLflow takes it, usually `models:/<target>@champion`.
        frame: (n_rows, at least the model's features); further columns are ignored.
        table: names the account and the date column; None means the contract's names.

    Returns:
        (n_rows, up to 3) in the order of the rows, with a fresh index: the account and the date column where the
        frame has them, and `prediction` (the target's unit, or a binary target's probability of 1).

    Raises:
        UserError: there is no such model.
        DataError: the table lacks features of the model, or holds text where the model wants numbers.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    from src.tracking.served_model import load_served, predict_rows

    model = load_served(model_uri)
    prediction = predict_rows(model, frame)
    log.info("predicted %d rows with %s", len(frame), model_uri)
    keys = table or TableConfig()
    kept = [key for key in (keys.account, keys.date) if key in frame.columns]
    return frame[kept].reset_index(drop=True).assign(**{PREDICTION: prediction})


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Writes predictions as `.parquet`, `.csv` or `.csv.gz`, whole or not at all.

    Args:
        frame: as `predict_table` returns it.
        path: where to; missing folders are made, an existing file is replaced.

    Raises:
        ConfigError: another ending, or a path that cannot be written.
    """
    ending = check_output(path)
    half = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".parquet":
            frame.to_parquet(half, index=False)
        else:
            # No time of writing in the gzip header: the same predictions are the same file.
            how = {"method": "gzip", "mtime": 0} if ending == ".csv.gz" else None
            frame.to_csv(half, index=False, compression=how)
        half.replace(path)
    except OSError as error:  # the boundary to the disk: full, read-only, a folder in the way
        raise ConfigError(f"--output {path} cannot be written: {error.strerror or error}; name another path") from error
    finally:
        if half.exists():
            half.unlink()


def check_output(path: Path) -> str:
    """The ending of an output path, before any work is done for it.

    Raises:
        ConfigError: the ending is none that can be written.
    """
    for ending in sorted(_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending) and path.name != ending:
            return ending
    raise ConfigError(f"--output {path} has an ending that cannot be written: use one of {', '.join(_ENDINGS)}")


def build_parser() -> argparse.ArgumentParser:
    """The options of batch inference."""
    parser = argparse.ArgumentParser(prog="python -m src.serving.predict", description=__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--target", help="predict with this target's champion")
    chosen.add_argument("--model", help="predict with this model instead: models:/<name>/<version>, a folder, ...")
    parser.add_argument("--data", help="the table: Parquet, CSV, s3://bucket/key or a SQL URL (default: the sample)")
    parser.add_argument("--query", help="the SELECT that belongs to a SQL URL")
    parser.add_argument("--output", type=Path, required=True, help="where to: .parquet, .csv or .csv.gz")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts a table from the command line."""
    from src.data.sources import read_table

    options = build_parser().parse_args(argv)
    check_output(options.output)
    frame = read_table(options.data, options.query)
    predictions = predict_table(options.model or f"models:/{options.target}@champion", frame)
    write_predictions(predictions, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
