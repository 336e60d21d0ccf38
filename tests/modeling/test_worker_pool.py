"""Real processes: the total stays exact whatever happens to them, and what they say reaches the user."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings
from src.errors import Interrupted, RunError, SearchError, StoreError
from src.modeling.brake import Brake
from src.modeling.train_with_optuna import optimize_hyperparameters
from src.modeling.worker_pool import WorkerBrake, WorkerPool
from tests.small_table import small_table


def run(work: Callable[[Brake], None], size: int = 1, brake: Brake | None = None) -> None:
    WorkerPool(work, size, brake or Brake(), False).run(lambda: None)


def test_a_killed_worker_is_replaced_and_the_total_stays_exact(tmp_path: Path, mlflow_store: str) -> None:
    """Objective and callback are lambdas around an inner function: they travel to the workers by value."""
    folder = str(tmp_path)

    def kill_once(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0, 1)
        marker = Path(folder) / "killed"
        if trial.number == 3 and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    study, _ = optimize_hyperparameters(
        "net_profit",
        n_trials=12,
        objective=lambda trial, *frames: kill_once(trial),
        callbacks=[lambda study, trial: (Path(folder) / f"{os.getpid()}-{trial.number}").touch()],
        data=small_table(),
        settings=RunSettings(search=SearchSettings(max_workers=2, storage_dir=tmp_path / "studies")),
    )
    assert [(trial.number, trial.state) for trial in study.trials] == [(n, TrialState.COMPLETE) for n in range(12)]
    seen = [path.name.split("-") for path in tmp_path.iterdir() if path.name[0].isdigit()]
    assert sorted(int(number) for _, number in seen) == list(range(12)), "the callback was called once per trial"
    assert str(os.getpid()) not in {pid for pid, _ in seen}
    assert (tmp_path / "killed").read_text() not in {pid for pid, number in seen if number == "3"}


@pytest.mark.parametrize("error", [StoreError, SearchError])
def test_what_a_worker_says_is_said_here(error: type[Exception]) -> None:
    def work(brake: Brake) -> None:
        raise error("the store failed: 'x'")

    with pytest.raises(error, match="the store failed: 'x'"):
        run(work, 2)


def test_a_worker_that_somebody_else_stops_is_no_silent_end() -> None:
    def work(brake: Brake) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        brake.check()

    with pytest.raises(Interrupted, match="told to stop"):
        run(work)


def test_a_worker_that_breaks_says_so_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def work(brake: Brake) -> None:
        raise ValueError("a mistake in a callback")

    with pytest.raises(RunError, match="ended with status 1"):
        run(work)
    assert "ValueError: a mistake in a callback" in capfd.readouterr().err


def test_workers_that_are_killed_again_and_again_end_the_search() -> None:
    with pytest.raises(SearchError, match=r"signal 9.*memory for 1"):
        run(lambda brake: os.kill(os.getpid(), signal.SIGKILL))


def test_one_error_stops_all_workers(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(brake: Brake) -> None:
        try:
            (Path(folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            raise StoreError("gone") from None
        while True:  # until it is asked to stop
            time.sleep(0.01)
            try:
                brake.check()
            except Interrupted:
                (Path(folder) / "asked").touch()
                raise

    with pytest.raises(StoreError, match="gone"):
        run(work, 2)
    assert (tmp_path / "asked").exists(), "and it was waited for"


def test_a_requested_stop_reaches_the_workers(tmp_path: Path) -> None:
    brake, folder = Brake(), str(tmp_path)

    def work(brake: Brake) -> None:
        (Path(folder) / "started").touch()
        while True:
            time.sleep(0.01)
            try:
                brake.check()
            except Interrupted:
                (Path(folder) / "asked").touch()
                raise

    def stop_when_started() -> None:
        brake.requested = (tmp_path / "started").exists()

    with pytest.raises(Interrupted):
        WorkerPool(work, 1, brake, False).run(stop_when_started)
    assert (tmp_path / "asked").exists()


def test_a_study_that_a_callback_stopped_ends_in_all_workers(tmp_path: Path) -> None:
    """Not as an interruption: the others finish the trial that they run."""
    folder = str(tmp_path)

    def work(brake: Brake) -> None:
        try:
            (Path(folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            (Path(folder) / "second").touch()
            while not brake.leaving:
                time.sleep(0.01)
            brake.check()
            (Path(folder) / "left").touch()
            return
        while not (Path(folder) / "second").exists():
            time.sleep(0.01)
        brake.leaving = True

    run(work, 2)
    assert (tmp_path / "left").exists()


def test_workers_keep_the_deadline(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(brake: Brake) -> None:
        (Path(folder) / f"past-{brake.check()}").touch()

    run(work, brake=Brake(deadline=time.monotonic() - 1))
    assert [path.name for path in tmp_path.iterdir()] == ["past-True"]


def test_an_orphan_stops() -> None:
    assert not WorkerBrake(None, os.getppid()).check()
    with pytest.raises(Interrupted):
        WorkerBrake(None, os.getppid() + 1).check()
