"""Where predictions are written: one file, a folder of Parquet parts, or a table of a database."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from src.config import PREDICTION_ENDINGS
from src.data.sources.dispatch import SQL_SCHEMES, scheme_of
from src.disk import write_atomically
from src.errors import ConfigError
from src.secrets import mask_url
from src.serving.prediction_file import PredictionFile, output_errors, to_arrow
from src.suggest import listing

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "_manifest.json"
"""Programs that read a folder of Parquet files ignore names with an underscore."""
_DIGEST = b"daily_profit.input_digest"


@dataclass(frozen=True)
class Part:
    """A block of the table's rows.

    Attributes:
        start: the number of rows before it.
        stop: the number of rows up to its end.
        digest: of all rows up to its end; empty where the output does not need it.
    """

    start: int
    stop: int
    digest: str = ""


class PredictionOutput(Protocol):
    """Takes the predictions of a table, block by block.

    Attributes:
        resumes: whether blocks that a killed process wrote are recognised by their digest.
    """

    resumes: bool

    def n_rows_of(self, part: Part) -> int | None:
        """The number of predictions of a block, if they have been written before; else None.

        Raises:
            ConfigError: other predictions are in their place.
        """

    def write(self, part: Part, frame: "pd.DataFrame") -> None:
        """Writes the predictions of a block.

        Raises:
            ConfigError: the output cannot be written.
            DataError: the output cannot hold the account or the date.
            OSError: the disk is full.
        """

    def finish(self) -> None:
        """Completes the output after the last block."""

    def close(self) -> None:
        """Releases what is open; an output that is not finished leaves no incomplete file."""


def check_output(output: str) -> str:
    """The kind of an output, checked before any work: `sql`, `folder`, or a file extension.

    Raises:
        ConfigError: the file extension is unknown.
    """
    scheme = scheme_of(output)
    if scheme in SQL_SCHEMES:
        return "sql"
    if scheme is not None:
        raise ConfigError(
            f"--output {mask_url(output)}: {scheme}:// is unknown: use a path, postgresql:// or sqlite:///"
        )
    path = Path(output)
    for ending in sorted(PREDICTION_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending) and path.name != ending and not output.endswith(("/", os.sep)):
            return ending
    if output.endswith(("/", os.sep)) or path.is_dir():
        return "folder"
    raise ConfigError(
        f"--output {output} has an unknown file extension: use one of {', '.join(PREDICTION_ENDINGS)}, a folder such "
        f"as {path.name}/, or a SQL URL"
    )


@contextmanager
def open_output(
    output: str, table: str, record: dict[str, Any], keys: tuple[str | None, str | None]
) -> Iterator[PredictionOutput]:
    """Opens the output; an output that is not finished at the end of the block leaves no incomplete file.

    Args:
        output: a path or a SQL URL.
        table: name of the table of a SQL database.
        record: the models and settings, JSON values; a folder is resumed with the same ones only.
        keys: names of the account and the date column of the predictions; None for one that is missing.

    Raises:
        ConfigError: the output is unknown, or has other predictions.
        DataError: the database cannot be reached.
    """
    kind = check_output(output)
    if kind == "sql":
        from src.serving.prediction_table import open_prediction_table

        with open_prediction_table(output, table, keys) as opened:
            yield opened
        return
    made: PredictionOutput = (
        PredictionFolder(Path(output), record) if kind == "folder" else _OneFile(PredictionFile(Path(output), kind))
    )
    try:
        yield made
    finally:
        made.close()


class _OneFile:
    resumes = False

    def __init__(self, file: PredictionFile) -> None:
        self._file = file

    def n_rows_of(self, part: Part) -> int | None:
        """A file appears when it is complete, so no block is there before."""
        return None

    def write(self, part: Part, frame: "pd.DataFrame") -> None:
        """Appends the rows."""
        self._file.append(frame)

    def finish(self) -> None:
        """Puts the file in its place."""
        self._file.finish()

    def close(self) -> None:
        """Removes an incomplete file."""
        self._file.close()


class PredictionFolder:
    """A folder with a Parquet file per block. A part appears complete, and has the digest of its input.

    Args:
        folder: created by the first part if it does not exist.
        record: the models and settings, JSON values.

    Raises:
        ConfigError: the folder holds other files, or predictions with another record.
    """

    resumes = True

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self._folder, self._record = folder, record
        self._names: list[str] = []
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--output {folder}/ is a file: give another folder")
        others = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        if not others:
            return
        if MANIFEST not in others:
            raise ConfigError(f"--output {folder}/ holds other files ({listing(sorted(others))}): give another folder")
        self._check_record()

    def n_rows_of(self, part: Part) -> int | None:
        """As in `PredictionOutput`."""
        import pyarrow.parquet as pq

        path = self._folder / self._name(part)
        if not path.is_file():
            return None
        with output_errors(path):
            written = pq.read_metadata(path)
        digest = (written.metadata or {}).get(_DIGEST, b"").decode()
        if digest != part.digest:
            raise ConfigError(
                f"--output {self._folder}/ holds predictions of another table: {path.name} was made of other rows; "
                "give another folder, or remove this one"
            )
        self._names.append(path.name)
        return int(written.num_rows)

    def write(self, part: Part, frame: "pd.DataFrame") -> None:
        """As in `PredictionOutput`."""
        import pyarrow.parquet as pq

        path = self._folder / self._name(part)
        partial = path.with_name(f".{os.getpid()}.{path.name}")
        with output_errors(path):
            if not self._folder.is_dir() or not (self._folder / MANIFEST).is_file():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._write_manifest(complete=False)
            try:
                table = to_arrow(frame, path)
                pq.write_table(table.replace_schema_metadata({_DIGEST: part.digest}), partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        self._names.append(path.name)

    def finish(self) -> None:
        """Marks the folder as complete.

        Raises:
            ConfigError: it has parts of a longer table.
        """
        if others := sorted({path.name for path in self._folder.glob("part-*.parquet")} - set(self._names)):
            raise ConfigError(
                f"--output {self._folder}/ holds predictions of another table, with more rows ({listing(others)}): "
                "give another folder, or remove this one"
            )
        for left in self._folder.glob(".*.part-*.parquet"):  # of a killed process
            left.unlink(missing_ok=True)
        with output_errors(self._folder / MANIFEST):
            self._write_manifest(complete=True)

    def close(self) -> None:
        """Nothing is open between two parts."""

    @staticmethod
    def _name(part: Part) -> str:
        return f"part-{part.start:012d}-{part.stop:012d}.parquet"

    def _write_manifest(self, complete: bool) -> None:
        content = {**self._record, "complete": complete, "parts": self._names}
        write_atomically(self._folder / MANIFEST, json.dumps(content, indent=2) + "\n")

    def _check_record(self) -> None:
        path = self._folder / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            same = {name: found[name] == value for name, value in self._record.items()}
        except (ValueError, KeyError, TypeError) as error:  # not JSON, or not this project's
            raise ConfigError(f"{path} cannot be read: give another folder, or remove this one") from error
        for name, is_same in same.items():
            if not is_same:
                shown = f"{name} {json.dumps(found[name])}, not {json.dumps(self._record[name])}"
                raise ConfigError(
                    f"--output {self._folder}/ holds predictions with {shown}: give another folder, remove this one, "
                    "or finish it with the former model and settings"
                )


def write_predictions(frame: "pd.DataFrame", path: Path) -> None:
    """Writes predictions as `.parquet`, `.csv` or `.csv.gz` atomically.

    Args:
        frame: the result of `predict_table`.
        path: output path; missing folders are created, an existing file is replaced.

    Raises:
        ConfigError: an unknown file extension, or a path that cannot be written.
        OSError: the disk is full; its `filename` is the path.
        DataError: keys that Parquet cannot hold.
    """
    kind = check_output(str(path))
    if kind not in PREDICTION_ENDINGS:
        raise ConfigError(f"{path} is no file: use one of {', '.join(PREDICTION_ENDINGS)}")
    file = PredictionFile(path, kind)
    try:
        file.append(frame)
        file.finish()
    finally:
        file.close()
