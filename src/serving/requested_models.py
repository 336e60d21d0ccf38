"""The registered models that a command line names, each with the version that is used throughout."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.errors import ConfigError
from src.names import check_target_name

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True, eq=False)
class RequestedModel:
    """A loaded model.

    Attributes:
        model: the model.
        target: what it predicts; the name of a model of another project.
        name: the registered name; the URI of a model that is not registered.
        version: the registered version; the id of a model that is not registered.
        uri: the URI that was loaded, without an alias.
        requested: the URI as requested.
    """

    model: "PyFuncModel"
    target: str
    name: str
    version: str
    uri: str
    requested: str

    @property
    def alias(self) -> str:
        """The alias in the URI as requested; empty without one."""
        return self.requested.rpartition("@")[2] if self.requested != self.uri else ""

    @property
    def shown(self) -> str:
        """The URI for messages, with the alias that led to it."""
        return self.uri if self.uri == self.requested else f"{self.uri} ({self.requested})"


def requested_uris(targets: Sequence[str], model: str | None) -> list[str]:
    """The URIs of `--target` and `--model`.

    Raises:
        ConfigError: neither is given, or several targets are given with one model.
    """
    if model is not None:
        if len(targets) > 1:
            raise ConfigError(f"--model {model} predicts one target, not {', '.join(targets)}: leave one of them out")
        return [model]
    if not targets:
        raise ConfigError("no model is given: use --target NAME for its champion, or --model URI")
    for target in targets:
        check_target_name(target)
    return [f"models:/{target}@champion" for target in dict.fromkeys(targets)]


def load_requested(uris: Sequence[str], targets: Sequence[str]) -> list[RequestedModel]:
    """Loads models; an alias is resolved to its current version first.

    Args:
        uris: from `requested_uris`.
        targets: of `--target`; they may be empty.

    Raises:
        UserError: there is no such model.
        ConfigError: a model predicts another target.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    from src.tracking.connection.session import TrackingSession
    from src.tracking.connection.tracking_check import refuse_denied_access

    if any(uri.startswith(("models:/", "runs:/")) for uri in uris):
        refuse_denied_access(os.environ)
        _ = TrackingSession().client  # creates a missing store, and limits the wait for a dead server
    names: list[str | None] = list(dict.fromkeys(targets)) or [None]
    return [_load(uri, target) for uri, target in zip(uris, names, strict=True)]


def _load(requested: str, target: str | None) -> RequestedModel:
    from src.tracking.registry.served_model import load_served, pinned_uri, served_metadata

    uri = pinned_uri(requested)
    model = load_served(uri)
    predicted = served_metadata(model).get("target", target)
    if target is not None and predicted != target:
        raise ConfigError(f"--model {requested} predicts {predicted!r}, not --target {target!r}: leave one of them out")
    registered, _, version = uri.removeprefix("models:/").lstrip("/").rpartition("/")
    if not uri.startswith("models:/") or not registered:
        registered, version = uri, str(model.metadata.model_id or model.metadata.model_uuid)
    return RequestedModel(model, predicted or registered, registered, version, uri, requested)
