"""The server's answers: MLflow's protocol, paths, limits, tokens and metrics, over real HTTP and a real registry."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from src.errors import ConfigError
from src.serving.online.dispatcher import Limits
from src.serving.online.http import read_tokens
from tests.served_registry import Registry, Running, records, running, wait_until
from tests.tiny_model import FEATURES

pytestmark = pytest.mark.slow

JSON_TYPE = {"Content-Type": "application/json"}
CSV_TYPE = {"Content-Type": "text/csv"}


@pytest.fixture
def server(registry: Registry) -> Any:
    with running("pnl") as found:
        found.follower.poll()
        yield found


def expected(registry: Registry, version: int = 1, rows: slice = slice(0, 40)) -> list[float]:
    model = registry.models[version]
    return list(model.booster.predict(model.matrix[rows]))


def predictions(answer: requests.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    return list(answer.json()["predictions"])


class TestProtocol:
    def test_json_equals_lightgbm_to_the_bit_and_is_labelled(self, server: Running, registry: Registry) -> None:
        answer = server.post("/pnl/invocations", json=records(registry.models[1]))
        assert predictions(answer) == expected(registry)
        assert (answer.headers["x-model-name"], answer.headers["x-model-version"]) == ("pnl", "1")

    def test_one_target_answers_without_its_name(self, server: Running, registry: Registry) -> None:
        assert predictions(server.post("/invocations", json=records(registry.models[1]))) == expected(registry)

    @pytest.mark.parametrize("key", ["dataframe_records", "instances", "inputs"])
    def test_other_forms_of_json(self, server: Running, registry: Registry, key: str) -> None:
        rows = json.loads(registry.models[1].frame[FEATURES].head(40).to_json(orient="records"))
        assert predictions(server.post("/invocations", json={key: rows})) == expected(registry)

    def test_columns_of_inputs(self, server: Running, registry: Registry) -> None:
        columns = json.loads(registry.models[1].frame[FEATURES].iloc[50:90].to_json(orient="split"))
        inputs = dict(zip(columns["columns"], map(list, zip(*columns["data"], strict=True)), strict=True))
        found = predictions(server.post("/invocations", json={"inputs": inputs}))
        assert found == expected(registry, rows=slice(50, 90))

    def test_csv_is_text_as_in_training(self, server: Running, registry: Registry) -> None:
        text = registry.models[1].frame.head(40).to_csv(index=False)
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        assert predictions(server.post("/invocations", data=text.encode(), headers=headers)) == expected(registry)

    def test_parquet(self, server: Running, registry: Registry) -> None:
        written = io.BytesIO()
        registry.models[1].frame.head(40).to_parquet(written, index=False)
        headers = {"Content-Type": "application/vnd.apache.parquet"}
        found = server.post("/invocations", data=written.getvalue(), headers=headers)
        assert predictions(found) == expected(registry)

    @pytest.mark.parametrize(
        ("body", "headers", "status", "words"),
        [
            (b"{", JSON_TYPE, 400, "valid JSON"),
            (b"\xff\xfe", JSON_TYPE, 400, "valid JSON"),
            (b"[]", JSON_TYPE, 400, "exactly one of the input fields"),
            (b'{"dataframe_records": [{"ret": 1}]}', JSON_TYPE, 400, "sector"),
            (b'{"inputs": {"ret": [1, 2], "held": [1]}}', JSON_TYPE, 400, "no table"),
            (b'{"inputs": 3}', JSON_TYPE, 400, "no table"),
            (b"style,ret,held,is_monday,sector\nmomentum,abc,1,true,bank\n", CSV_TYPE, 400, "'abc'"),
            (b"style,ret\nmomentum\n", CSV_TYPE, 400, "the CSV line 2 has 1 fields"),
            (b"", CSV_TYPE, 400, "the CSV is empty"),
            (b"\xff,\xfe\n", CSV_TYPE, 400, "UTF-8"),
            (b"no parquet", {"Content-Type": "application/vnd.apache.parquet"}, 400, "Parquet"),
            (b"{}", {"Content-Type": "text/plain"}, 415, "text/csv"),
            (b"{}", {"Content-Type": ""}, 415, "application/json"),
            (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "UTF-8"),
        ],
    )
    def test_what_does_not_fit_is_refused_in_one_line(
        self, server: Running, body: bytes, headers: dict[str, str], status: int, words: str
    ) -> None:
        answer = server.post("/pnl/invocations", data=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["x-model-version"] == "1"
        error = answer.json()
        assert set(error) == {"error_code", "message"}
        assert words in error["message"] and len(error["message"]) < 500
        assert "\n" not in error["message"] and "Traceback" not in error["message"]

    def test_a_request_without_rows_is_answered_or_refused_in_one_line(self, server: Running) -> None:
        text = f"{','.join(FEATURES)}\n".encode()
        assert predictions(server.post("/invocations", data=text, headers=CSV_TYPE)) == []


class TestPaths:
    def test_several_targets_by_path(self, registry: Registry) -> None:
        with running("pnl", "win") as server:
            server.follower.poll()
            for name in ("pnl", "win"):
                answer = server.post(f"/{name}/invocations", json=records(registry.models[1]))
                assert predictions(answer) == expected(registry)
                assert answer.headers["x-model-name"] == name
            answer = server.post("/invocations", json={})
            assert answer.status_code == 404
            assert "/pnl/invocations, /win/invocations" in answer.json()["message"]
            assert set(server.get("/version").json()) == {"pnl", "win"}

    @pytest.mark.parametrize("path", ["/", "/nobody/invocations", "/pnl", "/pnl/invocations/x", "/x/pnl/invocations"])
    def test_an_unknown_path_names_the_targets(self, server: Running, path: str) -> None:
        answer = server.post(path, json={})
        assert answer.status_code == 404
        assert "/pnl/invocations" in answer.json()["message"]

    def test_methods(self, server: Running) -> None:
        assert server.get("/pnl/invocations").headers["allow"] == "POST"
        assert server.get("/pnl/invocations").status_code == 405
        assert server.post("/version").status_code == 405

    def test_ready_only_when_every_target_is_loaded(self, registry: Registry) -> None:
        with running("pnl", "win") as server:
            assert server.get("/ready").status_code == 503
            assert "pnl, win" in server.get("/ready").json()["message"]
            answer = server.post("/pnl/invocations", json=records(registry.models[1]))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert server.get("/ping").status_code == server.get("/health").status_code == 200
            server.follower.poll()
            assert server.get("/ready").status_code == 200

    def test_version_says_what_serves_and_since_when(self, server: Running) -> None:
        found = server.get("/version").json()["pnl"]
        assert found["loaded_at"] > found["trained_at"] == "2024-01-02T03:04:05+00:00"
        assert (found["version"], found["study"]) == (1, "study_1")


class TestLimits:
    def test_rows(self, registry: Registry) -> None:
        with running("pnl", limits=Limits(1_000_000, 40)) as server:
            server.follower.poll()
            assert predictions(server.post("/invocations", json=records(registry.models[1]))) == expected(registry)
            for given in (
                {"json": records(registry.models[1], slice(0, 41))},
                {"data": registry.models[1].frame.head(41).to_csv(index=False).encode(), "headers": CSV_TYPE},
            ):
                answer = server.post("/invocations", **given)
                assert answer.status_code == 413
                assert "41 rows are more than the 40 of --max-rows" in answer.json()["message"]

    @pytest.mark.parametrize("chunked", [False, True])
    def test_size(self, registry: Registry, chunked: bool) -> None:
        body = json.dumps(records(registry.models[1], slice(0, 400))).encode()
        with running("pnl", limits=Limits(len(body) - 1, 1000)) as server:
            server.follower.poll()
            data: Any = iter([body]) if chunked else body
            answer = server.post("/invocations", data=data, headers=JSON_TYPE)
            assert answer.status_code == 413
            assert "--max-request-mb" in answer.json()["message"]
            assert predictions(server.post("/invocations", json=records(registry.models[1]))) == expected(registry)
        with running("pnl", limits=Limits(len(body), 1000)) as server:
            server.follower.poll()
            assert server.post("/invocations", data=body, headers=JSON_TYPE).status_code == 200

    def test_token(self, registry: Registry, tmp_path: Path) -> None:
        (tmp_path / "tokens").write_text("first\n\nsecond\n")
        tokens = read_tokens(tmp_path / "tokens")
        with running("pnl", limits=Limits(1_000_000, 1000, tokens)) as server:
            server.follower.poll()
            for token in ("first", "second"):
                headers = {"Authorization": f"Bearer {token}"}
                answer = server.post("/invocations", json=records(registry.models[1]), headers=headers)
                assert predictions(answer) == expected(registry)
            for refused in ({}, {"Authorization": "Bearer firs"}, {"Authorization": "Basic first"}):
                answer = server.post("/pnl/invocations", json=records(registry.models[1]), headers=refused)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert "x-model-version" not in answer.headers
                assert server.get("/version", headers=refused).status_code == 401
            assert {server.get(path).status_code for path in ("/ping", "/health", "/ready", "/metrics")} == {200}

    @pytest.mark.parametrize("content", [None, "", " \n"])
    def test_a_file_without_token_is_refused(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "tokens").write_text(content)
        with pytest.raises(ConfigError, match="--token-file"):
            read_tokens(tmp_path / "tokens")


def test_metrics(server: Running, registry: Registry) -> None:
    rows = records(registry.models[1])
    data, columns = rows["dataframe_split"]["data"], rows["dataframe_split"]["columns"]
    data[0][columns.index("style")] = "scalping"
    data[1][columns.index("held")] = 1e9
    server.post("/invocations", json=rows)
    server.post("/invocations", data=b"{", headers=JSON_TYPE)
    server.post("/nobody/invocations")
    labels = 'target="pnl",version="1"'
    wait_until(lambda: server.metric(f"daily_profit_rows_outside_training_range_total{{{labels}}}") == 1)
    assert server.metric(f'daily_profit_requests_total{{status="200",{labels}}}') == 1
    assert server.metric(f'daily_profit_requests_total{{status="400",{labels}}}') == 1
    assert server.metric('daily_profit_requests_total{status="404",target="",version=""}') == 1
    assert server.metric(f'daily_profit_request_seconds_count{{status="200",{labels}}}') == 1
    assert server.metric(f"daily_profit_rows_total{{{labels}}}") == 40
    assert server.metric(f"daily_profit_checked_rows_total{{{labels}}}") == 40
    assert server.metric(f'daily_profit_unseen_values_total{{column="style",{labels}}}') == 1
    assert server.metric(f'daily_profit_unseen_values_total{{column="sector",{labels}}}') == 0
    assert server.metric('daily_profit_model_version{target="pnl"}') == 1
    assert server.metric('daily_profit_model_age_seconds{target="pnl"}') > 86_400
    assert server.metric('daily_profit_swaps_total{role="champion",target="pnl"}') == 1


def test_training_ranges_are_those_of_the_matrix(server: Running, registry: Registry) -> None:
    version = server.slots["pnl"].current
    assert version is not None and version.ranges is not None
    matrix = registry.models[1].matrix
    numeric = [1, 2, 3]
    limits = np.stack([np.nanmin(matrix, axis=0), np.nanmax(matrix, axis=0)], axis=1)
    assert np.allclose(version.ranges[numeric], limits[numeric], rtol=1e-12, atol=0)
    assert np.isnan(version.ranges[[0, 4]]).all()
