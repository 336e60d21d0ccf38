"""The measurements of all contenders, by name; started by `benchmarks.job`, not by hand.

    python -m benchmarks.contenders job.json SECONDS_SINCE_THE_EPOCH

Every process has its own working directory, with the store, `mlflow.db` and `result.json`.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import filled_study, ours, scripts
from benchmarks.job import Job, load_job
from benchmarks.pure import PureLightGBM, load_fold

Result = dict[str, Any]


def pure(job: Job) -> Result:
    """Total time of `lightgbm.train` over the sets, on constructed Datasets."""
    lightgbm = PureLightGBM(load_fold(job.data), job.threads)
    for max_bin in sorted({each["max_bin"] for each in job.sets}):
        lightgbm.datasets(max_bin)
    trained = [lightgbm.train(each, rounds) for each, rounds in zip(job.sets, job.rounds, strict=True)]
    return {
        "seconds": sum(each.seconds for each in trained),
        "each": [each.seconds for each in trained],
        "cpu_each": [each.cpu_seconds for each in trained],
        "values": [each.value for each in trained],
        "binning_seconds": lightgbm.binning_seconds,
    }


def rounds(job: Job) -> Result:
    """Number of rounds that each set needs, and its CPU seconds unless `untimed`.

    Sets are chosen by CPU seconds, because wall time depends on other processes on the machine.
    """
    lightgbm = PureLightGBM(load_fold(job.data), job.threads)
    needed = [lightgbm.rounds_needed(each) for each in job.sets]
    timed = [] if job.options.get("untimed") else list(zip(job.sets, needed, strict=True))
    return {"rounds": needed, "each": [lightgbm.train(each, n).cpu_seconds for each, n in timed]}


CONTENDERS: dict[str, Callable[[Job], Result]] = {
    "pure": pure,
    "rounds": rounds,
    "ours": ours.search,
    "plain script": scripts.plain_script,
    "callbacks": scripts.with_callbacks,
    "MlflowStorage": scripts.with_mlflow_storage,
    "filled study": filled_study.time_in_a_filled_study,
    "TPE in memory": filled_study.tpe_in_memory,
}


def main(argv: list[str]) -> int:
    """Runs a job and writes `result.json` beside it; returns the exit status."""
    logging.basicConfig(level=logging.WARNING)
    job = load_job(Path(argv[0]))
    if job.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.cores])
    result = CONTENDERS[job.contender](job)
    starts = [trial["start"] for trial in result.get("trials", [])]
    if starts and len(argv) > 1:
        result["start_up_seconds"] = min(starts) - float(argv[1])
    Path("result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
