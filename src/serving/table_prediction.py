"""Predicts a table with one or more models, and writes the predictions block by block."""

import logging
from collections.abc import Iterator, Sequence

import pandas as pd

from src.config import TableConfig
from src.data.sources.blocks import TableBlocks
from src.serving.block_digest import extend_digest
from src.serving.block_predictor import BlockPredictor, RowsToPredict, shared_keys, unused_columns
from src.serving.kept_past import is_sorted_by_date
from src.serving.prediction_part import Part, PredictionOutput
from src.serving.read_ahead import read_ahead
from src.serving.requested_models import RequestedModel

log = logging.getLogger(__name__)


class TablePrediction:
    """The predictions of a table.

    Args:
        models: they predict different targets.
        table: the table.
        names: of its account and date columns.
        rows: which rows to predict.
        block_rows: rows of a block.

    Attributes:
        keys: names of the account and the date column of the result; None for one that is missing.
        unused: columns of the table that no model needs.

    Raises:
        ConfigError, DataError: a model does not fit the table, or the models do not fit together.
    """

    def __init__(
        self,
        models: Sequence[RequestedModel],
        table: TableBlocks,
        names: TableConfig,
        rows: RowsToPredict,
        block_rows: int,
    ) -> None:
        self._table, self._models, self._block_rows, self._rows = table, models, block_rows, rows
        self._predictors = [BlockPredictor(model, table.columns, names, rows) for model in models]
        for line in dict.fromkeys(line for predictor in self._predictors for line in predictor.missing_keys):
            log.warning("%s", line)
        targets = [model.target for model in models]
        self.keys = shared_keys(dict(zip(targets, self._predictors, strict=True)))
        self.unused = unused_columns(self._predictors, table.columns)

    @property
    def record(self) -> dict[str, object]:
        """What the predictions depend on besides the table, as JSON values."""
        return {
            "models": [
                {"target": model.target, "model": model.name, "version": model.version} for model in self._models
            ],
            "from": None if self._rows.since is None else self._rows.since.isoformat(),
            "next_day": self._rows.next_day,
            "block_rows": self._block_rows,
            "keys": list(self.keys),
        }

    def write(self, output: PredictionOutput, several: bool) -> int:
        """Predicts the table; returns the number of predictions.

        Args:
            output: where the predictions go.
            several: whether rows name their target.

        Raises:
            ConfigError, DataError: a row does not fit a model, or the output does not suit.
        """
        start, n_written, digest = 0, 0, ""
        nothing = None
        for block, digest in read_ahead(self._digested(output.resumes)):
            stop = start + len(block)
            part = Part(start, stop, digest)
            n_there = output.n_rows_of(part)
            if n_there is None:
                found = [predictor.predict(block, start) for predictor in self._predictors]
                n_there, nothing = self._write_part(output, part, found, several)
            else:
                for predictor in self._predictors:
                    predictor.skip(block, start)
            start, n_written = stop, n_written + n_there
        ends = [predictor.finish(start) for predictor in self._predictors]
        next_day = [end for end in ends if end is not None]
        if next_day:
            part = Part(start, start + len(next_day[0]), digest)
            n_there = output.n_rows_of(part)
            n_written += self._write_part(output, part, next_day, several)[0] if n_there is None else n_there
        if n_written == 0 and nothing is not None:
            output.write(Part(0, start, digest), nothing)
        output.finish()
        return n_written

    def _write_part(
        self, output: PredictionOutput, part: Part, found: Sequence[pd.DataFrame], several: bool
    ) -> tuple[int, pd.DataFrame]:
        """Writes the predictions of all models for a block, if there are any; returns their number, and the frame."""
        frames = []
        for model, predictions in zip(self._models, found, strict=True):
            texts = {"target": model.target} if several else {}
            texts |= {"model": model.name, "version": model.version}
            frames.append(
                predictions.assign(**{name: _repeated(text, len(predictions)) for name, text in texts.items()})
            )
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        if len(frame):
            output.write(part, frame)
        return len(frame), frame

    def _digested(self, needs_digest: bool) -> Iterator[tuple[pd.DataFrame, str]]:
        """The blocks, each with the digest of all rows up to its end; an empty text if it is not needed."""
        digest = ""
        for block in self._blocks():
            digest = extend_digest(digest, block) if needs_digest else ""
            yield block, digest

    def _blocks(self) -> Iterator[pd.DataFrame]:
        """The columns that the models need, in blocks; in one block if a model needs a past that is not sorted."""
        needed = list(dict.fromkeys(name for predictor in self._predictors for name in predictor.needed))
        dates = dict.fromkeys(p.date for p in self._predictors if p.needs_past and p.date is not None)
        n_rows: int | None = self._block_rows
        if not all(is_sorted_by_date(self._table, date, self._block_rows) for date in dates):
            log.warning(
                "the table is not sorted by date, and the model needs the past of each row: its columns are held in "
                "memory; sort it by date if it is large"
            )
            n_rows = None
        return self._table.blocks(n_rows, needed)


def _repeated(text: str, n_rows: int) -> pd.Series:
    return pd.Series(pd.array([text], dtype="str").repeat(n_rows))
