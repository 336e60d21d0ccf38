"""Objects are in an order that an empty cluster accepts: `kubectl apply` applies them from first to last."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from k8s.fanout.__main__ import main
from k8s.fanout.rendering import documents
from tests.k8s.manifests import ROOT, Object, need_kubectl, of_kind, pods, rendered

FOLDERS = sorted(
    str(file.parent.relative_to(ROOT / "k8s"))
    for file in (ROOT / "k8s").rglob("kustomization.yaml")
    if "kind: Kustomization" in file.read_text(encoding="utf-8")
)
REFERENCES = {
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""Fields of a pod that name another object: its kind, and the field within that has the name."""


def needs(found: Object) -> Iterator[tuple[str, str]]:
    """Kind and name of the objects that have to be there before this one."""
    if "namespace" in found["metadata"]:
        yield "Namespace", found["metadata"]["namespace"]
    for owner in found["metadata"].get("ownerReferences", []):
        yield owner["kind"], owner["name"]
    if "serviceName" in found.get("spec", {}):
        yield "Service", found["spec"]["serviceName"]
    for pod in pods((found,)):
        if "serviceAccountName" in pod.spec:
            yield "ServiceAccount", pod.spec["serviceAccountName"]
        for secret in pod.spec.get("imagePullSecrets", []):
            yield "Secret", secret["name"]
        yield from named_in(pod.spec)


def named_in(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in REFERENCES and isinstance(inner, Mapping):
                kind, name = REFERENCES[key]
                yield kind, inner[name]
            yield from named_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_in(inner)


def too_early(objects: tuple[Object, ...]) -> list[str]:
    """What stands before something that it needs, where both are among the objects."""
    places = {(found["kind"], found["metadata"]["name"]): i for i, found in enumerate(objects)}
    return [
        f"{found['kind']}/{found['metadata']['name']} stands before {kind}/{name}"
        for i, found in enumerate(objects)
        for kind, name in needs(found)
        if places.get((kind, name), -1) > i
    ]


def test_all_kinds_of_needs_are_seen() -> None:
    (job,) = [found for found in rendered("base") if found["metadata"]["name"] == "finish"]
    maps = {("ConfigMap", "settings"), ("ConfigMap", "stores"), ("ConfigMap", "table")}
    assert set(needs(job)) == maps | {("ServiceAccount", "tuner"), ("Secret", "credentials")}
    problems = too_early(tuple(reversed(rendered("overlays/local/services"))))
    assert "ConfigMap/stores stands before Namespace/daily-profit" in problems
    assert "StatefulSet/postgres stands before Service/postgres" in problems


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_comes_before_what_it_needs(folder: str) -> None:
    assert not too_early(rendered(folder))


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_nothing_of_a_run_comes_before_what_it_needs(
    overlay: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a table's file: a pod that starts before the file is there would tune another table."""
    need_kubectl()
    (tmp_path / "t.yaml").write_text("account: trader\n", encoding="utf-8")
    words = [f"OVERLAY={overlay}", f"CONFIG={tmp_path / 't.yaml'}", "STUDY_NAME=a", "DRY_RUN=1"]
    assert main(["up", *words]) == 0
    objects = tuple(documents(capsys.readouterr().out))
    assert {"Namespace", "ServiceAccount", "ConfigMap", "Job"} <= {found["kind"] for found in objects}
    assert [found for found in objects if found["metadata"]["name"] == "table-a"]
    assert not too_early(objects)


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder.endswith("services")])
def test_the_services_bring_their_namespace_and_no_pod_is_ever_without_policies(folder: str) -> None:
    kinds = [found["kind"] for found in rendered(folder)]
    assert kinds[0] == "Namespace"
    last_policy = max(i for i, kind in enumerate(kinds) if kind == "NetworkPolicy")
    owners = {found["kind"] for found in of_kind(rendered(folder), "Deployment", "StatefulSet", "CronJob", "Job")}
    assert last_policy < min(kinds.index(kind) for kind in owners)
