"""Batch inference: `predict` beside a bare `Booster.predict`, and its peak memory on a small and a large table.

    python -m benchmarks.batch --rows 1000000 5000000

The rows are those of the sample table, repeated with other accounts and slightly other numbers, with its 52 features:
numbers, flags and three categories of text. A model of them is registered in a store of its own. Time: both predict the
same blocks of the largest table in one process, with LightGBM's threads set alike. `predict` reads and encodes the
blocks and writes Parquet parts, the bare model gets matrices that are made outside of the measured time. Besides the
elapsed time, which suffers from other processes, the CPU time of the process is compared. Memory: the largest resident
size of a process of its own that runs the command.
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
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.record import bench_parser, interleave, median, print_table, ratio_of_medians, write_result

if TYPE_CHECKING:
    from src.data.table import Dataset

BLOCK = 100_000
TARGET = "net_profit"
OURS, BARE = "predict", "Booster.predict"


@cache
def sample() -> "Dataset":
    """The sample table with the features of the target."""
    from src.config import TableConfig
    from src.data.sources.dispatch import read_table
    from src.data.table import load_dataset

    return load_dataset(read_table(None, None), TableConfig(), TARGET)


@cache
def _plain_sample() -> pd.DataFrame:
    from src.data.sources.dispatch import read_table

    return read_table(None, None)[["account_id", "date", *sample().features]]


def block_of(number: int, n_rows: int) -> pd.DataFrame:
    """Rows of the large table: account, date and the features of the sample table."""
    rng, frame = np.random.default_rng(number), _plain_sample()
    rows = np.arange(number * BLOCK, number * BLOCK + n_rows)
    found = frame.iloc[rows % len(frame)].reset_index(drop=True)
    found["account_id"] += "-" + pd.Series(rows // len(frame)).astype("str")
    for name in found.columns[found.dtypes == "float64"]:
        found[name] *= 1 + 0.001 * rng.normal(size=n_rows)
    return found


def write_table(path: Path, n_rows: int) -> None:
    """Writes a table of any size in little memory, as row groups of a block."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for number, start in enumerate(range(0, n_rows, BLOCK)):
        table = pa.Table.from_pandas(block_of(number, min(BLOCK, n_rows - start)), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def register(folder: Path, args: Namespace) -> str:
    """Trains and registers the model in a new store; returns the store's URI."""
    import lightgbm as lgb
    import mlflow
    from mlflow import MlflowClient

    from src.data.encoding import encode, learn_levels
    from src.tracking.registry.model_versions import register_model
    from src.tracking.registry.served_model import ModelCard

    data = sample()
    levels = learn_levels(data.features, data.categorical, np.arange(len(data.y)))
    options = {"objective": "l1", "num_leaves": args.leaves, "learning_rate": 0.03, "verbose": -1}
    booster = lgb.train(options, lgb.Dataset(encode(data.features, levels), data.y), args.trees)
    booster.save_model(folder / "model.txt")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    run = MlflowClient().create_run(MlflowClient().create_experiment("batch", str(folder / "artifacts")))
    metadata = {
        "target": TARGET,
        "feature_names": list(data.features),
        "categorical_levels": levels,
        "study_name": "batch",
        "boolean_features": list(data.booleans),
        "decimal_marks": dict(data.decimal_marks),
    }
    register_model(run.info.run_id, ModelCard(TARGET, folder / "model.txt", metadata, data.features.head(5)))
    return uri


def seconds_of_ours(table: Path, output: Path, cpu: list[float]) -> float:
    """Seconds of a prediction to Parquet parts, without the start of the process and the loading of the model."""
    from src.config import TableConfig
    from src.data.sources.blocks import open_table
    from src.serving.block_predictor import RowsToPredict
    from src.serving.prediction_output import open_output
    from src.serving.requested_models import load_requested
    from src.serving.table_prediction import TablePrediction

    shutil.rmtree(output, ignore_errors=True)
    models = load_requested([f"models:/{TARGET}@champion"], [TARGET])
    start, cpu_start = time.perf_counter(), time.process_time()
    with open_table(str(table), None) as opened:
        prediction = TablePrediction(models, opened, TableConfig(), RowsToPredict(), BLOCK)
        with open_output(f"{output}/", "predictions", prediction.record, prediction.keys) as written:
            prediction.write(written, several=False)
    cpu.append(time.process_time() - cpu_start)
    return time.perf_counter() - start


def seconds_of_bare(table: Path, cpu: list[float]) -> float:
    """Seconds of LightGBM alone on the same blocks."""
    from src.serving.requested_models import load_requested

    (requested,) = load_requested([f"models:/{TARGET}@champion"], [TARGET])
    model: Any = requested.model.unwrap_python_model()
    threads = sys.modules[type(model).__module__].thread_options()
    seconds = cpu_seconds = 0.0
    for matrix in _matrices(table, model):
        start, cpu_start = time.perf_counter(), time.process_time()
        model.booster.predict(matrix, **threads)
        seconds, cpu_seconds = seconds + time.perf_counter() - start, cpu_seconds + time.process_time() - cpu_start
    cpu.append(cpu_seconds)
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
    parser.add_argument("--trees", type=int, default=500, help="trees of the model")
    parser.add_argument("--leaves", type=int, default=63, help="leaves of a tree")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each contender")
    args = parser.parse_args(argv)
    if args.quick:
        args.rows, args.trees, args.leaves, args.rounds = [2_000, 4_000], 5, 7, 1
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
            write_table(table, n_rows)
            for kind, output in (
                ("parts", f"{folder}/parts-{n_rows}/"),
                ("one file", f"{folder}/{n_rows}.out.parquet"),
            ):
                memory.append({"rows": n_rows, "output": kind, "peak MB": peak_megabytes(table, output, uri)})
        cpu: dict[str, list[float]] = {OURS: [], BARE: []}
        contenders = {
            OURS: partial(seconds_of_ours, table, folder / "timed", cpu[OURS]),
            BARE: partial(seconds_of_bare, table, cpu[BARE]),
        }
        measured = interleave(contenders, args.rounds)
    print_table(memory)
    ratio, of_cpu = (ratio_of_medians(found[OURS], found[BARE]) for found in (measured, cpu))
    rows = [
        {"contender": name, "rows": n_rows, "seconds": median(measured[name]), "seconds of CPU": median(cpu[name])}
        for name in (OURS, BARE)
    ]
    print_table(rows)
    sys.stdout.write(f"predict takes {ratio:.3g} times as long as Booster.predict, and {of_cpu:.3g} times the CPU\n")
    result = {"memory": memory, "seconds": measured, "cpu": cpu, "ratio": ratio, "ratio_of_cpu": of_cpu}
    write_result("batch", result | {"options": vars(args)}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
