"""Can the files of a run be kept where its experiment keeps them? Asked of local folders and of S3, nothing is written.

Other kinds of places (behind a server, other clouds) are left to MLflow.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from src.disk import check_folder
from src.errors import ConfigError
from src.suggest import one_line
from src.tracking.connection.destination import EXPERIMENT_NAME, Experiment, NoAnswer

ROOT_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_ROOT"
DEFAULT_ROOT = "./mlruns"
SECONDS = 3
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403")
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def check_artifacts(experiment: Experiment | None, environ: Mapping[str, str]) -> None:
    """Refuses a place that cannot take files.

    Args:
        experiment: where the runs go; None is a new one of a database, which will lie in MLflow's default folder.
        environ: says where that is, and has the credentials of S3.

    Raises:
        ConfigError: no permission, no credentials, no such bucket.
        NoAnswer: S3 cannot be reached.
    """
    known = "" if experiment is None else experiment.artifacts
    place = known or environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        _check_folder(Path(unquote(parts.path) if parts.scheme else place), experiment)
    elif parts.scheme == "s3":
        _check_bucket(parts.netloc, parts.path.lstrip("/"), environ)


def _check_folder(folder: Path, experiment: Experiment | None) -> None:
    if experiment is None:
        what, remedy = "MLflow's artifact folder", "make it writable, or start where you may write"
    else:
        what = f"the artifact folder of MLflow's experiment {one_line(experiment.name, 80)!r},"
        remedy = f"make it writable, or set {EXPERIMENT_NAME} to a new experiment"
    check_folder(what, folder, remedy)


def _check_bucket(bucket: str, prefix: str, environ: Mapping[str, str]) -> None:
    from boto3 import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    endpoint = environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    config = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1})
    verify = False if environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("1", "true") else None
    try:
        client = Session().client("s3", endpoint_url=endpoint, config=config, verify=verify)
        client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except ValueError as error:  # "Invalid endpoint"
        raise ConfigError(f"MLFLOW_S3_ENDPOINT_URL {endpoint!r} is no URL: write http://host:port") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigError(f"MLflow's artifacts lie in s3://{bucket}, without credentials: set {_KEYS}") from error
    except ClientError as error:
        _raise_if_permanent(bucket, error.response.get("Error", {}), error)
    except BotoCoreError as error:  # no connection, a proxy that fails
        raise NoAnswer(f"s3://{bucket}: {one_line(error, 120)}") from error


def _raise_if_permanent(bucket: str, answer: Mapping[str, Any], error: Exception) -> None:
    """Who may write need not be allowed to list: a plain refusal to list says nothing."""
    code = str(answer.get("Code", ""))
    if code == "NoSuchBucket":
        raise ConfigError(
            f"MLflow's artifacts lie in s3://{bucket}, and there is no such bucket: create it, or correct "
            f"MLFLOW_S3_ENDPOINT_URL"
        ) from error
    if code in _REFUSED:
        raise ConfigError(
            f"MLflow's artifacts lie in s3://{bucket}, which refuses ({code}): correct {_KEYS}"
        ) from error


def check_database_file(path: Path, shown: str) -> None:
    """Refuses an SQLite tracking store that cannot be written, or cannot be made.

    Args:
        path: of the file.
        shown: what names it, for messages.

    Raises:
        ConfigError: it is a folder, or there is no permission.
    """
    remedy = "make it writable, or set MLFLOW_TRACKING_URI to another file"
    if path.is_dir():
        raise ConfigError(f"{shown} is a folder: name a file in it, sqlite:///{path / 'mlflow.db'}")
    check_folder(f"{shown}: its folder", path.parent, remedy)  # SQLite keeps its journal there
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(f"{shown} cannot be written: no permission for {path}: {remedy}")
