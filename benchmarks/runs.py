"""One run of one contender: its process, its answer, its score, and its record."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmarks import our_command
from benchmarks.problem import Answer, Problem, read_answer
from benchmarks.ranking import Run
from src.config import Metric
from src.disk import write_atomically
from src.evaluation.scoring import score
from src.suggest import one_line

LAST_WORDS = 3
"""Number of lines of a failed contender's output that are recorded."""
GRACE_SECONDS = 900
"""Extra time for a final fit and a long last trial; a contender that takes longer hangs."""


@dataclass(frozen=True)
class Record:
    """The record of one run; `search_seconds` and the following fields are None if it failed."""

    table: str
    metric: Metric
    seed: int
    contender: str
    seconds: float
    cores: int
    score: float | None
    total_seconds: float
    search_seconds: float | None = None
    fit_seconds: float | None = None
    trials: int | None = None
    error: str | None = None

    @property
    def key(self) -> tuple[str, int, str, float, int]:
        """Identifies the run; equal keys are the same run."""
        return self.table, self.seed, self.contender, self.seconds, self.cores

    @property
    def run(self) -> Run:
        """The run for the ranking."""
        return Run(self.table, self.metric, self.seed, self.contender, self.score)


def run_contender(table: str, contender: str, problem: Problem, folder: Path, test: pd.DataFrame) -> Record:
    """One run: process, answer, score; a contender that fails is a record with an error."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="answer-") as answer_dir:
        log_file = Path(answer_dir) / "output.txt"
        status = run_process(contender, problem, folder, Path(answer_dir), log_file)
        total = time.monotonic() - began
        facts = (table, problem.metric, problem.seed, contender, problem.seconds, problem.cores)
        if status != 0:
            said = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_WORDS:]
            return Record(*facts, None, total, error=f"exit status {status}: {one_line(' | '.join(said), 500)}")
        answer = _read(contender, problem, test, Path(answer_dir))
    value = score(problem.metric, test[problem.target].to_numpy(), answer.prediction)
    return Record(*facts, value, total, answer.search_seconds, answer.fit_seconds, answer.trials)


def run_process(contender: str, problem: Problem, folder: Path, answer_dir: Path, log_file: Path) -> int:
    """Runs a contender and returns its exit status; kills it with its children if it hangs or on Ctrl-C."""
    if our_command.is_ours(contender):
        command = our_command.command(contender, folder, problem, answer_dir)
    else:
        command = [sys.executable, "-m", "benchmarks.peers", contender, str(folder), str(answer_dir)]
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=answer_dir,
            env=our_command.environment(os.environ),
            start_new_session=True,  # so that its children can be killed too
        )
        try:
            return process.wait(problem.seconds + GRACE_SECONDS)
        except BaseException as stopped:  # a timeout, or Ctrl-C, which is raised again
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            if isinstance(stopped, subprocess.TimeoutExpired):
                return status
            raise


def read_journal(journal: Path) -> list[Record]:
    """The runs recorded so far."""
    if not journal.exists():
        return []
    return [Record(**json.loads(line)) for line in journal.read_text(encoding="utf-8").splitlines()]


def write_journal(journal: Path, records: Sequence[Record]) -> None:
    """Writes all runs, one per line; if killed, the earlier file stays unchanged."""
    write_atomically(journal, "".join(json.dumps(asdict(record)) + "\n" for record in records))


def describe(record: Record) -> str:
    """One run as a line of text."""
    head = f"{record.table:<21} seed {record.seed}  {record.contender:<12}"
    if record.score is None:
        return f"{head} FAILED after {record.total_seconds:.0f} s: {record.error}"
    return (
        f"{head} {record.metric} {record.score:<10.6g} {record.trials:>5} trials  "
        f"search {record.search_seconds:6.1f} s  fit {record.fit_seconds:5.1f} s  all {record.total_seconds:6.1f} s"
    )


def _read(contender: str, problem: Problem, test: pd.DataFrame, answer_dir: Path) -> Answer:
    if our_command.is_ours(contender):
        return our_command.read_result(problem, test, answer_dir)
    return read_answer(answer_dir)
