"""The process that reads starting points from the registry; `earlier_models` starts it and reads its output."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from mlflow import MlflowClient

from src.errors import TrackingError
from src.search.earlier_model import EarlierModel
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.model_versions import STARTING_POINT_TAG, STUDY_TAG, versions_of


def answer(targets: Sequence[str]) -> None:
    """Prints the models of each target as one line of JSON."""
    try:
        models = {target: [asdict(model) for model in registered(target)] for target in targets}
    except TrackingError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(models) + "\n")


def registered(target: str) -> list[EarlierModel]:
    """The versions of a target's model that have a starting point, newest first.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    with tracking_errors(f"look for models {target!r}"):
        versions = versions_of(MlflowClient(), target)
    models = []
    for version in sorted(versions, key=lambda version: -int(version.version)):
        if STARTING_POINT_TAG in version.tags:
            models.append(_model(f"models:/{target}/{version.version}", version.tags))
    return models


def _model(uri: str, tags: Mapping[str, str]) -> EarlierModel:
    point = json.loads(tags[STARTING_POINT_TAG])
    return EarlierModel(
        uri,
        tags.get(STUDY_TAG, ""),
        tags.get("metric", ""),
        point["params"],
        point["search_until"],
        point.get("data_digest"),
        point.get("test_fraction"),
        point.get("split_seed"),
    )
