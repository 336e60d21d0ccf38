"""The chapters of a search: there for every kind of study, and never an empty figure."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
import pytest
from matplotlib.figure import Figure as Canvas
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.reporting.document.blocks import Chapter, Figure, Grid, Paragraph, TableBlock
from src.reporting.document.plot import Bars, Heat, Line, Rule
from src.reporting.html.plotly_drawing import plotly_spec
from src.reporting.pdf.matplotlib_drawing import draw
from src.reporting.study.numbers import Snapshot, take_snapshot
from src.reporting.study.search_chapters import search_chapters
from tests.reporting.hand_made import MIXED, reporting, snapshot_of, timed, trial

KEYS = ["history", "importances", "parameters", "together", "evolution", "curves", "pruning", "time", "trials"]
STATES = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def usual(n: int) -> Snapshot:
    """A search by three workers: two of four trials complete, one pruned, one failed; the last one runs."""
    trials = []
    for i in range(n):
        state = TrialState.RUNNING if 4 < i == n - 1 else STATES[i % 4]
        given: dict[str, Any] = {
            "params": {"rate": 0.01 + 0.29 * (i * 37 % 100) / 100, "leaves": 10 + i * 17 % 190}
            | ({"kind": ("gbdt", None)[i % 2]} if i % 3 else {}),
            "system_attrs": {"worker": f"boot/pid|{i % 3}|1.0|node"},
            "user_attrs": {"error": "ValueError: no"} if state == TrialState.FAIL else {},
            **reporting({10: 9.0, 20: 8.0 + i % 5} if state == TrialState.PRUNED else {10: 7.0, 100: 1.0 + i % 7}),
        }
        value = 1.0 + i % 7 + i / 1000 if state == TrialState.COMPLETE else None
        ended = state != TrialState.RUNNING
        trials.append(timed(value, i, i + 2, state, **given) if ended else trial(value, state, **given))
    return snapshot_of(*trials)


def foreign() -> Snapshot:
    """Somebody else's objective: wide ranges, choices of any type, steps below zero, infinite values, no parameters."""
    ranges = {
        "wide": FloatDistribution(-1.7e308, 1.7e308),
        "huge": IntDistribution(1, 10**18),
        "fixed": FloatDistribution(2.0, 2.0),
        "any": CategoricalDistribution((None, True, 1, "1", 2.5)),
    }
    values = [(1e300, 3, None), (-1e300, 10**18, True), (0.0, 10**9, "1")]
    trials: list[FrozenTrial] = [create_trial(value=math.inf), create_trial(value=-math.inf), create_trial(value=3.0)]
    for i in range(24):
        wide, huge, kind = values[i % 3]
        params = {"wide": wide, "huge": huge, "fixed": 2.0, "any": kind}
        steps = {-5: math.nan, -1: math.inf, 0: float(i)} if i % 2 else {}
        state = TrialState.PRUNED if i % 4 == 1 else TrialState.COMPLETE
        value = 1e300 * (i % 5) if state == TrialState.COMPLETE else None
        given: dict[str, Any] = {"params": params, "distributions": ranges, "intermediate_values": steps}
        given["user_attrs"] = {"curve": [i], "error": i, "worker": i % 2}
        trials.append(create_trial(state=state, value=value, **given))
    return snapshot_of(*trials, direction="maximize")


STUDIES = {
    **{f"{n} trials": usual(n) for n in (0, 1, 2, 9, 13, 14, 60)},
    "mixed": snapshot_of(*MIXED),
    "foreign": foreign(),
    "all failed": snapshot_of(*[trial(None, TrialState.FAIL)] * 30),
    "all pruned": snapshot_of(*[trial(None, TrialState.PRUNED, **reporting({3: 1.0}))] * 30),
    "all running": snapshot_of(*[trial(None, TrialState.RUNNING)] * 30),
    "without parameters": snapshot_of(*[create_trial(value=float(i)) for i in range(30)]),
    "equal values": snapshot_of(*[trial(1.0)] * 30),
    "one parameter": snapshot_of(*[trial(float(i), params={"leaves": 31}) for i in range(30)]),
}


def figures(chapters: Sequence[Chapter]) -> Iterator[Figure]:
    for chapter in chapters:
        for block in chapter.blocks:
            yield from block.figures if isinstance(block, Grid) else [block] if isinstance(block, Figure) else []


def text(chapters: Sequence[Chapter]) -> str:
    return " ".join(b.text for chapter in chapters for b in chapter.blocks if isinstance(b, Paragraph))


