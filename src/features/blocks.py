"""The panel in blocks of rows that fit into the processor's cache."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .panel import Floats, Panel
from .windows import Rows

BLOCK_ROWS = 1 << 14


@dataclass(frozen=True, eq=False)
class Block:
    """Rows `start` to `stop` of the panel, and before them the rows from `first` on that their windows need."""

    panel: Panel
    first: int
    start: int
    stop: int

    def make_rows(self) -> Rows:
        """All rows from `first` to `stop`; those before `start` have too little history."""
        n_rows = self.stop - self.first
        return Rows(np.minimum(self.panel.positions[self.first : self.stop], np.arange(n_rows, dtype=np.int64)))

    def values(self, column: str) -> Floats:
        """Of a column, of the same rows."""
        return self.panel.past[column][self.first : self.stop]

    def write(self, values: Floats, result: NDArray[np.floating]) -> None:
        """Copies the block's values of rows from `start` on to their places in `result`, (panel's rows,)."""
        result[self.start : self.stop] = values[self.start - self.first :]


def blocks(panel: Panel, history: int) -> Iterator[Block]:
    """All rows of the panel, each in one block with the `history` rows before it."""
    for start in range(0, len(panel), BLOCK_ROWS):
        yield Block(panel, max(0, start - history), start, min(start + BLOCK_ROWS, len(panel)))
