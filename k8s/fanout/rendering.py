"""An overlay's two parts as YAML, by `kubectl kustomize`: the services that stay, and one run under its own name.

What differs from run to run is a layer of kustomize over the overlay, written into a folder that lives as long as the
call: nothing in the repository changes, and no password is ever in it.
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
"""Where PyYAML comes with libyaml, ten times as fast."""


def documents(text: str) -> Documents:
    """The objects of a rendered text."""
    found = [document for document in yaml.load_all(text, Loader=LOADER) if document]
    return [item for each in found for item in (each["items"] if each["kind"] == "List" else [each])]


def text_of(objects: Iterable[Mapping[str, Any]]) -> str:
    """Objects as `kubectl apply -f -` takes them: one JSON list, since it reads no `---` between JSON documents."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def namespace_of(objects: Documents) -> str:
    """The namespace that an overlay puts everything into."""
    return next(str(found["metadata"]["namespace"]) for found in objects if "namespace" in found["metadata"])


def render(
    kubectl: Kubectl, folder: Path, layer: Mapping[str, Any] | None = None, before: Mapping[str, Any] = NOTHING
) -> str:
    """The YAML of a folder.

    Args:
        kubectl: renders it.
        folder: holds a kustomization.
        layer: of kustomize, over the folder.
        before: objects that come before those of the folder, by the names of their files; only with a layer.

    Raises:
        RunError: kustomize refused it.
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
        for name, found in before.items():
            (over / name).write_text(json.dumps(found), encoding="utf-8")
        (over / "kustomization.yaml").write_text(json.dumps(body), encoding="utf-8")
        return kubectl.text("kustomize", str(over))


def run_layer(run: Run) -> dict[str, Any]:
    """Names a run's objects, sets its number of workers and its settings."""
    fan_out = {"parallelism": run.workers, "completions": run.workers, "maxFailedIndexes": run.workers // 2}
    return {
        "nameSuffix": f"-{run.name}",
        "labels": [{"pairs": {RUN_LABEL: run.name}, "includeSelectors": True}],
        "patches": [
            _patch("Job", "work", [_change(f"/spec/{key}", value) for key, value in fan_out.items()]),
            # Not by a generator's literals: kustomize would take the quotes off a query's ends.
            _patch("ConfigMap", "settings", [_change(f"/data/{key}", value) for key, value in run.settings.items()]),
        ],
    }


def run_files(run: Run, namespace: str) -> dict[str, Any]:
    """The run's `--config` file as a ConfigMap: before the Jobs, whose pods would start without a later one."""
    if run.table is None:
        return {}
    labels = {"app.kubernetes.io/part-of": "daily-profit", "app.kubernetes.io/managed-by": "kustomize"}
    metadata = {"name": "table", "namespace": namespace, "labels": labels}
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"table.yaml": run.table}}
    return {"table.json": found}


def asked_of_secret(objects: Documents) -> set[str]:
    """The keys without which pods would not start, of a Secret that is not among the objects themselves."""
    if any(found["kind"] == "Secret" for found in objects):
        return set()
    return {key["key"] for key in _secret_keys(objects) if key["name"] == SECRET and not key.get("optional")}


def new_secret(objects: Documents, namespace: str) -> dict[str, Any] | None:
    """A Secret of random passwords, or None where one opens a store that the objects do not start themselves."""
    asked = asked_of_secret(objects)
    if not asked or asked - asked_of_secret([found for found in objects if found["kind"] == "StatefulSet"]):
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
