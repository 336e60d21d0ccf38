"""A folder of predictions with a Parquet file per block, which a killed process can go on with."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.disk import write_atomically
from src.errors import ConfigError
from src.serving.prediction_file import output_errors, to_arrow
from src.serving.prediction_part import Part
from src.suggest import listing

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "_manifest.json"
"""Programs that read a folder of Parquet files ignore names with an underscore."""
_DIGEST = b"daily_profit.input_digest"


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
