"""Tables in a real Postgres and a real S3 store."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sqlalchemy import Engine, create_engine, make_url, text

from src.config import TableConfig, TargetConfig
from src.data.sources.dispatch import read_table
from src.data.table import load_dataset
from src.errors import DataError
from tests.integration.conftest import S3Store


def refused(source: str, query: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_table(source, query)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    made = create_engine(postgres_url)
    with made.begin() as connection:
        connection.execute(
            text("CREATE TABLE t (account text, day date, pnl numeric, flag boolean, n integer, x float8)")
        )
        values = [
            "('100%', '2024-01-01', 1.25, true, 1, 0.5)",
            "('b:c', '2024-01-02', -2.5, NULL, NULL, 'NaN')",
            "('é', '2024-01-03', 0, false, 3, NULL)",
        ]
        connection.execute(text(f"INSERT INTO t VALUES {', '.join(values).replace(':', chr(92) + ':')}"))
    yield made
    made.dispose()


def test_a_query_gives_a_table_to_learn_from(engine: Engine, postgres_url: str) -> None:
    for scheme in ("postgresql://", "postgres://", "postgresql+psycopg2://"):
        url = postgres_url.replace("postgresql+psycopg2://", scheme)
        frame = read_table(url, "SELECT * FROM t WHERE account LIKE '%' ORDER BY day")
        assert frame["account"].tolist() == ["100%", "b:c", "é"]
        assert frame["pnl"].tolist() == [1.25, -2.5, 0]
    names = TableConfig(account="account", date="day", targets={"pnl": TargetConfig("regression", "mae")})
    data = load_dataset(frame, names, "pnl", postgres_url)
    assert data.features["flag"].tolist()[::2] == [1, 0]
    assert data.features[["flag", "n", "x"]].isna().sum().tolist() == [1, 1, 2]
    assert data.dates is not None
    assert str(data.dates[0]) == "2024-01-01"


def test_database_types_are_read_correctly(postgres_url: str) -> None:
    """Accounts that are UUIDs, money, exact decimals, and codes beside missing ones."""
    query = """
        SELECT ('00000000-0000-0000-0000-00000000000' || a)::uuid AS account_id, date '2024-01-01' + d AS date,
               ((d - 5) * 1234.5)::numeric::money AS balance, (d / 4.0)::numeric AS size,
               CASE WHEN d % 3 > 0 THEN 10 + d % 3 END AS desk, (d * a)::numeric AS pnl
        FROM generate_series(0, 9) AS d, generate_series(1, 2) AS a
    """
    targets = {"pnl": TargetConfig("regression", "mae")}
    names = TableConfig(targets=targets, categories=("desk",), numbers={"balance": None})
    data = load_dataset(read_table(postgres_url, query), names, "pnl")
    assert data.accounts is not None
    assert sorted(set(data.accounts)) == [str(uuid.UUID(int=1)), str(uuid.UUID(int=2))]
    assert data.features["balance"].tolist()[::2] == [(d - 5) * 1234.5 for d in range(10)]
    assert data.features["size"].tolist()[::2] == [d / 4 for d in range(10)]
    assert data.features["desk"].dropna().unique().tolist() == ["11", "12"]
    assert data.warnings == ()


def test_many_rows_come_in_chunks(engine: Engine, postgres_url: str) -> None:
    query = "SELECT n, CASE WHEN n > 150000 THEN n * 0.5 END AS late FROM generate_series(1, 200001) AS n"
    frame = read_table(postgres_url, query)
    assert frame["n"].tolist() == list(range(1, 200_002))
    assert frame["late"].dtype == float
    assert frame["late"].notna().sum() == 50_001


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC": correct the SELECT'),
        ("SELECT * FROM missing", 'relation "missing" does not exist'),
        ("SELECT missing FROM t", 'column "missing" does not exist'),
        ("DELETE FROM t", "DELETE"),
        ("SELECT 1 / 0", "division by zero"),
        ("CREATE TABLE u (a int)", "CREATE TABLE"),
    ],
)
def test_queries_that_fail_and_change_nothing(engine: Engine, postgres_url: str, query: str, line: str) -> None:
    message = refused(postgres_url, query)
    assert message.startswith(f"--query {query!r} ")
    assert line in message
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 3


def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    url = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    assert 'database "nowhere" does not exist' in refused(url, "SELECT 1")


def test_a_wrong_password_is_not_shown(engine: Engine, postgres_url: str) -> None:
    role = f"locked_{uuid.uuid4().hex}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'right/p@ss'"))
        rules = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        connection.execute(text("SELECT pg_reload_conf()"))
    wrong = make_url(postgres_url).set(username=role, password="wr0ng/p@ss")
    for url in (
        wrong.render_as_string(hide_password=False),
        f"{make_url(postgres_url).set(username=role)}&password=wr0ng",
    ):
        message = refused(url, "SELECT 1")
        assert "password authentication failed" in message
        assert "wr0ng" not in message
    right = wrong.set(password="right/p@ss").render_as_string(hide_password=False)
    assert read_table(right, "SELECT 1 AS one")["one"].tolist() == [1]


@pytest.fixture
def prefix(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A separate folder of the bucket for this test; the store is configured by environment variables."""
    for name, value in s3.settings().items():
        monkeypatch.setenv(name, value)
    return f"tables/{uuid.uuid4().hex}"


