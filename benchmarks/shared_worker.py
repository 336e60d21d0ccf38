"""One worker of `benchmarks.distributed`: joins the study as a normal worker, with an objective that sleeps.

    python -m benchmarks.shared_worker job.json

It prints `ready` and starts when it reads a line from standard input.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.synthetic import TARGET

if TYPE_CHECKING:
    import optuna

REPORTS = 20
"""Reports per trial, as of 200 boosting rounds."""


def sleeping(seconds: float) -> Any:
    """An objective that samples LightGBM's parameters, sleeps `seconds` in total, and reports in between."""
    from src.search.search_space import suggest_hyperparameters

    def objective(trial: "optuna.Trial", *_: Any) -> float:
        drawn = suggest_hyperparameters(trial)
        begun = time.monotonic()
        for step in range(1, REPORTS + 1):
            time.sleep(max(0.0, begun + seconds * step / REPORTS - time.monotonic()))
            trial.report(drawn["learning_rate"] / step, 10 * step)
        return float(drawn["learning_rate"])

    return objective


def main(argv: list[str] | None = None) -> int:
    """Joins the study, waits for the start signal, runs trials; returns the exit status."""
    import src.search.objective  # noqa: F401 - imported now, because the start of a worker is not measured
    from src.config import RunSettings, SearchSettings
    from src.modeling.open_study import open_study
    from src.modeling.run_search import run_search
    from src.modeling.tasks import make_tasks

    job = json.loads(Path((argv or sys.argv[1:])[0]).read_text(encoding="utf-8"))
    search = SearchSettings(
        n_trials=job["trials"],
        study_name=job["study"],
        storage_url=job["url"],
        storage_dir=Path("store"),
        pruner="none",
    )
    settings = RunSettings(search=search)
    (task,) = make_tasks([TARGET], settings, job["data"])
    opened = replace(open_study(replace(task, user_objective=sleeping(job["seconds"]))), shared=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    run_search(opened.task, opened)
    return 0


if __name__ == "__main__":
    sys.exit(main())
