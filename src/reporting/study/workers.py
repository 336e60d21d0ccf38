"""Which worker ran which trial when, and how busy the workers were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from src.reporting.document.blocks import Table
from src.reporting.document.plot import Axis, Bars, Plot
from src.reporting.document.words import format_share
from src.reporting.study.durations import ENDED, STATES
from src.reporting.study.numbers import Snapshot
from src.study.trial_times import utc_time

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

WORKER_ATTR = "worker"
"""The attribute in which `src.study.study_storage` stores the worker of a trial."""
UNKNOWN = "not recorded"
MAX_ROWS = 24
MAX_BARS = 400


@dataclass(frozen=True)
class TrialSpan:
    """One trial's worker, start and end (UTC), and state."""

    worker: str
    start: datetime
    end: datetime
    state: str


def worker_names(snapshot: Snapshot) -> dict[int, str]:
    """The worker that ran each trial last, by trial number: `host:pid`, or a user's own attribute `worker`.

    Processes of the same host and pid, as in restarted containers, get a number.
    """
    identities = {trial.number: _identity(trial) for trial in snapshot.trials if trial.datetime_start is not None}
    named: dict[str, str] = {}
    used: dict[str, int] = {}
    for identity in dict.fromkeys(identities.values()):
        short = _shorten(identity)
        used[short] = used.get(short, 0) + 1
        named[identity] = short if used[short] == 1 else f"{short} ({used[short]})"
    return {number: named[identity] for number, identity in identities.items()}


def _identity(trial: "FrozenTrial") -> str:
    noted: Any = trial.system_attrs.get(WORKER_ATTR) or trial.user_attrs.get(WORKER_ATTR)
    return UNKNOWN if noted is None else str(noted)


def _shorten(identity: str) -> str:
    """`<machine>|<pid>|<start time>|<host>` of `src.study.worker_identity` → `host:pid`."""
    parts = identity.split("|")
    return f"{parts[3]}:{parts[1]}" if len(parts) == 4 else identity


def spans(snapshot: Snapshot) -> list[TrialSpan]:
    """The spans of all trials that have started and ended, ordered by start."""
    names, words = worker_names(snapshot), {name: word for word, name in STATES.items()}
    trial_spans = [
        _span(names[t.number], utc_time(t.datetime_start), utc_time(t.datetime_complete), words[t.state.name])
        for t in snapshot.trials
        if t.datetime_start is not None and t.datetime_complete is not None
    ]
    return sorted(trial_spans, key=lambda span: span.start)


def _span(worker: str, start: datetime, end: datetime, state: str) -> TrialSpan:
    return TrialSpan(worker, start, max(start, end), state)  # a clock may have been set back


def by_worker(trial_spans: Sequence[TrialSpan]) -> dict[str, list[TrialSpan]]:
    """The spans of each worker, workers ordered by first start."""
    groups: dict[str, list[TrialSpan]] = {}
    for span in trial_spans:
        groups.setdefault(span.worker, []).append(span)
    return groups


def busy_periods(trial_spans: Sequence[TrialSpan], gap: timedelta = timedelta(0)) -> list[tuple[datetime, datetime]]:
    """Periods in which at least one trial ran, as [start, end]; a pause no longer than `gap` counts as running.

    Args:
        trial_spans: spans ordered by start.
        gap: the longest pause that counts as running.
    """
    merged: list[tuple[datetime, datetime]] = []
    for span in trial_spans:
        if merged and span.start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.start, span.end))
    return merged


def workers_table(trial_spans: Sequence[TrialSpan]) -> Table:
    """Trials and time of each worker; `busy` is the share of the time between its first start and its last end."""
    rows = []
    for worker, own in by_worker(trial_spans).items():
        counts = [sum(span.state == state for span in own) for state in ENDED]
        first, last = own[0].start, max(span.end for span in own)
        running = sum((end - start).total_seconds() for start, end in busy_periods(own))
        there = (last - first).total_seconds()
        share = format_share(running / there) if there else None
        rows.append((worker, *counts, running, share, *(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (first, last))))
    return Table(("worker", *ENDED, "seconds running", "busy", "from (UTC)", "to (UTC)"), tuple(rows))


def utilisation(trial_spans: Sequence[TrialSpan]) -> float | None:
    """Busy time of all workers as a share of the time from first start to last end; None if that is zero."""
    running, there = 0.0, 0.0
    for own in by_worker(trial_spans).values():
        running += sum((end - start).total_seconds() for start, end in busy_periods(own))
        there += (max(span.end for span in own) - own[0].start).total_seconds()
    return running / there if there else None


def workers_plot(trial_spans: Sequence[TrialSpan]) -> Plot:
    """One row per worker with its trials as bars over time; with many trials, bars show only when any trial ran."""
    groups = dict(list(by_worker(trial_spans).items())[:MAX_ROWS])
    rows = {worker: row for row, worker in enumerate(groups)}
    shown = [span for own in groups.values() for span in own]
    marks = _trial_bars(shown, rows) if len(shown) <= MAX_BARS else [_busy_bars(groups, rows)]
    names = [(row, worker) for worker, row in rows.items()]
    return Plot(Axis("time (UTC)", scale="date"), Axis(ticks=names, reverse=True), marks, height=110 + 26 * len(rows))


def _trial_bars(shown: Sequence[TrialSpan], rows: Mapping[str, int]) -> list[Bars]:
    bars = []
    for state, role in ENDED.items():
        own = [span for span in shown if span.state == state]
        if own:
            places, ends = [rows[span.worker] for span in own], [_iso(span.end) for span in own]
            bars.append(Bars(places, ends, [_iso(span.start) for span in own], state, (role,), across=True))
    return bars


def _busy_bars(groups: Mapping[str, Sequence[TrialSpan]], rows: Mapping[str, int]) -> Bars:
    """Pauses shorter than a pixel count as running, so that thousands of trials become a few hundred bars."""
    everything = [span for own in groups.values() for span in own]
    whole = max(span.end for span in everything) - min(span.start for span in everything)
    parts = [(rows[w], start, end) for w, own in groups.items() for start, end in busy_periods(own, whole / MAX_BARS)]
    places, ends = [row for row, _, _ in parts], [_iso(end) for _, _, end in parts]
    return Bars(places, ends, [_iso(start) for _, start, _ in parts], "trials running", across=True)


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
