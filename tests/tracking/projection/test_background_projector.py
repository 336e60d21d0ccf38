import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError

from src.errors import ConfigError, TrackingError
from src.tracking.projection import background_projector as background
from src.tracking.projection.background_projector import BackgroundProjector


@pytest.fixture(autouse=True)
def _quick_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PASS_SECONDS", 0.005)


class Passes:
    """Replaces a projection: each pass calls the next function of a list, later passes do nothing."""

    def __init__(self, *script: Callable[[], Any]) -> None:
        self.script = list(script)
        self.times: list[float] = []
        self.threads: set[str] = set()
        self.enough = threading.Event()
        self.wanted = len(script) + 2
        self.finish_early = threading.Event()

    def project(self) -> None:
        self.times.append(time.monotonic())
        self.threads.add(threading.current_thread().name)
        if len(self.times) >= self.wanted:
            self.enough.set()
        if self.script:
            self.script.pop(0)()


def fail(error: Exception) -> Callable[[], None]:
    def project() -> None:
        raise error

    return project


def run(passes: Any) -> None:
    with BackgroundProjector(passes):
        assert passes.enough.wait(20)


def test_passes_run_one_after_the_other_in_a_thread() -> None:
    passes = Passes()
    run(passes)
    assert passes.threads == {"mlflow-projection"}


@pytest.mark.parametrize(
    "error", [TrackingError("away\nfar"), StorageInternalError("store away"), ConfigError("no lock")]
)
def test_passes_continue_after_an_outage_that_is_reported_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "src.tracking.projection.background_projector"):
        run(Passes(fail(error), fail(error), fail(error)))
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "DEBUG", "DEBUG"]
    assert ("MLflow is unavailable" in caplog.messages[0]) == isinstance(error, TrackingError)
    assert "the search continues and its runs are written later" in caplog.messages[0]


def test_the_wait_grows_during_an_outage_and_is_reset_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    waited = threading.Event.wait

    def note(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread().name == "mlflow-projection" and timeout is not None:
            waits.append(timeout)
        return waited(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", note)
    monkeypatch.setattr(background, "MAX_BACKOFF_SECONDS", 0.03)
    run(Passes(*[fail(TrackingError("away"))] * 4))
    assert waits[:6] == [0.005, 0.01, 0.02, 0.03, 0.03, 0.005]


def test_exit_waits_for_the_running_pass_and_starts_no_other() -> None:
    begun, done, asked = threading.Event(), [], []

    def slow() -> None:
        begun.set()
        asked.append(passes.finish_early.wait(20))
        done.append(1)

    passes: Any = Passes(slow)
    with BackgroundProjector(passes):
        assert begun.wait(20)
    assert done == [1]
    assert asked == [True], "a long pass is asked to end at the next trial"
    assert not passes.finish_early.is_set(), "the last pass is a complete one"
    n_passes = len(passes.times)
    time.sleep(0.03)
    assert len(passes.times) == n_passes


def test_it_ends_when_the_search_fails() -> None:
    passes: Any = Passes()
    with pytest.raises(KeyboardInterrupt), BackgroundProjector(passes):
        raise KeyboardInterrupt
    assert "mlflow-projection" not in {thread.name for thread in threading.enumerate()}
