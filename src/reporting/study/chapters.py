"""The report of one study: summary, baselines, final model, search, reproduction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.reporting.document import words
from src.reporting.document.blocks import Block, Chapter, Document, Facts, Figure, Grid, Paragraph, TableBlock, Tiles
from src.reporting.model import members as ensemble
from src.reporting.model.baseline_bars import baseline_plot
from src.reporting.model.chapters import model_chapters
from src.reporting.model.numbers import ModelNumbers
from src.reporting.model.wording import profit_in_short
from src.reporting.study import numbers
from src.reporting.study.front import front_chapter
from src.reporting.study.search_chapters import search_chapters

if TYPE_CHECKING:
    from optuna import Study

TOO_OPTIMISTIC = (
    "The model is the mean of several trials; its score is too optimistic, because members were selected on these rows."
)


@dataclass(frozen=True)
class StudyReportInput:
    """The data of all chapters.

    Attributes:
        study: the Optuna study.
        snapshot: of the study; all numbers of the search come from here.
        metadata: the final model's; empty if there is none.
        model: numbers of the final model; None if there are none.
    """

    study: "Study"
    snapshot: numbers.Snapshot
    metadata: Mapping[str, Any]
    model: ModelNumbers | None = None

    @property
    def metric(self) -> str:
        """The metric's displayed name."""
        return words.metric_name(self.metadata)

    def compare(self, part: str) -> words.BaselineComparison | None:
        """The registered model and the baselines on `validation` or `test` rows."""
        return words.compare(self.metadata, part, self.snapshot.direction)

    def best_trial_alone(self, comparison: words.BaselineComparison) -> float | None:
        """The best trial's validation score, if the model is made of several trials."""
        return ensemble.best_trial_alone(self.metadata) if comparison.part == "validation" else None


def study_document(material: StudyReportInput) -> Document:
    """The whole report; it has every chapter, even before there is much to show."""
    target = material.metadata.get("target")
    subtitle = f"Search and evaluation of a model of {target}" if target else "An Optuna study"
    chapters = [
        _summary(material),
        _baselines(material),
        *_ensemble(material),
        *([] if material.model is None else model_chapters(material.model, material.metadata)),
        front_chapter(material.snapshot, material.metric, material.metadata),
        *search_chapters(material.snapshot, material.metric),
        _reproduction(material),
    ]
    return Document(f"Study {material.snapshot.name}", subtitle, chapters)


def _summary(material: StudyReportInput) -> Chapter:
    comparison = material.compare("test") or material.compare("validation")
    verdict = Paragraph(words.verdict(comparison), "verdict")
    blocks: list[Block] = [Tiles(_tiles(material, comparison)), verdict]
    if material.model is not None and material.model.money is not None:
        blocks += [Paragraph(sentence) for sentence in [profit_in_short(material.model.money)] if sentence]
    return Chapter("summary", "Summary", [*blocks, Facts(_summary_facts(material))])


def _tiles(material: StudyReportInput, comparison: words.BaselineComparison | None) -> words.Facts:
    tiles: words.Facts = []
    if comparison:
        tiles.append((f"{comparison.metric} on {comparison.part}", words.format_number(comparison.model)))
    if comparison and comparison.baselines:
        tiles.append(("best naive baseline", words.format_number(next(iter(comparison.baselines.values())))))
    if comparison and comparison.skill is not None:
        tiles.append(("skill over it", words.format_percent(comparison.skill)))
    if material.snapshot.ranked:
        value = numbers.value_of(material.snapshot.ranked[0])
        tiles.append((f"best {material.metric} in the search", words.format_number(value)))
    counts = numbers.count_states(material.snapshot)
    return [*tiles, ("finished trials", str(counts["complete"] + counts["pruned"]))]


