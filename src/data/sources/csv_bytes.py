"""CSV that is not in a file."""

import tempfile
from pathlib import Path

import pandas as pd

from src.data.sources.files import read_csv
from src.errors import DataError


def read_csv_bytes(content: bytes) -> pd.DataFrame:
    """Reads CSV from memory, by the rules for CSV files.

    Raises:
        DataError: it is empty or not UTF-8, or has rows of different length.
    """
    if not content.strip():
        raise DataError("the CSV is empty: write the column names into the first line")
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:  # the error messages read the file a second time
        file.write(content)
        file.flush()
        return read_csv(Path(file.name), "the CSV")
