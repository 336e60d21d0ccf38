"""Reads a table from S3 or an S3-compatible store, through a temporary folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from src.data.sources.files import ENDINGS, is_table_name, is_visible_parquet, read_path
from src.errors import ConfigError, DataError
from src.suggest import did_you_mean, one_line

_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 60
_ATTEMPTS = 2
"""Few attempts, so that a wrong host name fails within seconds; nothing is lost at this point."""


def read_s3(url: str) -> pd.DataFrame:
    """Reads `s3://bucket/key` of one file, or `s3://bucket/prefix` of a folder of Parquet files.

    Raises:
        ConfigError: the URL lacks the bucket or the key, or the endpoint is not a URL.
        DataError: no credentials, no such bucket or key, no permission, unreachable endpoint, unreadable file.
    """
    with downloaded(url) as path:
        return read_path(path, url)


@contextmanager
def downloaded(url: str) -> Iterator[Path]:
    """A temporary local copy of the file or folder of `s3://bucket/key`.

    Uses the usual `AWS_*` variables and files, and `MLFLOW_S3_ENDPOINT_URL` as the address of another store.

    Raises:
        ConfigError: the URL lacks the bucket or the key, or the endpoint is not a URL.
        DataError: no credentials, no such bucket or key, no permission, unreachable endpoint.
    """
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket or not key.strip("/"):
        raise ConfigError(f"--data {url} has no {'key' if bucket else 'bucket'}: write s3://bucket/key")
    with tempfile.TemporaryDirectory(prefix="daily-profit-") as folder:
        with _s3_errors(url, bucket):
            path = _download(url, bucket, key, Path(folder))
        yield path


def _download(url: str, bucket: str, key: str, folder: Path) -> Path:
    client = _client()
    if not key.endswith("/") and _is_object(client, bucket, key):
        name = PurePosixPath(key).name
        if not is_table_name(name):  # checked before a large download
            raise DataError(
                f"--data {url} has an unknown ending: use {', '.join(ENDINGS)} or a prefix of Parquet files"
            )
        client.download_file(bucket, key, str(folder / name))
        return folder / name
    keys = _parquet_keys(client, bucket, key.rstrip("/") + "/")
    if not keys:
        close = did_you_mean(key, _keys_beside(client, bucket, key))
        raise DataError(f"--data {url}: no such key and no Parquet file under it{close}: check the key")
    for name, relative in keys.items():
        target = Path(folder, relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, name, str(target))
    return folder


def _client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    # boto3 reads AWS_ENDPOINT_URL itself; MLflow's variable comes first, because this project documents it.
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    try:
        # A new session: the default session keeps the first credentials of the process.
        return boto3.Session().client("s3", endpoint_url=endpoint, config=config)
    except ValueError as error:  # "Invalid endpoint"
        raise ConfigError(f"MLFLOW_S3_ENDPOINT_URL {endpoint!r} is not a URL: write http://host:port") from error


def _is_object(client: Any, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:  # a prefix, or nothing
            return False
        raise
    return True


def _parquet_keys(client: Any, bucket: str, prefix: str) -> dict[str, str]:
    """Keys of the Parquet files under a prefix, with their paths relative to it."""
    keys = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            relative = PurePosixPath(entry["Key"][len(prefix) :])
            # A key may contain `..`, which would lead out of the temporary folder.
            if is_visible_parquet(Path(relative)) and not relative.is_absolute() and ".." not in relative.parts:
                keys[entry["Key"]] = str(relative)
    return keys


def _keys_beside(client: Any, bucket: str, key: str) -> list[str]:
    parent = key.rstrip("/").rpartition("/")[0]
    page = client.list_objects_v2(Bucket=bucket, Prefix=f"{parent}/" if parent else "", Delimiter="/")
    folders = [entry["Prefix"].rstrip("/") for entry in page.get("CommonPrefixes", [])]
    return [entry["Key"] for entry in page.get("Contents", [])] + folders


@contextmanager
def _s3_errors(url: str, bucket: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise DataError(f"--data {url}: credentials for S3 are missing or incomplete: {remedy}") from error
    except ConnectionError as error:
        endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL", "the S3 endpoint")
        remedy = "check MLFLOW_S3_ENDPOINT_URL and the network"
        raise DataError(f"--data {url}: {endpoint} cannot be reached: {remedy}") from error
    except ClientError as error:
        raise DataError(f"--data {url}: {_refusal(error.response.get('Error', {}), bucket)}") from error
    except (BotoCoreError, Boto3Error) as error:  # an invalid bucket name or profile, a failed transfer
        raise DataError(f"--data {url}: {one_line(error)}: check the URL and the AWS settings") from error


def _refusal(error: dict[str, Any], bucket: str) -> str:
    code = str(error.get("Code", "unknown error"))
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r}: check its name"
    if code in {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
        return f"S3 refuses access ({code}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and their permissions"
    return f"S3 answers {code} ({one_line(error.get('Message', ''))}): check bucket, key and endpoint"
