"""The final model's scores in words: comparison with baselines, verdict, and how to reproduce them.

Pure functions of the metadata (contract, section 8). Any key may be missing, as for a study of a user's own
objective; unknown facts are left out, never guessed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.config import Direction
from src.evaluation.intervals import RELIABLE_DATES
from src.evaluation.scoring import is_better, skill
from src.secrets import mask_url

Metadata = Mapping[str, Any]
Facts = list[tuple[str, str]]
BASELINE_WORDS = {
    "median": "the median of the training rows",
    "mean": "the mean of the training rows",
    "base_rate": "the rate in the training rows",
    "account_mean": "the account's mean so far",
    "account_rate": "the account's rate so far",
    "past_mean": "the mean of all previous days",
    "past_rate": "the rate over all previous days",
    "previous_day": "the value of the previous day",
    "mean_20_days": "the mean of the last 20 days",
}
SHOWN_ELSEWHERE = frozenset({
    "hyperparameters", "feature_names", "categorical_levels", "boolean_features", "decimal_marks", "direction",
    "monotone", "pareto_front", "members", "best_trial", "fits", "test_score", "test_interval", "test_interval_note",
    "baselines", "best_baseline", "skill", "skill_interval", "skill_interval_note",
    "validation_score", "validation_baselines", "validation_best_baseline", "validation_skill",
})  # fmt: skip
INTERVAL_METHOD = "Student's t over groups of consecutive dates, or over rows in a table without dates"
MAX_FACT_LENGTH = 300
UNKNOWN_METRIC = "value"


@dataclass(frozen=True)
class BaselineComparison:
    """The model and the naive baselines on the same rows.

    Attributes:
        part: `validation` or `test`.
        metric: the displayed name, for example `MAE`.
        direction: of the metric.
        model: the model's score.
        interval: bounds of the score's 95 % interval; None if unknown.
        baselines: scores by name, the best first.
        skill: over the first of `baselines`; None if undefined.
        skill_interval: bounds of the skill's 95 % interval; None if unknown.
        notes: on both intervals (see `interval_notes`).
    """

    part: str
    metric: str
    direction: Direction
    model: float
    interval: tuple[float, float] | None
    baselines: Mapping[str, float]
    skill: float | None
    skill_interval: tuple[float, float] | None
    notes: tuple[tuple[str, str], ...] = ()


def metric_name(metadata: Metadata) -> str:
    """The metric's displayed name, `value` if unknown."""
    return str(metadata["metric"]).upper() if metadata.get("metric") else UNKNOWN_METRIC


def compare(metadata: Metadata, part: str, direction: Direction) -> BaselineComparison | None:
    """The scores on one part, `validation` or `test`; None if the model was not scored on it."""
    model = _number(metadata.get(f"{part}_score"))
    if model is None:
        return None
    prefix = "validation_" if part == "validation" else ""
    scores = metadata.get(f"{prefix}baselines") or {}
    if part == "validation" and not scores and _number(metadata.get("test_score")) is None:
        scores = metadata.get("baselines") or {}
    known = {str(name): value for name, raw in scores.items() if (value := _number(raw)) is not None}
    hardest = dict(sorted(known.items(), key=lambda item: item[1], reverse=direction == "maximize"))
    gained = _number(metadata.get(f"{prefix}skill"))
    if gained is None and hardest:
        gained = skill("auc" if direction == "maximize" else "mae", model, next(iter(hardest.values())))
    interval = _pair(metadata.get(f"{part}_interval"))
    skill_interval = _pair(metadata.get(f"{prefix}skill_interval"))
    notes = interval_notes(metadata) if part == "test" else ()
    return BaselineComparison(
        part, metric_name(metadata), direction, model, interval, hardest, gained, skill_interval, notes
    )


