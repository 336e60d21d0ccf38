"""The report's chapters, in the order of a reader's questions: is it good, how was it found, can I do it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.reporting import figures as draw
from src.reporting import html_page as page
from src.reporting import members as ensemble
from src.reporting import study_numbers as numbers
from src.reporting import words
from src.reporting.html_page import Chapter

if TYPE_CHECKING:
    from optuna import Study

NOT_YET = "No trial is complete yet."
ZOOM = "Drag over it to look closer, double-click to go back."
MAX_SLICES = 24


@dataclass(frozen=True)
class Material:
    """What every chapter is written from."""

    study: "Study"
    snapshot: numbers.Snapshot
    metadata: Mapping[str, Any]

    @property
    def metric(self) -> str:
        """The metric's name on axes."""
        return words.metric_name(self.metadata)

    def compare(self, part: str) -> words.Comparison | None:
        """The final model beside the baselines on `validation` or `test` rows."""
        return words.compare(self.metadata, part, self.snapshot.direction)


def all_chapters(material: Material) -> list[Chapter]:
    """Every chapter, also those that have little to say yet."""
    shares = numbers.importances(material.study, material.snapshot)
    return [
        _summary(material),
        _baselines(material),
        _history(material),
        _importances(shares),
        _parameters(material, shares),
        *_ensemble(material),
        _curves(material),
        _trials(material),
        _reproduction(material),
    ]


def _summary(material: Material) -> Chapter:
    judged = material.compare("test") or material.compare("validation")
    body = page.tiles_html(_tiles(material, judged)) + page.paragraph_html(words.verdict(judged), "verdict")
    return Chapter("summary", "Summary", body + page.facts_html(_summary_facts(material)))


def _tiles(material: Material, judged: words.Comparison | None) -> words.Facts:
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


def _summary_facts(material: Material) -> words.Facts:
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
        facts.append(("final model", f"ensemble of {len(members)} trials"))
    if seconds := numbers.search_seconds(snapshot):
        whole, summed = (words.format_duration(s) for s in seconds)
        facts.append(("duration", f"{whole} from first start to last end, {summed} of trials added up"))
    for part in ("validation", "test"):
        facts += _score_facts(material.compare(part))
    return facts


def _score_facts(judged: words.Comparison | None) -> words.Facts:
    if judged is None:
        return []
    facts = [(f"{judged.part} score", words.with_interval(judged.model, judged.interval))]
    if judged.baselines:
        name, reference = next(iter(judged.baselines.items()))
        described = f"{words.describe_baseline(name)}: {words.format_number(reference)}"
        facts.append((f"{judged.part}, best baseline", described))
    if judged.skill is not None:
        facts.append((f"{judged.part}, skill over it", words.format_percent(judged.skill)))
    return facts


def _baselines(material: Material) -> Chapter:
    parts = [judged for part in ("validation", "test") if (judged := material.compare(part))]
    figures = [
        page.figure_html(draw.baseline_figure(judged), f"baselines-{judged.part}", _baseline_caption(judged))
        for judged in parts
    ]
    body = page.grid_html(figures) if figures else page.paragraph_html(words.verdict(None), "note")
    known = dict.fromkeys(name for judged in parts for name in judged.baselines)
    meanings = [(name, words.BASELINE_WORDS[name]) for name in known if name in words.BASELINE_WORDS]
    body += page.facts_html(meanings) if meanings else ""
    return Chapter("baselines", "The model against naive forecasts", body)


def _baseline_caption(judged: words.Comparison) -> str:
    rows = "Test rows, which the search never saw." if judged.part == "test" else "Validation rows, used by the search."
    goal = "Longer is better, bars start at a coin's 0.5." if judged.metric == "AUC" else ""
    goal = goal or ("Longer is better." if judged.direction == "maximize" else "Shorter is better.")
    best = " Orange: the hardest to beat." if judged.baselines else ""
    interval = " Line: 95 % interval." if judged.interval else ""
    return f"{rows} {goal}{best}{interval}"


def _history(material: Material) -> Chapter:
    snapshot = material.snapshot
    history = numbers.history(snapshot)
    if not (history.complete.numbers or history.pruned.numbers):
        return Chapter("history", "History", page.paragraph_html(NOT_YET, "note"))
    counts = numbers.count_states(snapshot)
    caption = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed trials. {ZOOM}"
    figure = draw.history_figure(history, material.metric)
    return Chapter("history", "History", page.figure_html(figure, "history", caption))


def _importances(shares: numbers.Importances) -> Chapter:
    body = page.paragraph_html(shares.why_not, "note")
    if shares.shares:
        caption = "Share of the difference between top trials and all trials that a parameter explains (PED-ANOVA)."
        body = page.figure_html(draw.importance_figure(shares), "importances", caption)
    return Chapter("importances", "Which parameters matter", body)


def _parameters(material: Material, shares: numbers.Importances) -> Chapter:
    best = numbers.best_parameters(material.snapshot)
    if not best.rows:
        none = NOT_YET if not material.snapshot.complete else "The trials have no parameters."
        return Chapter("parameters", "Parameters", page.paragraph_html(none, "note"))
    cuts = numbers.slices(material.snapshot)
    shown = sorted(cuts, key=lambda cut: -shares.shares.get(cut.name, 0.0))[:MAX_SLICES]
    small = [page.figure_html(draw.slice_figure(cut, material.metric), f"slice-{i}", "") for i, cut in enumerate(shown)]
    which = "Each complete trial is a point, later ones deeper in colour; the most important parameters first."
    if len(shown) < len(cuts):
        which += f" {len(shown)} of {len(cuts)} parameters are drawn."
    title = page.paragraph_html(f"The best trial is number {material.snapshot.ranked[0].number}.")
    body = title + page.table_html(best) + page.paragraph_html(which, "note") + page.grid_html(small)
    return Chapter("parameters", "Parameters", body)


def _ensemble(material: Material) -> list[Chapter]:
    """A chapter where the final model is made of several trials, otherwise none."""
    if not ensemble.members(material.metadata):
        return []
    said = page.paragraph_html(ensemble.explain(material.metadata))
    return [Chapter("ensemble", "The ensemble", said + page.table_html(ensemble.members_table(material.metadata)))]


def _curves(material: Material) -> Chapter:
    drawn = numbers.curves(material.snapshot)
    if not drawn:
        none = "No trial reported a value on its way."
        return Chapter("curves", "Learning curves", page.paragraph_html(none, "note"))
    caption = f"{material.metric} on validation rows by step (boosting rounds). {ZOOM}"
    n_pruned = sum(curve.role == "pruned" for curve in drawn)
    if n_pruned:
        caption += f" The latest {n_pruned} pruned trials in grey."
    figure = draw.curves_figure(drawn, material.metric)
    return Chapter("curves", "Learning curves", page.figure_html(figure, "curves", caption))


def _trials(material: Material) -> Chapter:
    top = numbers.top_trials(material.snapshot)
    if not top.rows:
        return Chapter("trials", "Best trials", page.paragraph_html(NOT_YET, "note"))
    said = f"The best {len(top.rows)} of {len(material.snapshot.complete)} complete trials; a heading sorts."
    return Chapter("trials", "Best trials", page.paragraph_html(said, "note") + page.table_html(top, sortable=True))


def _reproduction(material: Material) -> Chapter:
    said = "The same data, split, seed and versions give the same numbers."
    if not material.metadata:
        said = "Only the name is known: this report was written without a final model's metadata."
    facts = words.reproduction({"study_name": material.snapshot.name, **material.metadata})
    return Chapter("reproduce", "How to reproduce", page.paragraph_html(said, "note") + page.facts_html(facts))
