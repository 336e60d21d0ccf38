from pathlib import Path

import optuna
import pytest

from src.modeling.studies import OptunaStudyManager


@pytest.fixture
def manager(tmp_path: Path) -> OptunaStudyManager:
    """The embedded store in a folder of the test's own."""
    return OptunaStudyManager(tmp_path)


@pytest.fixture
def study(manager: OptunaStudyManager) -> optuna.Study:
    """A new study `s` in it."""
    return manager.create_or_load_study("s")
