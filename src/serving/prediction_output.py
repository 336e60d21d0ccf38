"""Where predictions are written: one file, a folder of Parquet parts, or a table of a database."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config import PREDICTION_ENDINGS
from src.data.sources.dispatch import SQL_SCHEMES, scheme_of
from src.errors import ConfigError
from src.secrets import mask_url
from src.serving.prediction_file import PredictionFile
from src.serving.prediction_folder import PredictionFolder
from src.serving.prediction_part import Part, PredictionOutput
from src.suggest import one_line

if TYPE_CHECKING:
    import pandas as pd


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
    # Unlike that of Path, False for a name that is too long.
    if output.endswith(("/", os.sep)) or os.path.isdir(output):
        return "folder"
    raise ConfigError(
        f"--output {one_line(output, 200)} has an unknown file extension: use one of {', '.join(PREDICTION_ENDINGS)}, "
        "a folder such as predictions/, or a SQL URL"
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
