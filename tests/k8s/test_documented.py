"""What docs/cluster.md and the comments of the manifests say is there."""

import re
from pathlib import Path

import pytest

from tests.k8s.manifests import ROOT, named, of_kind, overlay, pod, rendered

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
FILES = [ROOT / "docs" / "cluster.md", *sorted((ROOT / "k8s").rglob("*.yaml")), *sorted((ROOT / "k8s").rglob("*.sh"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_folder_that_is_named_is_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not [
        folder for folder in re.findall(r" -k ([\w/.-]+)", text) if not (ROOT / folder / "kustomization.yaml").is_file()
    ]
    assert not [path for path in re.findall(r"(?<!tests/)\bk8s/[\w/.-]*\w", text) if not (ROOT / path).exists()]


def test_the_commands_name_what_is_there() -> None:
    objects = overlay("local") + rendered("overlays/local/migrate")
    for kind, name in (
        ("Deployment", "mlflow"),
        ("CronJob", "nightly"),
        ("CronJob", "promote"),
        ("CronJob", "monitor"),
        ("Deployment", "serving"),
        ("Service", "serving"),
        ("Job", "migrate"),
        ("Service", "mlflow"),
    ):
        assert f"{kind.lower()}/{name}" in PAGE
        assert named(objects, kind, name)["metadata"]["namespace"] == "daily-profit"
    for secret, key in re.findall(r"create secret generic (serving-\w+) --from-file=(\w+)", PAGE):
        (volume,) = [item for item in pod(objects, "Deployment/serving").spec["volumes"] if "secret" in item]
        assert volume["secret"]["secretName"] == secret
        assert f"`TOKEN_FILE: /secrets/{key}`" in PAGE
    label, value = re.findall(r"kubectl label namespace \S+ (\S+)=(\S+)", PAGE)[0]
    (near,) = [
        policy["spec"] for policy in of_kind(objects, "NetworkPolicy") if policy["metadata"]["name"] == "serving"
    ]
    assert {"namespaceSelector": {"matchLabels": {label: value}}} in near["ingress"][0]["from"]
    for script in re.findall(r"/scripts/(\S+\.sh)", PAGE):
        (maps,) = [found for found in objects if found["metadata"]["name"].startswith("postgres-scripts-")]
        assert script in maps["data"]
    claim = named(objects, "StatefulSet", "s3")["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
    assert f"`{claim}-s3-0`" in PAGE


def test_the_secret_created_by_hand_has_the_keys_that_pods_need() -> None:
    made = set(re.findall(r"--from-literal=(\w+)=", PAGE))
    services = (ROOT / "k8s/overlays/local/services/kustomization.yaml").read_text(encoding="utf-8")
    assert made == set(re.findall(r"--from-literal=(\w+)=", services)) != set()


def test_the_quota_that_is_told_is_enough_for_a_run() -> None:
    """The limits of a run's pods beside the workers: of the finish's two containers the larger counts."""
    limits = [
        named(rendered("base"), "Job", name)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        for name in ("create", "work", "finish")
    ]
    assert [(item["cpu"], item["memory"]) for item in limits] == [("1", "1Gi"), ("1", "1Gi"), ("2", "2Gi")]
    assert "count 1 CPU and 1 GiB for each worker, and 3 CPUs and 3 GiB" in re.sub(r"\s+", " ", PAGE)
