"""Checks that the artifact location of an experiment accepts files: local folders and S3; writes nothing.

Other locations (behind a server, other clouds) are not checked.
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
    """Refuses an artifact location that cannot take files.

    Args:
        experiment: the experiment of the runs; None is a new one of a database, in MLflow's default artifact folder.
        environ: environment variables with the default artifact folder and the S3 credentials.

    Raises:
        ConfigError: no permission, no credentials, no such bucket.
        NoAnswer: S3 cannot be reached.
    """
    stored = "" if experiment is None else experiment.artifacts
    location = stored or environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    parts = urlsplit(location)
    if parts.scheme in ("", "file"):
        _check_folder(Path(unquote(parts.path) if parts.scheme else location), experiment)
    elif parts.scheme == "s3":
        _check_bucket(parts.netloc, parts.path.lstrip("/"), environ)


def _check_folder(folder: Path, experiment: Experiment | None) -> None:
    if experiment is None:
        what, remedy = "MLflow's artifact folder", "make it writable, or start in a writable folder"
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
        raise ConfigError(f"MLFLOW_S3_ENDPOINT_URL {endpoint!r} is not a URL: write http://host:port") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigError(
            f"MLflow stores artifacts in s3://{bucket}, but there are no credentials: set {_KEYS}"
        ) from error
    except ClientError as error:
        _raise_if_permanent(bucket, error.response.get("Error", {}), error)
    except BotoCoreError as error:  # no connection, a proxy that fails
        raise NoAnswer(f"s3://{bucket}: {one_line(error, 120)}") from error


def _raise_if_permanent(bucket: str, answer: Mapping[str, Any], error: Exception) -> None:
    """A refusal to list is not an error: write access does not imply list access."""
    code = str(answer.get("Code", ""))
    if code == "NoSuchBucket":
        raise ConfigError(
            f"MLflow stores artifacts in s3://{bucket}, and there is no such bucket: create it, or correct "
            f"MLFLOW_S3_ENDPOINT_URL"
        ) from error
    if code in _REFUSED:
        raise ConfigError(
            f"MLflow stores artifacts in s3://{bucket}, which refuses access ({code}): correct {_KEYS}"
        ) from error


def check_database_file(path: Path, shown: str) -> None:
    """Refuses an SQLite tracking store that cannot be written or created.

    Args:
        path: path of the database file.
        shown: its name in messages.

    Raises:
        ConfigError: it is a folder, or there is no permission.
    """
    remedy = "make it writable, or set MLFLOW_TRACKING_URI to another file"
    if path.is_dir():
        raise ConfigError(f"{shown} is a folder: give a file in it, sqlite:///{path / 'mlflow.db'}")
    check_folder(f"{shown}: its folder", path.parent, remedy)  # SQLite keeps its journal there
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(f"{shown} cannot be written: no permission for {path}: {remedy}")
