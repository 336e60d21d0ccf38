"""The registered versions that the tests of `serve` follow."""

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.served_registry import Registry, make_registry


@pytest.fixture(scope="module")
def shared(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Made once for the tests of a file."""
    return make_registry(_empty_mlflow_store, tmp_path_factory.mktemp("registry").resolve())


@pytest.fixture
def registry(shared: Registry) -> Registry:
    """Version 1 is champion, and there is no challenger."""
    mlflow.set_tracking_uri(shared.uri)
    shared.move(1)
    MlflowClient().delete_registered_model_alias("pnl", "challenger")
    return shared
