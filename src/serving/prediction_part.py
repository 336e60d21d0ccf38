"""Predictions of a block of rows, and what an output does with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd


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
