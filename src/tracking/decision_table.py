"""What `promote` prints and writes: decisions and the history of champions, as tables and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from src.suggest import number, text_table

if TYPE_CHECKING:
    from src.tracking.registry.champion_history import ChampionPeriod
    from src.tracking.registry.comparison import ModelComparison
    from src.tracking.registry.contests import Verdict

HEADER = (
    "target", "metric", "champion", "challenger", "rows", "dates", "champion's score", "challenger's score",
    "difference", "95 % interval", "better with", "needed", "decision",
)  # fmt: skip
HISTORY_HEADER = ("target", "champion", "from (UTC)", "to (UTC)", "why", "by")


def table_text(results: Sequence["ModelComparison"], verdicts: Sequence["Verdict"], decisions: Sequence[str]) -> str:
    """One row per comparison, then notes on the intervals and on repeated contests."""
    from src.tracking.registry.comparison import MIN_NEW_DATES

    notes = [f"{result.target}: {result.difference.note}" for result in results if result.difference.note]
    for result, verdict in zip(results, verdicts, strict=True):
        if verdict.contest > 1:
            notes.append(
                f"{result.target}: contest {verdict.contest} on these dates, so it needs {_percent(verdict.required)} "
                f"confidence; give --data with {MIN_NEW_DATES} dates after the last contest for a first one"
            )
    return "\n".join(text_table(HEADER, map(_row, results, verdicts, decisions)) + notes)


def _row(result: "ModelComparison", verdict: "Verdict", decision: str) -> tuple[str, ...]:
    compared, interval = result.comparison, result.difference.interval
    return (
        result.target,
        compared.metric.upper(),
        *versions(result),
        str(compared.n_rows),
        f"{result.dates[0]} … {result.dates[1]} ({result.n_dates})" if result.dates else "-",
        number(compared.champion_score),
        number(compared.challenger_score),
        f"{compared.difference:+.5g}",
        "-" if interval is None else f"{interval[0]:+.5g} … {interval[1]:+.5g}",
        "-" if result.confidence is None else f"{100 * result.confidence:.1f} %",
        _percent(verdict.required),
        decision,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def versions(result: "ModelComparison") -> tuple[str, str]:
    """Champion and challenger, such as v1 and v2."""
    from src.tracking.registry.model_versions import version_number

    champion, challenger = result.comparison.champion_uri, result.comparison.challenger_uri
    return f"v{version_number(champion)}", f"v{version_number(challenger)}"


def write_decision(
    result: "ModelComparison", verdict: "Verdict", decision: str, min_probability: float, folder: Path
) -> None:
    """Writes a decision as JSON; an older file of the same two versions is replaced.

    Raises:
        OSError: the folder cannot be written.
    """
    from src.disk import write_atomically

    champion, challenger = versions(result)
    record = asdict(result) | {
        "decision": decision, "min_probability": min_probability, "contest": verdict.contest,
        "required_confidence": verdict.required,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.target}_{challenger}_against_{champion}.json"
    write_atomically(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


def history_text(periods: Mapping[str, Sequence["ChampionPeriod"]]) -> str:
    """One row per target and champion, the first champion first; times in UTC."""
    rows = [_history_row(target, period) for target, found in periods.items() for period in found]
    return "\n".join(text_table(HISTORY_HEADER, rows))


def _history_row(target: str, period: "ChampionPeriod") -> tuple[str, ...]:
    change = period.change
    until = "now" if period.is_present else _minute(period.until)
    return target, f"v{change.version}", _minute(change.at), until, _why(period), change.by or "-"


def _minute(at: str | None) -> str:
    return "unknown" if at is None else at[:19].replace("T", " ")


def _why(period: "ChampionPeriod") -> str:
    change = period.change
    before = "" if change.over is None else f" v{change.over}"
    if not change.figures:
        return f"{change.why}{' of' if change.why == 'rollback' else ' after'}{before}" if before else change.why
    metric, rows, old, new = (change.figures.get(key, "-") for key in _FIGURES)
    return f"{change.why} against{before}: {metric.upper()} {_short(new)}, v{change.over} {_short(old)}, {rows} rows"


_FIGURES = ("metric", "rows", "champion_score", "challenger_score")


def _short(text: str) -> str:
    return number(None if text == "-" else float(text))


def history_json(periods: Mapping[str, Sequence["ChampionPeriod"]]) -> str:
    """The periods by target, as JSON."""
    rows = {
        target: [asdict(period.change) | {"until": period.until, "is_present": period.is_present} for period in found]
        for target, found in periods.items()
    }
    return json.dumps(rows, indent=2) + "\n"
