"""This project as a contender: the user's command, and its model file read with LightGBM alone.

A contender `ours+ensemble-size=5` is the same command with `--ensemble-size 5`.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.problem import Answer, Floats, Problem

NAME = "ours"
ROOT = Path(__file__).resolve().parents[1]
MODULE = "src.modeling.optuna_parallel_optimization"


def is_ours(contender: str) -> bool:
    """Whether a contender is this project, with or without options."""
    return contender.partition("+")[0] == NAME


def command(contender: str, problem_dir: Path, problem: Problem, answer_dir: Path) -> list[str]:
    """The command line; writes its `--config` file into `answer_dir`.

    The command gets only the search rows: it keeps no test rows, and splits off validation rows as usual.
    """
    config = answer_dir / "config.yaml"
    target = {problem.target: {"task": problem.task, "metric": problem.metric}}
    config.write_text(yaml.safe_dump({"account": None, "date": problem.date, "targets": target}), encoding="utf-8")
    options = {
        "targets": problem.target,
        "data": problem_dir / "search.parquet",
        "config": config,
        "total-timeout": problem.seconds,
        "n-trials": 1_000_000,
        "max-workers": problem.cores,
        "test-fraction": 0,
        "purge-days": 0,
        "seed": problem.seed,
        "output-dir": answer_dir / "artefacts",
        "storage-dir": answer_dir / "studies",
        **dict(word.split("=", 1) for word in contender.split("+")[1:]),
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", MODULE, "--mode", "parallel", *given, "--no-register"]


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without stores and servers: MLflow's embedded store is in the working directory."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(("MLFLOW_", "OPTUNA_"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def read_result(problem: Problem, test: pd.DataFrame, answer_dir: Path) -> Answer:
    """Predicts the test rows with only the model file and its metadata.

    Args:
        problem: the problem.
        test: rows without target.
        answer_dir: the command's output folder.
    """
    models = answer_dir / "artefacts" / "models"
    metadata = json.loads((models / f"lgb_{problem.target}_optuna_metadata.json").read_text(encoding="utf-8"))
    model_file = models / Path(metadata["model_file"]).name
    trials = pd.read_csv(
        answer_dir / "artefacts" / "reports" / metadata["study_name"] / "trials.csv",
        parse_dates=["datetime_start", "datetime_complete"],
    )
    ended = trials["datetime_complete"].max()
    searched = (ended - trials["datetime_start"].min()).total_seconds()
    fitted = os.stat(model_file).st_mtime - ended.to_pydatetime().timestamp()
    return Answer(predict(model_file, metadata, test), searched, fitted, int(metadata["n_trials"]))


def predict(model_file: Path, metadata: Mapping[str, Any], test: pd.DataFrame) -> Floats:
    """The predictions of LightGBM alone with the model file."""
    import lightgbm as lgb

    from src.data.encoding import encode

    features = test[metadata["feature_names"]]
    booster = lgb.Booster(model_file=model_file)
    return np.asarray(booster.predict(encode(features, metadata["categorical_levels"])))
