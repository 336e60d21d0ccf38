from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray

from src.errors import DataError, TrackingError, UserError
from src.tracking.registry.model_versions import (
    RegisteredVersion,
    ScoreComparison,
    compare_predictions,
    is_registered,
    register_model,
    version_aliases,
)
from src.tracking.registry.served_model import DIGEST_TAG, load_served
from src.tracking.registry.served_rows import predict_rows
from tests.contenders import TwoVersions
from tests.tiny_model import TinyModel, tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

SCORES: dict[str, Any] = {
    "validation_score": 1.5,
    "test_score": None,
    "metric": "mae",
    "skill": -0.25,
    "trained_at": "2024-05-01",
}


class Killed(BaseException):
    """Simulates `kill -9`: the project's code must not catch it."""


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    return MlflowClient()


@pytest.fixture
def weak(tmp_path: Path) -> TinyModel:
    return tiny_model(tmp_path, rounds=2, **SCORES)


@pytest.fixture
def strong(tmp_path: Path) -> TinyModel:
    return tiny_model(tmp_path, rounds=60, **SCORES | {"study_name": "second"})


def a_run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def aliases(client: MlflowClient, name: str = "pnl") -> dict[str, int]:
    return {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}


def test_first_version_is_champion_with_its_tags(client: MlflowClient, weak: TinyModel) -> None:
    run_id = a_run(client)
    registered = register_model(run_id, weak.card)
    assert registered == RegisteredVersion("pnl", 1, "champion", "models:/pnl/1")
    version = client.get_model_version("pnl", "1")
    assert (version.status, version.run_id) == ("READY", run_id)
    assert len(version.tags.pop(DIGEST_TAG)) == 64
    assert version.tags == {
        "study_name": "pnl_study",
        "validation_score": "1.5",
        "metric": "mae",
        "skill": "-0.25",
        "trained_at": "2024-05-01",
    }
    for uri in ("models:/pnl@champion", registered.uri, f"runs:/{run_id}/model"):
        assert np.array_equal(predict_rows(load_served(uri), weak.frame), weak.booster.predict(weak.matrix))


def test_later_versions_are_challengers_in_turn(client: MlflowClient, weak: TinyModel, strong: TinyModel) -> None:
    third = replace(weak.card, metadata=weak.card.metadata | {"study_name": "third"})
    results = [register_model(a_run(client), card) for card in (weak.card, strong.card, third)]
    assert [result.alias for result in results] == ["champion", "challenger", "challenger"]
    assert aliases(client) == {"champion": 1, "challenger": 3}
    superseded = register_model(a_run(client), strong.card)
    assert (superseded.version, superseded.alias) == (2, None)
    assert aliases(client) == {"champion": 1, "challenger": 3}


def test_second_call_adds_nothing(client: MlflowClient, weak: TinyModel) -> None:
    run_id = a_run(client)
    assert register_model(run_id, weak.card) == register_model(run_id, weak.card)
    assert len(client.search_model_versions("name='pnl'")) == 1
    assert len(client.search_logged_models(["0"])) == 1


def test_a_longer_study_adds_its_new_model(client: MlflowClient, weak: TinyModel, strong: TinyModel) -> None:
    register_model(run := a_run(client), weak.card)
    longer = replace(strong.card, metadata=weak.card.metadata)
    assert register_model(run, longer).version == 2


@pytest.mark.parametrize(
    "step", ["create_logged_model", "create_registered_model", "create_model_version", "set_registered_model_alias"]
)
@pytest.mark.parametrize("before", [True, False])
def test_a_killed_call_can_be_repeated(
    client: MlflowClient, weak: TinyModel, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    run_id, real = a_run(client), getattr(MlflowClient, step)

    def killed(*arguments: object, **named: object) -> None:
        if not before:
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MlflowClient, step, killed)
        register_model(run_id, weak.card)
    assert register_model(run_id, weak.card).alias == "champion"
    (version,) = client.search_model_versions("name='pnl'")
    assert version.tags["study_name"] == "pnl_study"
    assert aliases(client) == {"champion": 1}
    ready = [model for model in client.search_logged_models(["0"]) if model.status == "READY"]
    assert len(ready) == 1


def test_name_with_a_quote(client: MlflowClient, weak: TinyModel) -> None:
    quoted = replace(weak.card, target="o'neil")
    register_model(run := a_run(client), quoted)
    assert register_model(run, quoted).version == 1


def test_refusal_is_one_line(client: MlflowClient, weak: TinyModel) -> None:
    with pytest.raises(TrackingError, match="cannot register model 'pnl': Run with id=nowhere not found") as caught:
        register_model("nowhere", weak.card)
    assert "\n" not in str(caught.value)


def test_dead_server_is_one_line_without_its_password(weak: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://user:hunter2@127.0.0.1:9")
    with pytest.raises(TrackingError, match="cannot register model 'pnl'") as caught:
        register_model("0" * 32, weak.card)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


URIS = ("models:/pnl/1", "models:/pnl/2")
Y = np.array([0.0, 1.0, 1.0, 0.0])


def test_comparison_is_challenger_minus_champion() -> None:
    found = compare_predictions(URIS, (Y + 2, Y - 1), Y, "mae")
    assert found == ScoreComparison("mae", *URIS, 2.0, 1.0, -1.0, better=True, n_rows=4)
    assert not compare_predictions(URIS, (Y, 1 - Y), Y, "auc").better
    assert compare_predictions(URIS, (1 - Y, Y), Y, "auc") == ScoreComparison("auc", *URIS, 0.0, 1.0, 1.0, True, 4)


def test_equal_predictions_are_not_better() -> None:
    same = compare_predictions(URIS, (Y + 1, Y - 1), Y, "rmse")
    assert (same.difference, same.better) == (0, False)


@pytest.mark.parametrize("y", [np.ones(4), np.array([]), Y[:3]])
def test_rows_without_a_defined_metric(y: NDArray[np.float64]) -> None:
    with pytest.raises(DataError, match=f"cannot be compared by auc on {len(y)} rows: "):
        compare_predictions(URIS, (Y, Y), y, "auc")


def test_versions_of_the_aliases(two_versions: TwoVersions) -> None:
    assert version_aliases("profit") == {"champion": "models:/profit/1", "challenger": "models:/profit/2"}
    MlflowClient().delete_registered_model_alias("profit", "challenger")
    assert version_aliases("profit") == {"champion": "models:/profit/1"}


def test_an_unknown_name_has_no_aliases(client: MlflowClient) -> None:
    assert not is_registered("nobody")
    with pytest.raises(UserError, match="model 'nobody' has no version"):
        version_aliases("nobody")