FRAME = pd.DataFrame({"account_id": ["a", "b", "c"], "x": [1.5, None, 3.0]})


def put(s3: S3Store, key: str, body: bytes) -> None:
    s3.client().put_object(Bucket=s3.bucket, Key=key, Body=body)


def test_one_object(s3: S3Store, prefix: str) -> None:
    put(s3, f"{prefix}/t.parquet", FRAME.to_parquet())
    put(s3, f"{prefix}/t.csv", FRAME.to_csv(index=False).encode())
    for name in ("t.parquet", "t.csv"):
        read = read_table(f"s3://{s3.bucket}/{prefix}/{name}", None)
        assert_frame_equal(read.astype({"x": float}), FRAME)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_prefix_of_parquet_files(s3: S3Store, prefix: str, slash: str) -> None:
    put(s3, f"{prefix}/t/year=2023/0.parquet", FRAME.iloc[:2].to_parquet())
    put(s3, f"{prefix}/t/year=2024/0.parquet", FRAME.iloc[2:].to_parquet())
    put(s3, f"{prefix}/t/_SUCCESS", b"")
    put(s3, f"{prefix}/t/_tmp/0.parquet", b"not a table")
    put(s3, f"{prefix}/tt/0.parquet", b"another table")
    read = read_table(f"s3://{s3.bucket}/{prefix}/t{slash}", None)
    assert_frame_equal(read[["account_id", "x"]], FRAME)
    assert read["year"].tolist() == [2023, 2023, 2024]


def test_objects_that_cannot_be_read(s3: S3Store, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = f"s3://{s3.bucket}/{prefix}"
    put(s3, f"{prefix}/profits.csv", b"a,b\n1,2\n3\n")
    put(s3, f"{prefix}/t.parquet", b"PAR1 broken")
    put(s3, f"{prefix}/notes.txt", b"a")
    put(s3, f"{prefix}/folder/notes.txt", b"a")
    assert refused(f"{root}/profits.csv").startswith(f"--data {root}/profits.csv line 3 has 1 fields, the header 2")
    assert f"--data {root}/t.parquet cannot be read as Parquet" in refused(f"{root}/t.parquet")
    assert "has an unknown ending" in refused(f"{root}/notes.txt")
    assert f"(did you mean '{prefix}/profits.csv'?)" in refused(f"{root}/profit.csv")
    assert "no such key and no Parquet file under it" in refused(f"{root}/folder")
    assert "there is no bucket 'nowhere'" in refused("s3://nowhere/t/")
    assert refused("s3://nowhere/t.csv").startswith("--data s3://nowhere/t.csv: ")
    assert "Invalid bucket name" in refused("s3://no_such bucket/t.csv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "S3 refuses access" in refused(f"{root}/profits.csv")