@pytest.mark.parametrize("snapshot", STUDIES.values(), ids=STUDIES.keys())
def test_every_study_has_every_chapter_and_no_figure_is_empty(snapshot: Snapshot) -> None:
    chapters = search_chapters(snapshot, "MAE")
    assert [chapter.key for chapter in chapters] == KEYS
    assert all(chapter.blocks for chapter in chapters)
    keys = [figure.key for figure in figures(chapters)]
    assert len(set(keys)) == len(keys)
    for figure in figures(chapters):
        assert any(_size(mark) for mark in figure.plot.marks), figure.key
        json.dumps(plotly_spec(figure.plot), allow_nan=False)


def _size(mark: object) -> int:
    if isinstance(mark, Rule):
        return 0
    if isinstance(mark, Heat):
        return sum(value is not None for row in mark.z for value in row)
    return len(mark.end if isinstance(mark, Bars) else mark.x)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["60 trials", "foreign"])
def test_every_figure_can_be_drawn_on_paper(name: str) -> None:
    for figure in figures(search_chapters(STUDIES[name], "MAE")):
        axes = Canvas(figsize=(6.4, figure.plot.height / 100)).subplots()
        draw(figure.plot, axes)
        assert axes.has_data(), figure.key


@pytest.mark.parametrize("n", [0, 9])
def test_views_that_compare_trials_say_how_many_they_need(n: int) -> None:
    message = text(search_chapters(usual(n), "MAE"))
    n_complete = sum(t.state == TrialState.COMPLETE for t in usual(n).trials)
    assert f"compute parameter importances: 10 complete trials are needed, there are {n_complete}." in message
    assert f"show parameters together: 10 complete trials are needed, there are {n_complete}." in message
    assert f"show sampled values over time: 14 started trials are needed, there are {n}." in message
    expected = "show when the search stopped improving: 10 finished trials are needed"
    assert (expected in message) == (n > 0)
    assert ("No trial is complete yet." in message) == (n == 0)
    assert (f"{n_complete} complete trials are too few to show a trend: 10 are needed." in message) == (n > 0)


def test_a_usual_study_has_every_view() -> None:
    chapters = search_chapters(usual(60), "MAE")
    assert "Too few" not in text(chapters)
    keys = {figure.key for figure in figures(chapters)}
    assert keys >= {"history", "importances", "slice-0", "coordinates", "pair", "evolution-0", "curves", "pruning"}
    assert keys >= {"durations", "workers"}
    titles = {block.title for chapter in chapters for block in chapter.blocks if isinstance(block, TableBlock)}
    assert titles >= {"Workers", "Failed trials"}
    assert "3 workers ran the trials" in text(chapters)


def test_one_process_has_no_time_line() -> None:
    chapters = search_chapters(snapshot_of(*(timed(float(i), 2 * i, 2 * i + 1) for i in range(12))), "MAE")
    assert "workers" not in {figure.key for figure in figures(chapters)}
    assert "One worker ran all trials; it was busy 52 % of the time." in text(chapters)


def test_a_level_line_marks_the_best_value() -> None:
    snapshot = usual(60)
    chapters = {chapter.key: chapter for chapter in search_chapters(snapshot, "MAE")}
    drawn = {figure.plot.y.title: figure.plot for figure in figures([chapters["evolution"]])}
    levels = [mark.at for mark in drawn["leaves"].marks if isinstance(mark, Rule)]
    assert levels == [snapshot.ranked[0].params["leaves"]]


def test_thousands_of_trials_stay_small_and_keep_the_best() -> None:
    study = optuna.create_study()
    ranges: dict[str, BaseDistribution] = {f"p{i}": FloatDistribution(0, 1) for i in range(6)}
    for i in range(2500):
        params = {name: (i * (k + 3) * 0.618) % 1 for k, name in enumerate(ranges)}
        study.add_trial(create_trial(value=float(i * 7919 % 2503), params=params, distributions=ranges))
    snapshot = take_snapshot(study)
    chapters = search_chapters(snapshot, "MAE")
    written = sum(len(json.dumps(plotly_spec(figure.plot))) for figure in figures(chapters))
    assert written < 600_000
    captions = {figure.key: figure.caption for figure in figures(chapters)}
    assert "2,000 of 2,500 points are drawn" in captions["history"]
    history = next(figure for figure in figures(chapters) if figure.key == "history")
    best = next(mark for mark in history.plot.marks if isinstance(mark, Line))
    assert best.y[-1] == snapshot.ranked[0].value


def test_steps_are_boosting_rounds_only_where_that_is_known() -> None:
    known, unknown = (search_chapters(usual(40), metric)[KEYS.index("curves")] for metric in ("MAE", "value"))
    (of_model,), (of_anybody,) = ([b for b in item.blocks if isinstance(b, Figure)] for item in (known, unknown))
    assert "MAE on validation rows by step (boosting rounds)" in of_model.caption
    assert "boosting" not in of_anybody.caption
