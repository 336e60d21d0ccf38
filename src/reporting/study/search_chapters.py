"""The chapters on a study's search."""

from collections.abc import Mapping

from src.reporting.document.axis_limits import axis_limits, outside_note
from src.reporting.document.blocks import Block, Chapter, Figure, Grid, Paragraph, TableBlock
from src.reporting.document.downsample import MAX_POINTS, downsampling_note
from src.reporting.document.words import UNKNOWN_METRIC, format_share, too_few
from src.reporting.study import numbers
from src.reporting.study.durations import durations, durations_plot, states_table
from src.reporting.study.evolution import FEWEST_TRIALS, evolution_plot, evolutions
from src.reporting.study.failures import failures
from src.reporting.study.history import describe_progress, history_plot, progress, value_limits
from src.reporting.study.importances import Importances, importances, importances_plot
from src.reporting.study.learning_curves import curves, curves_plot
from src.reporting.study.numbers import MIN_TRIALS, Snapshot
from src.reporting.study.pairs import most_important_pair, pair_plot
from src.reporting.study.parallel_coordinates import coordinates, coordinates_plot
from src.reporting.study.pruning import Pruning, describe_pruning, pruning, pruning_plot
from src.reporting.study.slices import slice_plot, slices
from src.reporting.study.workers import MAX_ROWS, by_worker, spans, utilisation, workers_plot, workers_table

MAX_SMALL = 24
"""Maximum number of small figures in one chapter."""
POINTS_OF_SLICES = 7000
"""Maximum number of points in all slices together, which keeps their data in the HTML file below a megabyte."""


def search_chapters(snapshot: Snapshot, metric: str) -> list[Chapter]:
    """All chapters of the search, even before there is much to show."""
    result = importances(snapshot)
    return [
        _history(snapshot, metric),
        _importances(result),
        _parameters(snapshot, metric, result.shares),
        _together(snapshot, metric, result.shares),
        _evolution(snapshot, result.shares),
        _curves(snapshot, metric),
        _pruning(snapshot),
        _time(snapshot),
        _trials(snapshot),
    ]


def _not_yet(snapshot: Snapshot) -> str:
    return "No complete trial meets the constraints." if snapshot.complete else "No trial is complete yet."


def _note(text: str) -> Paragraph:
    return Paragraph(text, "note")


