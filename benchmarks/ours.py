"""This project as a contender: its search as in `tune`, with store, projection and all checks."""

import os
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.job import STUDY, Job
from benchmarks.pure import SEED
from benchmarks.synthetic import TARGET

if TYPE_CHECKING:
    import optuna

    from src.config import RunSettings

Result = dict[str, Any]
RSS = Path("rss")
DEAREST = 300


def search(job: Job) -> Result:
    """Runs the job's sets, and then `sampled_trials` trials of the sampler, in `optimize_hyperparameters`.

    Returns:
        The result of `timings`, the wall time of the whole call, and the time after the last trial; with one worker,
        the CPU seconds of its process for each trial except the first; with the option `rss_every`, the resident bytes
        of the workers; with `profile`, the costs by function.
    """
    from src.modeling.train_with_optuna import optimize_hyperparameters

    settings = settings_of(job)
    study = new_study(job, settings)
    for each in job.sets:
        study.enqueue_trial(each)
    n_trials = len(job.sets) + int(job.options.get("sampled_trials", 0))
    every = job.options.get("rss_every")
    profile = Profile(len(job.sets)) if job.profile else None
    cpu = CpuRecorder()
    callbacks: list[Any] = [profile] if profile else []
    if job.workers == 1:
        callbacks.append(cpu)
    if every:
        callbacks.append(RssRecorder(RSS, int(every)))
    began = time.time()
    study, _ = optimize_hyperparameters(
        TARGET, n_trials=n_trials, callbacks=callbacks, data=job.data, settings=settings
    )
    ended = time.time()
    result = timings(study) | {"search_seconds": ended - began, "profile": profile.costs() if profile else []}
    result["tail_seconds"] = ended - max((trial["complete"] for trial in result["trials"]), default=ended)
    result["projected_runs"] = projected_runs(Path("mlflow.db"))
    result["cpu_each"] = cpu.each()
    if every:
        result["rss"] = [[float(word) for word in line.split()] for line in RSS.read_text().splitlines()]
    return result


def settings_of(job: Job) -> "RunSettings":
    """The settings of a job: defaults, but without pruner, so that every set has all its rounds."""
    from src.config import RunSettings, SearchSettings

    search = SearchSettings(
        max_workers=job.workers,
        pruner=job.options.get("pruner", "none"),
        seed=SEED,
        study_name=STUDY,
        storage_dir=Path("studies").absolute(),
    )
    return RunSettings(search=search, output_dir=Path("artefacts"), register=False)


def new_study(job: Job, settings: "RunSettings") -> "optuna.Study":
    """The job's study, created beforehand with the expected settings and an empty queue.

    A new study of this project starts with its own fixed trials; here all contenders must run the same trials.
    """
    import pandas as pd

    from src.config import TableConfig
    from src.data.split_rows import make_split_rows
    from src.data.table import load_dataset
    from src.modeling.open_study import study_settings
    from src.search.search_task import SearchTask
    from src.study.studies import OptunaStudyManager
    from src.study.study_settings import SETTINGS_ATTR, as_json

    data = load_dataset(pd.read_parquet(job.data), TableConfig(), TARGET)
    document = as_json(study_settings(SearchTask(data, make_split_rows(data, settings.split), settings)))
    manager = OptunaStudyManager(settings.search.storage_dir)
    return manager.create_or_load_study(STUDY, data.config.direction, user_attrs={SETTINGS_ATTR: document})


def timings(study: "optuna.Study", first: int = 0) -> Result:
    """Start, end, process, value and rounds of every finished trial from `first` on, in seconds since the epoch."""
    from src.study.studies import FINISHED
    from src.study.trial_owners import OWNER

    trials = []
    for trial in study.get_trials(deepcopy=False, states=FINISHED):
        if trial.number < first or trial.datetime_start is None or trial.datetime_complete is None:
            continue
        owner = str(trial.system_attrs.get(OWNER, "")).split("|")
        trials.append(
            {
                "number": trial.number,
                "start": trial.datetime_start.timestamp(),
                "complete": trial.datetime_complete.timestamp(),
                "pid": int(owner[1]) if len(owner) > 1 else 0,
                "value": trial.value,
                "rounds": trial.user_attrs.get("curve", {}).get("steps", [0])[-1],
                "params": dict(trial.params),
            }
        )
    span = max(t["complete"] for t in trials) - min(t["start"] for t in trials) if trials else 0.0
    return {"seconds": span, "trials": trials, "values": [t["value"] for t in trials]}


def projected_runs(store: Path) -> int:
    """Number of trials in MLflow; a search that left some out would have done less work."""
    with closing(sqlite3.connect(store)) as connection:
        ended = "status IN ('FINISHED', 'KILLED', 'FAILED')"
        query = f"SELECT count(*) FROM tags JOIN runs USING (run_uuid) WHERE key = 'optuna.trial_number' AND {ended}"
        return int(connection.execute(query).fetchone()[0])


class RssRecorder:
    """An Optuna callback that appends `<pid> <trials so far in this process> <resident bytes>` to a file."""

    def __init__(self, path: Path, every: int) -> None:
        self.path = path.absolute()
        self.every = every
        self._seen = 0

    def __call__(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        """Counts a trial."""
        import psutil

        self._seen += 1
        if self._seen % self.every == 0:
            line = f"{os.getpid()} {self._seen} {psutil.Process().memory_info().rss}\n"
            with self.path.open("a", encoding="ascii") as file:  # one short write, so that lines of workers do not mix
                file.write(line)


class CpuRecorder:
    """An Optuna callback that records the CPU seconds of its process at the end of each trial."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def __call__(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        """Records a trial's end."""
        self._at.append(time.process_time())

    def each(self) -> list[float]:
        """CPU seconds of every trial except the first."""
        return [after - before for before, after in pairwise(self._at)]


class Profile:
    """An Optuna callback that profiles its thread from the end of the first trial to the end of the last.

    The first trial imports modules and bins the data, once per process; it would hide the cost of the other trials.
    """

    def __init__(self, n_trials: int) -> None:
        import cProfile

        self.n_trials = n_trials
        self._profile = cProfile.Profile()
        self._seen = 0

    def __call__(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        """Counts a trial."""
        self._seen += 1
        if self._seen == 1:
            self._profile.enable()
        if self._seen == self.n_trials:
            self._profile.disable()

    def costs(self) -> list[dict[str, Any]]:
        """Calls and milliseconds per trial of each function, excluding and including called functions."""
        import pstats

        if self._seen < 2:
            return []
        stats: Any = pstats.Stats(self._profile)
        found, trials = [], self._seen - 1
        for (file, line, name), (_, calls, own, total, _) in stats.stats.items():
            found.append(
                {
                    "function": f"{'/'.join(Path(file).parts[-2:])}:{line} {name}",
                    "calls": calls / trials,
                    "own_ms": 1000 * own / trials,
                    "total_ms": 1000 * total / trials,
                }
            )
        return sorted(found, key=lambda cost: -cost["total_ms"])[:DEAREST]
