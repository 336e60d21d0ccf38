"""The tags of a run that say who started it, where, and from which commit.

MLflow sets these tags only on runs that its fluent interface starts, not on those of `MlflowClient.create_run`.
"""

import getpass
import platform
from pathlib import Path

from mlflow.utils.credentials import read_mlflow_creds
from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_USER

HOST_TAG = "daily_profit.host"
_SOURCES = Path(__file__).resolve().parents[2]


def current_user() -> str:
    """The user as MLflow records it: MLFLOW_TRACKING_USERNAME or ~/.mlflow/credentials, else the system's user."""
    return read_mlflow_creds().username or _system_user()


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container user without a name
        return "unknown"


def source_tags(module: str) -> dict[str, str]:
    """User and module."""
    return {MLFLOW_USER: current_user(), MLFLOW_SOURCE_NAME: module}


def origin_tags(module: str) -> dict[str, str]:
    """User, module, host and, where the code is a git checkout, the commit."""
    commit = get_git_commit(str(_SOURCES))
    return source_tags(module) | {HOST_TAG: platform.node()} | ({} if commit is None else {MLFLOW_GIT_COMMIT: commit})