def _history(snapshot: Snapshot, metric: str) -> Chapter:
    known = numbers.history(snapshot)
    n_points = len(known.complete.numbers) + len(known.pruned.numbers)
    if not n_points:
        return Chapter("history", "History", [_note(_not_yet(snapshot))])
    counts = numbers.count_states(snapshot)
    caption = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed trials."
    shown = min(len(known.complete.numbers), MAX_POINTS) + min(len(known.pruned.numbers), MAX_POINTS // 2)
    if n_infeasible := len(snapshot.complete) - len(snapshot.feasible):
        caption += f" {n_infeasible} complete trials that do not meet the constraints are left out."
    caption += downsampling_note(n_points, shown)
    caption += outside_note(value_limits(snapshot), [*known.complete.values, *known.pruned.values])
    figure = Figure("history", history_plot(snapshot, metric), caption)
    where = progress(snapshot)
    enough = where is not None and where.finished >= MIN_TRIALS
    paragraph = Paragraph(describe_progress(where, metric), "plain" if enough else "note")
    return Chapter("history", "History", [paragraph, figure])


def _importances(result: Importances) -> Chapter:
    title = "Parameter importances"
    if not result.shares:
        return Chapter("importances", title, [_note(result.why_not)])
    caption = (
        "Share of the difference between the top trials and all trials that a parameter explains (PED-ANOVA). "
        "Line: plus and minus two standard deviations, from 20 bootstrap resamples of the trials."
    )
    return Chapter("importances", title, [Figure("importances", importances_plot(result), caption)])


def _parameters(snapshot: Snapshot, metric: str, shares: Mapping[str, float]) -> Chapter:
    best = numbers.best_parameters(snapshot)
    if not best.rows:
        none = _not_yet(snapshot) if not snapshot.feasible else "The trials have no parameters."
        return Chapter("parameters", "Parameters", [_note(none)])
    cuts = slices(snapshot)
    shown = sorted(cuts, key=lambda cut: -shares.get(cut.name, 0.0))[:MAX_SMALL]
    limit, maximize = POINTS_OF_SLICES // len(shown), snapshot.direction == "maximize"
    small = [Figure(f"slice-{i}", slice_plot(cut, metric, maximize, limit)) for i, cut in enumerate(shown)]
    which = "Each complete trial is a point, later trials are darker; the most important parameters first."
    if len(snapshot.complete) < MIN_TRIALS:
        which += f" {len(snapshot.complete)} complete trials are too few to show a trend: {MIN_TRIALS} are needed."
    if len(shown) < len(cuts):
        which += f" {len(shown)} of {len(cuts)} parameters are drawn."
    if len(snapshot.complete) > limit:
        which += f" At most {limit:,} trials are drawn, including the best ones."
    if any(axis_limits(cut.ys, maximize) for cut in shown):
        which += " Far worse values are outside the axes."
    first = Paragraph(f"The best trial is number {snapshot.ranked[0].number}.")
    return Chapter("parameters", "Parameters", [first, TableBlock(best), _note(which), Grid(small)])


def _together(snapshot: Snapshot, metric: str, shares: Mapping[str, float]) -> Chapter:
    key, title = "together", "Parameters together"
    if len(snapshot.complete) < MIN_TRIALS:
        return Chapter(key, title, [_note(too_few("show parameters together", MIN_TRIALS, len(snapshot.complete)))])
    blocks: list[Block] = []
    lines = coordinates(snapshot, shares)
    if len(lines.parameters) > 1:
        many = f"The {len(lines.numbers)} best of {len(snapshot.complete):,} complete trials"
        caption = f"{many}, one line per trial. Good trials agree on a parameter where the lines lie close together."
        blocks.append(Figure("coordinates", coordinates_plot(lines), caption, "The best trials"))
    pair = most_important_pair(snapshot, shares)
    if pair is None:
        blocks.append(_note(f"No two numeric parameters were sampled together in {MIN_TRIALS} complete trials."))
    else:
        better = "better" if snapshot.direction == "maximize" else "worse"
        caption = f"Mean {metric} of the trials in each cell: the darker the colour, the higher the value, so {better}."
        caption += " Cells without a trial have no colour."
        heading = f"{pair.x.name} and {pair.y.name}"
        plot = pair_plot(pair, metric, snapshot.direction == "maximize")
        blocks.append(Figure("pair", plot, caption, heading))
    return Chapter(key, title, blocks)


def _evolution(snapshot: Snapshot, shares: Mapping[str, float]) -> Chapter:
    key, title = "evolution", "Sampled values over time"
    ordered = sorted(evolutions(snapshot), key=lambda one: -shares.get(one.known.name, 0.0))
    if not ordered:
        return Chapter(key, title, [_note(_no_evolution(snapshot))])
    best = snapshot.ranked[0].params if snapshot.ranked else {}
    small = [
        Figure(f"evolution-{i}", evolution_plot(one, None if one.known.choices else best.get(one.known.name)))
        for i, one in enumerate(ordered[:MAX_SMALL])
    ]
    note = (
        "Each parameter over the trials that sampled it, finished or not: running median and middle half of the "
        "values; for a categorical parameter, the running share of each choice. A window is a tenth of these trials, "
        "at least ten. The horizontal line is the best trial's value. A band becomes narrow where the search converges."
    )
    return Chapter(key, title, [_note(note), Grid(small)])


def _no_evolution(snapshot: Snapshot) -> str:
    if len(snapshot.trials) >= FEWEST_TRIALS:
        return f"No parameter was sampled by {FEWEST_TRIALS} trials."
    return too_few("show sampled values over time", FEWEST_TRIALS, len(snapshot.trials), "started")


def _curves(snapshot: Snapshot, metric: str) -> Chapter:
    drawn = curves(snapshot)
    if not drawn:
        return Chapter("curves", "Learning curves", [_note("No trial reported an intermediate value.")])
    # A user's own objective may report other values, and its steps may be epochs.
    caption = "What the trials reported, by step."
    if metric != UNKNOWN_METRIC:
        caption = f"{metric} on validation rows by step (boosting rounds)."
    n_pruned = sum(curve.role == "pruned" for curve in drawn)
    if n_pruned:
        caption += f" The latest {n_pruned} pruned trials in grey."
    return Chapter("curves", "Learning curves", [Figure("curves", curves_plot(drawn, metric), caption)])


def _pruning(snapshot: Snapshot) -> Chapter:
    result = pruning(snapshot)
    return Chapter("pruning", "Pruning", _pruning_blocks(result, len(snapshot.in_state("PRUNED"))))


def _pruning_blocks(result: Pruning, n_pruned: int) -> list[Block]:
    if not n_pruned:
        return [_note("No trial was pruned.")]
    if not result.cuts:
        return [_note(f"{n_pruned} trials were pruned. None reported a value, so the steps are unknown.")]
    silent = n_pruned - len(result.cuts)
    caption = "Pruned trials by the last reported step."
    caption += f" {silent} pruned trials reported no step and are left out." if silent else ""
    return [Paragraph(describe_pruning(result)), Figure("pruning", pruning_plot(result), caption)]


def _time(snapshot: Snapshot) -> Chapter:
    if not snapshot.trials:
        return Chapter("time", "Trials, time and workers", [_note("There is no trial yet.")])
    blocks: list[Block] = [TableBlock(states_table(snapshot))]
    taken = durations(snapshot)
    if taken:
        caption = "Finished trials by duration."
        blocks.append(Figure("durations", durations_plot(taken), caption, "Durations"))
    blocks += _workers(snapshot)
    failed = failures(snapshot)
    if failed.rows:
        blocks.append(TableBlock(failed, "Failed trials"))
    unusable = len(snapshot.in_state("COMPLETE")) - len(snapshot.complete)
    if unusable:
        blocks.append(_note(f"{unusable} complete trials have an infinite value; they are counted but not compared."))
    return Chapter("time", "Trials, time and workers", blocks)


def _workers(snapshot: Snapshot) -> list[Block]:
    trial_spans = spans(snapshot)
    groups = by_worker(trial_spans)
    share = utilisation(trial_spans)
    if not groups or not share:  # no worker ran for a measurable time
        return []
    if len(groups) == 1:
        return [Paragraph(f"One worker ran all trials; it was busy {format_share(share)} of the time.")]
    busy = f"on average, a worker was busy {format_share(share)} of the time from its first trial to its last"
    text = f"{len(groups)} workers ran the trials; {busy}."
    caption = "One row per worker (host:pid), one bar per trial; with many trials, bars show only when any trial ran."
    if len(groups) > MAX_ROWS:
        caption += f" The {MAX_ROWS} of {len(groups)} workers that started first are drawn."
    figure = Figure("workers", workers_plot(trial_spans), caption, "Workers over time")
    return [Paragraph(text), TableBlock(workers_table(trial_spans), "Workers", sortable=True), figure]


def _trials(snapshot: Snapshot) -> Chapter:
    top = numbers.top_trials(snapshot)
    if not top.rows:
        return Chapter("trials", "Best trials", [_note(_not_yet(snapshot))])
    meeting = "" if len(snapshot.feasible) == len(snapshot.complete) else " that meet the constraints"
    note = f"The best {len(top.rows)} of {len(snapshot.feasible)} complete trials{meeting}."
    return Chapter("trials", "Best trials", [_note(note), TableBlock(top, sortable=True)])
