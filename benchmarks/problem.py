"""Input and output files of a contender, which runs in a separate process.

<problem>/problem.json     target, metric, seed, seconds, cores
<problem>/search.parquet   the rows to train on, with target and date
<problem>/test.parquet     the rows to predict, without the target
<answer>/answer.json       seconds and trials
<answer>/prediction.npy    (n_test_rows,) in the order of test.parquet
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.tables import Table, split_test
from src.config import Metric, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One table, one seed, one budget.

    Attributes:
        target: the column to predict.
        date: the column that orders the rows and is not a feature; None if they have no order.
        task: regression or binary.
        metric: of the predictions.
        seed: for the contender's random numbers.
        seconds: wall time for everything: loading libraries, search, final fit.
        cores: number of cores that the process may use.
    """

    target: str
    date: str | None
    task: Task
    metric: Metric
    seed: int
    seconds: float
    cores: int


@dataclass(frozen=True, eq=False)
class Answer:
    """The result of a contender.

    Attributes:
        prediction: (n_test_rows,) values, or probabilities.
        search_seconds: wall time of the search.
        fit_seconds: wall time of the final fit.
        trials: number of models tried.
    """

    prediction: Floats
    search_seconds: float
    fit_seconds: float
    trials: int


def make_problem(table: Table, seed: int, seconds: float, cores: int) -> tuple[Problem, pd.DataFrame, pd.DataFrame]:
    """The problem with its search rows and its test rows; the test rows still have the target."""
    problem = Problem(table.target, table.date, table.task, table.metric, seed, seconds, cores)
    return problem, *split_test(table, seed)


def write_problem(folder: Path, problem: Problem, search: pd.DataFrame, test: pd.DataFrame) -> None:
    """Writes the files of a problem, without the target of the test rows."""
    (folder / "problem.json").write_text(json.dumps(asdict(problem)), encoding="utf-8")
    search.to_parquet(folder / "search.parquet", index=False)
    test.drop(columns=problem.target).to_parquet(folder / "test.parquet", index=False)


def read_problem(folder: Path) -> tuple[Problem, pd.DataFrame, pd.DataFrame]:
    """Reads the files of `write_problem`: the problem, the search rows, and the test rows without target."""
    problem = Problem(**json.loads((folder / "problem.json").read_text(encoding="utf-8")))
    return problem, pd.read_parquet(folder / "search.parquet"), pd.read_parquet(folder / "test.parquet")


def write_answer(folder: Path, answer: Answer) -> None:
    """Writes the files of an answer."""
    np.save(folder / "prediction.npy", answer.prediction)
    facts = {"search_seconds": answer.search_seconds, "fit_seconds": answer.fit_seconds, "trials": answer.trials}
    (folder / "answer.json").write_text(json.dumps(facts), encoding="utf-8")


def read_answer(folder: Path) -> Answer:
    """Reads the files of `write_answer`."""
    facts = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    return Answer(np.load(folder / "prediction.npy"), **facts)
