import shutil
from pathlib import Path

import mlflow
import pytest

from tests.contenders import TwoVersions, make_two_versions


@pytest.fixture(scope="session")
def _two_versions(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoVersions:
    return make_two_versions(_empty_mlflow_store, tmp_path_factory.mktemp("two_versions"))


@pytest.fixture
def two_versions(_two_versions: TwoVersions, tmp_path: Path) -> TwoVersions:
    """Points MLflow to a copy of the store, which a test may change."""
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(_two_versions.database, tmp_path / 'copy.db')}")
    return _two_versions
