"""Scripts without this project, after the documentation of Optuna, optuna-integration and MLflow.

All train the same sets in the same order (`study.enqueue_trial`), with the same rounds, rows and one LightGBM thread.
They construct new Datasets in every trial, as in the documentation. They do not prune, so that all train the same.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.job import Job
from benchmarks.pure import METRIC, SEED, Fold, load_fold, params_of
from src.config import EARLY_STOPPING_ROUNDS

if TYPE_CHECKING:
    import optuna

Watch = Callable[["optuna.Trial"], list[Any]]
TRACKING = "sqlite:///mlflow.db"


def plain_script(job: Job) -> dict[str, Any]:
    """Optuna's `lightgbm_simple.py`: only a study in memory."""
    import optuna

    return _search(job, optuna.create_study(sampler=_sampler(), pruner=optuna.pruners.NopPruner()))


def with_callbacks(job: Job) -> dict[str, Any]:
    """The same with optuna-integration's pruning and MLflow callbacks; study and runs in SQLite."""
    import optuna
    from optuna_integration import LightGBMPruningCallback
    from optuna_integration.mlflow import MLflowCallback

    study = optuna.create_study(
        storage="sqlite:///optuna.db", sampler=_sampler(), pruner=optuna.pruners.NopPruner(), study_name="bench"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflowCallback is experimental, and deprecated
        to_mlflow = MLflowCallback(tracking_uri=TRACKING, metric_name=METRIC)

    def pruning(trial: "optuna.Trial") -> list[Any]:
        return [LightGBMPruningCallback(trial, METRIC, valid_name="valid_0")]

    return _search(job, study, [to_mlflow], pruning)


def with_mlflow_storage(job: Job) -> dict[str, Any]:
    """The same with MLflow as the study's storage."""
    import mlflow
    import optuna
    from mlflow.optuna import MlflowStorage

    mlflow.set_tracking_uri(TRACKING)
    experiment = mlflow.create_experiment("bench")
    storage = MlflowStorage(experiment_id=experiment)
    pruner = optuna.pruners.NopPruner()
    return _search(job, optuna.create_study(storage=storage, sampler=_sampler(), pruner=pruner, study_name="bench"))


def _sampler() -> "optuna.samplers.BaseSampler":
    import optuna

    return optuna.samplers.TPESampler(seed=SEED)


def _search(
    job: Job, study: "optuna.Study", callbacks: list[Any] | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """Runs the sets; the time is from the first trial's start to the last trial's end, according to the study."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    fold = load_fold(job.data)
    for each in job.sets:
        study.enqueue_trial(each)

    def objective(trial: "optuna.Trial") -> float:
        return _train(fold, trial, job.rounds[trial.number], watch(trial) if watch else [])

    study.optimize(objective, n_trials=len(job.sets), callbacks=callbacks)
    done = study.get_trials(deepcopy=False)
    times = [(t.datetime_start, t.datetime_complete) for t in done]
    trials = [{"start": a.timestamp(), "complete": b.timestamp()} for a, b in times if a and b]
    seconds = trials[-1]["complete"] - trials[0]["start"]
    return {"seconds": seconds, "trials": trials, "values": [trial.value for trial in done]}


def _train(fold: Fold, trial: "optuna.Trial", rounds: int, callbacks: list[Any]) -> float:
    import lightgbm as lgb

    from src.search.search_space import suggest_hyperparameters

    hyperparameters = suggest_hyperparameters(trial)
    params = params_of(trial.params)
    train, valid = fold.bin(hyperparameters["max_bin"])
    curve: dict[str, dict[str, list[float]]] = {}
    watch = [lgb.record_evaluation(curve), *callbacks]
    if params["boosting_type"] != "dart":
        watch.append(lgb.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False))
    lgb.train(params, train, rounds, valid_sets=[valid], callbacks=watch)
    return float(min(curve["valid_0"][METRIC]))
