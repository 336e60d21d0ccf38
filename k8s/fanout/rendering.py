"""An overlay's two parts as YAML, by `kubectl kustomize`: the services that stay, and one run under its own name.

What differs from run to run is a layer of kustomize over the overlay, written into a folder that lives as long as the
call: nothing in the repository changes, and no password is ever in it.
"""

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from k8s.fanout.kubectl import Kubectl
from k8s.fanout.options import Run

SECRET = "credentials"
RUN_LABEL = "daily-profit/run"
Documents = list[dict[str, Any]]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Where PyYAML comes with libyaml, ten times as fast."""


def documents(text: str) -> Documents:
    """The objects of a rendered text."""
    return [document for document in yaml.load_all(text, Loader=LOADER) if document]


def namespace_of(objects: Documents) -> str:
    """The namespace that an overlay puts everything into."""
    return next(str(found["metadata"]["namespace"]) for found in objects if "namespace" in found["metadata"])


def render(kubectl: Kubectl, folder: Path, layer: Mapping[str, Any] | None = None) -> str:
    """The YAML of a folder.

    Args:
        kubectl: renders it.
        folder: holds a kustomization.
        layer: of kustomize, over the folder.

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
            "resources": [os.path.relpath(folder.resolve(), over)],
            "sortOptions": {"order": "fifo"},
            **layer,
        }
        if files := body.pop("files", None):
            for name, text in files.items():
                (over / name).write_text(text, encoding="utf-8")
        (over / "kustomization.yaml").write_text(json.dumps(body), encoding="utf-8")
        return kubectl.text("kustomize", str(over))


def services_layer(objects: Documents, kept: Mapping[str, str]) -> dict[str, Any]:
    """Gives each password that the overlay leaves empty the value that the cluster has, or a random one.

    Args:
        objects: the overlay's services.
        kept: data of the Secret in the cluster, base64.
    """
    patches = []
    for found in objects:
        if found["kind"] == "Secret":
            changes = [_change(f"/data/{key}", kept.get(key, _random())) for key in found["data"]]
            patches.append(_patch("Secret", found["metadata"]["name"], changes))
    return {"patches": patches}


def run_layer(run: Run, namespace: str) -> dict[str, Any]:
    """Names a run's objects, sets its number of workers and its settings."""
    fan_out = {"parallelism": run.workers, "completions": run.workers, "maxFailedIndexes": run.workers // 2}
    layer: dict[str, Any] = {
        "nameSuffix": f"-{run.name}",
        "labels": [{"pairs": {RUN_LABEL: run.name}, "includeSelectors": True}],
        "patches": [
            _patch("Job", "work", [_change(f"/spec/{key}", value) for key, value in fan_out.items()]),
            # Not by a generator's literals: kustomize would take the quotes off a query's ends.
            _patch("ConfigMap", "settings", [_change(f"/data/{key}", value) for key, value in run.settings.items()]),
        ],
    }
    if run.table is not None:
        plain = {"disableNameSuffixHash": True}
        layer["configMapGenerator"] = [
            {"name": "table", "namespace": namespace, "files": ["table.yaml"], "options": plain}
        ]
        layer["files"] = {"table.yaml": run.table}
    return layer


def asked_of_secret(objects: Documents) -> set[str]:
    """The keys without which pods would not start, of a Secret that is not among the objects themselves."""
    if any(found["kind"] == "Secret" for found in objects):
        return set()
    return {key["key"] for key in _secret_keys(objects) if key["name"] == SECRET and not key.get("optional")}


def _secret_keys(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, Mapping):
        if "secretKeyRef" in value:
            yield value["secretKeyRef"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _secret_keys(inner)


def _random() -> str:
    return base64.b64encode(secrets.token_hex(24).encode()).decode()


def _change(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


def _patch(kind: str, name: str, changes: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(changes)}
