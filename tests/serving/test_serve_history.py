"""A model with derived features behind the server: the request has the past, the answer has keys and predictions."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from src.data.sources.files import read_path
from src.tracking.registry.model_versions import register_model
from src.tracking.registry.served_model import ModelCard
from tests.bare_table import PEERS, bare_table, with_peers
from tests.derived_model import trained
from tests.served_registry import running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("content_type", ["application/json", "text/csv"])
def test_history_is_answered_with_its_keys(mlflow_store: str, tmp_path: Path, content_type: str) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    frame = with_peers(bare_table(40, 6))
    model = trained(frame, PEERS, "net_profit", tmp_path)
    card = ModelCard("net_profit", tmp_path / "trained.txt", model.served.metadata, frame.tail(60))
    register_model(MlflowClient().create_run("0").info.run_id, card)
    last = frame["date"] == frame["date"].max()
    history = frame.assign(net_profit=frame["net_profit"].mask(last))
    expected = model.booster.predict(model.matrix[model.rows(frame[last])])
    body = history.to_csv(index=False)
    if content_type == "application/json":
        body = json.dumps({"dataframe_records": json.loads(history.to_json(orient="records", date_format="iso"))})
    with running("net_profit", log=tmp_path / "log") as server:
        server.follower.poll()
        answer = server.post("/invocations", data=body.encode(), headers={"Content-Type": content_type})
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        refused = server.post("/invocations", data=frame.to_csv(index=False), headers={"Content-Type": "text/csv"})
    assert [row["prediction"] for row in rows] == list(expected)
    assert [row["account_id"] for row in rows] == frame.loc[last, "account_id"].astype(str).tolist()
    assert refused.status_code == 400
    assert "no row is to be predicted" in refused.json()["message"]
    log = read_path(tmp_path / "log", "log")
    assert np.array_equal(log["prediction"], expected)
    assert log["account_id"].tolist() == frame.loc[last, "account_id"].astype(str).tolist()
