"""Predicts a table block by block with one model."""

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import TableConfig
from src.config_file import FileTableConfig
from src.data.keys import parse_days
from src.errors import ConfigError, DataError
from src.serving.kept_past import KeptPast
from src.serving.next_day import add_next_day, check_next_day
from src.serving.requested_models import RequestedModel
from src.suggest import did_you_mean, listing
from src.tracking.registry.served_model import PREDICTION, served_metadata
from src.tracking.registry.served_rows import UnseenValues, check_columns, check_values, history_warnings, predict_rows

log = logging.getLogger(__name__)

RESERVED = ("target", PREDICTION, "model", "version")
"""Columns of the result besides the account and the date."""
MOST_WARNINGS = 5
"""About the past; there may be some in every block."""


@dataclass(frozen=True)
class RowsToPredict:
    """Which rows are predicted.

    Attributes:
        since: the first date; None predicts all rows.
        next_day: one new row per account, for the trading day after the table's last date.
    """

    since: dt.date | None = None
    next_day: bool = False


class BlockPredictor:
    """Predicts the blocks of a table in their order.

    Args:
        requested: the model.
        columns: names of all columns of the table.
        table: names of the account and date columns.
        rows: which rows to predict.

    Attributes:
        account: name of the account column; None without accounts.
        date: name of the date column; None without dates.
        needed: names of the columns to read.
        missing_keys: one line per default key column that the table lacks.
        needs_past: whether the model has derived features.

    Raises:
        ConfigError: `--from` or `--next-day` does not suit the table or the model.
        DataError: the table lacks columns of the model or a configured key column.
    """

    def __init__(
        self, requested: RequestedModel, columns: Sequence[str], table: TableConfig, rows: RowsToPredict
    ) -> None:
        self._model, self._rows = requested.model, rows
        self._metadata = served_metadata(requested.model)
        history = self._metadata.get("derived_features", {}).get("history")
        self.missing_keys: list[str] = []
        if history is None:
            self.account, self.date = self._present_keys(list(columns), table)
        else:
            self.account, self.date = history["account"], history["date"]
        inputs = check_columns(requested.model, list(columns))
        if rows.next_day:
            check_next_day(self._metadata)
        if rows.since is not None and self.date is None:
            raise ConfigError(
                f"--from {rows.since} needs dates, and the table has no column {table.date!r}: name it in --config"
            )
        self.needed = list(dict.fromkeys([*self.keys, *inputs]))
        self.needs_past = history is not None
        self._past = KeptPast(history, self._metadata["history_rows"]) if history is not None else None
        self._unseen, self._last_day, self._n_warnings = UnseenValues(self._metadata), None, 0

    @property
    def keys(self) -> list[str]:
        """The account and date columns that the result has."""
        return [name for name in (self.account, self.date) if name is not None]

    def predict(self, block: pd.DataFrame, start: int) -> pd.DataFrame:
        """Predicts the rows of a block that are to be predicted.

        Args:
            block: (n_rows, at least `needed`).
            start: the number of rows before the block.

        Returns:
            (n_predicted, keys and `prediction`), in the order of the rows.

        Raises:
            DataError: the rows do not fit the model; the message names the columns, or the column and the value.
        """
        try:
            if start == 0:
                check_values(self._model, block)
            return self._predict(block, start)
        except DataError as error:
            if start == 0 or " in row " not in str(error):
                raise
            raise DataError(f"{error} (row 1 is row {start + 1} of the table)") from error

    def _predict(self, block: pd.DataFrame, start: int) -> pd.DataFrame:
        chosen = self._chosen_rows(block, start)
        frame, first = block, 0
        if self._past is not None:
            frame, first = self._past.extend(block, start)
        positions = np.arange(len(block)) if chosen is None else chosen
        if self._rows.next_day or (chosen is not None and len(chosen) == 0):
            positions = positions[:0]
            prediction = np.empty(0)
        else:
            whole = chosen is None and first == 0
            prediction = self._checked(frame, None if whole else first + positions, start)
        keys = block[self.keys] if chosen is None and len(positions) else block[self.keys].iloc[positions]
        return keys.reset_index(drop=True).assign(**{PREDICTION: prediction})

    def _checked(self, frame: pd.DataFrame, positions: NDArray[np.int64] | None, start: int) -> NDArray[np.float64]:
        """Predictions of rows, with what is unusual about them counted or logged."""
        prediction = predict_rows(self._model, frame, positions)
        self._unseen.add(frame if positions is None else frame.iloc[positions])
        if self._past is not None and self._n_warnings < MOST_WARNINGS:
            prefix = f"block from row {start + 1}: " if start else ""
            for line in history_warnings(self._model, frame, positions):
                log.warning("%s%s", prefix, line)
                self._n_warnings += 1
        return prediction

    def skip(self, block: pd.DataFrame, start: int) -> None:
        """Takes note of a block whose predictions are there already."""
        self._chosen_rows(block, start)
        if self._past is not None:
            self._past.extend(block, start)

    def finish(self, n_rows: int) -> pd.DataFrame | None:
        """Ends the table: logs warnings about all of it, and predicts the next day if that is asked.

        Args:
            n_rows: of the table.

        Returns:
            The rows of the next day, as in `predict`; None if they are not asked.

        Raises:
            ConfigError: `--from` is after the last date.
            DataError: the table has no rows, which the next day needs.
        """
        result = self._next_day(n_rows) if self._rows.next_day else None
        since = self._rows.since
        if since is not None and self._last_day is not None and self._last_day < np.datetime64(since):
            raise ConfigError(f"--from {since} is after the table's last date, {self._last_day}: give an earlier date")
        for warning in self._unseen.warnings():
            log.warning("%s", warning)
        return result

    def _next_day(self, n_rows: int) -> pd.DataFrame:
        assert self._past is not None and self._past.frame is not None
        frame, positions = add_next_day(self._past.frame.reset_index(drop=True), self._metadata, self._past.dates)
        prediction = self._checked(frame, positions, 0)
        return frame[self.keys].iloc[positions].reset_index(drop=True).assign(**{PREDICTION: prediction})

    def _chosen_rows(self, block: pd.DataFrame, start: int) -> NDArray[np.int64] | None:
        """Positions of the rows to predict in a block; None means all."""
        if self._rows.since is None or self.date is None:
            return None
        days = parse_days(block[self.date], np.arange(start, start + len(block)))
        if len(days):
            self._last_day = days.max() if self._last_day is None else max(self._last_day, days.max())
        return np.flatnonzero(days >= np.datetime64(self._rows.since))

    def _present_keys(self, names: list[str], table: TableConfig) -> tuple[str | None, str | None]:
        optional = table.optional if isinstance(table, FileTableConfig) else (table.account, table.date)
        found: list[str | None] = []
        for role, name in (("account", table.account), ("date", table.date)):
            if name is None:
                found.append(None)
                continue
            if name in RESERVED or names.count(name) > 1:
                raise DataError(
                    f"the {role} column {name!r} would be duplicated in the result: rename or drop one of the two"
                )
            found.append(name if name in names else None)
            if name not in names and name in optional:
                self.missing_keys.append(
                    f"the table has no column {name!r}: match its rows to predictions by their order"
                )
            elif name not in names:
                close = did_you_mean(name, names)
                raise DataError(
                    f"column {name!r} (the {role}) is missing{close}: the table has {listing(names)}; correct --config"
                )
        return found[0], found[1]


def unused_columns(predictors: Sequence[BlockPredictor], columns: Sequence[str]) -> list[str]:
    """Columns of a table that no model needs."""
    used = {name for predictor in predictors for name in predictor.needed}
    return [name for name in columns if name not in used]


def shared_keys(predictors: Mapping[str, BlockPredictor]) -> tuple[str | None, str | None]:
    """The account and the date column of the result.

    Args:
        predictors: by target.

    Raises:
        ConfigError: the models name other ones.
    """
    by_keys: dict[Any, str] = {}
    for target, predictor in predictors.items():
        by_keys.setdefault((predictor.account, predictor.date), target)
    if len(by_keys) > 1:
        shown = "; ".join(f"{target}: {keys[0]}, {keys[1]}" for keys, target in by_keys.items())
        raise ConfigError(f"the models have different account and date columns ({shown}): predict these targets apart")
    (keys,) = by_keys
    return keys  # type: ignore[no-any-return]