def _summary_facts(material: StudyReportInput) -> words.Facts:
    snapshot, metadata = material.snapshot, material.metadata
    counts = numbers.count_states(snapshot)
    facts: words.Facts = [(key, str(metadata[key])) for key in ("target", "task") if metadata.get(key)]
    goal = "higher is better" if snapshot.direction == "maximize" else "lower is better"
    facts.append(("metric", f"{material.metric}, {goal}"))
    facts.append(("trials", ", ".join(f"{n} {state}" for state, n in counts.items() if n or state == "complete")))
    if snapshot.ranked:
        best = snapshot.ranked[0]
        facts.append(("best value", f"{words.format_number(numbers.value_of(best))} (trial {best.number})"))
    if members := ensemble.members(metadata):
        facts.append(("final model", f"weighted mean of {len(members)} trials"))
    facts += [("cut by the time limit", str(cut)) for cut in metadata.get("cuts", [])]
    if seconds := numbers.search_seconds(snapshot):
        whole, summed = (words.format_duration(s) for s in seconds)
        facts.append(("duration", f"{whole} from first start to last end; sum over all trials {summed}"))
    for part in ("validation", "test"):
        facts += _score_facts(material, material.compare(part))
    return facts


def _score_facts(material: StudyReportInput, comparison: words.BaselineComparison | None) -> words.Facts:
    if comparison is None:
        return []
    score = words.with_interval(comparison.model, comparison.interval)
    alone = material.best_trial_alone(comparison)
    if alone is not None:
        score += f" (mean of several trials, too optimistic; the best trial alone has {words.format_number(alone)})"
    facts = [(f"{comparison.part} score", score)]
    if comparison.baselines:
        name, reference = next(iter(comparison.baselines.items()))
        described = f"{words.describe_baseline(name)}: {words.format_number(reference)}"
        facts.append((f"{comparison.part}, best baseline", described))
    if comparison.skill is not None:
        facts.append((f"{comparison.part}, skill over it", words.format_percent(comparison.skill)))
    return facts


def _baselines(material: StudyReportInput) -> Chapter:
    parts = [comparison for part in ("validation", "test") if (comparison := material.compare(part))]
    blocks: list[Block] = [Paragraph(words.verdict(None), "note")]
    if parts:
        blocks = [Grid([_baseline_figure(material, comparison) for comparison in parts])]
    known = dict.fromkeys(name for comparison in parts for name in comparison.baselines)
    meanings = [(name, words.BASELINE_WORDS[name]) for name in known if name in words.BASELINE_WORDS]
    return Chapter(
        "baselines", "The model and the naive baselines", [*blocks, *([Facts(meanings)] if meanings else [])]
    )


def _baseline_figure(material: StudyReportInput, comparison: words.BaselineComparison) -> Figure:
    alone = material.best_trial_alone(comparison)
    rows = (
        "Test rows, which the search never saw."
        if comparison.part == "test"
        else "Validation rows, used by the search."
    )
    goal = "Longer is better; bars start at 0.5, random guessing." if comparison.metric == "AUC" else ""
    goal = goal or ("Longer is better." if comparison.direction == "maximize" else "Shorter is better.")
    best = " Orange: the best baseline." if comparison.baselines else ""
    interval = f" Line: 95 % interval ({words.INTERVAL_METHOD})." if comparison.interval else ""
    warning = "" if alone is None else f" {TOO_OPTIMISTIC}"
    caption = f"{rows} {goal}{best}{interval}{warning}"
    return Figure(f"baselines-{comparison.part}", baseline_plot(comparison, alone), caption)


def _ensemble(material: StudyReportInput) -> list[Chapter]:
    """The chapter on the members, if the final model is made of several trials."""
    if not ensemble.members(material.metadata):
        return []
    paragraph = Paragraph(ensemble.explain(material.metadata))
    return [Chapter("ensemble", "The ensemble", [paragraph, TableBlock(ensemble.members_table(material.metadata))])]


def _reproduction(material: StudyReportInput) -> Chapter:
    note = (
        "The same data, split, seed and versions give the same numbers. This report rounds parameters; the model's "
        "metadata file has them in full."
    )
    if not material.metadata:
        note = "Only the study's name is known: this report was written without the metadata of a final model."
    facts = words.reproduction({"study_name": material.snapshot.name, **material.metadata})
    return Chapter("reproduce", "How to reproduce", [Paragraph(note, "note"), Facts(facts)])
