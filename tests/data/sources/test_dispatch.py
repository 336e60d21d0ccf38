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

from src.config import MODEL_CONFIGS
from src.data.sources.dispatch import describe_source, read_table
from src.errors import ConfigError, DataError, UserError

RAGGED = gzip.compress(b"a,b\n1,2\n3\n", mtime=0)
CUT_OFF = gzip.compress(b"a,b\n" + b"1,2\n" * 500, mtime=0)[:-9]


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": ["a", "b", "c"],
            "date": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]).astype("datetime64[us]"),
            "x": [1.5, None, 3.0],
            "kind": pd.Series(["é, quoted", None, 'say "so"\nin two lines'], dtype="str"),
            "n": [1, 2, 3],
        }
    )


def refused(source: Path | str, query: str | None = None, kind: type[UserError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read_table(str(source), query)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("--")
    return message


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "T.PARQUET"])
def test_a_parquet_file(tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    frame.to_parquet(tmp_path / name)
    assert_frame_equal(read_table(str(tmp_path / name), None), frame)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_csv_file(tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    frame.to_csv(tmp_path / name, index=False)
    read = read_table(str(tmp_path / name), None)
    texts = {"date": ["2024-01-01", "2024-01-02", "2024-01-03"], "x": ["1.5", None, "3.0"], "n": ["1", "2", "3"]}
    assert_frame_equal(read, frame.assign(**{name: pd.Series(each, dtype="str") for name, each in texts.items()}))


def test_a_byte_order_mark_blank_lines_and_windows_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n")
    assert_frame_equal(read_table(str(path), None), pd.DataFrame({"a": ["1"], "b": ["2"]}, dtype="str"))


def test_a_repeated_column_of_a_csv_is_not_hidden_under_another_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,a,\n1,2,3\n")
    assert list(read_table(str(path), None).columns) == ["a", "a", "Unnamed: 2"]


def test_a_csv_holds_texts_and_only_an_empty_field_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 'a,b\n007,NA\n12,\n1e5,""\nTrue,null\n')
    expected = {"a": ["007", "12", "1e5", "True"], "b": ["NA", None, None, "null"]}
    assert_frame_equal(read_table(str(path), None), pd.DataFrame(expected, dtype="str"))


def test_a_single_quote_character_within_a_field_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 'a,b\n5" pipe,1\nhose,2\n')
    assert read_table(str(path), None)["a"].tolist() == ['5" pipe', "hose"]


def test_integers_with_missing_values_stay_integers(tmp_path: Path, database: str) -> None:
    big = 2**53 + 1
    pq.write_table(pa.table({"n": pa.array([big, None], pa.int64())}), tmp_path / "t.parquet")
    assert read_table(str(tmp_path / "t.parquet"), None)["n"].tolist() == [big, pd.NA]
    query = f"SELECT {big} AS n UNION ALL SELECT NULL ORDER BY n DESC"
    assert read_table(database, query)["n"].tolist() == [big, pd.NA]


