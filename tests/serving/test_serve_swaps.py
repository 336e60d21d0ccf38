"""The server follows the alias while clients send requests; the challenger and the log do not disturb the answers."""

import gc
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from src.data.sources.files import read_path
from tests.served_registry import BROKEN, Registry, Running, records, running, wait_until

pytestmark = pytest.mark.slow

CLIENTS, REQUESTS = 8, 2_000


def test_no_request_is_lost_while_the_champion_changes(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    answers: dict[int, list[float]] = {}
    for number, model in registry.models.items():
        answers[number] = list(model.booster.predict(model.matrix[:40]))
    request = records(registry.models[1])
    stop = threading.Event()
    seen: Counter[str] = Counter()

    def client(server: Running) -> list[str]:
        wrong = []
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.post(f"{server.url}/pnl/invocations", json=request, timeout=60)
                version = answer.headers.get("x-model-version", "")
                if answer.status_code != 200 or answer.json()["predictions"] != answers[int(version)]:
                    wrong.append(f"{answer.status_code} from version {version}: {answer.text[:200]}")
                seen[version] += 1
        return wrong

    with running("pnl") as server, ThreadPoolExecutor(CLIENTS) as pool:
        server.follower.poll()
        clients = [pool.submit(client, server) for _ in range(CLIENTS)]
        try:
            for version in (2, BROKEN, 3):
                before = sum(seen.values())
                wait_until(lambda before=before: sum(seen.values()) >= before + REQUESTS // 4, seconds=300)
                registry.move(version)
                server.follower.poll()
            wait_until(lambda: seen["3"] >= REQUESTS // 4, seconds=300)
        finally:
            stop.set()
        assert [line for each in clients for line in each.result()] == []
        assert server.metric('daily_profit_swaps_total{role="champion",target="pnl"}') == 3
        assert server.metric('daily_profit_failed_swaps_total{role="champion",target="pnl"}') == 1
    assert set(seen) == {"1", "2", "3"} and sum(seen.values()) >= REQUESTS
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert "pnl version 4 (champion) is refused, version 2 keeps serving: LightGBMError" in line


def test_a_refused_version_is_tried_again_when_the_alias_has_changed(registry: Registry) -> None:
    failed = 'daily_profit_failed_swaps_total{role="champion",target="pnl"}'
    with running("pnl") as server:
        server.follower.poll()
        registry.move(BROKEN)
        for _ in range(3):
            server.follower.poll()
        assert server.metric(failed) == 1
        registry.move(1)
        server.follower.poll()
        registry.move(BROKEN)
        server.follower.poll()
        assert server.metric(failed) == 2
        assert server.get("/version").json()["pnl"]["version"] == 1


def test_without_an_old_version_a_refused_one_is_tried_at_every_poll(registry: Registry) -> None:
    registry.move(BROKEN)
    with running("pnl") as server:
        for _ in range(2):
            server.follower.poll()
        assert server.metric('daily_profit_failed_swaps_total{role="champion",target="pnl"}') == 2
        assert server.get("/ready").status_code == 503


def test_the_old_version_is_freed_with_its_files(registry: Registry) -> None:
    with running("pnl") as server:
        server.follower.poll()
        old = server.slots["pnl"].current
        assert old is not None
        booster, folder = weakref.ref(old.model.unwrap_python_model().booster), Path(old.folder)
        assert (folder / "artifacts" / "model.txt").is_file()
        registry.move(2)
        server.follower.poll()
        assert booster() is not None, "a request still uses it"
        del old
        gc.collect()
        assert booster() is None
        assert not folder.exists()


def test_an_outage_of_the_registry_is_logged_once_and_serving_goes_on(
    registry: Registry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with running("pnl", "win") as server:
        server.follower.poll()
        mlflow.set_tracking_uri("http://127.0.0.1:9")  # nobody listens there
        for _ in range(2):
            server.follower.poll()
        assert server.metric("daily_profit_failed_polls_total") == 2
        assert server.post("/pnl/invocations", json=records(registry.models[1])).status_code == 200
        mlflow.set_tracking_uri(registry.uri)
        server.follower.poll()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("src.serving")]
    assert len(lines) == 2
    assert lines[0].startswith("the loaded versions keep serving: cannot load model 'models:/pnl@champion'")
    assert lines[1] == "MLflow answers again"


def test_an_alias_that_was_deleted_leaves_the_old_version(registry: Registry) -> None:
    with running("pnl") as server:
        server.follower.poll()
        MlflowClient().delete_registered_model_alias("pnl", "champion")
        server.follower.poll()
        assert server.post("/pnl/invocations", json=records(registry.models[1])).status_code == 200


def test_predictions_of_champion_and_challenger_are_logged(registry: Registry, tmp_path: Path) -> None:
    registry.move(3, "challenger")
    champion, challenger = registry.models[1], registry.models[3]
    with running("pnl", shadow="challenger", log=tmp_path / "log") as server:
        server.follower.poll()
        for rows in (slice(0, 40), slice(40, 50)):
            answer = server.post("/invocations", json=records(champion, rows))
            assert answer.headers["x-model-version"] == "1"
        assert server.post("/invocations", json={"dataframe_records": [{"ret": 1}]}).status_code == 400
    log = read_path(tmp_path / "log", "log").sort_values("time", kind="stable")
    assert list(log.columns) == ["account_id", "date", "prediction", "target", "model", "version", "role", "time"]
    for role, model, version in (("champion", champion, 1), ("challenger", challenger, 3)):
        found = log[log["role"] == role]
        assert np.array_equal(found["prediction"], model.booster.predict(model.matrix[:50]))
        assert set(found["version"]) == {str(version)}
        assert found["account_id"].tolist() == champion.frame["account_id"].head(50).tolist()
        assert np.array_equal(pd.to_datetime(found["date"]), champion.frame["date"].head(50))


def test_a_challenger_that_refuses_the_rows_does_not_disturb(registry: Registry) -> None:
    registry.move(3, "challenger")
    with running("pnl", shadow="challenger") as server:
        server.follower.poll()
        shadow = server.shadows["pnl"].current
        assert shadow is not None
        shadow.model.unwrap_python_model().metadata["feature_names"] = ["unknown"]
        answer = server.post("/invocations", json=records(registry.models[1]))
        assert answer.status_code == 200
        wait_until(lambda: server.metric('daily_profit_shadow_failures_total{target="pnl",version="3"}') == 1)


def test_without_a_challenger_nothing_predicts_in_the_shadow(registry: Registry) -> None:
    registry.move(1, "challenger")
    with running("pnl", shadow="challenger") as server:
        server.follower.poll()
        assert server.post("/invocations", json=records(registry.models[1])).status_code == 200
        MlflowClient().delete_registered_model_alias("pnl", "challenger")
        server.follower.poll()
        assert server.shadows["pnl"].current is None
        wait_until(lambda: server.metric('daily_profit_checked_rows_total{target="pnl",version="1"}') == 40)
        assert server.metric('daily_profit_shadow_rows_total{target="pnl",version="1"}') == 0