def interval_notes(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    """(which interval, note) on the test rows: why there is no interval, or why it may be too narrow."""
    keys = {"score": "test_interval_note", "skill": "skill_interval_note"}
    notes = {name: note for name, key in keys.items() if isinstance(note := metadata.get(key), str)}
    if len(notes) == 2 and len(set(notes.values())) == 1:
        return (("score and skill", notes["score"]),)
    return tuple(notes.items())


def verdict(comparison: BaselineComparison | None) -> str:
    """What the scores mean, in sentences that are also true of a useless model."""
    if comparison is None:
        return "This study has no scored final model: this report describes the search only."
    place = "On the test rows, which the search never saw" if comparison.part == "test" else "On the validation rows"
    text = f"{place}, the model's {comparison.metric} is {with_interval(comparison.model, comparison.interval)}."
    text += "".join(f" Interval of the {name}: {note}." for name, note in comparison.notes)
    if comparison.part == "validation":
        text += " The search selected trials by this score, so it is too optimistic; there is no test score."
    if not comparison.baselines:
        return f"{text} No naive baseline was computed, so it is unknown whether the model is better than one."
    name, reference = next(iter(comparison.baselines.items()))
    text += f" The best naive baseline, {describe_baseline(name)}, has {format_number(reference)}. "
    return text + _against_baseline(comparison, reference) + _significance(comparison)


def _against_baseline(comparison: BaselineComparison, reference: float) -> str:
    maximize, model = comparison.direction == "maximize", comparison.model
    if model == reference:
        return "The model is exactly as good as that baseline, which needs no model."
    by = "" if comparison.skill is None else f" (skill {format_percent(comparison.skill)})"
    if not is_better("auc" if maximize else "mae", model, reference):
        return f"The model is worse than that baseline{by}: the naive baseline is the better choice."
    kind = "the baseline's distance to a perfect score" if maximize else "the baseline's error"
    share = "" if comparison.skill is None else f": it removes {comparison.skill * 100:.1f} % of {kind}"
    return f"The model is better{share}."


def _significance(comparison: BaselineComparison) -> str:
    if comparison.skill_interval is None or comparison.skill is None:
        return ""
    low, high = comparison.skill_interval
    bounds = format_interval((low, high), format_percent)
    if low <= 0 <= high:
        return f" The 95 % interval of the skill, {bounds}, includes zero: the difference may be chance."
    return f" The 95 % interval of the skill, {bounds}, does not include zero."


def describe_baseline(name: str) -> str:
    """A baseline's name and what it is."""
    return f"{name} ({BASELINE_WORDS[name]})" if name in BASELINE_WORDS else name


def reproduction(metadata: Metadata) -> Facts:
    """All metadata that no other chapter shows, nested keys joined by dots, passwords masked."""
    kept = {key: value for key, value in metadata.items() if key not in SHOWN_ELSEWHERE and value is not None}
    return [(key, mask_url(_shorten(text))) for key, text in _flatten(kept) if text]


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    nested: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        nested = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value):
        nested = [(str(i), inner) for i, inner in enumerate(value, start=1)]
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(inner) for inner in value)
    else:
        yield path, str(value)
    for key, inner in nested:
        yield from _flatten(inner, f"{path}.{key}" if path else key)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_FACT_LENGTH else f"{text[: MAX_FACT_LENGTH - 1]}…"


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    """A score with its 95 % interval, if there is one."""
    if interval is None:
        return format_number(value)
    return f"{format_number(value)} (95 % interval {format_interval(interval)})"


def format_interval(
    interval: tuple[float | None, float | None] | None, write: Callable[[float], str] | None = None
) -> str | None:
    """`1.2 to 3.4`, each bound written by `write` (`format_number` when None); None without an interval."""
    low, high = interval or (None, None)
    write = write or format_number
    return None if low is None or high is None else f"{write(low)} to {write(high)}"


def short_period(days: int | None) -> str | None:
    """A warning that intervals of so few dates may be too narrow; None for enough dates or a table without dates."""
    if days is None or days >= RELIABLE_DATES:
        return None
    return (
        f"The test period has {days} dates. If good and bad periods last for weeks, intervals from so few dates are "
        f"too narrow; they are reliable from {RELIABLE_DATES} dates on."
    )


def drawn_intervals(lows: Sequence[float | None], mark: str = "Lines") -> str:
    """A caption's sentence on the 95 % intervals with these lower bounds, and why some are missing."""
    without = sum(low is None for low in lows)
    missing = "too few dates, or too strongly autocorrelated dates, for an interval"
    if without == len(lows):
        return f"No intervals: {missing}."
    text = f"{mark}: 95 % intervals ({INTERVAL_METHOD})."
    return f"{text} {without} of {len(lows)}: {missing}." if without else text


def format_number(value: float) -> str:
    """About four significant digits: `1,234.6`, `0.7012`, `1.2e-08`, with a typographic minus sign.

    A rounded number keeps its last zeros, `190.0` for 190.04, so that it has as many digits as 188.5 beside it. An
    exact number, such as `0.5` or `100`, gets none.
    """
    if not math.isfinite(value) or value == 0:
        return str(value) if value else "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        digits = f"{size:.3g}"
    elif size >= 1000:
        digits = f"{size:,.1f}"
    else:
        short = f"{size:.4g}"
        digits = short if float(short) == size else f"{size:#.4g}".rstrip(".")
    return digits if value > 0 else f"\N{MINUS SIGN}{digits}"


def is_number(value: Any) -> bool:
    """Whether a cell is a number, aligned to the right of its column; a boolean is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_cell(value: Any) -> str:
    """A cell of a table: empty for None, floats rounded, integers in full, with thousands separators from 10,000 on."""
    if value is None:
        return ""
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}".replace("-", "\N{MINUS SIGN}")
    return str(value)


def format_percent(share: float) -> str:
    """A share in per cent with its sign: `+3.2 %`, with a typographic minus sign below zero."""
    return f"{share * 100:+.1f} %".replace("-", "\N{MINUS SIGN}")


def format_duration(seconds: float) -> str:
    """The two largest units: `3 h 5 min`, `42 s`, `0.3 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(i for i, (n, _) in enumerate(units) if n)
    return " ".join(f"{n} {unit}" for n, unit in units[first : first + 2] if n)


def _number(raw: Any) -> float | None:
    """A finite number, or None for any other value in the metadata."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    return None


def _pair(raw: Any) -> tuple[float, float] | None:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 2:
        return None
    low, high = _number(raw[0]), _number(raw[1])
    return None if low is None or high is None else (low, high)


def format_share(share: float) -> str:
    """A share in per cent, without sign: `42 %`; a small positive share is `< 1 %`, not `0 %`."""
    return f"{share * 100:.0f} %" if share == 0 or share >= 0.005 else "< 1 %"


def too_few(purpose: str, needed: int, there: int, kind: str = "complete") -> str:
    """The sentence shown instead of a figure: how many trials it needs and how many there are."""
    return f"Too few trials to {purpose}: {needed} {kind} trials are needed, there are {there}."
