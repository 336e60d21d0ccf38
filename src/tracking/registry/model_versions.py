"""The model registry: a target's versions, its champion and its challenger. `promotion` moves the champion alias.

Every step can be killed and repeated: the logged model is recognised by the digest of its text, the version by its
study and that digest (its tags are written in the same transaction), and an alias is one write.
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
ROLLED_BACK_AT = "rolled_back_at"
"""Tag of a version that `promote --rollback` replaced; such a version gets no alias again."""
_TAGS = (STUDY_TAG, "validation_score", "test_score", "metric", "skill", "trained_at")
_WAIT_SECONDS = 300


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry; `alias` is None if a later version has replaced it as challenger."""

    name: str
    version: int
    alias: str | None
    uri: str


@dataclass(frozen=True)
class ScoreComparison:
    """Two versions scored on the same rows.

    Attributes:
        metric: metric of the scores.
        champion_uri, challenger_uri: `models:/<name>/<version>`, independent of aliases, which may move.
        champion_score, challenger_score: in the metric's unit.
        difference: challenger minus champion, paired on the rows.
        better: whether the challenger is strictly better in the metric's direction.
        n_rows: number of scored rows.
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
    the same model text returns the existing version and completes the steps that a kill interrupted.

    Args:
        run_id: the study's parent run, in the current tracking store of MLflow.
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
    given = {key: metadata[key] for key in _TAGS if metadata.get(key) is not None}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return texts | {DIGEST_TAG: digest}


def versions_of(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """All versions of a name; empty if the name does not exist yet."""
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
    """Creates a version that is READY; its tags are written in the same call."""
    from mlflow.exceptions import MlflowException

    model_id = _already_logged(client, run_id, tags[DIGEST_TAG]) or log_served_model(run_id, card, tags[DIGEST_TAG])
    try:
        client.create_registered_model(card.target)
    except MlflowException as error:  # it exists already, or another process was first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model_id}"
    version = client.create_model_version(
        card.target, source, run_id, tags, await_creation_for=_WAIT_SECONDS, model_id=model_id
    )
    log.info("registered %s version %s from run %s", card.target, version.version, run_id)
    return version


def _already_logged(client: "MlflowClient", run_id: str, digest: str) -> str | None:
    """The id of this model if an earlier attempt was killed between logging and registering it."""
    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else []:
        model = client.get_logged_model(output.model_id)
        if model.name == MODEL_NAME and model.status == "READY" and model.tags.get(DIGEST_TAG) == digest:
            return str(model.model_id)
    return None


def _assign_alias(client: "MlflowClient", version: "ModelVersion", *, is_newest: bool) -> str | None:
    """Assigns the version its alias, if it gets one, and returns the alias."""
    version_by_alias = _aliases(client, version.name)
    number = _number(version)
    if version_by_alias.get(CHAMPION, number) == number:
        alias = CHAMPION
    elif ROLLED_BACK_AT in version.tags:
        return None
    elif version_by_alias.get(CHALLENGER) == number or is_newest:
        alias = CHALLENGER
    else:
        return None
    if version_by_alias.get(alias) != number:
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
    """The versions with the aliases `champion` and `challenger` of a name.

    Returns:
        `models:/<name>/<version>` by alias; unassigned aliases are missing.

    Raises:
        UserError: the name has no version.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    if not is_registered(name):
        raise UserError(f"model {name!r} has no version: train and register it first")
    with tracking_errors(f"read the aliases of model {name!r}"):
        version_by_alias = _aliases(MlflowClient(), name)
    return {
        alias: f"models:/{name}/{version_by_alias[alias]}"
        for alias in (CHAMPION, CHALLENGER)
        if alias in version_by_alias
    }


def version_number(uri: str) -> str:
    """The version in `models:/<name>/<version>`."""
    return uri.rpartition("/")[2]


def compare_predictions(
    uris: tuple[str, str], predictions: tuple[NDArray[Any], NDArray[Any]], y: NDArray[Any], metric: Metric
) -> ScoreComparison:
    """Scores the predictions of two models on the same rows.

    Args:
        uris: URIs of champion and challenger.
        predictions: their predictions in this order, shape (n_rows,) for both.
        y: (n_rows,) the target.
        metric: the metric to score by.

    Raises:
        DataError: the metric is undefined on these rows.
    """
    from src.evaluation.scoring import is_better, score

    try:
        champion, challenger = (score(metric, y, prediction) for prediction in predictions)
    except ValueError as error:  # from scoring: no rows, or a binary target with one class
        raise DataError(f"the models cannot be compared by {metric} on {len(y)} rows: {error}") from error
    better = is_better(metric, challenger, champion)
    return ScoreComparison(metric, *uris, champion, challenger, challenger - champion, better, len(y))
