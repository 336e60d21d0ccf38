"""Renders an overlay's two parts with `kubectl kustomize`: the permanent services, and one run under its own name.

The values of a run are a kustomize layer over the overlay, written into a temporary folder: nothing in the repository
changes, and the layer contains no password.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from k8s.fanout.kubectl import Kubectl
from k8s.fanout.options import Run

SECRET = "credentials"
RUN_LABEL = "daily-profit/run"
Documents = list[dict[str, Any]]
NOTHING: Mapping[str, Any] = MappingProxyType({})
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser is ten times as fast, if PyYAML has it."""


def documents(text: str) -> Documents:
    """The objects of a rendered YAML text."""
    parsed = [document for document in yaml.load_all(text, Loader=LOADER) if document]
    return [item for each in parsed for item in (each["items"] if each["kind"] == "List" else [each])]


def text_of(objects: Iterable[Mapping[str, Any]]) -> str:
    """Objects as one JSON list for `kubectl apply -f -`, which cannot read several JSON documents."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def namespace_of(objects: Documents) -> str:
    """The namespace of an overlay's objects."""
    return next(str(document["metadata"]["namespace"]) for document in objects if "namespace" in document["metadata"])


def render(
    kubectl: Kubectl, folder: Path, layer: Mapping[str, Any] | None = None, before: Mapping[str, Any] = NOTHING
) -> str:
    """The YAML of a folder.

    Args:
        kubectl: renders the folder.
        folder: contains a kustomization.
        layer: kustomize layer over the folder.
        before: objects to put before those of the folder, by file name; only with a layer.

    Raises:
        RunError: kustomize failed.
    """
    if layer is None:
        return kubectl.text("kustomize", str(folder))
    with tempfile.TemporaryDirectory(prefix="fanout-") as made:
        over = Path(made).resolve()
        body = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [*before, os.path.relpath(folder.resolve(), over)],
            "sortOptions": {"order": "fifo"},
            **layer,
        }
        for name, content in before.items():
            (over / name).write_text(json.dumps(content), encoding="utf-8")
        (over / "kustomization.yaml").write_text(json.dumps(body), encoding="utf-8")
        return kubectl.text("kustomize", str(over))


def run_layer(run: Run) -> dict[str, Any]:
    """The layer with a run's name, number of workers and settings."""
    fan_out = {"parallelism": run.workers, "completions": run.workers, "maxFailedIndexes": run.workers // 2}
    return {
        "nameSuffix": f"-{run.name}",
        "labels": [{"pairs": {RUN_LABEL: run.name}, "includeSelectors": True}],
        "patches": [
            _patch("Job", "work", [_change(f"/spec/{key}", value) for key, value in fan_out.items()]),
            # Not as literals of a generator: kustomize would strip the quotes at the ends of a query.
            _patch("ConfigMap", "settings", [_change(f"/data/{key}", value) for key, value in run.settings.items()]),
        ],
    }


def run_files(run: Run, namespace: str) -> dict[str, Any]:
    """The run's `--config` file as a ConfigMap, which must exist before the pods of the Jobs start."""
    if run.table is None:
        return {}
    labels = {"app.kubernetes.io/part-of": "daily-profit", "app.kubernetes.io/managed-by": "kustomize"}
    metadata = {"name": "table", "namespace": namespace, "labels": labels}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"table.yaml": run.table}}
    return {"table.json": config_map}


def required_secret_keys(objects: Documents) -> set[str]:
    """The keys that pods need of a Secret which is not among the objects."""
    if any(document["kind"] == "Secret" for document in objects):
        return set()
    return {key["key"] for key in _secret_keys(objects) if key["name"] == SECRET and not key.get("optional")}


def new_secret(objects: Documents, namespace: str) -> dict[str, Any] | None:
    """A Secret of random passwords; None if one is for a store that the objects do not start themselves."""
    asked = required_secret_keys(objects)
    if not asked or asked - required_secret_keys(
        [document for document in objects if document["kind"] == "StatefulSet"]
    ):
        return None
    labels = {"app.kubernetes.io/part-of": "daily-profit", "app.kubernetes.io/managed-by": "fanout"}
    metadata = {"name": SECRET, "namespace": namespace, "labels": labels}
    values = {key: secrets.token_hex(24) for key in sorted(asked)}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "stringData": values}


def _secret_keys(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, Mapping):
        if "secretKeyRef" in value:
            yield value["secretKeyRef"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _secret_keys(inner)


def _change(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


def _patch(kind: str, name: str, changes: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(changes)}
