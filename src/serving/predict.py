"""Batch inference: predicts a table with registered models, block by block.

python -m src.serving.predict --target is_profitable --data table.parquet --output predictions.parquet

The output has one row per input row and target: account, date, prediction, model and version, with several targets
also the target. The rows of a block have the order of the table, target by target. `--from DATE` leaves out earlier
rows, which are still the past of a model with derived features; `--next-day` predicts the day after the table.
"""

import argparse
import datetime as dt
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from src.cli import command_parser, data_settings, run_command
from src.config import TableConfig
from src.errors import ConfigError
from src.secrets import mask_url
from src.suggest import listing
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    import pandas as pd

    from src.serving.block_predictor import RowsToPredict

log = logging.getLogger(__name__)


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
    from src.serving.block_predictor import BlockPredictor, RowsToPredict
    from src.serving.requested_models import RequestedModel
    from src.tracking.registry.served_model import load_served

    requested = RequestedModel(load_served(model_uri), "", "", "", model_uri, model_uri)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    predictor = BlockPredictor(requested, list(frame.columns), table or TableConfig(), RowsToPredict())
    for line in predictor.missing_keys:
        log.warning("%s", line)
    result = predictor.predict(frame, 0)
    predictor.finish(len(frame))
    return result


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "predict", "Predicts every row of a table with registered models; the table needs no target column."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _command(args), args.verbose)


def _command(args: argparse.Namespace) -> int:
    from src.data.sources.blocks import open_table
    from src.serving.logged_output import LoggedOutput
    from src.serving.prediction_log.sinks import open_log
    from src.serving.prediction_output import check_output, open_output
    from src.serving.requested_models import load_requested, requested_uris
    from src.serving.table_prediction import TablePrediction

    check_tracking_uri(os.environ)
    data = data_settings(args)
    kind = check_output(args.output)
    rows = _rows(args)
    if args.block_rows < 1:
        raise ConfigError(f"--block-rows {args.block_rows} is too small: give at least 1")
    targets = list(data.table.targets) if args.target == ["all"] else args.target
    # Loaded before the table, which may take long to read.
    models = load_requested(requested_uris(targets, args.model), targets)
    with ExitStack() as stack:
        table = stack.enter_context(open_table(data.source, data.query))
        prediction = TablePrediction(models, table, data.table, rows, args.block_rows)
        if prediction.unused:
            sys.stdout.write(f"note: columns that no model uses: {listing(prediction.unused)}\n")
        output = stack.enter_context(open_output(args.output, args.table, prediction.record, prediction.keys))
        logged = open_log(args.log_predictions, args.log_table, prediction.keys)
        output = output if logged is None else LoggedOutput(output, logged, models, prediction.keys)
        n_rows = prediction.write(output, len(models) > 1 or kind == "sql")
    shown = ", ".join(model.shown for model in models)
    sys.stdout.write(f"predicted {n_rows} rows with {shown} into {mask_url(args.output)}\n")
    return 0


def _rows(args: argparse.Namespace) -> "RowsToPredict":
    from src.serving.block_predictor import RowsToPredict

    text: str | None = vars(args)["from"]
    try:
        since = None if text is None else dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--from {text!r} is not a date: write it as 2024-01-31") from error
    if since is not None and args.next_day:
        raise ConfigError("--from and --next-day contradict each other: give one of them")
    return RowsToPredict(since, args.next_day)


if __name__ == "__main__":
    sys.exit(main())
