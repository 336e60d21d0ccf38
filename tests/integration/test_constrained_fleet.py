"""Constraints of a study that several processes share on a real Postgres."""

import json
from collections.abc import Iterator
from pathlib import Path

import lightgbm as lgb
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from src.modeling.waiting import StudyProgress, read_progress
from tests.integration.fleet import FINISH, NAME, Fleet


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str, mlflow_store: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres_url, mlflow_store, days=40)
    yield fleet
    fleet.stop()


@pytest.mark.timeout(400)
def test_workers_learn_the_constraints_from_the_study(fleet: Fleet) -> None:
    fleet.done(fleet.create(24, "--constraint", "trees<=60", "--select", "small"))
    other = fleet.worker(9, "--constraint", "trees<=50")
    assert "was created with constraint ('trees<=60',), now it is ('trees<=50',)" in fleet.done(other, status=2)
    for worker in [fleet.worker(number) for number in range(2)]:
        fleet.done(worker)
    trials = fleet.study().get_trials(states=(TrialState.COMPLETE,))
    assert {tuple(trial.constraints) for trial in trials} == {("trees<=60",)}
    assert all((trial.constraints["trees<=60"] <= 0) == (trial.user_attrs["trees"] <= 60) for trial in trials)
    seen = read_progress(make_url(fleet.url), NAME)
    assert isinstance(seen, StudyProgress)
    assert seen.best == fleet.study().best_value
    fleet.done(fleet.run(FINISH, "--study-name", NAME))
    fleet.check(24)
    metadata = json.loads((fleet.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json").read_text())
    assert metadata["select"] == "small"
    assert lgb.Booster(model_file=fleet.folder / metadata["model_file"]).num_trees() <= 60
