import json
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from src.search.earlier_model import EarlierModel
from src.tracking.registry.earlier_models import EarlierModels, may_hold_models
from src.tracking.registry.earlier_models_process import registered
from src.tracking.registry.model_versions import register_model
from tests.tiny_model import tiny_model

PARAMS = {"boosting_type": "goss", "num_leaves": 31, "learning_rate": 0.05}
RECORD: dict[str, Any] = {
    "metric": "mae", "hyperparameters": {"boosting_type": "the heaviest member's"}, "search_until": None,
    "best_trial": {"number": 3, "hyperparameters": PARAMS}, "data_digest": "0123",
    "split": {"test_fraction": 0.2, "seed": 42, "purge_days": 1},
}  # fmt: skip


def with_version(name: str, **tags: str) -> None:
    client = MlflowClient()
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    client.create_model_version(name, "s3://bucket/model", tags=tags)


def test_starting_points_of_registered_models_are_read_by_a_separate_process(mlflow_store: str, tmp_path: Path) -> None:
    metadata = RECORD | {"search_until": "2024-01-31"}
    run = MlflowClient().create_run("0").info.run_id
    for rounds, study in ((5, "first"), (6, "second")):
        register_model(run, tiny_model(tmp_path, rounds=rounds, **metadata | {"study_name": study}).card)
    with_version("pnl", study_name="made before there was such a tag")
    earlier = EarlierModels(["pnl", "unknown"], dict(os.environ), seconds=120)
    assert earlier.of("pnl") == [
        EarlierModel(f"models:/pnl/{number}", study, "mae", PARAMS, "2024-01-31", "0123", 0.2, 42)
        for number, study in ((2, "second"), (1, "first"))
    ]
    assert earlier.of("unknown") == earlier.of("never asked for") == []
    assert registered("pnl") == earlier.of("pnl")


def test_an_embedded_store_without_a_model_is_not_read(mlflow_store: str, tmp_path: Path) -> None:
    assert not may_hold_models({"MLFLOW_TRACKING_URI": mlflow_store})
    assert not may_hold_models({"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'none.db'}"})
    (tmp_path / "text.db").write_text("no database " * 100)
    assert not may_hold_models({"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'text.db'}"})
    assert may_hold_models({"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    with_version("pnl")
    assert may_hold_models({"MLFLOW_TRACKING_URI": mlflow_store})
    assert may_hold_models({"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_REGISTRY_URI": mlflow_store})


@pytest.mark.slow
def test_a_registry_that_does_not_answer_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and never answers
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        earlier = EarlierModels(["pnl"], dict(os.environ) | {"MLFLOW_TRACKING_URI": uri}, seconds=0.5)
        assert earlier.of("pnl") == []
        assert "registered models are not used as starting points" in caplog.text
        wait_for_the_registry_process()


@pytest.mark.slow
def test_an_unavailable_registry_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://somebody:s3cret@127.0.0.1:{server.getsockname()[1]}"
    earlier = EarlierModels(["pnl"], dict(os.environ) | {"MLFLOW_TRACKING_URI": uri}, seconds=120)
    assert earlier.of("pnl") == []
    (line,) = [record.getMessage() for record in caplog.records]
    assert "look for models 'pnl'" in line
    assert "s3cret" not in line


def wait_for_the_registry_process() -> None:
    """Waits until the process is killed by its timeout, so that no test leaves one behind."""
    for thread in threading.enumerate():
        if thread.name == "earlier-models":
            thread.join(60)
            assert not thread.is_alive()


def test_the_tag_is_valid_json(mlflow_store: str, tmp_path: Path) -> None:
    register_model(MlflowClient().create_run("0").info.run_id, tiny_model(tmp_path, **RECORD).card)
    tag = mlflow.MlflowClient().get_model_version("pnl", "1").tags["starting_point"]
    point = {"params": PARAMS, "search_until": None, "data_digest": "0123", "test_fraction": 0.2, "split_seed": 42}
    assert json.loads(tag) == point


def test_tags_of_earlier_versions_and_of_later_ones_are_read(mlflow_store: str) -> None:
    with_version("pnl", starting_point=json.dumps({"params": PARAMS, "search_until": ""}))
    with_version("pnl", starting_point=json.dumps({"params": PARAMS, "search_until": "2024-01-31", "new": 1}))
    assert registered("pnl") == [
        EarlierModel("models:/pnl/2", "", "", PARAMS, "2024-01-31"), EarlierModel("models:/pnl/1", "", "", PARAMS, "")
    ]  # fmt: skip
