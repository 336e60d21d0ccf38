"""Scores of the predictions that were really given: a log of predictions, joined to the outcomes by account and date.

The log is what `--log-predictions` of `serve` or `predict` wrote, or a table of predictions of `predict`. Each version
is scored by itself and in its role (the champion answers, a challenger predicts in the shadow), and each challenger
against each champion on the rows that both predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from src.config import Metric, TableConfig
from src.data.encoding import NotANumber, texts_of, to_numbers
from src.data.key_values import BadKey, read_days
from src.data.sources.blocks import TableBlocks
from src.errors import ConfigError, DataError
from src.evaluation.intervals import difference_estimate, score_estimate
from src.evaluation.scoring import Floats
from src.monitoring.score_over_time import Part, is_defined, score_parts
from src.suggest import listing, number

CHAMPION = "champion"
BLOCK_ROWS = 100_000
_PREDICTION = "prediction"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came true.

    Attributes:
        metric: of the target.
        accounts: (n_rows,) text; None without accounts.
        dates: (n_rows,) datetime64[D].
        y: (n_rows,) no NaN.
    """

    metric: Metric
    accounts: Any
    dates: Any
    y: Floats


@dataclass(frozen=True)
class VersionScore:
    """The score of the logged predictions of one version in one role, with its 95 % interval if there is one.

    Attributes:
        version: of the registered model, or the id of a model that is not registered.
        role: the alias by which it predicted; empty if the log does not say it.
        parts: by 20 dates, the same for all versions.
    """

    version: str
    role: str
    first: str
    last: str
    rows: int
    score: float
    low: float | None
    high: float | None
    parts: tuple[Part, ...]

    @property
    def shown(self) -> str:
        """Role and version in words."""
        return f"{self.role} v{self.version}".strip()


