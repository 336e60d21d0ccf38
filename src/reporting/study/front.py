"""The Pareto front of score, stability over folds and size, with the registered model's constraints."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from src.model_settings import QUANTITIES
from src.reporting.document.axis_limits import axis_limits, outside_note
from src.reporting.document.blocks import Block, Chapter, Facts, Figure, Grid, Paragraph, Table, TableBlock
from src.reporting.document.downsample import downsampled
from src.reporting.document.plot import Axis, Plot, Points
from src.reporting.document.words import format_number
from src.reporting.study.numbers import Snapshot, value_of
from src.study.feasibility import is_feasible
from src.study.pareto_front import candidates_of, pareto_front

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MAX_ROWS = 20
QUANTITY_WORDS = {
    "trees": "trees",
    "leaves": "leaves",
    "predict_ms_per_1000": "ms per 1,000 rows",
    "fold_spread": "fold spread",
}
_NEAR = "among the trials of the front whose loss is within one standard error, at most 1 %, of the best"
CHOICES = {
    "score": "the best trials by their score",
    "stable": f"the smallest fold spread {_NEAR}",
    "small": f"the fewest leaves {_NEAR}",
}


def front_chapter(snapshot: Snapshot, metric: str, metadata: Mapping[str, Any]) -> Chapter:
    """The front as scatter charts and as a table, and the constraints.

    Args:
        snapshot: the study.
        metric: the metric's displayed name.
        metadata: the final model's; empty if there is none.
    """
    key, title = "front", "Score, stability and size"
    front = front_trials(snapshot)
    if not front:
        return Chapter(key, title, [Paragraph("No complete trial has measures of its size.", "note")])
    blocks: list[Block] = [Paragraph(_explanation(snapshot, front))]
    if choice := _choice(metadata):
        blocks.append(Paragraph(choice))
    if facts := _constraint_facts(metadata):
        blocks.append(Facts(facts))
    blocks.append(Grid(_figures(snapshot, front, metric, _registered(metadata))))
    return Chapter(key, title, [*blocks, TableBlock(front_table(front, metric), "Trials of the front", sortable=True)])


def front_trials(snapshot: Snapshot) -> list["FrozenTrial"]:
    """The trials of the front, the best score first."""
    trials = {trial.number: trial for trial in snapshot.trials}
    front = pareto_front(candidates_of(snapshot.trials, snapshot.direction == "maximize"))
    return [trials[each.number] for each in front]


def front_table(front: Sequence["FrozenTrial"], metric: str) -> Table:
    """The best trials of the front with their measures; a measure that no trial has is left out."""
    shown = front[:MAX_ROWS]
    names = [name for name in QUANTITIES if any(name in trial.user_attrs for trial in shown)]
    rows = tuple((t.number, t.value, *(_whole(t.user_attrs.get(name)) for name in names)) for t in shown)
    return Table(("trial", metric, *(QUANTITY_WORDS[name] for name in names)), rows)


def _whole(value: float | None) -> float | int | None:
    """Counts as integers."""
    return int(value) if value is not None and value == int(value) else value


def _explanation(snapshot: Snapshot, front: Sequence["FrozenTrial"]) -> str:
    n_infeasible = sum(not is_feasible(trial) for trial in snapshot.complete)
    text = (
        f"{len(front)} of {len(snapshot.complete):,} complete trials are on the Pareto front: no other trial is at "
        "least as good in score, fold spread and number of leaves, and better in one of these. "
    )
    if len(front) > MAX_ROWS:
        text += f"The table has the best {MAX_ROWS} by score. "
    if "fold_spread" in front[0].user_attrs:
        text += "The fold spread is the loss of the worst fold over the mean loss, minus 1. "
    else:
        text += "With one validation window there is no fold spread. "
    if n_infeasible:
        text += f"Complete trials that do not meet the constraints, and so are not on the front: {n_infeasible:,}. "
    return text + "Trees and leaves are those of the trial's final model, trained on all rows of the search."


def _choice(metadata: Mapping[str, Any]) -> str:
    select, members = metadata.get("select"), metadata.get("members")
    if select not in CHOICES:
        return ""
    made_of = f"is made of {len(members)} trials" if members else f"is trial {metadata.get('trial')}"
    return f"The registered model {made_of}; --select {select} takes {CHOICES[select]}."


def _registered(metadata: Mapping[str, Any]) -> set[int]:
    if members := metadata.get("members"):
        return {member["trial"] for member in members}
    return {metadata["trial"]} if "trial" in metadata else set()


def _constraint_facts(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    measures = metadata.get("measures", {})
    named = [(each, each.partition("<=")[0]) for each in metadata.get("constraint", [])]
    return [
        (f"constraint {each}", f"the registered model has {format_number(measures[quantity])}")
        for each, quantity in named
        if quantity in measures
    ]


def _figures(snapshot: Snapshot, front: Sequence["FrozenTrial"], metric: str, registered: set[int]) -> list[Figure]:
    axes = [("leaves", Axis("leaves", scale="log"))]
    if "fold_spread" in front[0].user_attrs:
        axes.append(("fold_spread", Axis("fold spread", percent=True)))
    caption = "Orange: trials of the registered model." if registered else ""
    values = [value_of(trial) for trial in snapshot.complete]
    caption += outside_note(axis_limits(values, snapshot.direction == "maximize"), values)
    return [
        Figure(f"front-{name}", _plot(snapshot, front, (name, axis), metric, registered), caption.strip())
        for name, axis in axes
    ]


def _plot(
    snapshot: Snapshot, front: Sequence["FrozenTrial"], across: tuple[str, Axis], metric: str, registered: set[int]
) -> Plot:
    name, axis = across
    measured = [trial for trial in snapshot.complete if name in trial.user_attrs]
    on_front = {trial.number for trial in front}
    others = [t for t in measured if is_feasible(t) and t.number not in on_front | registered]
    groups = [
        ("infeasible", [t for t in measured if not is_feasible(t)]),
        ("other trials", others),
        ("Pareto front", [t for t in front if t.number not in registered]),
        ("registered", [t for t in measured if t.number in registered]),
    ]
    marks = [_points(label, trials, name) for label, trials in groups if trials]
    limits = axis_limits([value_of(trial) for trial in snapshot.complete], snapshot.direction == "maximize")
    return Plot(axis, Axis(metric, limits=limits), marks, height=320)


def _points(label: str, trials: Sequence["FrozenTrial"], name: str) -> Points:
    kept = [trials[i] for i in downsampled(len(trials), [])]
    shown: dict[str, Any] = {
        "infeasible": {"role": "bad", "cross": True, "size": 6.0},
        "other trials": {"role": "muted", "size": 6.0},
        "Pareto front": {"role": "main", "size": 8.0},
        "registered": {"role": "accent", "size": 10.0},
    }[label]
    xs = [trial.user_attrs[name] for trial in kept]
    return Points(xs, [value_of(t) for t in kept], name=label, notes=[f"trial {t.number}" for t in kept], **shown)
