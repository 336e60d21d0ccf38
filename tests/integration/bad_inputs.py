"""Invalid input of all kinds: options, files, tables, YAML, stores."""

import gzip
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.small_table import small_table

CLOSED = "127.0.0.1:9"
"""A port without a listener: connections are refused at once."""
SECRET = "s3cr3t"
"""The password of every URL here; it must never be shown."""
TABLE = small_table(n_days=20, n_accounts=4)
N = len(TABLE)


@dataclass(frozen=True)
class Bad:
    """A case: the options, words of the message, a function that creates files, and the environment."""

    options: str
    words: tuple[str, ...]
    make: Callable[[Path], object] = str
    environ: dict[str, str] = field(default_factory=dict)


def bad(options: str, *words: str, **given: Any) -> Bad:
    return Bad(options, words, **given)


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def table(**columns: Any) -> Callable[[Path], object]:
    """`bad.parquet`: the good table with changed columns; None removes a column."""

    def make(folder: Path) -> None:
        frame = TABLE.assign(**{name: values for name, values in columns.items() if values is not None})
        frame.drop(columns=[name for name, v in columns.items() if v is None]).to_parquet(folder / "bad.parquet")

    return make


def with_value(column: str, value: object, row: int = 6) -> Callable[[Path], object]:
    """`bad.csv`: the good table with one changed value, which Parquet's column types do not allow."""
    values = TABLE[column].astype(object).tolist()
    values[row] = value
    return lambda folder: TABLE.assign(**{column: values}).to_csv(folder / "bad.csv", index=False)


def database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "trades.db")) as connection:
        TABLE.astype({"date": "str"}).to_sql("days", connection, index=False)


LAST_DATES = TABLE["date"] >= TABLE["date"].unique()[-4]
IN_BAD, BAD_CSV = "--data bad.parquet", "--data bad.csv"
NO_AWS = {
    "AWS_EC2_METADATA_DISABLED": "true",  # otherwise boto3 queries the metadata service
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_DEFAULT_REGION": "us-east-1",
}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}

