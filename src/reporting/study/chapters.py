"""A study's report, in the order of a reader's questions: is it good, how was it found, can I do it again."""

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
from src.reporting.study.search_chapters import search_chapters

if TYPE_CHECKING:
    from optuna import Study

FLATTERS = "The model is the mean of several trials, and its score flatters: members were selected on these very rows."


@dataclass(frozen=True)
class StudyReportInput:
    """What every chapter is written from.

    Attributes:
        study: as Optuna has it.
        snapshot: the same at one moment; all numbers of the search are from here.
        metadata: the final model's; empty where there is none.
        model: what was measured of the final model; None where it was not.
    """

    study: "Study"
    snapshot: numbers.Snapshot
    metadata: Mapping[str, Any]
    model: ModelNumbers | None = None

    @property
    def metric(self) -> str:
        """The metric's name on axes."""
        return words.metric_name(self.metadata)

    def compare(self, part: str) -> words.BaselineComparison | None:
        """The registered model beside the baselines on `validation` or `test` rows."""
        return words.compare(self.metadata, part, self.snapshot.direction)

    def best_trial_alone(self, judged: words.BaselineComparison) -> float | None:
        """The best trial's validation score where the model is made of several trials."""
        return ensemble.best_trial_alone(self.metadata) if judged.part == "validation" else None


def study_document(material: StudyReportInput) -> Document:
    """The whole report; every chapter is there, also where it has little to say yet."""
    target = material.metadata.get("target")
    subtitle = f"Search and judgement of a model of {target}" if target else "A search by Optuna"
    chapters = [
        _summary(material),
        _baselines(material),
        *_ensemble(material),
        *([] if material.model is None else model_chapters(material.model, material.metadata)),
        *search_chapters(material.snapshot, material.metric),
        _reproduction(material),
    ]
    return Document(f"Study {material.snapshot.name}", subtitle, chapters)


def _summary(material: StudyReportInput) -> Chapter:
    judged = material.compare("test") or material.compare("validation")
    verdict = Paragraph(words.verdict(judged), "verdict")
    blocks: list[Block] = [Tiles(_tiles(material, judged)), verdict]
    if material.model is not None and material.model.money is not None:
        blocks += [Paragraph(said) for said in [profit_in_short(material.model.money)] if said]
    return Chapter("summary", "Summary", [*blocks, Facts(_summary_facts(material))])


def _tiles(material: StudyReportInput, judged: words.BaselineComparison | None) -> words.Facts:
    tiles: words.Facts = []
    if judged:
        tiles.append((f"{judged.metric} on {judged.part}", words.format_number(judged.model)))
    if judged and judged.baselines:
        tiles.append(("best naive forecast", words.format_number(next(iter(judged.baselines.values())))))
    if judged and judged.skill is not None:
        tiles.append(("skill over it", words.format_percent(judged.skill)))
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
    if seconds := numbers.search_seconds(snapshot):
        whole, summed = (words.format_duration(s) for s in seconds)
        facts.append(("duration", f"{whole} from first start to last end, {summed} of trials added up"))
    for part in ("validation", "test"):
        facts += _score_facts(material, material.compare(part))
    return facts


def _score_facts(material: StudyReportInput, judged: words.BaselineComparison | None) -> words.Facts:
    if judged is None:
        return []
    score = words.with_interval(judged.model, judged.interval)
    alone = material.best_trial_alone(judged)
    if alone is not None:
        score += f" (of several trials together, flattering; the best one alone has {words.format_number(alone)})"
    facts = [(f"{judged.part} score", score)]
    if judged.baselines:
        name, reference = next(iter(judged.baselines.items()))
        described = f"{words.describe_baseline(name)}: {words.format_number(reference)}"
        facts.append((f"{judged.part}, best baseline", described))
    if judged.skill is not None:
        facts.append((f"{judged.part}, skill over it", words.format_percent(judged.skill)))
    return facts


def _baselines(material: StudyReportInput) -> Chapter:
    parts = [judged for part in ("validation", "test") if (judged := material.compare(part))]
    blocks: list[Block] = [Paragraph(words.verdict(None), "note")]
    if parts:
        blocks = [Grid([_baseline_figure(material, judged) for judged in parts])]
    known = dict.fromkeys(name for judged in parts for name in judged.baselines)
    meanings = [(name, words.BASELINE_WORDS[name]) for name in known if name in words.BASELINE_WORDS]
    return Chapter(
        "baselines", "The model against naive forecasts", [*blocks, *([Facts(meanings)] if meanings else [])]
    )


def _baseline_figure(material: StudyReportInput, judged: words.BaselineComparison) -> Figure:
    alone = material.best_trial_alone(judged)
    rows = "Test rows, which the search never saw." if judged.part == "test" else "Validation rows, used by the search."
    goal = "Longer is better, bars start at a coin's 0.5." if judged.metric == "AUC" else ""
    goal = goal or ("Longer is better." if judged.direction == "maximize" else "Shorter is better.")
    best = " Orange: the hardest to beat." if judged.baselines else ""
    interval = f" Line: 95 % interval ({words.INTERVAL_METHOD})." if judged.interval else ""
    flatters = "" if alone is None else f" {FLATTERS}"
    caption = f"{rows} {goal}{best}{interval}{flatters}"
    return Figure(f"baselines-{judged.part}", baseline_plot(judged, alone), caption)


def _ensemble(material: StudyReportInput) -> list[Chapter]:
    """A chapter where the final model is made of several trials, otherwise none."""
    if not ensemble.members(material.metadata):
        return []
    said = Paragraph(ensemble.explain(material.metadata))
    return [Chapter("ensemble", "The ensemble", [said, TableBlock(ensemble.members_table(material.metadata))])]


def _reproduction(material: StudyReportInput) -> Chapter:
    said = (
        "The same data, split, seed and versions give the same numbers. Parameters are rounded in this report; "
        "the model's metadata file has them in full."
    )
    if not material.metadata:
        said = "Only the name is known: this report was written without a final model's metadata."
    facts = words.reproduction({"study_name": material.snapshot.name, **material.metadata})
    return Chapter("reproduce", "How to reproduce", [Paragraph(said, "note"), Facts(facts)])
