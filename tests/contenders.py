"""A real store with a weak champion and a strong challenger of `profit`, as two trainings leave them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from src.tracking.registry.model_versions import register_model
from tests.tiny_model import TinyModel, tiny_model

CHAMPION_UNTIL, CHALLENGER_UNTIL = "2024-10-31", "2024-11-14"
"""The last dates that their metadata says they were trained on; the frame has each day until 2025-02-03."""


@dataclass(frozen=True)
class TwoVersions:
    """Tests work on copies of the database; the models lie beside it and are only read."""

    database: Path
    weak: TinyModel
    strong: TinyModel


def make_two_versions(empty_store: Path, home: Path) -> TwoVersions:
    database = Path(shutil.copy(empty_store, home / "mlflow.db"))
    mlflow.set_tracking_uri(f"sqlite:///{database}")
    client = MlflowClient()
    experiment = client.create_experiment("own", str(home / "artifacts"))
    weak, strong = (
        tiny_model(home, "profit", rounds, study_name=study, split={"search_dates": ["2024-01-01", until]})
        for rounds, study, until in ((2, "first", CHAMPION_UNTIL), (60, "second", CHALLENGER_UNTIL))
    )
    for tiny in (weak, strong):
        register_model(client.create_run(experiment).info.run_id, tiny.card)
    return TwoVersions(database, weak, strong)


def aliases(name: str = "profit") -> dict[str, int]:
    return {alias: int(version) for alias, version in MlflowClient().get_registered_model(name).aliases.items()}
