"""Reads Parquet and CSV from the local disk; a damaged file, or rows of different length, are errors."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.errors import DataError
from src.suggest import did_you_mean, listing, one_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

ENDINGS = (".parquet", ".pq", ".csv", ".csv.gz")
UNTYPED = "untyped"
"""Key in a frame's `attrs`: the source (CSV) has no types, so numbers as text are no sign of a mistake."""
_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_PARQUET = (".parquet", ".pq")


def is_table_name(name: str) -> bool:
    """Whether the file name has the ending of a supported table format."""
    return name.casefold().endswith(ENDINGS)


def is_visible_parquet(relative: Path) -> bool:
    """Whether a file is data of a Parquet folder; writers also leave `_SUCCESS`, `_metadata` and hidden files."""
    return relative.suffix.casefold() in _PARQUET and not any(part.startswith((".", "_")) for part in relative.parts)


def read_path(path: Path, shown: str) -> pd.DataFrame:
    """Reads a Parquet file, a folder of Parquet files (flat or hive-partitioned), a CSV or a gzipped CSV file.

    Args:
        path: the file or folder.
        shown: its name in messages, such as the URL of a downloaded file.

    Raises:
        DataError: there is no such file, its ending is unknown, or it is empty, damaged or not UTF-8, or has rows of
            different length.
    """
    files, base = table_files(path, shown)
    if not is_parquet(files[0]):
        return read_csv(path, shown)
    with parquet_errors(base, shown):
        return to_frame(open_parquet(files, base).to_table())


def table_files(path: Path, shown: str) -> tuple[list[Path], Path]:
    """The files of a table, and the folder that partition names are relative to: one CSV file, or Parquet files.

    Args:
        path: the file or folder.
        shown: its name in messages.

    Raises:
        DataError: there is no such file, its ending is unknown, or a file is empty.
    """
    if path.is_dir():
        return _files_of_folder(path, shown), path
    if not path.is_file():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"--data {shown} does not exist{did_you_mean(path.name, names)}: give a path that exists")
    if not is_table_name(path.name):
        raise DataError(f"--data {shown} has an unknown ending: use {', '.join(ENDINGS)} or a folder of Parquet files")
    if path.stat().st_size == 0:
        raise DataError(f"--data {shown} is an empty file: write the table again")
    return [path], path.parent


def is_parquet(path: Path) -> bool:
    """Whether the file name has an ending of Parquet."""
    return path.suffix.casefold() in _PARQUET


