"""Batch inference: `predict` beside a bare `Booster.predict`, and its peak memory on a small and a large table.

    python -m benchmarks.batch --rows 1000000 5000000

A Parquet table of accounts and days with numeric and category columns; a model is trained on its first rows and
registered in a store of its own. Time: both predict the same blocks of the largest table in one process, with
LightGBM's threads set alike. `predict` reads and encodes the blocks and writes Parquet parts, the bare model gets
matrices that are made outside of the measured time. Memory: the largest resident size of a process of its own that
runs the command.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result

BLOCK = 100_000
TARGET, DESKS = "pnl", [f"desk {number}" for number in range(12)]
OURS, BARE = "predict", "Booster.predict"


def block_of(number: int, n_rows: int, n_numbers: int) -> pd.DataFrame:
    """Rows of a table: `account_id`, `date`, `x0`, `x1`, … and two categories."""
    rng = np.random.default_rng(number)
    rows = np.arange(number * BLOCK, number * BLOCK + n_rows)
    days = np.datetime64("1990-01-01", "D") + rows // 2_000
    columns: dict[str, Any] = {"account_id": 10_000 + rows % 2_000, "date": days.astype("datetime64[ms]")}
    for i in range(n_numbers):
        columns[f"x{i}"] = np.where(rng.random(n_rows) < 0.01, np.nan, rng.normal(size=n_rows))
    for name in ("desk", "style"):
        columns[name] = rng.choice(np.array(DESKS, object), n_rows)
    return pd.DataFrame(columns)


def write_table(path: Path, n_rows: int, n_numbers: int) -> None:
    """Writes a table of any size in little memory, as row groups of a block."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for number, start in enumerate(range(0, n_rows, BLOCK)):
        table = pa.Table.from_pandas(block_of(number, min(BLOCK, n_rows - start), n_numbers), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def register(folder: Path, args: Namespace) -> str:
    """Trains and registers the model in a new store; returns the store's URI."""
    import lightgbm as lgb
    import mlflow
    from mlflow import MlflowClient

    from src.data.encoding import encode
    from src.tracking.registry.model_versions import register_model
    from src.tracking.registry.served_model import ModelCard

    frame = block_of(0, min(BLOCK, args.training_rows), args.columns)
    names = [name for name in frame.columns if name not in ("account_id", "date")]
    levels = {name: sorted(DESKS) for name in ("desk", "style")}
    noise = np.random.default_rng(0).normal(size=len(frame))
    y = frame[names[:5]].fillna(0).sum(axis=1) + (frame["desk"] == DESKS[3]) + noise
    options = {"objective": "l1", "num_leaves": args.leaves, "learning_rate": 0.03, "verbose": -1}
    matrix = encode(frame[names], levels)
    booster = lgb.train(options, lgb.Dataset(matrix, y.to_numpy()), args.trees)
    booster.save_model(folder / "model.txt")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    run = MlflowClient().create_run(MlflowClient().create_experiment("batch", str(folder / "artifacts")))
    metadata = {"target": TARGET, "feature_names": names, "categorical_levels": levels, "study_name": "batch"}
    metadata |= {"boolean_features": [], "decimal_marks": {}}
    register_model(run.info.run_id, ModelCard(TARGET, folder / "model.txt", metadata, frame.head(5)))
    return uri


def seconds_of_ours(table: Path, output: Path) -> float:
    """Seconds of a prediction to Parquet parts, without the start of the process and the loading of the model."""
    from src.config import TableConfig
    from src.data.sources.blocks import open_table
    from src.serving.block_predictor import RowsToPredict
    from src.serving.prediction_output import open_output
    from src.serving.requested_models import load_requested
    from src.serving.table_prediction import TablePrediction

    shutil.rmtree(output, ignore_errors=True)
    models = load_requested([f"models:/{TARGET}@champion"], [TARGET])
    start = time.perf_counter()
    with open_table(str(table), None) as opened:
        prediction = TablePrediction(models, opened, TableConfig(), RowsToPredict(), BLOCK)
        with open_output(f"{output}/", "predictions", prediction.record, prediction.keys) as written:
            prediction.write(written, several=False)
    return time.perf_counter() - start


def seconds_of_bare(table: Path) -> float:
    """Seconds of LightGBM alone on the same blocks."""
    from src.serving.requested_models import load_requested

    (requested,) = load_requested([f"models:/{TARGET}@champion"], [TARGET])
    model: Any = requested.model.unwrap_python_model()
    threads = sys.modules[type(model).__module__].thread_options()
    seconds = 0.0
    for matrix in _matrices(table, model):
        start = time.perf_counter()
        model.booster.predict(matrix, **threads)
        seconds += time.perf_counter() - start
    return seconds


def _matrices(table: Path, model: Any) -> Iterator[Any]:
    from src.data.sources.blocks import open_table

    with open_table(str(table), None) as opened:
        for block in opened.blocks(BLOCK):
            yield model.encode(block)


def peak_megabytes(table: Path, output: str, uri: str) -> float:
    """The largest resident size of a process that runs the command.

    Raises:
        RuntimeError: the command failed.
    """
    command = [sys.executable, "-m", "src.serving.predict", "--target", TARGET, "--data", str(table)]
    process = subprocess.Popen(
        [*command, "--output", output], env=os.environ | {"MLFLOW_TRACKING_URI": uri}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with status {process.returncode}")
    return usage.ru_maxrss / 1024


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("batch", "Batch inference: time and peak memory.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000], help="sizes of the tables")
    parser.add_argument("--columns", type=int, default=48, help="numeric columns; two categories are added")
    parser.add_argument("--trees", type=int, default=500, help="trees of the model")
    parser.add_argument("--leaves", type=int, default=63, help="leaves of a tree")
    parser.add_argument("--training-rows", type=int, default=50_000, help="rows that the model is trained on")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each contender")
    args = parser.parse_args(argv)
    if args.quick:
        args.rows, args.columns, args.trees, args.leaves = [2_000, 4_000], 5, 5, 7
        args.training_rows, args.rounds = 2_000, 1
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="daily-profit-batch-") as name:
        folder = Path(name)
        uri = register(folder, args)
        memory = []
        for n_rows in sorted(args.rows):
            table = folder / f"{n_rows}.parquet"
            write_table(table, n_rows, args.columns)
            for kind, output in (
                ("parts", f"{folder}/parts-{n_rows}/"),
                ("one file", f"{folder}/{n_rows}.out.parquet"),
            ):
                memory.append({"rows": n_rows, "output": kind, "peak MB": peak_megabytes(table, output, uri)})
        contenders = {OURS: partial(seconds_of_ours, table, folder / "timed"), BARE: partial(seconds_of_bare, table)}
        measured = interleave(contenders, args.rounds)
    print_table(memory)
    ratio = ratio_of_medians(measured[OURS], measured[BARE])
    rows = [{"contender": each, "rows": n_rows, "seconds": median(measured[each])} for each in (OURS, BARE)]
    print_table(rows)
    sys.stdout.write(f"predict takes {ratio:.3g} times as long as Booster.predict\n")
    write_result("batch", {"memory": memory, "seconds": measured, "ratio": ratio, "options": vars(args)}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
