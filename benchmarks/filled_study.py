"""Cost of a trial in a study that already has thousands of trials, which are added without being run."""

import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.job import Job
from benchmarks.ours import CpuRecorder, Profile, new_study, projected_runs, settings_of, timings
from benchmarks.pure import SEED, PureLightGBM, Trained, load_fold
from benchmarks.synthetic import TARGET
from src.config import REPORT_EVERY_ROUNDS

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

PRUNED_SHARE = 0.5
"""About the share that the median pruner prunes."""
LONGEST = 300


def finished_trials(n: int, seed: int = 0) -> list["FrozenTrial"]:
    """`n` trials with everything that `src` records: sampled parameters, reports, curve, best round, value.

    Half of them are complete, the others pruned; a better parameter set gets a better value, so that TPE has something
    to model.
    """
    import numpy as np
    import optuna

    from benchmarks.synthetic import draw_sets
    from src.search.boosting import ValidationCurve
    from src.search.search_space import suggest_hyperparameters

    rng = np.random.default_rng(seed)
    trials = []
    for params in draw_sets(n, seed):
        fixed = optuna.trial.FixedTrial(params)
        suggest_hyperparameters(fixed)
        value = 1.0 + abs(np.log(params["learning_rate"] / 0.05)) / 10 + rng.normal() / 20
        pruned = bool(rng.random() < PRUNED_SHARE)
        n_rounds = int(rng.integers(50, LONGEST // 2 if pruned else LONGEST))
        curve = ValidationCurve(maximize=False)
        for score in value + np.exp(-np.arange(n_rounds) / 20):
            curve.add(float(score))
        reported = range(REPORT_EVERY_ROUNDS, n_rounds, REPORT_EVERY_ROUNDS)
        trials.append(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE,
                value=curve.best_value,
                params=params,
                distributions=fixed.distributions,
                intermediate_values={step: curve.values[step - 1] for step in reported},
                user_attrs={"best_iteration": curve.best_round, "curve": curve.downsampled()},
            )
        )
    return trials


def time_in_a_filled_study(job: Job) -> dict[str, Any]:
    """Fills a study to each of `sizes` and then runs `sampled_trials` real trials in it.

    The added trials are first projected into MLflow; then the real trials are timed.

    Returns:
        By size: seconds from one trial's start to the next, and CPU seconds of the process; the same for LightGBM alone
        on the same trials; the number of trials in MLflow at the end; with `profile`, the costs by function.
    """
    from src.modeling.train_with_optuna import optimize_hyperparameters

    settings, n = settings_of(job), int(job.options["sampled_trials"])
    study = new_study(job, settings)
    lightgbm = PureLightGBM(load_fold(job.data))
    sizes: dict[str, Any] = {}
    for size in job.options["sizes"]:
        before = time.time()
        _fill(study, size)
        filled = time.time()
        optimize_hyperparameters(TARGET, n_trials=size, data=job.data, settings=settings)
        projected = time.time()
        cpu = CpuRecorder()
        profile = Profile(n) if job.profile else None
        watch: list[Any] = [profile, cpu] if profile else [cpu]
        found, _ = optimize_hyperparameters(
            TARGET, n_trials=size + n, callbacks=watch, data=job.data, settings=settings
        )
        trials = timings(found, size)["trials"]
        alone = [_alone(lightgbm, trial) for trial in trials]
        sizes[str(size)] = {
            "whole": [b["start"] - a["start"] for a, b in pairwise(trials)],
            "alone": [each.seconds for each in alone[:-1]],
            "cpu_whole": cpu.each(),
            "cpu_alone": [each.cpu_seconds for each in alone[1:]],
            "filling_seconds": filled - before,
            "projecting_seconds": projected - filled,
            "projected_runs": projected_runs(Path("mlflow.db")),
            "profile": profile.costs() if profile else [],
        }
    return {"sizes": sizes}


def _fill(study: "optuna.Study", size: int) -> None:
    there = len(study.get_trials(deepcopy=False))
    study.add_trials(finished_trials(size - there, there))


def _alone(lightgbm: PureLightGBM, trial: dict[str, Any]) -> Trained:
    """LightGBM's own time for a trial, the shorter of two measurements."""
    return min(lightgbm.train(trial["params"], trial["rounds"]) for _ in range(2))


def tpe_in_memory(job: Job) -> dict[str, Any]:
    """Seconds per trial of Optuna's TPE alone, in memory and without training, in a study of each of `sizes`."""
    import optuna

    from src.search.search_space import suggest_hyperparameters

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    sizes: dict[str, Any] = {}
    for size in job.options["sizes"]:
        _fill(study, size)
        seconds = []
        for _ in range(job.options["sampled_trials"]):
            before = time.perf_counter()
            trial = study.ask()
            suggest_hyperparameters(trial)
            study.tell(trial, 1.0)
            seconds.append(time.perf_counter() - before)
        sizes[str(size)] = {"whole": seconds}
    return {"sizes": sizes}
