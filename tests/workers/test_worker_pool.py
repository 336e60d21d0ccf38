"""Real processes: the total stays exact if workers are killed, and their errors reach the user."""

import os
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings
from src.errors import DailyProfitError, Interrupted, RunError, SearchError, StoreError
from src.modeling.train_with_optuna import optimize_hyperparameters
from src.search.stop_flag import StopFlag
from src.workers.worker_pool import DEATHS_IN_A_ROW, PooledSearch, WorkerPool
from src.workers.worker_process import Worker, WorkerStart
from tests.small_table import small_table

pytestmark = pytest.mark.slow

Work = Callable[[StopFlag], None]


def run(work: Work, size: int = 1, stop_flag: StopFlag | None = None, **settings: Any) -> dict[str, DailyProfitError]:
    return WorkerPool([PooledSearch("mine", work, **settings)], size, stop_flag or StopFlag()).run()


def until_asked(stop_flag: StopFlag) -> None:
    while not stop_flag.study_stopped and not stop_flag.deadline_passed():
        stop_flag.raise_if_stopped()
        time.sleep(0.005)


def die(stop_flag: StopFlag) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_replaced_and_the_total_stays_exact(tmp_path: Path, mlflow_store: str) -> None:
    """Objective and callback are lambdas around an inner function: they are pickled by value."""
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
def test_an_error_of_a_worker_is_raised_in_the_supervisor(error: type[Exception]) -> None:
    def work(stop_flag: StopFlag) -> None:
        raise error("the store failed: 'x'")

    failures = run(work, 2)
    assert isinstance(failures["mine"], error)
    assert str(failures["mine"]) == "the store failed: 'x'"