def test_a_named_index_is_a_column(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.set_index(["date", "account_id"]).to_parquet(tmp_path / "t.parquet")
    read = read_table(str(tmp_path / "t.parquet"), None)
    assert_frame_equal(read[frame.columns.to_list()], frame)
    frame.iloc[[2, 0]].to_parquet(tmp_path / "u.parquet")
    assert_frame_equal(read_table(str(tmp_path / "u.parquet"), None), frame.iloc[[2, 0]].reset_index(drop=True))


def test_a_flat_folder_with_other_files_of_the_writer(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.iloc[:2].to_parquet(tmp_path / "part-0.parquet")
    frame.iloc[2:].to_parquet(tmp_path / "part-1.parquet")
    for name in (
        "_SUCCESS",
        "_metadata.parquet",
        ".part-0.parquet.crc",
        ".hidden.parquet",
        "readme.txt",
        "_tmp/x.parquet",
    ):
        write(tmp_path / name, "not a table")
    assert_frame_equal(read_table(str(tmp_path), None), frame)


def test_a_folder_hive_partitioned(tmp_path: Path, frame: pd.DataFrame) -> None:
    folder = tmp_path / "outside=1"  # a folder above the table is no partition
    frame.assign(year=[2023, 2023, 2024]).to_parquet(folder, partition_cols=["year", "account_id"])
    read = read_table(str(folder), None)
    assert read["year"].tolist() == [2023, 2023, 2024]
    assert_frame_equal(read[frame.columns.to_list()], frame)


def test_files_of_a_folder_may_differ_in_columns_and_widths(tmp_path: Path) -> None:
    pd.DataFrame({"a": np.array([1], dtype="int32"), "b": [1]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": [2.5], "later": ["x"]}).to_parquet(tmp_path / "1.parquet")
    read = read_table(str(tmp_path), None)
    assert read["a"].tolist() == [1, 2.5]
    assert read["b"].tolist()[0] == 1
    assert read["later"].tolist()[1] == "x"


def test_clashing_types_of_a_folder_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": ["x"]}).to_parquet(tmp_path / "1.parquet")
    assert "cannot be read as Parquet" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.txt", "a\n1\n", "has an unknown ending: use .parquet, .pq, .csv, .csv.gz"),
        ("t.json.gz", "a\n1\n", "has an unknown ending"),
        ("t.csv", "", "is an empty file"),
        ("t.parquet", b"", "is an empty file"),
        ("t.csv", "\n\n", "has no header"),
        ("t.parquet", b"PAR1 broken", "cannot be read as Parquet: "),
        ("t.csv", "a,b\n1,2\n\n3,4,5\n6,7\n", "line 4 has 3 fields, the header 2"),
        ("t.csv", 'a,b\n1,"x\ny"\n3\n', "line 4 has 1 fields, the header 2"),
        pytest.param("t.csv.gz", RAGGED, "line 3 has 1 fields, the header 2", id="ragged gzip"),
        ("t.csv", b"a,b\n1,2\n3,\xe9\n", "line 3 is not UTF-8"),
        ("t.csv", b"\xff\xfea\x00\n\x00", "line 1 is not UTF-8"),
        ("t.csv", 'a,b\n1,"open\n', "ends within a quoted field"),
        ("t.csv", "a;b\n1;2\n", "is separated by semicolons: separate the fields by commas"),
        ("t.csv", "a\tb\n1\t2\n", "is separated by tabs"),
        ("t.csv.gz", "a,b\n1,2\n", "is not a complete gzip file: Not a gzipped file"),
        pytest.param("t.csv.gz", CUT_OFF, "is not a complete gzip file", id="cut-off gzip"),
    ],
)
def test_files_that_are_not_tables(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    path = write(tmp_path / name, content)
    message = refused(path)
    assert said in message
    assert str(path) in message


def test_a_cut_off_parquet_file(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert "cannot be read as Parquet" in refused(write(tmp_path / "t.parquet", whole[:-20]))
    assert "cannot be read as Parquet" in refused(write(tmp_path / "u.parquet", b"\0" * 200 + whole[200:]))


def test_missing_paths(tmp_path: Path) -> None:
    write(tmp_path / "profits.csv", "a\n1\n")
    assert "does not exist (did you mean 'profits.csv'?)" in refused(tmp_path / "profit.csv")
    assert "does not exist: give" in refused(tmp_path / "no" / "profits.csv")
    (tmp_path / "folder").mkdir()
    assert "is a folder without Parquet files (it holds nothing)" in refused(tmp_path / "folder")
    assert "(it holds folder, profits.csv)" in refused(tmp_path)
    write(tmp_path / "folder" / "a.parquet", "")
    assert "a.parquet is an empty file" in refused(tmp_path / "folder")


@pytest.mark.parametrize(
    ("source", "query", "said"),
    [
        ("postgresql://u:secret@h/db", None, "--data postgresql://u:***@h/db is a database: give --query"),
        ("postgresql://u:secret@h/db", "  ", "is a database: give --query"),
        ("t.csv", "SELECT 1", "--query 'SELECT 1' needs a SQL URL: give --data"),
        ("s3://bucket/t.csv", "SELECT 1", "needs a SQL URL"),
        (" ", None, "is blank"),
        ("sample:bear", None, "--data 'sample:bear' is no form of the sample table: use sample:bare for"),
        ("sample:", None, "leave the option out for the whole table, or write ./sample: for a file"),
        ("sample:bare", "SELECT 1", "needs a SQL URL"),
        ("ftp://u:secret@host/t.csv", None, "--data ftp://u:***@host/t.csv: ftp:// is unknown"),
        ("postgresql+asyncpg://u:secret@h/db", None, "postgresql+asyncpg:// is unknown"),
        (
            "postgresql://u:secret@h:port/db",
            "SELECT 1",
            "--data postgresql://u:***@h:port/db is not a URL: write postgresql",
        ),
        ("sqlite://", "SELECT 1", "names no file: write sqlite:///path"),
        ("s3://", None, "has no bucket"),
        ("s3:///key", None, "has no bucket"),
        ("s3://bucket", None, "has no key"),
        ("s3://bucket/", None, "has no key"),
    ],
)
def test_options_that_contradict_each_other(source: str, query: str | None, said: str) -> None:
    message = refused(source, query, ConfigError)
    assert said in message
    assert "secret" not in message


def test_a_query_needs_a_source() -> None:
    with pytest.raises(ConfigError, match="needs a SQL URL"):
        read_table(None, "SELECT 1")


@pytest.fixture
def database(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection, connection:
        connection.execute("CREATE TABLE t (account TEXT, x REAL, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [("a%", 1.5, 1), ("b:c", None, 2)])
    return f"sqlite:///{tmp_path / 't.db'}"


def test_sqlite(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pd.DataFrame({"account": ["a%", "b:c"], "x": [1.5, None], "n": [1, 2]})
    assert_frame_equal(read_table(database, "SELECT * FROM t"), expected)
    monkeypatch.setattr("src.data.sources.sql._CHUNK", 1)
    assert_frame_equal(read_table(database, "SELECT * FROM t"), expected)
    assert read_table(database, "SELECT n FROM t WHERE account LIKE 'a%' OR account = 'b:c'")["n"].tolist() == [1, 2]


def test_a_query_without_rows_still_has_columns(database: str) -> None:
    read = read_table(database, "SELECT account, x FROM t WHERE n > 5")
    assert read.shape == (0, 2)
    assert list(read.columns) == ["account", "x"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "--query 'SELEC 1' failed: near \"SELEC\": syntax error: correct the SELECT"),
        ("SELECT * FROM missing", "no such table: missing"),
        ("DELETE FROM t", "attempt to write a readonly database"),
        ("BEGIN", "--query 'BEGIN'"),
    ],
)
def test_queries_that_fail(database: str, query: str, said: str) -> None:
    assert said in refused(database, query)
    assert len(read_table(database, "SELECT * FROM t")) == 2


def test_files_that_are_not_databases(tmp_path: Path, database: str) -> None:
    assert "no such file (did you mean 't.db'?)" in refused(database.replace("t.db", "tt.db"), "SELECT 1")
    assert not (tmp_path / "tt.db").exists()
    write(tmp_path / "text.db", "this is no database at all, only text")
    assert "file is not a database" in refused(f"sqlite:///{tmp_path / 'text.db'}", "SELECT * FROM t")


def test_an_unreachable_server_and_an_unknown_parameter() -> None:
    url = "postgresql://u:s3cr3t@127.0.0.1:1/db?connect_timeout=2"
    message = refused(url, "SELECT 1")
    assert "cannot be opened" in message
    assert "s3cr3t" not in message
    assert "invalid connection option" in refused(f"{url}&sslmod=off", "SELECT 1")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "credentials for S3 are missing or incomplete: set AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "k"}, "credentials for S3 are missing or incomplete: set AWS_ACCESS_KEY_ID"),
        (
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
            "http://127.0.0.1:1 cannot be reached: check MLFLOW_S3",
        ),
    ],
)
def test_s3_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any, said: str) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert said in refused("s3://bucket/t.parquet")


def test_an_endpoint_that_is_not_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "localhost")
    with pytest.raises(ConfigError, match="MLFLOW_S3_ENDPOINT_URL 'localhost' is not a URL"):
        read_table("s3://bucket/t.parquet", None)


def test_the_bare_sample_is_the_sample_without_features() -> None:
    whole, bare = read_table(None, None), read_table("sample:bare", None)
    assert list(bare) == ["account_id", "date", *MODEL_CONFIGS]
    assert_frame_equal(bare, whole[list(bare)], check_exact=True)


def test_where_a_table_comes_from_in_words() -> None:
    assert describe_source(None, None) == "sample table"
    assert describe_source("sample:bare", None) == "sample table, only account, date and targets"
    assert describe_source("a/t.csv", None) == "a/t.csv"
    described = describe_source("postgresql://u:secret@h/db", "SELECT *\n FROM t -- secret")
    assert described == "postgresql://u:***@h/db (SELECT * FROM t -- ***)"
