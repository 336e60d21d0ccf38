"""Predictions are logged in a real Postgres, which dies meanwhile, and `monitor` scores them from there."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest

from src.modeling import monitor
from src.serving import predict
from src.serving.online import afterwards
from src.serving.prediction_log import collect
from tests.commands import run_here
from tests.contenders import CHAMPION_UNTIL, make_two_versions
from tests.integration.servers import PASSWORD, PostgresServer
from tests.served_registry import make_registry, records, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Operation with range is deprecated")]
CONFIG = "targets:\n  profit: {task: regression, metric: mae}\n"


def test_a_database_that_dies_fails_no_request_and_loses_no_row(
    postgres_server: PostgresServer,
    _empty_mlflow_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(collect, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(collect, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(afterwards, "WRITE_SECONDS", 0.1)
    registry = make_registry(_empty_mlflow_store, tmp_path)
    registry.move(1)
    registry.move(3, "challenger")
    count = "SELECT role, version, count(*), min(prediction) IS NOT NULL FROM prediction_log GROUP BY 1, 2 ORDER BY 1"
    with running("pnl", shadow="challenger", log=postgres_server.url) as server:
        server.follower.poll()

        def answered() -> bool:
            return server.post("/invocations", json=records(registry.models[1])).status_code == 200

        assert answered()
        wait_until(lambda: _has_rows(postgres_server, 80))
        postgres_server.kill()
        assert answered() and answered()
        wait_until(lambda: server.metric("daily_profit_failed_log_writes_total") > 1)
        assert answered()
        postgres_server.start()
        assert answered()
        wait_until(lambda: _has_rows(postgres_server, 400))
        assert server.metric("daily_profit_unlogged_rows_total") == 0
    assert postgres_server.execute(count) == [("challenger", "3", 200, True), ("champion", "1", 200, True)]
    lines = [record.getMessage() for record in caplog.records if "could not be logged" in record.getMessage()]
    assert len(lines) == 1, "an outage is one line"
    assert "serving goes on, it is tried again" in lines[0] and PASSWORD not in lines[0]


def _has_rows(server: PostgresServer, n_rows: int) -> bool:
    (exists,) = server.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'prediction_log'")
    return exists == (1,) and server.execute("SELECT count(*) FROM prediction_log") == [(n_rows,)]


def test_monitor_scores_what_predict_logged(
    postgres_server: PostgresServer, _empty_mlflow_store: Path, tmp_path: Path
) -> None:
    made = make_two_versions(_empty_mlflow_store, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(made.database, tmp_path / 'copy.db')}")
    frame = made.weak.frame
    frame.to_parquet(tmp_path / "table.parquet")
    frame[frame["date"] > CHAMPION_UNTIL].drop(columns="profit").to_parquet(tmp_path / "newer.parquet")
    (tmp_path / "table.yaml").write_text(CONFIG)
    log = ["--config", "table.yaml", "--log-table", "public.answers"]
    for model in ("models:/profit@champion", "models:/profit@challenger"):
        words = ["--model", model, "--data", "newer.parquet", "--log-predictions", postgres_server.url]
        assert run_here(predict.main, [*log, *words], tmp_path).status == 0
    words = ["--data", "table.parquet", "--predictions", postgres_server.url, "--json", "monitor.json"]
    done = run_here(monitor.main, [*log, *words], tmp_path)
    assert done.status == 0, done.err
    (record,) = json.loads((tmp_path / "monitor.json").read_text())["targets"]
    shown = [(each["role"], each["version"], each["rows"]) for each in record["answered"]["versions"]]
    assert shown == [("champion", "1", 95), ("challenger", "2", 95)]
    assert record["answered"]["differences"][0]["high"] < 0
