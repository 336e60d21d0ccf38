"""What a report says of a final model, as numbers: measured once, where the data is, and kept as JSON beside it.

A later `report` in another process has no table at hand and shows the same. All of it is plain Python; what could
not be measured is None or empty.
"""

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class GroupScore:
    """The model and the best naive forecast on some of the test rows.

    Attributes:
        name: a month, a quarter, a year, an account, a group of accounts.
        rows: test rows of the group.
        days: their distinct dates; None in a table without dates.
        score: the model's, by the target's metric; None where a class is missing under AUC.
        low, high: 95 % interval of the score; None where the dates are too few for one (see `intervals`).
        baseline: the score of the naive forecast that is best on all test rows.
        skill: over that forecast on these rows.
        skill_low, skill_high: 95 % interval of the skill.
    """

    name: str
    rows: int
    days: int | None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    skill: float | None = None
    skill_low: float | None = None
    skill_high: float | None = None


@dataclass(frozen=True)
class Groups:
    """Scores by group; `kind` says what a group is (`month`, `account`, ...), `rule` how the groups were made."""

    kind: str
    rule: str
    scores: tuple[GroupScore, ...]


@dataclass(frozen=True)
class Bin:
    """Rows of similar prediction, a tenth of all where predictions differ enough.

    Attributes:
        rows: how many.
        days: their distinct dates; None in a table without dates.
        prediction: mean prediction.
        realised: mean of what came true: the target, or the net profit.
        low, high: 95 % interval of `realised`; None where the dates are too few for one.
    """

    rows: int
    days: int | None
    prediction: float
    realised: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Choice:
    """What trading only the bins of the highest predictions would have earned.

    Attributes:
        bins: how many of the highest bins are taken.
        rows: account-days taken.
        per_row: mean net profit of a taken account-day.
        per_day: net profit of all taken account-days divided by all test dates.
        low, high: 95 % interval of `per_day`; None where the dates are too few for one.
        gain: `per_day` less that of taking everything.
        gain_low, gain_high: its 95 % interval, of the difference of both on the same days.
    """

    bins: int
    rows: int
    per_row: float
    per_day: float
    low: float | None
    high: float | None
    gain: float
    gain_low: float | None
    gain_high: float | None


@dataclass(frozen=True)
class ProfitByPrediction:
    """Net profit by prediction: bins from the lowest prediction to the highest, and what choosing among them earns.

    Attributes:
        rows: test rows whose net profit is known.
        days: their distinct dates; None in a table without dates.
        per_row: mean net profit of these rows.
        bins: the lowest predictions first.
        choices: from the highest bin alone to all bins; empty without dates.
    """

    rows: int
    days: int | None
    per_row: float
    bins: tuple[Bin, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class RankCurve:
    """A thinned curve and the area under the full one."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class RankCurves:
    """How a binary model ranks: ROC, precision by recall, and the share of ones."""

    roc: RankCurve
    precision_recall: RankCurve
    base_rate: float


@dataclass(frozen=True)
class Feature:
    """One feature of the model.

    Attributes:
        name: of the column.
        gain: its share of the gain of all splits.
        contribution: mean absolute contribution to the raw score (SHAP).
        missing: share of all rows in which it is missing.
        shift: population stability index of test against search rows; None without a hold-out.
    """

    name: str
    gain: float
    contribution: float
    missing: float
    shift: float | None


@dataclass(frozen=True)
class Effect:
    """What one feature did in some rows.

    Attributes:
        feature: its name.
        contributions: to the raw score of each row.
        quantiles: where the row's value lies among the others, 0 to 1; None for a missing value and for a category.
    """

    feature: str
    contributions: tuple[float, ...]
    quantiles: tuple[float | None, ...]


@dataclass(frozen=True)
class Part:
    """Rows of one part of the table: `search`, `test`, or what lies purged between."""

    name: str
    rows: int
    days: int | None
    accounts: int | None
    first: str | None
    last: str | None
    target_mean: float


@dataclass(frozen=True)
class Span:
    """Whole days on the time axis: `training`, `gap`, `validation` or `test` of one fit, both ends included."""

    fit: str
    part: str
    first: str
    last: str


@dataclass(frozen=True)
class ModelNumbers:
    """Everything that is measured of a final model.

    Attributes:
        target, task, metric: what is predicted and how it is judged.
        best_baseline: the naive forecast that groups are compared with; None without a hold-out.
        months: scores over time; None without a hold-out or dates.
        accounts: scores by account or group of accounts; None without a hold-out or accounts.
        deciles: predicted against realised target; empty without a hold-out.
        curves: of a binary model; None otherwise and without a hold-out.
        money: None without a hold-out, or where the table does not say what was earned.
        has_net_profit: whether the table does.
        features: by gain, the highest first.
        explained: rows that contributions were computed for.
        explained_part: `test`, or `search` without a hold-out.
        effects: of the features with the largest contributions, the largest first.
        parts: of the table.
        accounts_total: distinct accounts; None where rows belong to none.
        spans: the split on the time axis; empty without dates.
    """

    target: str
    task: str
    metric: str
    best_baseline: str | None
    months: Groups | None
    accounts: Groups | None
    deciles: tuple[Bin, ...]
    curves: RankCurves | None
    money: ProfitByPrediction | None
    has_net_profit: bool
    features: tuple[Feature, ...]
    explained: int
    explained_part: str
    effects: tuple[Effect, ...]
    parts: tuple[Part, ...]
    accounts_total: int | None
    spans: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """As dictionaries and lists that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` gave, also after a way through a file.

        Raises:
            ValueError: something is missing or of another kind, as in a file of another version.
        """
        numbers = _read(cls, found, "the model's numbers")
        assert isinstance(numbers, cls)
        return numbers


def _read(kind: Any, found: Any, path: str) -> Any:
    """A value of a declared type from its JSON form."""
    if isinstance(kind, types.UnionType):
        (inner,) = (arg for arg in get_args(kind) if arg is not type(None))
        return None if found is None else _read(inner, found, path)
    if get_origin(kind) is tuple:
        if not isinstance(found, list | tuple):
            raise ValueError(f"{path} is {found!r:.60}: a list is needed")
        inner = get_args(kind)[0]
        return tuple(_read(inner, each, path) for each in found)
    if is_dataclass(kind):
        return _read_dataclass(kind, found, path)
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(found, accepted):
        raise ValueError(f"{path} is {found!r:.60}: a value of type {kind.__name__} is needed")
    return found


def _read_dataclass(kind: Any, found: Any, path: str) -> Any:
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} is {found!r:.60}: names with values are needed")
    hints = get_type_hints(kind)
    missing = [field.name for field in fields(kind) if field.name not in found]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: it was written by another version")
    return kind(**{field.name: _read(hints[field.name], found[field.name], field.name) for field in fields(kind)})
