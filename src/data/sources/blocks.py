"""Reads a table in blocks of rows, so that memory does not grow with the table.

A block has the values that `dispatch.read_table` gives for the same rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from src.data.sources.dispatch import SQL_SCHEMES, check_query, read_table, scheme_of
from src.data.sources.files import (
    check_quotes,
    csv_batches,
    csv_columns,
    csv_errors,
    csv_frame,
    is_parquet,
    open_parquet,
    parquet_errors,
    table_files,
    to_frame,
)

if TYPE_CHECKING:
    import pyarrow as pa

READ_ROWS = 50_000
"""Rows that are decoded from Parquet at a time."""
BUFFER_BYTES = 1 << 20
"""Read from a column of a Parquet file at a time."""


class TableBlocks(Protocol):
    """A table that is read in blocks.

    Attributes:
        columns: the names of all columns, in order.
    """

    columns: list[str]

    def blocks(self, n_rows: int | None, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The rows in their order, in blocks of `n_rows` (the last one may be shorter); at least one block.

        Args:
            n_rows: None gives one block with all rows.
            columns: the columns to read; None reads all.

        Raises:
            DataError: the table cannot be read.
        """


@contextmanager
def open_table(source: str | None, query: str | None) -> Iterator[TableBlocks]:
    """Opens the table of `--data` and `--query`; the arguments and errors are those of `read_table`.

    A table of S3 is copied to a temporary folder on the local disk.
    """
    scheme = scheme_of(source)
    if source is not None and scheme in SQL_SCHEMES:
        from src.data.sources.sql import open_query

        with open_query(source, check_query(source, query)) as rows:
            yield rows
    elif source is not None and scheme == "s3" and query is None:
        from src.data.sources.s3 import downloaded

        with downloaded(source) as path:
            yield _open_path(path, source)
    elif source is not None and query is None and scheme is None and Path(source).expanduser().exists():
        yield _open_path(Path(source).expanduser(), source)
    else:  # the sample table, or an error
        yield FrameBlocks(read_table(source, query))


def _open_path(path: Path, shown: str) -> TableBlocks:
    files, base = table_files(path, shown)
    return _Parquet(files, base, shown) if is_parquet(files[0]) else _Csv(path, shown)


class FrameBlocks:
    """A table in memory.

    Attributes:
        columns: the names of all columns, in order.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.columns = list(frame.columns)

    def blocks(self, n_rows: int | None, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """As in `TableBlocks`."""
        frame = self._frame if columns is None else self._frame[list(columns)]
        step = n_rows or max(1, len(frame))
        for start in range(0, max(1, len(frame)), step):
            yield frame.iloc[start : start + step].reset_index(drop=True)


class _Parquet:
    def __init__(self, files: list[Path], base: Path, shown: str) -> None:
        self._base, self._shown = base, shown
        with parquet_errors(base, shown):
            self._dataset = open_parquet(files, base)
            self.columns = list(to_frame(self._dataset.schema.empty_table()).columns)

    def blocks(self, n_rows: int | None, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """As in `TableBlocks`."""
        schema = self._dataset.schema
        if columns is not None:
            import pyarrow as pa

            schema = pa.schema([field for field in schema if field.name in set(columns)], schema.metadata)
        with parquet_errors(self._base, self._shown):
            for table in _joined(self._batches(schema), schema, n_rows):
                yield to_frame(table)

    def _batches(self, schema: "pa.Schema") -> Iterator["pa.RecordBatch"]:
        """Rows of all files. A scan of the dataset would decode whole row groups, which may hold a million rows."""
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        for fragment in self._dataset.get_fragments():
            known = ds.get_partition_keys(fragment.partition_expression)
            # With `pre_buffer`, Arrow would keep the bytes of all row groups that it has read.
            with pq.ParquetFile(fragment.path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
                present = [name for name in schema.names if name in file.schema_arrow.names and name not in known]
                for batch in file.iter_batches(READ_ROWS, columns=present):
                    yield _fitted(batch, schema, known)


def _fitted(batch: "pa.RecordBatch", schema: "pa.Schema", known: dict[str, Any]) -> "pa.RecordBatch":
    """A file's rows with the columns and types of all files."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        if field.name in known:
            value = pa.scalar(known[field.name])
            arrays.append(pa.repeat(value, len(batch)).cast(field.type))
        elif field.name in batch.schema.names:
            column = batch.column(field.name)
            arrays.append(column if column.type == field.type else column.cast(field.type))
        else:
            arrays.append(pa.nulls(len(batch), field.type))
    return pa.record_batch(arrays, schema=schema)


class _Csv:
    def __init__(self, path: Path, shown: str) -> None:
        self._path, self._shown = path, shown
        with csv_errors(path, shown):
            self.columns = csv_columns(path, shown)
            # Before the first row is used: rows after a quote that is not closed would be lost.
            check_quotes(path, shown)

    def blocks(self, n_rows: int | None, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """As in `TableBlocks`."""
        import pyarrow as pa

        schema = pa.schema([(str(number), pa.string()) for number in range(len(self.columns))])
        with csv_errors(self._path, self._shown):
            for table in _joined(csv_batches(self._path, len(self.columns), self._shown), schema, n_rows):
                frame = csv_frame(table, self.columns)
                yield frame if columns is None else frame[list(columns)]


def _joined(batches: Iterator["pa.RecordBatch"], schema: "pa.Schema", n_rows: int | None) -> Iterator["pa.Table"]:
    """The rows of batches of any length in tables of `n_rows` rows; at least one table."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    n_waiting, empty = 0, True
    for batch in batches:
        waiting.append(batch)
        n_waiting += len(batch)
        while n_rows is not None and n_waiting >= n_rows:
            table = pa.Table.from_batches(waiting, schema)
            rest = table.slice(n_rows)
            waiting, n_waiting, empty = rest.to_batches(), len(rest), False
            yield table.slice(0, n_rows)
            del table, rest
    if n_waiting or empty:
        yield pa.Table.from_batches(waiting, schema)