@dataclass(frozen=True)
class VersionDifference:
    """A challenger's score minus a champion's on the rows that both predicted, with a 95 % interval if there is one."""

    challenger: str
    champion: str
    first: str
    last: str
    rows: int
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Answered:
    """What the log shows.

    Attributes:
        metric: of the target.
        versions: champions first, then in the order of their first date.
        differences: between challengers and champions.
        notes: what could not be joined or scored.
    """

    metric: Metric
    versions: tuple[VersionScore, ...]
    differences: tuple[VersionDifference, ...]
    notes: tuple[str, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Of `rows`."""
        return ("dates", *(version.shown for version in self.versions))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The versions side by side: their scores by 20 dates, then over all dates, with interval and rows."""
        spans = sorted({(part.first, part.last) for version in self.versions for part in version.parts})
        found = []
        for span in spans:
            parts = [
                next((part for part in version.parts if (part.first, part.last) == span), None)
                for version in self.versions
            ]
            found.append((f"{span[0]} … {span[1]}", *(_cell(part) for part in parts)))
        return [*found, ("all", *(_cell(version) for version in self.versions))]

    @property
    def lines(self) -> list[str]:
        """The differences in words."""
        return [
            f"{each.challenger} minus {each.champion}: {number(each.difference)}{_interval(each)} on {each.rows} rows "
            f"of {each.first} … {each.last} that both predicted"
            for each in self.differences
        ]


def _cell(of: "Part | VersionScore | None") -> str:
    return "-" if of is None else f"{number(of.score)}{_interval(of)}, {of.rows} rows"


def _interval(of: "Part | VersionScore | VersionDifference") -> str:
    return "" if of.low is None or of.high is None else f" ({of.low:.5g} … {of.high:.5g})"


def read_log(blocks: TableBlocks, target: str, table: TableConfig, source: str) -> pd.DataFrame:
    """The logged predictions of a target.

    Args:
        blocks: the log.
        target: what was predicted.
        table: names of the account and date columns.
        source: the log, for messages.

    Returns:
        (n_rows, `account`, `day`, `prediction`, `version`, `role`, `time`); rows without a date that can be read have
        NaT.

    Raises:
        ConfigError: columns are missing.
        DataError: a prediction is not a number.
    """
    assert table.date is not None
    wanted = [table.date, _PREDICTION, "version", *([] if table.account is None else [table.account])]
    if missing := [name for name in wanted if name not in blocks.columns]:
        raise ConfigError(
            f"--predictions {source} has no column(s) {listing(missing)}; it has {listing(blocks.columns)}: give a log "
            "of serve or predict, and the --config that it was written with"
        )
    optional = [name for name in ("target", "role", "time") if name in blocks.columns]
    parts = []
    for block in blocks.blocks(BLOCK_ROWS, [*wanted, *optional]):
        rows = block if "target" not in block else block[texts_of(block["target"]).to_numpy() == target]
        rows = rows.reset_index(drop=True)
        found = {
            "account": "" if table.account is None else texts_of(rows[table.account]),
            "day": _days(rows[table.date]),
            "prediction": _numbers(rows[_PREDICTION]),
            "version": texts_of(rows["version"]),
            "role": texts_of(rows["role"]).fillna("") if "role" in rows else "",
            "time": pd.to_datetime(rows["time"], utc=True) if "time" in rows else pd.NaT,
        }
        parts.append(pd.DataFrame(found, index=rows.index))
    return pd.concat(parts, ignore_index=True)


def _numbers(column: pd.Series) -> Floats:
    try:
        return to_numbers(column, _PREDICTION)
    except NotANumber as error:
        raise DataError(str(error)) from error


def _days(column: pd.Series) -> pd.Series:
    """Dates, NaT where there is none: a request may have held anything."""
    days = pd.Series(np.datetime64("NaT"), column.index, dtype="datetime64[s]")
    for value, rows in column.dropna().groupby(column).groups.items():
        try:
            days[rows] = read_days(pd.Series([value]))[0]
        except BadKey:  # not a date; counted by `score_log`
            continue
    return days


def score_log(log: pd.DataFrame, outcomes: Outcomes) -> Answered:
    """Scores logged predictions where the outcome is known.

    Of several predictions of a version for an account and date, the last one counts.

    Args:
        log: from `read_log`.
        outcomes: of new rows; at most one per account and date.
    """
    usable = log[log["day"].notna() & log["account"].notna() & np.isfinite(log["prediction"])]
    notes = []
    if len(usable) < len(log):
        notes.append(f"{len(log) - len(usable)} of {len(log)} logged predictions have no account, date or finite value")
    keys = ["account", "day"]
    last = usable.sort_values("time", kind="stable").drop_duplicates([*keys, "version", "role"], keep="last")
    truth = pd.DataFrame({"day": outcomes.dates.astype("datetime64[s]"), "y": outcomes.y})
    truth["account"] = "" if outcomes.accounts is None else pd.Series(outcomes.accounts, dtype="str")
    if (repeated := truth.duplicated(keys, keep=False)).any():
        notes.append(f"{int(repeated.sum())} rows of --data share account and date with another one: not joined")
    joined = last.astype({"account": "str"}).merge(truth[~repeated].astype({"account": "str"}), on=keys)
    joined = joined.sort_values("day", kind="stable")
    if not len(joined):
        notes.append("no logged prediction has an outcome yet: account and date have to be those of --data")
    groups = [((str(version), str(role)), rows) for (version, role), rows in joined.groupby(["version", "role"])]
    all_dates = joined["day"].to_numpy().astype("datetime64[D]")
    scored = [
        (score, rows) for key, rows in groups if (score := _score(key, rows, outcomes.metric, all_dates)) is not None
    ]
    if len(scored) < len(groups):
        notes.append("logged predictions whose outcomes are of one class have no AUC")
    scored.sort(key=lambda each: (each[0].role != CHAMPION, each[0].first, each[0].shown))
    differences = _differences(scored, outcomes.metric)
    return Answered(outcomes.metric, tuple(score for score, _ in scored), differences, tuple(notes))


def _score(key: tuple[str, str], rows: pd.DataFrame, metric: Metric, all_dates: Any) -> VersionScore | None:
    y, prediction, dates = _arrays(rows)
    if not is_defined(metric, y):
        return None
    found = score_estimate(metric, y, prediction, dates)
    parts = score_parts(metric, y, prediction, dates, all_dates)
    return VersionScore(*key, str(dates[0]), str(dates[-1]), len(y), found.value, found.low, found.high, parts)


def _differences(scored: Sequence[tuple[VersionScore, pd.DataFrame]], metric: Metric) -> tuple[VersionDifference, ...]:
    found = []
    for champion, answered in scored:
        for challenger, shadow in scored:
            if champion.role != CHAMPION or challenger.role in (CHAMPION, "") or challenger.version == champion.version:
                continue
            both = answered.merge(shadow[["account", "day", "prediction"]], on=["account", "day"], suffixes=("", "_2"))
            both = both.sort_values("day", kind="stable")
            y, prediction, dates = _arrays(both)
            if not len(y) or not is_defined(metric, y):
                continue
            result = difference_estimate(metric, y, both["prediction_2"].to_numpy(), prediction, dates)
            days = (str(dates[0]), str(dates[-1]))
            found.append(
                VersionDifference(
                    challenger.shown, champion.shown, *days, len(y), result.value, result.low, result.high
                )
            )
    return tuple(found)


def _arrays(rows: pd.DataFrame) -> tuple[Floats, Floats, Any]:
    return rows["y"].to_numpy(), rows["prediction"].to_numpy(), rows["day"].to_numpy().astype("datetime64[D]")
