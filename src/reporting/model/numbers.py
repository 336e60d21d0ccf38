"""The numbers of a final model's chapters: computed once, when the table is loaded, and saved as JSON.

A later `report` command does not have the table and shows the same numbers. All values are plain Python; a number that
could not be computed is None or empty.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class GroupScore:
    """The model and the best naive baseline on a group of test rows.

    Attributes:
        name: a month, a quarter, a year, an account, a group of accounts.
        rows: test rows of the group.
        days: their distinct dates; None in a table without dates.
        score: the model's, by the target's metric; None for AUC if a class is missing.
        low, high: 95 % interval of the score; None if there are too few dates (see `intervals`).
        baseline: the score of the naive baseline that is best on all test rows.
        skill: over that baseline on these rows.
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
    """Rows of similar prediction: a tenth of all rows, if predictions differ enough.

    Attributes:
        rows: number of rows.
        days: their distinct dates; None in a table without dates.
        prediction: mean prediction.
        realised: mean realised value: of the target or of the net profit.
        low, high: 95 % interval of `realised`; None if there are too few dates.
    """

    rows: int
    days: int | None
    prediction: float
    realised: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Choice:
    """Net profit of trading only the bins with the highest predictions.

    Attributes:
        bins: number of the highest bins taken.
        rows: account-days taken.
        per_row: mean net profit of a taken account-day.
        per_day: net profit of all taken account-days divided by all test dates.
        low, high: 95 % interval of `per_day`; None if there are too few dates.
        gain: `per_day` minus the `per_day` of taking all bins.
        gain_low, gain_high: 95 % interval of `gain`, from the differences on the same days.
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
    """Net profit by prediction: the bins, and the net profit of taking only the highest of them.

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
    """A downsampled curve and the area under the full curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class RankCurves:
    """How well a binary model ranks: ROC curve, precision-recall curve, and share of ones."""

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
    """The contributions of one feature in some rows.

    Attributes:
        feature: its name.
        contributions: to the raw score of each row.
        quantiles: rank of the row's value among these rows, 0 to 1; None for a missing value and for a category.
    """

    feature: str
    contributions: tuple[float, ...]
    quantiles: tuple[float | None, ...]


@dataclass(frozen=True)
class Part:
    """Rows of one part of the table: `search`, `test`, or `purged` between them."""

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
    """All numbers of a final model's chapters.

    Attributes:
        target, task, metric: what is predicted and how it is scored.
        best_baseline: the naive baseline that groups are compared with; None without a hold-out.
        months: scores over time; None without a hold-out or dates.
        accounts: scores by account or group of accounts; None without a hold-out or accounts.
        deciles: predicted against realised target; empty without a hold-out.
        curves: of a binary model; None otherwise and without a hold-out.
        money: None without a hold-out or without known net profits.
        has_net_profit: whether the table has a net profit.
        features: by gain, the highest first.
        explained: number of rows that contributions were computed for.
        explained_part: `test`, or `search` without a hold-out.
        effects: of the features with the largest contributions, the largest first.
        parts: of the table.
        accounts_total: number of distinct accounts; None in a table without accounts.
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
    def from_json(cls, text: str) -> Self:
        """The numbers from the JSON text of `to_json`.

        Raises:
            ValueError: not JSON, or a value is missing or of another type, as in a file of another version.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error