def _files_of_folder(folder: Path, shown: str) -> list[Path]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and is_visible_parquet(path.relative_to(folder))
    )
    if not files:
        content = listing(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise DataError(
            f"--data {shown} is a folder without Parquet files (it holds {content}): name a file or another folder"
        )
    empty = [path for path in files if path.stat().st_size == 0]
    if empty:
        raise DataError(f"--data {shown}: {empty[0].relative_to(folder)} is an empty file: write it again or remove it")
    return files


def open_parquet(files: list[Path], base: Path) -> "ds.Dataset":
    """A dataset of Parquet files with the columns of all of them; `parquet_errors` turns its errors into messages."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    def dataset(schema: Any) -> Any:
        partitioning = ds.partitioning(flavor="hive")
        names = [str(path) for path in files]
        return ds.dataset(names, schema, "parquet", partitioning=partitioning, partition_base_dir=str(base))

    first = dataset(None)
    # Arrow uses the first file's columns for all files and would silently drop a column of a later file.
    schemas = [first.schema, *(fragment.physical_schema for fragment in first.get_fragments())]
    return dataset(pa.unify_schemas(schemas, promote_options="permissive"))


def to_frame(table: "pa.Table") -> pd.DataFrame:
    """Rows of Parquet as a frame; a named index, such as the date, becomes a column."""
    import pyarrow as pa

    # Integers with missing values stay integers: as floats, long account numbers would lose digits.
    nullable = {pa.from_numpy_dtype(name.lower()): pd.api.types.pandas_dtype(name) for name in _INTEGERS}
    frame = table.to_pandas(date_as_object=False, types_mapper=nullable.get)
    return _index_to_columns(frame).apply(_without_needless_nulls)


@contextmanager
def parquet_errors(base: Path, shown: str) -> Iterator[None]:
    """Raises DataError where Parquet files cannot be read."""
    import pyarrow as pa

    try:
        yield
    # OSError: a damaged page; ArrowException: conflicting types; ValueError: dates out of range.
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = one_line(error).replace(f"{base}/", "")
        raise DataError(f"--data {shown} cannot be read as Parquet: {detail}: write it again") from error


def _without_needless_nulls(column: pd.Series) -> pd.Series:
    name = str(column.dtype)
    return column.astype(np.dtype(name.lower())) if name in _INTEGERS and not column.isna().any() else column


def _index_to_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Turns a named index, such as the date, into a column."""
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(level=named).reset_index(drop=True) if named else frame.reset_index(drop=True)


def read_csv(path: Path, shown: str) -> pd.DataFrame:
    """Reads all fields as text, empty ones as missing; types are decided later."""
    import pyarrow as pa

    with csv_errors(path, shown):
        names = csv_columns(path, shown)
        table = pa.Table.from_batches(list(csv_batches(path, len(names), shown)))
        check_quotes(path, shown)
    return csv_frame(table, names)


def csv_columns(path: Path, shown: str) -> list[str]:
    """The column names of a CSV file."""
    header = _header(path)
    _check_header(header, shown)
    # Empty names as in pandas; repeated names are kept and refused later.
    return [name or f"Unnamed: {position}" for position, name in enumerate(header)]


def csv_frame(table: "pa.Table", names: list[str]) -> pd.DataFrame:
    """Fields of a CSV file as a frame of texts."""
    import pyarrow as pa

    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
    frame = frame.set_axis(names, axis=1)
    frame.attrs[UNTYPED] = True
    return frame


@contextmanager
def csv_errors(path: Path, shown: str) -> Iterator[None]:
    """Raises DataError where a CSV file cannot be read."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"--data {shown} line {_first_non_utf8_line(path)} is not UTF-8: save it as UTF-8") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:  # not gzip, truncated, or damaged
        raise DataError(f"--data {shown} is not a complete gzip file: {one_line(error)}: compress it again") from error
    except csv.Error as error:
        raise DataError(f"--data {shown} cannot be read as CSV: {one_line(error)}: write it again") from error
    except OSError as error:  # no permission, a disk error
        raise DataError(f"--data {shown} cannot be read: {one_line(error.strerror)}: check the file") from error


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix.casefold() == ".gz" else path.open("rb")


def _header(path: Path) -> list[str]:
    with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        return next((row for row in csv.reader(text) if row), [])


def _first_non_utf8_line(path: Path) -> int:
    """The number of the first line that is not UTF-8; 0 if there is none."""
    with _open(path) as file:
        return next((number for number, line in enumerate(file, 1) if not _is_utf8(line)), 0)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:  # the expected answer for other encodings
        return False
    return True


def _check_header(header: list[str], shown: str) -> None:
    if not any(name.strip() for name in header):
        raise DataError(f"--data {shown} has no header: write the column names into the first line")
    for other, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and other in header[0]:
            raise DataError(f"--data {shown} is separated by {word}: separate the fields by commas")


def csv_batches(path: Path, n_columns: int, shown: str) -> Iterator["pa.RecordBatch"]:
    """The fields of a CSV file as texts, without the header, in batches of about 1 MiB; at least one, maybe empty.

    Raises:
        DataError: a line has another number of fields than the header, or is not UTF-8.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    bad: list[Any] = []

    def remember(row: Any) -> str:
        bad.append(row)
        return "error"

    names = [str(number) for number in range(n_columns)]
    types = dict.fromkeys(names, pa.string())
    header = 1  # the first row
    try:
        with (
            _open(path) as file,
            arrow_csv.open_csv(
                file,
                # With threads, Arrow does not report which row is bad.
                arrow_csv.ReadOptions(column_names=names, use_threads=False),
                arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
                arrow_csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
            ) as batches,
        ):
            for batch in batches:
                yield batch.slice(min(header, len(batch)))
                header -= min(header, len(batch))
    except pa.ArrowInvalid as error:
        raise _csv_error(path, shown, bad, error) from error


def _csv_error(path: Path, shown: str, bad: Sequence[Any], error: Exception) -> DataError:
    if bad:
        counts = f"{bad[0].actual_columns} fields, the header {bad[0].expected_columns}"
        line = _line_of(path, bad[0].text)
        return DataError(f"--data {shown} line {line} has {counts}: correct the line or quote the commas")
    if line := _first_non_utf8_line(path):
        return DataError(f"--data {shown} line {line} is not UTF-8: save it as UTF-8")
    return DataError(f"--data {shown} cannot be read as CSV: {one_line(error)}: write it again")


def check_quotes(path: Path, shown: str) -> None:
    """Refuses a quote that is not closed: Arrow reads the rest of the file as one field without an error."""
    with _open(path) as file:
        n_quotes = sum(block.count(b'"') for block in iter(lambda: file.read(1 << 20), b""))
    if n_quotes % 2 == 0:
        return
    with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            while next(reader, None) is not None:
                pass
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise DataError(
                    f"--data {shown} ends within a quoted field: close its quote (the last row begins before line "
                    f"{reader.line_num})"
                ) from error


def _line_of(path: Path, row: str) -> int:
    """The number of the first line equal to the row; Arrow counts rows, not lines (blank lines, quoted line breaks)."""
    first = row.encode("utf-8", "surrogateescape").splitlines()[0]
    with _open(path) as file:
        return next((number for number, line in enumerate(file, 1) if line.rstrip(b"\r\n") == first), 1)
