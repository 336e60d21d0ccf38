"""A registry with several versions of two small models, and a server of them in a thread of this process."""

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient

from src.serving.online.afterwards import Afterwards
from src.serving.online.dispatcher import Dispatcher, Limits
from src.serving.online.follower import Follower, Slot
from src.serving.online.metrics import ServingMetrics
from src.serving.online.server import Server, listen
from src.serving.prediction_log.sinks import open_log
from src.tracking.registry.model_versions import register_model
from tests.tiny_model import TinyModel, tiny_model

BROKEN = 4
"""The version of `pnl` that cannot be loaded."""


METADATA: dict[str, Any] = {
    "boolean_features": ["is_monday"],
    "decimal_marks": {},
    "trained_at": "2024-01-02T03:04:05+00:00",
}
LIMITS = Limits(1_000_000, 1_000)


@dataclass(frozen=True)
class Registry:
    """`pnl` has versions 1, 2 and 3 and a broken one, `win` has one; `models` are those of `pnl` by version."""

    uri: str
    models: dict[int, TinyModel]

    def move(self, version: int, alias: str = "champion", name: str = "pnl") -> None:
        MlflowClient().set_registered_model_alias(name, alias, str(version))


def make_registry(empty_store: Path, home: Path) -> Registry:
    uri = f"sqlite:///{shutil.copy(empty_store, home / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    run = client.create_run(client.create_experiment("own", str(home / "artifacts")))
    models = {}
    for version, rounds in enumerate((12, 5, 20, 3), 1):
        tiny = tiny_model(home, rounds=rounds, **METADATA)
        # Another study each, as in life; the registry recognises a version by study and text.
        card = replace(tiny.card, metadata=tiny.card.metadata | {"study_name": f"study_{version}"})
        assert register_model(run.info.run_id, card).version == version
        models[version] = tiny
    register_model(run.info.run_id, replace(models[1].card, target="win"))
    source = Path(client.get_model_version_download_uri("pnl", str(BROKEN)))
    (source / "artifacts" / "model.txt").write_text("tree\nnothing of a model\n")
    return Registry(uri, models)


@dataclass
class Running:
    """A server that answers."""

    url: str
    slots: dict[str, Slot]
    shadows: dict[str, Slot]
    follower: Follower
    afterwards: Afterwards
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, **given: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", timeout=60, **given)

    def get(self, path: str, **given: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=60, **given)

    def metric(self, line: str) -> float:
        """The value of a metric by its name and labels, as in the text; 0 if it is not there."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(each.removeprefix(line)) for each in lines if each.startswith(f"{line} ")), 0.0)


@contextlib.contextmanager
def running(
    *targets: str, limits: Limits = LIMITS, shadow: str | None = None, log: Path | str | None = None
) -> Iterator[Running]:
    """Serves until the block ends. Tests poll the aliases themselves, by `follower.poll()`."""
    slots = {name: Slot(name, "champion") for name in targets or ("pnl",)}
    shadows = {name: Slot(name, shadow, optional=True) for name in slots if shadow is not None}
    metrics = ServingMetrics()
    keys = ("account_id", "date")
    prediction_log = open_log(None if log is None else str(log), "prediction_log", keys)
    afterwards = Afterwards(metrics, shadows, prediction_log, keys)
    follower = Follower([*slots.values(), *shadows.values()], metrics, poll_seconds=3600)
    with listen("127.0.0.1", 0) as listener:
        server = Server(Dispatcher(slots, limits, metrics, afterwards))
        thread = threading.Thread(target=server.run_until_stopped, args=(listener,))
        thread.start()
        afterwards.start()
        try:
            wait_until(lambda: server.started)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield Running(url, slots, shadows, follower, afterwards)
        finally:
            server.should_exit = True
            thread.join()
            afterwards.close()


def wait_until(holds: Any, seconds: float = 60) -> None:
    """Waits for a condition; fails after a time that is long on the slowest machine."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def records(tiny: TinyModel, rows: slice = slice(0, 40)) -> dict[str, Any]:
    """Rows of the training table as a JSON request, with keys and target."""
    return {
        "dataframe_split": json.loads(tiny.frame.iloc[rows].to_json(orient="split", index=False, date_format="iso"))
    }