def test_a_failing_search_does_not_affect_the_others(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def fails(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        raise SearchError("no luck")

    def works(stop_flag: StopFlag) -> None:
        while not list(Path(folder).iterdir()):
            time.sleep(0.005)
        time.sleep(0.2)
        stop_flag.raise_if_stopped()
        (Path(folder) / "whole").touch()

    failures = WorkerPool([PooledSearch("a", fails), PooledSearch("b", works)], 2, StopFlag()).run()
    assert {name: str(error) for name, error in failures.items()} == {"a": "no luck"}
    assert (tmp_path / "whole").exists(), "it was not asked to stop"


def test_a_worker_stopped_from_outside_interrupts_the_run() -> None:
    def work(stop_flag: StopFlag) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stop_flag.raise_if_stopped()

    with pytest.raises(Interrupted, match="received SIGTERM"):
        run(work)


def test_a_crashed_worker_reports_its_error() -> None:
    def work(stop_flag: StopFlag) -> None:
        raise ValueError("a mistake\nin a callback")

    assert str(run(work)["mine"]) == "a worker of 'mine' failed with ValueError: a mistake in a callback"


def test_a_worker_that_exits_without_a_message_is_an_error() -> None:
    found = run(lambda stop_flag: os._exit(3))["mine"]
    assert isinstance(found, RunError)
    assert "exited with status 3 and no message" in str(found)


def test_too_many_killed_workers_end_the_search(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        die(stop_flag)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.workers.worker_pool.DEATHS_IN_A_ROW", 2)
        patch.setattr("src.workers.worker_pool.DEATHS_PER_WORKER", 2)
        found = run(work)["mine"]
    assert "keep being killed (SIGKILL), 3 without a trial in between: use fewer --max-workers" in str(found)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_search_that_makes_progress_may_lose_any_number_of_workers(tmp_path: Path) -> None:
    folder, trials = str(tmp_path), count()

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        if len(list(Path(folder).iterdir())) <= 3:
            die(stop_flag)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.workers.worker_pool.DEATHS_IN_A_ROW", 1)
        patch.setattr("src.workers.worker_pool.DEATHS_PER_WORKER", 1)
        assert run(work, count_ended=lambda: next(trials)) == {}
    assert DEATHS_IN_A_ROW > 5, "a trial that kills is given up before its search is (study_storage.MAX_ATTEMPTS)"


class Kernel:
    """Reports one more out-of-memory kill on every call after the first, so that every death has one."""

    def __init__(self) -> None:
        self.asked = count()

    def __call__(self) -> int:
        return next(self.asked)


def test_the_second_out_of_memory_kill_reduces_the_workers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two workers are killed. The first is replaced, the second is not: the third starts after both have exited."""
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        started = len(list(Path(folder).iterdir()))
        if started <= 3:
            while started == 1 and len(list(Path(folder).iterdir())) < 2:
                time.sleep(0.005)
            die(stop_flag)
        (Path(folder) / "done").touch()

    assert WorkerPool([PooledSearch("mine", work)], 2, StopFlag(), count_oom_kills=Kernel()).run() == {}
    killed = [record.getMessage() for record in caplog.records if "killed" in record.getMessage()]
    assert all("was killed (out of memory); " in message for message in killed)
    assert [message.split("up to ")[1] for message in killed] == ["2 workers", "1 workers", "1 workers"]


def test_a_search_that_is_killed_out_of_memory_each_time_ends_with_the_cause() -> None:
    search = PooledSearch("mine", die, count_ended=lambda: 7)
    found = WorkerPool([search], 1, StopFlag(), count_oom_kills=Kernel()).run()["mine"]
    assert isinstance(found, SearchError)
    assert f"keep being killed (out of memory), {DEATHS_IN_A_ROW + 1} without a trial in between" in str(found)


def test_one_out_of_memory_kill_explains_one_death(caplog: pytest.LogCaptureFixture) -> None:
    readings = iter([4, 5, *[5] * 100])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.workers.worker_pool.DEATHS_IN_A_ROW", 1)
        patch.setattr("src.workers.worker_pool.DEATHS_PER_WORKER", 1)
        found = WorkerPool([PooledSearch("mine", die)], 1, StopFlag(), count_oom_kills=lambda: next(readings)).run()
    assert "keep being killed (SIGKILL), 2 without" in str(found["mine"])
    assert caplog.text.count("was killed (out of memory)") == 1


def test_one_error_stops_all_workers(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        try:
            (Path(folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            raise StoreError("gone") from None
        try:
            until_asked(stop_flag)
        except Interrupted:
            (Path(folder) / "asked").touch()
            raise

    assert str(run(work, 2)["mine"]) == "gone"
    assert (tmp_path / "asked").exists(), "and it was waited for"


def test_a_requested_stop_reaches_the_workers(tmp_path: Path) -> None:
    stop_flag, folder = StopFlag(), str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / "started").touch()
        try:
            until_asked(stop_flag)
        except Interrupted:
            (Path(folder) / "asked").touch()
            raise

    def stop_when_started() -> None:
        while not (tmp_path / "started").exists():
            time.sleep(0.005)
        stop_flag.requested = True

    with pytest.raises(Interrupted):
        WorkerPool([PooledSearch("mine", work)], 1, stop_flag).run(stop_when_started)
    assert (tmp_path / "asked").exists()


def test_a_complete_search_stops_its_own_workers_only(tmp_path: Path) -> None:
    """The other workers are not interrupted: they finish their running trial."""
    folder = str(tmp_path)

    def first_leaves(stop_flag: StopFlag) -> None:
        try:
            (Path(folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            (Path(folder) / "second").touch()
            until_asked(stop_flag)
            (Path(folder) / f"left-{stop_flag.study_stopped}").touch()
            return
        while not (Path(folder) / "second").exists():
            time.sleep(0.005)

    def stays(stop_flag: StopFlag) -> None:
        while not (Path(folder) / "left-True").exists():
            time.sleep(0.005)
        (Path(folder) / f"other-{stop_flag.study_stopped}").touch()

    assert WorkerPool([PooledSearch("a", first_leaves), PooledSearch("b", stays)], 3, StopFlag()).run() == {}
    assert (tmp_path / "left-True").exists()
    assert (tmp_path / "other-False").exists()


def test_free_slots_go_to_the_search_with_the_fewest_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks the order in which workers are started: which of three processes begins its work first is random."""
    folder, begun = str(tmp_path), list[WorkerStart]()

    def work_of(name: str, lasts: bool) -> Work:
        def work(stop_flag: StopFlag) -> None:
            (Path(folder) / f"{name}{os.getpid()}").touch()
            while lasts and len(list(Path(folder).glob("a*"))) < 2:
                time.sleep(0.005)

        return work

    def begin(worker_start: WorkerStart) -> Worker:
        begun.append(worker_start)
        return Worker(worker_start)

    monkeypatch.setattr("src.workers.worker_pool.Worker", begin)
    searches = [PooledSearch(name, work_of(name, lasts)) for name, lasts in (("a", True), ("b", False), ("c", True))]
    assert WorkerPool(searches, 3, StopFlag()).run() == {}
    order = [begun.index(worker_start) for worker_start in begun]  # each search has one WorkerStart for all its workers
    assert order[:4] == [0, 1, 2, 0], "each has one, then the first of those with as few has another"
    assert order.count(1) == 1, "a complete search starts no more workers"


def test_no_more_workers_than_missing_trials(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(0.3)

    assert run(work, 4, max_workers=1) == {}
    assert len(list(tmp_path.iterdir())) == 1
    assert run(work, 4, max_workers=0) == {}
    assert len(list(tmp_path.iterdir())) == 1


def test_each_search_has_its_own_deadline_from_its_first_worker(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        assert stop_flag.deadline is not None
        left = stop_flag.deadline - time.monotonic()
        (Path(folder) / ("long" if left > 1000 else "short")).touch()

    searches = [PooledSearch("a", work, timeout=500), PooledSearch("b", work, timeout=5000)]
    assert WorkerPool(searches, 1, StopFlag()).run() == {}
    assert {path.name for path in tmp_path.iterdir()} == {"short", "long"}


@pytest.mark.parametrize("deaf", [False, True])
def test_an_overdue_worker_is_stopped_then_killed(tmp_path: Path, deaf: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search ends although a round takes minutes and the objective ignores the stop flag."""
    folder = str(tmp_path)
    monkeypatch.setattr("src.workers.worker_pool.GRACE_SECONDS", 0.1)
    monkeypatch.setattr("src.workers.worker_pool.KILL_SECONDS", 0.1)

    def work(stop_flag: StopFlag) -> None:
        while deaf or not stop_flag.requested:
            time.sleep(0.005)
        (Path(folder) / "asked").touch()

    assert run(work, 2, timeout=0.1) == {}
    assert (tmp_path / "asked").exists() is not deaf


def test_a_deadline_is_no_failure_and_starts_no_worker_afterwards(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work(stop_flag: StopFlag) -> None:
        (Path(folder) / str(os.getpid())).touch()
        while not stop_flag.deadline_passed():
            stop_flag.raise_if_stopped()
            time.sleep(0.005)
        die(stop_flag)

    assert run(work, timeout=0.1) == {}
    assert len(list(tmp_path.iterdir())) == 1
