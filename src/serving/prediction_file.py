"""One file of predictions, which grows under a hidden name and gets its own name when it is complete."""

import errno
import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from src.disk import is_full
from src.errors import ConfigError, DataError
from src.suggest import one_line

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class PredictionFile:
    """A `.parquet`, `.csv` or `.csv.gz` file.

    Args:
        path: missing folders are created, an existing file is replaced when the new one is complete.
        ending: its file extension.
    """

    def __init__(self, path: Path, ending: str) -> None:
        self._path, self._ending = path, ending
        self._partial = path.with_name(f".{os.getpid()}.{path.name}")
        self._writer: Any = None
        self._raw: IO[bytes] | None = None

    def append(self, frame: "pd.DataFrame") -> None:
        """Writes further rows.

        Raises:
            ConfigError: the path cannot be written.
            OSError: the disk is full; its `filename` is the path.
            DataError: Parquet cannot hold the keys.
        """
        with output_errors(self._path):
            first = self._writer is None
            if first:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._ending == ".parquet":
                self._append_parquet(frame)
                return
            if first:
                self._writer = self._open_text()
            frame.to_csv(self._writer, index=False, header=first)

    def _append_parquet(self, frame: "pd.DataFrame") -> None:
        import pyarrow.parquet as pq

        table = to_arrow(frame, self._path)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, table.schema)
        self._writer.write_table(_cast(table, self._writer.schema, self._path))

    def _open_text(self) -> io.TextIOWrapper:
        if self._ending == ".csv":
            return self._partial.open("w", encoding="utf-8", newline="")
        # No time stamp and no name in the gzip header, so that equal predictions give equal files.
        self._raw = self._partial.open("wb")
        packed = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
        return io.TextIOWrapper(packed, encoding="utf-8", newline="")

    def finish(self) -> None:
        """Puts the file in its place.

        Raises:
            ConfigError, OSError: as in `append`.
        """
        with output_errors(self._path):
            self._writer.close()
            if self._raw is not None:  # gzip leaves it open
                self._raw.close()
            self._partial.replace(self._path)

    def close(self) -> None:
        """Removes an incomplete file."""
        if not self._partial.exists():
            return
        for opened in (self._writer, self._raw):
            try:
                if opened is not None:
                    opened.close()
            except (OSError, ValueError):  # a full disk, which `append` has reported; a gzip file closed by it
                continue
        self._partial.unlink()


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Names the path in errors of the disk.

    Raises:
        ConfigError: the path cannot be written.
        OSError: the disk is full; its `filename` is the path.
    """
    try:
        yield
    except OSError as error:  # from the disk: read-only, a folder of that name, full
        if is_full(error) or error.errno in (errno.EFBIG, errno.EIO):
            error.filename, error.filename2 = str(path), None
            raise
        raise ConfigError(f"--output {path} cannot be written: {error.strerror or error}; give another path") from error


def to_arrow(frame: "pd.DataFrame", path: Path) -> "pa.Table":
    """A frame of predictions as Arrow.

    Raises:
        DataError: the keys are of several types.
    """
    import pyarrow as pa

    with _arrow_errors(path):
        return pa.Table.from_pandas(frame, preserve_index=False)


def _cast(table: "pa.Table", schema: "pa.Schema", path: Path) -> "pa.Table":
    with _arrow_errors(path):
        return table.cast(schema)


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:  # from Parquet: for example an account column of numbers and text
        reason = one_line(error)
        raise DataError(f"--output {path} cannot hold the table's keys: {reason}; give a .csv path") from error
