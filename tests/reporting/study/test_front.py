from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from src.reporting.document.blocks import Block, Chapter, Facts, Grid, Paragraph, TableBlock
from src.reporting.document.plot import Points
from src.reporting.study.front import MAX_ROWS, front_chapter, front_trials
from src.reporting.study.numbers import Snapshot


def trial(number: int, value: float, leaves: float, spread: float | None = 0.1, excess: float = -0.5) -> FrozenTrial:
    measures = {"trees": 20.0, "leaves": leaves} | ({} if spread is None else {"fold_spread": spread})
    made = create_trial(value=value, user_attrs=measures, constraints={"leaves<=90": excess})
    made.number = number
    return made


def chapter_of(trials: Sequence[FrozenTrial], metadata: dict[str, Any] | None = None) -> Chapter:
    return front_chapter(Snapshot("s", "minimize", tuple(trials)), "MAE", metadata or {})


def block_of(chapter: Chapter, kind: type[Block]) -> Any:
    (found,) = [block for block in chapter.blocks if isinstance(block, kind)]
    return found


TRIALS = [
    trial(0, 2.0, 40), trial(1, 1.0, 80, spread=0.2), trial(2, 0.5, 120, excess=0.3), trial(3, 3.0, 50),
    create_trial(state=TrialState.PRUNED, value=0.1),
]  # fmt: skip


def test_front_and_table_leave_out_what_is_dominated_or_infeasible() -> None:
    assert [each.number for each in front_trials(Snapshot("s", "minimize", tuple(TRIALS)))] == [1, 0]
    table = block_of(chapter_of(TRIALS), TableBlock).table
    assert table.columns == ("trial", "MAE", "trees", "leaves", "fold spread")
    assert table.rows == ((1, 1.0, 20, 80, 0.2), (0, 2.0, 20, 40, 0.1))


def test_each_trial_is_drawn_once_by_its_part() -> None:
    metadata = {"select": "small", "trial": 0, "constraint": ["leaves<=90"], "measures": {"leaves": 41.0}}
    chapter = chapter_of(TRIALS, metadata)
    for figure, measure in zip(block_of(chapter, Grid).figures, ("leaves", "fold_spread"), strict=True):
        drawn = {mark.name: (list(mark.x), list(mark.y)) for mark in figure.plot.marks if isinstance(mark, Points)}
        at = [each.user_attrs.get(measure) for each in TRIALS]
        assert drawn == {
            "infeasible": ([at[2]], [0.5]), "other trials": ([at[3]], [3.0]), "Pareto front": ([at[1]], [1.0]),
            "registered": ([at[0]], [2.0]),
        }  # fmt: skip
    assert block_of(chapter, Facts).facts == [("constraint leaves<=90", "the registered model has 41")]
    texts = " ".join(block.text for block in chapter.blocks if isinstance(block, Paragraph))
    assert "2 of 4 complete trials are on the Pareto front" in texts
    assert "do not meet the constraints, and so are not on the front: 1." in texts
    assert "The registered model is trial 0; --select small takes the fewest leaves" in texts


def test_one_window_has_no_spread() -> None:
    chapter = chapter_of([trial(0, 2.0, 40, spread=None)])
    assert [figure.key for figure in block_of(chapter, Grid).figures] == ["front-leaves"]
    assert "With one validation window there is no fold spread." in chapter.blocks[0].text  # type: ignore[union-attr]


def test_members_of_an_ensemble_are_the_registered_trials() -> None:
    chapter = chapter_of(TRIALS, {"select": "score", "members": [{"trial": 3}, {"trial": 1}]})
    marks = {mark.name: list(mark.y) for mark in block_of(chapter, Grid).figures[0].plot.marks}
    assert marks["registered"] == [1.0, 3.0]


def test_without_measures_there_is_a_note() -> None:
    (note,) = chapter_of([create_trial(value=1.0)]).blocks
    assert note == Paragraph("No complete trial has measures of its size.", "note")


def test_a_long_front_is_cut() -> None:
    chapter = chapter_of([trial(number, 100.0 - number, 50.0 + number) for number in range(MAX_ROWS + 5)])
    rows = block_of(chapter, TableBlock).table.rows
    assert [row[0] for row in rows] == list(range(MAX_ROWS + 4, 4, -1))
