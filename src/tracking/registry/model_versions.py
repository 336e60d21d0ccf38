"""The model registry: a target's versions, its champion and its challenger. Who becomes champion is in `promotion`.

Every step can be killed and called again: the logged model is recognised by the digest of its text, the version by
its study and that digest (its tags are written with it, in one transaction), and an alias is one write.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from src.config import Metric
from src.errors import DataError, UserError
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.served_model import DIGEST_TAG, MODEL_NAME, ModelCard, log_served_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHAMPION = "champion"
CHALLENGER = "challenger"
STUDY_TAG = "study_name"
STARTING_POINT_TAG = "starting_point"
"""JSON: the best trial's hyperparameters, and what its search saw; a later study may begin with them."""
_TAGS = (STUDY_TAG, "validation_score", "test_score", "metric", "skill", "trained_at")
_WAIT_SECONDS = 300


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry; `alias` is None for one that a later version has replaced as challenger."""

    name: str
    version: int
    alias: str | None
    uri: str


@dataclass(frozen=True)
class ScoreComparison:
    """Two versions judged on the same rows.

    Attributes:
        metric: what the scores are.
        champion_uri, challenger_uri: `models:/<name>/<version>`, so that a moved alias cannot be mistaken.
        champion_score, challenger_score: in the metric's unit.
        difference: challenger minus champion, paired on the rows.
        better: whether the challenger is strictly better in the metric's direction.
        n_rows: how many rows they were judged on.
    """

    metric: Metric
    champion_uri: str
    challenger_uri: str
    champion_score: float
    challenger_score: float
    difference: float
    better: bool
    n_rows: int


def register_model(run_id: str, card: ModelCard) -> RegisteredVersion:
    """Logs a model under a run and registers it under its target's name, once.

    The first version of a name becomes `champion`, a later one `challenger`. A second call with the same study and
    the same model text returns the version that is there, and completes what a kill left out.

    Args:
        run_id: the study's parent run, in the tracking store that MLflow is set to.
        card: the model.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"register model {card.target!r}"):
        client = MlflowClient()
        digest = hashlib.sha256(card.model_text_path.read_bytes()).hexdigest()
        tags = _version_tags(card.metadata, digest)
        versions = versions_of(client, card.target)
        known = [version for version in versions if _is_same(version, tags)]
        version = known[0] if known else _create_version(client, run_id, card, tags)
        newest = max([*versions, version], key=_number)
        alias = _assign_alias(client, version, is_newest=_number(newest) == _number(version))
    return RegisteredVersion(card.target, _number(version), alias, _uri(version))


def _version_tags(metadata: Mapping[str, Any], digest: str) -> dict[str, str]:
    """What the registry shows beside a version, all of it the version's own but the starting point."""
    given = {key: metadata[key] for key in _TAGS if metadata.get(key) is not None}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return texts | {DIGEST_TAG: digest} | _starting_point(metadata)


def _starting_point(metadata: Mapping[str, Any]) -> dict[str, str]:
    if "search_until" not in metadata:
        return {}
    point = {
        "params": metadata["best_trial"]["hyperparameters"],
        "search_until": metadata["search_until"],
        "data_digest": metadata["data_digest"],
        "test_fraction": metadata["split"]["test_fraction"],
        "split_seed": metadata["split"]["seed"],
    }
    return {STARTING_POINT_TAG: json.dumps(point, sort_keys=True)}


def versions_of(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """All versions of a name, none when there is no such name yet."""
    quote = '"' if "'" in name else "'"
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name={quote}{name}{quote}", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _is_same(version: "ModelVersion", tags: Mapping[str, str]) -> bool:
    same = all(version.tags.get(key) == tags.get(key) for key in (STUDY_TAG, DIGEST_TAG))
    return same and version.status != "FAILED_REGISTRATION"


def _create_version(client: "MlflowClient", run_id: str, card: ModelCard, tags: dict[str, str]) -> "ModelVersion":
    """Creates a version that is READY and carries its tags from its first moment."""
    from mlflow.exceptions import MlflowException

    model_id = _logged_before(client, run_id, tags[DIGEST_TAG]) or log_served_model(run_id, card, tags[DIGEST_TAG])
    try:
        client.create_registered_model(card.target)
    except MlflowException as error:  # it is there already, or another process was first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model_id}"
    version = client.create_model_version(
        card.target, source, run_id, tags, await_creation_for=_WAIT_SECONDS, model_id=model_id
    )
    log.info("registered %s version %s from run %s", card.target, version.version, run_id)
    return version


def _logged_before(client: "MlflowClient", run_id: str, digest: str) -> str | None:
    """The id of this model if an earlier attempt was killed after logging it, before registering it."""
    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else []:
        model = client.get_logged_model(output.model_id)
        if model.name == MODEL_NAME and model.status == "READY" and model.tags.get(DIGEST_TAG) == digest:
            return str(model.model_id)
    return None


def _assign_alias(client: "MlflowClient", version: "ModelVersion", *, is_newest: bool) -> str | None:
    """Gives the version the alias that is its due, and says which it has."""
    holder = _aliases(client, version.name)
    number = _number(version)
    if holder.get(CHAMPION, number) == number:
        alias = CHAMPION
    elif holder.get(CHALLENGER) == number or is_newest:
        alias = CHALLENGER
    else:
        return None
    if holder.get(alias) != number:
        client.set_registered_model_alias(version.name, alias, str(number))
    return alias


def _aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    return {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}


def _number(version: "ModelVersion") -> int:
    """MLflow gives numbers as text or as int, depending on the store."""
    return int(version.version)


def _uri(version: "ModelVersion") -> str:
    return f"models:/{version.name}/{version.version}"


def is_registered(name: str) -> bool:
    """Whether the registry has a version of a name.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    with tracking_errors(f"look for model {name!r}"):
        return bool(versions_of(MlflowClient(), name))


def version_aliases(name: str) -> dict[str, str]:
    """Who is `champion` and who is `challenger` of a name.

    Returns:
        `models:/<name>/<version>` by alias; without the aliases that nobody holds.

    Raises:
        UserError: the name has no version.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    if not is_registered(name):
        raise UserError(f"model {name!r} has no version: train and register it first")
    with tracking_errors(f"read the aliases of model {name!r}"):
        holder = _aliases(MlflowClient(), name)
    return {alias: f"models:/{name}/{holder[alias]}" for alias in (CHAMPION, CHALLENGER) if alias in holder}


def compare_predictions(
    uris: tuple[str, str], predictions: tuple[NDArray[Any], NDArray[Any]], y: NDArray[Any], metric: Metric
) -> ScoreComparison:
    """Judges what two models predicted of the same rows.

    Args:
        uris: champion's and challenger's.
        predictions: theirs in this order, (n_rows,) each.
        y: (n_rows,) the target.
        metric: what to judge by.

    Raises:
        DataError: the rows cannot be judged by the metric.
    """
    from src.evaluation.scoring import is_better, score

    try:
        champion, challenger = (score(metric, y, prediction) for prediction in predictions)
    except ValueError as error:  # the boundary to scoring: no rows, or a binary target of one class
        raise DataError(f"the models cannot be compared by {metric} on {len(y)} rows: {error}") from error
    better = is_better(metric, challenger, champion)
    return ScoreComparison(metric, *uris, champion, challenger, challenger - champion, better, len(y))
