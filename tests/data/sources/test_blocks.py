import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from src.data.sources.blocks import FrameBlocks, open_table
from src.data.sources.dispatch import read_table
from src.errors import ConfigError, DataError

FRAME = pd.DataFrame(
    {
        "account": [f"a{number % 7}" for number in range(253)],
        "day": pd.date_range("2024-01-01", periods=253),
        "x": np.where(np.arange(253) % 11 == 0, np.nan, np.arange(253) / 8),
        "n": pd.array([None if number % 5 == 3 else 2**60 + number for number in range(253)], dtype="Int64"),
        "flag": [None if number % 50 == 49 else number % 2 == 0 for number in range(253)],
        "text": [None if number % 9 == 8 else f'"{number}", ä\nb' for number in range(253)],
        "level": pd.Categorical([f"L{number // 60}" for number in range(253)]),
    }
)


def write(kind: str, folder: Path) -> tuple[str, str | None]:
    """FRAME as the source of `--data`, and its `--query`."""
    path = folder / f"t.{kind}"
    if kind == "parquet":
        FRAME.set_index("day").to_parquet(path, row_group_size=60)
    elif kind == "folder":
        for year, part in FRAME.groupby(FRAME.index // 100):
            target = folder / "t" / f"batch={year}"
            target.mkdir(parents=True)
            columns = part.drop(columns="x") if year == 1 else part
            columns.astype({"n": "Int32"} if year == 5 else {}).to_parquet(target / "p.parquet")
        return str(folder / "t"), None
    elif kind.startswith("csv"):
        FRAME.to_csv(path, index=False)
    else:
        with closing(sqlite3.connect(path)) as connection:
            FRAME.astype({"level": str}).to_sql("t", connection, index=False)
        return f"sqlite:///{path}", "SELECT * FROM t"
    return str(path), None


def values_of(frame: pd.DataFrame) -> dict[Any, list[Any]]:
    """Values with None for missing ones: the types of a block may differ where it has no missing value."""
    return {name: [None if pd.isna(value) else value for value in column] for name, column in frame.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "folder", "csv", "csv.gz", "db"])
@pytest.mark.parametrize("n_rows", [1, 40, 253, 1000, None])
def test_blocks_have_the_values_of_the_whole_table(tmp_path: Path, kind: str, n_rows: int | None) -> None:
    source, query = write(kind, tmp_path)
    whole = read_table(source, query)
    with open_table(source, query) as table:
        assert table.columns == list(whole.columns)
        for _ in range(2):  # a table can be read twice
            blocks = list(table.blocks(n_rows))
            sizes = [len(block) for block in blocks]
            assert sum(sizes) == 253
            assert set(sizes[:-1]) <= {n_rows}
            assert all(list(block.index) == list(range(len(block))) for block in blocks)
            found = [values_of(block) for block in blocks]
            assert {name: [v for block in found for v in block[name]] for name in found[0]} == values_of(whole)
        some = pd.concat(table.blocks(n_rows, ["n", "account"]), ignore_index=True)
    assert set(some.columns) == {"n", "account"}
    assert values_of(some) == {name: values_of(whole)[name] for name in some.columns}


def test_the_sample_table_and_a_table_without_rows(tmp_path: Path) -> None:
    with open_table("sample:bare", None) as table:
        first = next(iter(table.blocks(10)))
        assert_frame_equal(first, read_table("sample:bare", None).head(10))
    for name in ("t.csv", "t.parquet"):
        empty = FRAME.head(0)
        _ = empty.to_csv(tmp_path / name, index=False) if name == "t.csv" else empty.to_parquet(tmp_path / name)
        with open_table(str(tmp_path / name), None) as table:
            (block,) = table.blocks(10)
            assert (len(block), list(block.columns)) == (0, list(FRAME.columns))
    (block,) = FrameBlocks(empty).blocks(5, ["x"])
    assert block.shape == (0, 1)


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    unclosed, short = tmp_path / "q.csv", tmp_path / "s.csv.gz"
    unclosed.write_text('a,b\n1,2\n3,"4\n')
    short.write_bytes(gzip.compress(b"a,b\n1,2\n3\n"))
    damaged = tmp_path / "d.parquet"
    FRAME.to_parquet(damaged)
    content = bytearray(damaged.read_bytes())
    content[50:400] = bytes(350)
    damaged.write_bytes(content)
    for path, said in (
        (unclosed, "ends within a quoted field"),
        (short, "line 3 has 1 fields, the header 2"),
        (damaged, "cannot be read as Parquet"),
        (tmp_path / "none.csv", "does not exist"),
    ):
        with pytest.raises(DataError, match=said), open_table(str(path), None) as table:
            list(table.blocks(1))
    with pytest.raises(ConfigError, match="give --query with a SELECT"), open_table("sqlite:///x.db", None):
        pass
    with pytest.raises(ConfigError, match="needs a SQL URL"), open_table(str(unclosed), "SELECT 1"):
        pass


def test_memory_does_not_grow_with_the_rows_of_a_file(tmp_path: Path) -> None:
    """Arrow's readers may keep the bytes of all row groups that they have read."""
    values = np.random.default_rng(0).normal(size=(800_000, 8))
    table = pa.table({f"x{i}": column for i, column in enumerate(values.T)})
    pq.write_table(table, tmp_path / "table.parquet", row_group_size=20_000)
    before, allocated = pa.total_allocated_bytes(), []
    with open_table(str(tmp_path / "table.parquet"), None) as opened:
        for _ in opened.blocks(20_000):
            allocated.append(pa.total_allocated_bytes() - before)
    assert max(allocated[10:]) < 1.5 * max(allocated[:5])
