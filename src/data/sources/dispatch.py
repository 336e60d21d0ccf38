"""Reads the table of `--data` from a file, S3 or a database."""

import logging
import re
from pathlib import Path

import pandas as pd

from src.errors import ConfigError
from src.secrets import mask_url, scrub
from src.suggest import one_line

log = logging.getLogger(__name__)
SQL_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "sqlite")
SAMPLE = "sample:"
BARE_SAMPLE = "sample:bare"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def read_table(source: str | None, query: str | None) -> pd.DataFrame:
    """Reads the table of `--data` and `--query` without checks or conversions.

    Args:
        source: a Parquet file or a folder of Parquet files, a CSV file (also `.csv.gz`), `s3://bucket/key` of one of
            these, `postgresql://…` or `sqlite:///…`; None for the sample table, `sample:bare` for its account, date
            and targets.
        query: the SELECT, only with a SQL URL.

    Returns:
        All rows and columns, in their original order.

    Raises:
        ConfigError: the options contradict each other, or the URL is malformed or has an unknown scheme.
        DataError: the table cannot be reached or read.
    """
    scheme = scheme_of(source)
    if scheme in SQL_SCHEMES and source is not None:
        from src.data.sources.sql import read_sql

        frame = read_sql(source, check_query(source, query))
    else:
        if query is not None:
            raise ConfigError(
                f"--query {one_line(query, 60)!r} needs a SQL URL: give --data postgresql://… or sqlite:///…"
            )
        frame = _read_without_query(source, scheme)
    log.info("read %d rows and %d columns of %s", len(frame), frame.shape[1], describe_source(source, query))
    return frame


def describe_source(source: str | None, query: str | None) -> str:
    """Description of a table's source for logs and records, without a password."""
    if source is None:
        return "sample table"
    if source == BARE_SAMPLE:
        return "sample table, only account, date and targets"
    if query is None:
        return mask_url(source)
    return f"{mask_url(source)} ({scrub(one_line(query), source)})"


def check_query(source: str, query: str | None) -> str:
    """The SELECT of a database.

    Raises:
        ConfigError: there is none.
    """
    if query is None or not query.strip():
        raise ConfigError(f"--data {mask_url(source)} is a database: give --query with a SELECT of the rows")
    return query


def scheme_of(source: str | None) -> str | None:
    """The scheme of a URL in lower case; None for a path."""
    match = _SCHEME.match(source or "")
    return match.group(1).lower() if match else None


def _read_without_query(source: str | None, scheme: str | None) -> pd.DataFrame:
    if source is None or source.startswith(SAMPLE):
        return _read_sample(source)
    if scheme == "s3":
        from src.data.sources.s3 import read_s3

        return read_s3(source)
    if scheme is not None:
        raise ConfigError(
            f"--data {mask_url(source)}: {scheme}:// is unknown: use a path, s3://, postgresql:// or sqlite:///"
        )
    if not source.strip():
        raise ConfigError(f"--data {source!r} is blank: give a path or a URL, or leave the option out")
    from src.data.sources.files import read_path

    return read_path(Path(source).expanduser(), source)


def _read_sample(source: str | None) -> pd.DataFrame:
    from src.data.sample.sample_table import bare_sample_table, sample_table

    if source is None:
        return sample_table()
    if source != BARE_SAMPLE:
        raise ConfigError(
            f"--data {one_line(source, 60)!r} is no form of the sample table: use {BARE_SAMPLE} for its account, date "
            f"and targets, leave the option out for the whole table, or write ./{one_line(source, 60)} for a file"
        )
    return bare_sample_table()
