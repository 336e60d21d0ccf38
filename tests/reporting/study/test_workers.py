"""Who ran what and how busy each was."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from src.reporting.document.plot import Bars
from src.reporting.study.workers import (
    MAX_BARS,
    TrialSpan,
    busy_periods,
    spans,
    utilisation,
    worker_names,
    workers_plot,
    workers_table,
)
from src.study.worker_identity import worker_identity
from tests.reporting.hand_made import START, snapshot_of, timed, trial

FIRST, SECOND = "boot/pid:[1]|7|100.0|pod-a", "boot/pid:[1]|7|200.0|pod-a"


def run(worker: str, begin: float, end: float, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return timed(1.0 if state == TrialState.COMPLETE else None, begin, end, state, system_attrs={"worker": worker})


def test_a_worker_is_named_by_host_and_pid() -> None:
    host, pid = worker_identity().split("|")[3], worker_identity().split("|")[1]
    assert worker_names(snapshot_of(run(worker_identity(), 0, 1))) == {0: f"{host}:{pid}"}


def test_the_same_pid_in_a_container_started_anew_is_another_worker() -> None:
    names = worker_names(snapshot_of(run(FIRST, 0, 1), run(SECOND, 1, 2), run(FIRST, 2, 3)))
    assert names == {0: "pod-a:7", 1: "pod-a:7 (2)", 2: "pod-a:7"}


def test_workers_from_user_attributes_and_unknown_workers() -> None:
    theirs = timed(1.0, 0, 1, user_attrs={"worker": 3})
    assert worker_names(snapshot_of(theirs, timed(1.0, 1, 2))) == {0: "3", 1: "not recorded"}


def test_spans_are_of_trials_that_have_ended() -> None:
    running = trial(None, TrialState.RUNNING)
    found = spans(snapshot_of(run(FIRST, 5, 6, TrialState.PRUNED), running, run(SECOND, 0, 3)))
    assert [(span.worker, span.state) for span in found] == [("pod-a:7 (2)", "complete"), ("pod-a:7", "pruned")]


def test_busy_is_the_share_of_a_workers_own_time() -> None:
    found = spans(
        snapshot_of(
            run(FIRST, 0, 10),
            run(FIRST, 30, 40, TrialState.FAIL),
            run(FIRST, 35, 40, TrialState.PRUNED),  # beside the other, in a thread
            run("gpu", 10, 20),
            run("gpu", 20, 30),
        )
    )
    table = workers_table(found)
    assert table.rows[0] == ("pod-a:7", 1, 1, 1, 20.0, "50 %", "2024-01-01 00:00:00", "2024-01-01 00:00:40")
    assert table.rows[1] == ("gpu", 2, 0, 0, 20.0, "100 %", "2024-01-01 00:00:10", "2024-01-01 00:00:30")
    assert utilisation(found) == pytest.approx(40 / 60)
    assert utilisation([]) is None


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), min_size=1, max_size=30))
def test_stretches_cover_the_seconds_in_which_a_trial_ran(drawn: list[tuple[int, int]]) -> None:
    second = timedelta(seconds=1)
    own = [TrialSpan("w", START + a * second, START + (a + n) * second, "complete") for a, n in sorted(drawn)]
    merged = busy_periods(own)
    covered = {s for a, n in drawn for s in range(a, a + n)}
    assert sum((end - start).total_seconds() for start, end in merged) == len(covered)
    assert all(left[1] < right[0] for left, right in pairwise(merged))


def test_few_trials_are_bars_by_state_many_are_times_of_running() -> None:
    few = workers_plot(spans(snapshot_of(run(FIRST, 0, 10), run("gpu", 5, 8, TrialState.FAIL))))
    assert [(mark.name, list(mark.place)) for mark in few.marks if isinstance(mark, Bars)] == [
        ("complete", [0]),
        ("failed", [1]),
    ]
    assert few.x.scale == "date"
    assert [label for _, label in few.y.ticks] == ["pod-a:7", "gpu"]
    trials = [run(FIRST, 10 * i, 10 * i + 9.99) for i in range(MAX_BARS + 1)] + [
        run("gpu", 0, 1),
        run("gpu", 3000, 3001),
    ]
    (busy,) = workers_plot(spans(snapshot_of(*trials))).marks
    assert isinstance(busy, Bars)
    assert list(busy.place) == [0, 1, 1]
