"""Durations by state, against numpy."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from src.reporting.document.plot import Bars
from src.reporting.study.durations import duration_edges, durations, durations_plot, short_duration, states_table
from tests.reporting.hand_made import snapshot_of, timed, trial

SECONDS = [1.0, 2.0, 3.0, 4.0, 90.0]
TRIALS = [timed(1.0, 0, seconds) for seconds in SECONDS] + [
    timed(None, 0, 7, TrialState.FAIL),
    timed(None, 0, 2, TrialState.PRUNED),
    trial(None, TrialState.RUNNING),
]


def test_states_with_their_durations() -> None:
    table = states_table(snapshot_of(*TRIALS))
    complete, pruned, failed, running = table.rows
    assert complete == pytest.approx(("complete", 5, "62 %", *np.quantile(SECONDS, [0.5, 0.05, 0.95]), 100.0))
    assert pruned == ("pruned", 1, "12 %", 2.0, 2.0, 2.0, 2.0)
    assert failed[:4] == ("failed", 1, "12 %", 7.0)
    assert running == ("running", 1, "12 %", None, None, None, None)
    assert [row[:2] for row in states_table(snapshot_of()).rows] == [("complete", 0)]


def test_a_clock_that_was_set_back_leaves_no_duration() -> None:
    early = timed(1.0, 10, 5)
    assert states_table(snapshot_of(early)).rows[0][3] is None
    assert durations(snapshot_of(early)) is None
    assert durations(snapshot_of()) is None


@given(st.lists(st.floats(1e-4, 1e6), min_size=1, max_size=50))
def test_the_bins_hold_every_duration(seconds: list[float]) -> None:
    edges = duration_edges(seconds)
    assert edges == sorted(set(edges))
    assert edges[0] <= min(seconds)
    assert max(seconds) <= edges[-1]
    assert np.histogram(seconds, edges)[0].sum() == len(seconds)
    assert len(edges) <= 18


def test_columns_stand_on_top_of_each_other() -> None:
    found = durations(snapshot_of(*TRIALS))
    assert found is not None
    assert {state: sum(counts) for state, counts in found.counts.items()} == {"complete": 5, "pruned": 1, "failed": 1}
    marks = [mark for mark in durations_plot(found).marks if isinstance(mark, Bars)]
    assert [mark.name for mark in marks] == ["complete", "pruned", "failed"]
    assert list(marks[1].start) == list(marks[0].end)
    assert list(marks[-1].end) == np.sum(list(found.counts.values()), axis=0).tolist()


def test_ticks_are_short() -> None:
    expected = ["0 s", "12 ms", "0.5 s", "3.25 s", "2 min 5 s"]
    assert [short_duration(seconds) for seconds in (0, 0.012, 0.5, 3.25, 125.0)] == expected


def test_times_in_the_trials_become_seconds() -> None:
    one = timed(1.0, 0, 0)
    assert one.datetime_start is not None
    one.datetime_complete = one.datetime_start + timedelta(milliseconds=250)
    assert states_table(snapshot_of(one)).rows[0][-1] == 0.25