FILES = {
    "missing": bad("--data tabel.parquet", "tabel.parquet", "does not exist", "did you mean 'table.parquet'"),
    "folder without Parquet": bad(
        "--data days",
        "days is a folder without Parquet files",
        "nothing",
        make=lambda folder: (folder / "days").mkdir(),
    ),
    "unknown ending": bad("--data t.xlsx", "t.xlsx", "unknown ending", ".parquet", make=text("t.xlsx", "a")),
    "empty file": bad("--data t.csv", "t.csv is an empty file", "write", make=text("t.csv", "")),
    "empty table": bad("--data t.csv", "table is empty", "no rows", make=text("t.csv", "account_id,date,net_profit\n")),
    "broken Parquet": bad("--data t.parquet", "t.parquet", "Parquet", "write", make=text("t.parquet", "PAR1 broken")),
    "ragged CSV": bad(
        "--data t.csv",
        "t.csv line 3 has 1 fields, the header 2",
        "correct the line",
        make=text("t.csv", "a,b\n1,2\n3\n"),
    ),
    "not UTF-8": bad(
        "--data t.csv", "t.csv line 2 is not UTF-8", "save", make=text("t.csv", "a,b\né,1\n".encode("cp1252"))
    ),
    "no gzip": bad(
        "--data t.csv.gz", "t.csv.gz is not a complete gzip", "compress", make=text("t.csv.gz", "a,b\n1,2\n")
    ),
    "half a gzip": bad(
        "--data t.csv.gz",
        *("t.csv.gz is not a complete gzip", "compress it again"),
        make=text("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9]),
    ),
    "semicolons": bad("--data t.csv", "t.csv", "semicolons", "commas", make=text("t.csv", "a;b\n1;2\n")),
    "S3 without credentials": bad("--data s3://b/t.csv", "s3://b/t.csv", "AWS_ACCESS_KEY_ID", environ=NO_AWS),
    "S3 out of reach": bad(
        "--data s3://b/t.csv",
        *("s3://b/t.csv", f"http://{CLOSED} cannot be reached", "MLFLOW_S3_ENDPOINT_URL"),
        environ=NO_AWS | KEYS | {"MLFLOW_S3_ENDPOINT_URL": f"http://{CLOSED}"},
    ),
    "S3 without key": bad("--data s3://b", "s3://b has no key", "s3://bucket/key"),
    "unknown URL": bad("--data ftp://u:s3cr3t@h/t.csv", "ftp://u:***@h/t.csv", "unknown", "s3://"),
    "SQL without query": bad("--data sqlite:///trades.db", "sqlite:///trades.db", "--query", make=database),
    "query without SQL": bad("--query 'SELECT 1'", "--query 'SELECT 1' needs a SQL URL", "postgresql://"),
    "wrong SQL": bad(
        "--data sqlite:///trades.db --query 'SELEC 1'", "'SELEC 1' failed", "correct the SELECT", make=database
    ),
    "no such SQL table": bad(
        "--data sqlite:///trades.db --query 'SELECT * FROM dayz'", "no such table: dayz", "correct", make=database
    ),
    "SQL without rows": bad(
        "--data sqlite:///trades.db --query 'SELECT * FROM days WHERE 0'", "table is empty", "rows", make=database
    ),
    "no such SQLite file": bad(
        "--data sqlite:///trade.db --query 'SELECT 1'", "trade.db", "did you mean 'trades.db'", make=database
    ),
    "database out of reach": bad(
        f"--data postgresql://u:s3cr3t@{CLOSED}/d --query 'SELECT 1'",
        f"u:***@{CLOSED}/d cannot be opened",
        "check host",
    ),
}
TABLES = {
    "no target": bad(IN_BAD, "'net_profit' (the target) is missing", "--config", make=table(net_profit=None)),
    "no date": bad(IN_BAD, "'date' (the date) is missing", "did you mean 'Date'", make=table(date=None, Date=1)),
    "no account": bad(IN_BAD, "'account_id' (the account) is missing", "account: null", make=table(account_id=None)),
    "no feature": bad(
        f"{IN_BAD} --features own",
        "no column is left as a feature",
        "or use --features derived",
        make=table(signal=None, noise=None, style=None, is_open=None),
    ),
    "unknown features": bad(
        f"{IN_BAD} --features all", "features 'all' is unknown", "own, derived, both", make=table()
    ),
    "no dates to derive from": bad(
        f"{IN_BAD} --config c.yaml --features derived",
        "features 'derived' needs dates",
        "use --features own",
        make=lambda folder: [table()(folder), text("c.yaml", "date: null")(folder)],
    ),
    "a derived feature's name": bad(
        f"{IN_BAD} --features both",
        "columns weekday have the names of derived features",
        "use --features own",
        make=table(weekday=1),
    ),
    "rows twice": bad(
        IN_BAD,
        "4 rows repeat",
        "'A00' on 2024-01-01 (rows 1 and 5)",
        "keep one row",
        make=table(date=TABLE["date"].where(TABLE["date"] > TABLE["date"].unique()[1], TABLE["date"].iloc[0])),
    ),
    "text for target": bad(
        BAD_CSV, "'net_profit' is not numeric", "'many' in row 7", make=with_value("net_profit", "many")
    ),
    "infinite target": bad(BAD_CSV, "'net_profit' holds 1 infinite", "row 7", make=with_value("net_profit", np.inf)),
    "no value of the target": bad(IN_BAD, "missing in every row", "another target", make=table(net_profit=np.nan)),
    "one class": bad(
        f"{IN_BAD} --targets is_profitable", "is 1 in all 80 rows", "both classes", make=table(is_profitable=1)
    ),
    "three classes": bad(
        f"{IN_BAD} --targets is_profitable",
        "the values 0, 1, 2",
        "use 0 and 1",
        make=table(is_profitable=np.arange(N) % 3),
    ),
    "constant target": bad(IN_BAD, "'net_profit' is 3 in all 80 rows", "constant", make=table(net_profit=3)),
    "feature without values": bad(IN_BAD, "'noise'", "without any value", "drop:", make=table(noise=np.nan)),
    "infinite feature": bad(BAD_CSV, "'noise' holds 1 infinite", "row 7", "replace", make=with_value("noise", -np.inf)),
    "text among numbers": bad(BAD_CSV, "'noise'", "'n/k' in row 7", "drop:", make=with_value("noise", "n/k")),
    "lists": bad(IN_BAD, "'noise' holds values of type", "drop:", make=table(noise=[[1]] * N)),
    "no date at all": bad(
        BAD_CSV, "'date'", "'soon' in row 7 is not a date", "2024-01-31", make=with_value("date", "soon")
    ),
    "date left out": bad(BAD_CSV, "'date'", "missing in 1 rows", "row 7", "fill", make=with_value("date", None)),
    "dates too few": bad("--purge-days 15", "20 dates are too few", "at least 44 are needed", "--purge-days"),
    "dates too few for folds": bad("--use-cv --n-folds 30", "20 dates are too few", "--n-folds"),
    "one class in the test period": bad(
        f"{IN_BAD} --targets is_profitable",
        *("always 1 in the test rows (2024-01-23 to 2024-01-26)", "--test-fraction"),
        make=table(is_profitable=TABLE["is_profitable"].where(~LAST_DATES, 1)),
    ),
}

OPTIONS = {
    "unknown option": bad("--n-trial 5", "--n-trial 5", "did you mean '--n-trials'", "--help"),
    "a word too many": bad("--seed 1 net_profit", "net_profit", "--help"),
    "a URL at the wrong place": bad("--seed 1 postgresql://u:s3cr3t@h/d", "postgresql://u:***@h/d", "--help"),
    "unknown target": bad("--targets net_profits", "'net_profits' is unknown", "did you mean 'net_profit'", "or all"),
    "no trials": bad("--n-trials 0", "--n-trials 0", "use 1 or more"),
    "trials below zero": bad("--n-trials -5", "--n-trials -5", "use 1 or more"),
    "trials in letters": bad("--n-trials abc", "--n-trials", "'abc'", "whole number"),
    "half a trial": bad("--n-trials 1.5", "--n-trials", "'1.5'", "whole number"),
    "no value": bad("--n-trials", "--n-trials", "expected one argument"),
    "no time": bad("--timeout 0", "--timeout 0.0", "seconds above 0"),
    "time is not a number": bad("--timeout nan", "--timeout", "'nan'", "number"),
    "time in letters": bad("--timeout abc", "--timeout", "'abc'", "number"),
    "no workers": bad("--max-workers 0", "--max-workers 0", "use 1 or more"),
    "one fold": bad("--n-folds 1", "--n-folds 1", "use 2 or more"),
    "purge below zero": bad("--purge-days -1", "--purge-days -1", "use 0 or more"),
    "all for the test": bad("--test-fraction 1", "--test-fraction 1.0", "use 0 or more and less than 1"),
    "test below zero": bad("--test-fraction=-0.1", "--test-fraction -0.1", "use 0 or more"),
    "test in letters": bad("--test-fraction abc", "--test-fraction", "'abc'", "number"),
    "no validation": bad("--valid-fraction 0", "--valid-fraction 0.0", "use more than 0 and less than 1"),
    "seed below zero": bad("--seed -1", "--seed -1", "0 to 2147483647"),
    "neither yes nor no": bad("--use-cv maybe", "--use-cv", "'maybe' is not a boolean"),
    "study named like a folder": bad("--study-name a/b", "--study-name 'a/b' contains '/'", "none of / "),
    "study of two lines": bad("--study-name 'a\nb'", "--study-name 'a\\nb' contains a character", "printable"),
    "study named like an option": bad("--study-name=-a", "--study-name '-a' begins with '-'", "use printable"),
    "study that ends with a space": bad("--study-name 'a '", "--study-name 'a ' ends with ' '", "use printable"),
    "studies with names too long": bad(
        f"--study-name {'x' * 190} --targets net_profit,num_trades",
        "--study-name",
        "is too long: 201",
        "200 bytes",
    ),
    "study without a name": bad("--study-name ' '", "--study-name ' ' is blank", "printable"),
    "study with a long name": bad(f"--study-name {'é' * 150}", "--study-name", "too long", "200 bytes"),
    "results in a file": bad("--output-dir out", "--output-dir out", "is a file", "name another", make=text("out", "")),
    "results under a file": bad("--output-dir out/x", "--output-dir out/x", "is a file", make=text("out", "")),
    "models in a file": bad("--output-dir out", "--output-dir out/models", "is a file", make=text("out/models", "")),
    "results in a name too long": bad(f"--output-dir {'x' * 300}", "--output-dir xxx", "too long", "another folder"),
    "password that MLflow recorded": bad(
        "--storage-url postgresql://u:s3cr3t@h/d",
        *("-P storage_url=postgresql://u:***@h/d", "delete that run", "OPTUNA_POSTGRES_PASSWORD"),
        environ={"MLFLOW_RUN_ID": "0" * 32},
    ),
    "password of the data that MLflow recorded": bad(
        "--data 'postgresql://h/d?password=s3cr3t'",
        "-P data=postgresql://h/d?password=***",
        "change the password",
        environ={"MLFLOW_RUN_ID": "0" * 32},
    ),
}
POSTGRES = {f"OPTUNA_POSTGRES_{name}": value for name, value in {"USER": "u", "PASSWORD": "s3cr3t", "DB": "d"}.items()}
STORES = {
    "no URL": bad("--storage-url nonsense", "--storage-url 'nonsense' is not a URL", "postgresql://user"),
    "MySQL": bad("--storage-url mysql://u:s3cr3t@h/d", "'mysql://u:***@h/d'", "not supported", "sqlite:///"),
    "port in letters": bad("--storage-url postgresql://u:s3cr3t@h:port/d", "u:***@h:port/d", "is not a URL"),
    "no database": bad("--storage-url postgresql://u:s3cr3t@h", "u:***@h' names no database", "/database"),
    "a store in memory": bad("--storage-url sqlite://", "'sqlite://' names no file", "sqlite:///studies.db"),
    "out of reach": bad(
        f"--storage-url postgresql://u:s3cr3t@{CLOSED}/d", f"u:***@{CLOSED}/d", "reached", "check host"
    ),
    "folder is a file": bad("--storage-dir studies", "--storage-dir", "is a file", make=text("studies", "")),
    "SQLite under a file": bad("--storage-url sqlite:///a/b.db", "--storage-url", "is a file", make=text("a", "")),
    "SQLite file is a folder": bad(
        "--storage-url sqlite:///a", "--storage-url a is a folder", "a/studies.db", make=lambda f: (f / "a").mkdir()
    ),
    "SQLite file is a table": bad(
        "--storage-url sqlite:///table.parquet",
        "--storage-url table.parquet",
        "is not a SQLite database",
        "give another",
    ),
    "half a set of variables": bad("", "OPTUNA_POSTGRES_PASSWORD", "not OPTUNA_POSTGRES_HOST", environ=POSTGRES),
    "port variable in letters": bad(
        "",
        "OPTUNA_POSTGRES_PORT 'five' is not a port",
        "5432",
        environ=POSTGRES | {"OPTUNA_POSTGRES_HOST": "h", "OPTUNA_POSTGRES_PORT": "five"},
    ),
}


def tracking(uri: str, *words: str) -> Bad:
    return bad("", "MLFLOW_TRACKING_URI", *words, "use sqlite:///mlflow.db", environ={"MLFLOW_TRACKING_URI": uri})


STORES |= {
    "no name of an experiment": bad(
        "", "MLFLOW_EXPERIMENT_NAME ' '", "unset it", environ={"MLFLOW_EXPERIMENT_NAME": " "}
    ),
    "MLflow in a folder": tracking("mlruns", "'mlruns' is a folder"),
    "MLflow of an unknown kind": tracking("ftp://u:s3cr3t@h", "'ftp://u:***@h'", "unknown scheme"),
    "MLflow with another driver": tracking("postgresql://u:s3cr3t@h/d", "u:***@h/d' needs a driver"),
    "MLflow with a port in letters": tracking(
        "postgresql+psycopg2://u:s3cr3t@h:port/d", "u:***@h:port/d' is not a URL"
    ),
}
WITH_YAML = "--config table.yaml"
PNL = "targets: {pnl: {task: regression}}"


def bad_yaml(content: str | bytes, *words: str, options: str = "") -> Bad:
    return Bad(f"{WITH_YAML} {options}", ("--config table.yaml", *words), text("table.yaml", content))


YAML = {
    "missing": bad(
        "--config tabel.yaml", "tabel.yaml does not exist", "did you mean 'table.yaml'", make=text("table.yaml", "")
    ),
    "unknown key": bad_yaml("acount: a", "'acount'", "did you mean 'account'", "use account"),
    "unknown key of a target": bad_yaml("targets: {pnl: {tsk: binary}}", "'pnl'", "'tsk'", "did you mean 'task'"),
    "text for a list": bad_yaml("drop: signal", "`drop` is 'signal'", "write a list"),
    "date for a name": bad_yaml("date: 2024-01-01", "`date` has '2024-01-01'", "quotes"),
    "list for keys": bad_yaml("- a", "holds a list", "date: day"),
    "no YAML": bad_yaml("drop: [a", "line 1", "correct the YAML"),
    "no text": bad_yaml(b"PAR1\xff\xfe", "is not UTF-8", "YAML file"),
    "empty": bad_yaml("", "is empty", "give at least one of"),
    "key twice": bad_yaml("date: a\ndate: b", "line 2", "'date' is repeated"),
    "used and dropped": bad_yaml("use: [noise]\ndrop: [noise]", "noise is in both `use` and `drop`", "remove it"),
    "target for a feature": bad_yaml(f"use: [pnl]\n{PNL}", "pnl is in `use`", "a target is no feature"),
    "unknown task": bad_yaml("targets: {pnl: {task: regresion}}", "'pnl'", "'regresion'", "did you mean 'regression'"),
    "unknown metric": bad_yaml("targets: {pnl: {task: regression, metric: r2}}", "'pnl'", "'r2'", "mae, rmse"),
    "metric of another task": bad_yaml("targets: {pnl: {task: binary, metric: mae}}", "'mae'", "'binary'", "auc"),
    "no targets": bad_yaml("targets: {}", "`targets` is '{}'", "write `targets:"),
    "target with a slash": bad_yaml(
        "targets: {a/b: {task: regression}}", "'a/b'", "rename the column", options="--targets all"
    ),
    "target with a colon": bad_yaml("targets: {'a:b': {task: regression}}", "'a:b'", "rename the column"),
    "target with a question mark": bad_yaml("targets: {'a?': {task: regression}}", "'a?'", "rename the column"),
    "target with an at sign": bad_yaml("targets: {'a@b': {task: regression}}", "'a@b' contains '@'", "rename"),
    "target with an escape": bad_yaml("targets: {'a%20b': {task: regression}}", "'a%20b' contains '%20'", "rename"),
    "target named all": bad_yaml("targets: {all: {task: regression}}", "'all' means all targets", "rename the column"),
    "hidden target": bad_yaml("targets: {.pnl: {task: regression}}", "'.pnl' begins with '.'", "rename the column"),
    "endless target": bad_yaml(f"targets: {{{'x' * 200}: {{task: binary}}}}", "xxx…' is too long", "180 bytes"),
    "another target": bad(WITH_YAML, "target 'net_profit' is unknown", "use pnl, or all", make=text("table.yaml", PNL)),
    "no such column": bad(
        WITH_YAML, "'day' (the date) is missing", "date: in --config", make=text("table.yaml", "date: day")
    ),
    "unknown mode of features": bad_yaml("features: derivd", "`features` is 'derivd'", "did you mean 'derived'"),
    "unknown calendar": bad(
        f"{WITH_YAML} --features both",
        "calendar: 'XNYC' of --config is unknown",
        "did you mean 'XNYS'",
        make=text("table.yaml", "calendar: XNYC"),
    ),
    "no such past": bad(
        WITH_YAML, "'nois' (known_after:)", "did you mean 'noise'", make=text("table.yaml", "known_after: [nois]")
    ),
    "texts in the past": bad(
        f"{WITH_YAML} --features both",
        "column 'style' (known_after:) holds texts",
        "give numbers",
        make=text("table.yaml", "known_after: [style]"),
    ),
    "names of derived features": bad(
        f"{WITH_YAML} --features both",
        "two derived features would have the name 'market_net_profit_mean_1'",
        "rename a column or a group",
        make=lambda folder: [
            text("table.yaml", "groups: [market]")(folder),
            TABLE.rename(columns={"style": "market"}).to_parquet(folder / "table.parquet"),
        ],
    ),
    "nothing to drop": bad(
        WITH_YAML, "'nois' (drop:)", "did you mean 'noise'", make=text("table.yaml", "drop: [nois]")
    ),
}
GROUPS = {"option": OPTIONS, "file": FILES, "table": TABLES, "store": STORES, "yaml": YAML}
ALL = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}
