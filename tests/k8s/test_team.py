"""Every value of `k8s/examples/team` is in the rendered objects, without changing the repository."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.fanout.__main__ import main
from k8s.fanout.rendering import documents
from tests.k8s.manifests import (
    OVERLAYS,
    ROOT,
    Object,
    Pod,
    command_line,
    container,
    environment,
    named,
    need_kubectl,
    of_kind,
    overlay,
    parser_of,
    pods,
)

EXAMPLE = ROOT / "k8s" / "examples" / "team"
SHARED = "src.modeling.optuna_parallel_optimization"
SEARCHING = {"Job/create-a", "Job/work-a", "Job/finish-a", "CronJob/nightly", "CronJob/monitor", "CronJob/promote"}


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example where a team keeps such things, outside of this repository."""
    folder = tmp_path_factory.mktemp("elsewhere") / "our cluster"
    shutil.copytree(EXAMPLE, folder)
    for file in folder.glob("*/kustomization.yaml"):
        way = os.path.relpath(ROOT / "k8s", file.parent.resolve())
        file.write_text(file.read_text(encoding="utf-8").replace("../../..", way), encoding="utf-8")
    return folder


@pytest.fixture
def objects(moved: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Object, ...]:
    need_kubectl()
    assert main(["up", f"OVERLAY={moved}", "STUDY_NAME=a", "DRY_RUN=1"]) == 0
    return tuple(documents(capsys.readouterr().out))


@pytest.fixture
def found(objects: tuple[Object, ...]) -> dict[str, Pod]:
    by_owner = {item.owner: item for item in pods(objects)}
    assert by_owner.keys() == SEARCHING | {"Deployment/mlflow"}
    return by_owner


def templates(objects: tuple[Object, ...]) -> dict[str, Any]:
    """The metadata of every pod template, by owner."""
    specs = {f"{o['kind']}/{o['metadata']['name']}": o["spec"] for o in objects if o["kind"] in ("Job", "Deployment")}
    specs |= {f"CronJob/{o['metadata']['name']}": o["spec"]["jobTemplate"]["spec"] for o in of_kind(objects, "CronJob")}
    return {owner: spec["template"]["metadata"] for owner, spec in specs.items()}


def test_a_namespace_of_its_own(objects: tuple[Object, ...]) -> None:
    (space,) = of_kind(objects, "Namespace")
    rest = {item["metadata"]["namespace"] for item in objects if item is not space}
    assert rest == {space["metadata"]["name"]} == {"research"}


def test_registry_and_tag_are_set_in_one_place(found: dict[str, Pod]) -> None:
    used = {holder["image"] for item in found.values() for holder in item.containers}
    registry = "registry.team.example.com/daily-profit"
    assert used == {f"{registry}/tuner:0.1.0-team.3", f"{registry}/mlflow:0.1.0-team.3"}
    for folder in (EXAMPLE, ROOT / "k8s" / "overlays" / "production"):
        files = [file for file in folder.rglob("*.yaml") if "newTag" in file.read_text(encoding="utf-8")]
        assert len(files) == 1, folder


def test_the_registrys_secret(found: dict[str, Pod]) -> None:
    assert all(item.spec["imagePullSecrets"] == [{"name": "registry"}] for item in found.values())


def test_identities_take_the_place_of_keys(objects: tuple[Object, ...], found: dict[str, Pod]) -> None:
    for name in ("tuner", "mlflow"):
        (role,) = named(objects, "ServiceAccount", name)["metadata"]["annotations"].values()
        assert role.endswith(f"role/daily-profit-{name}")
    assert {found[owner].spec["serviceAccountName"] for owner in SEARCHING} == {"tuner"}
    server = container(objects, "Deployment/mlflow", "mlflow")
    assert [item["name"] for item in server["env"]] == ["PGPASSWORD"]


def test_labels_and_annotations_of_pods(objects: tuple[Object, ...], found: dict[str, Pod]) -> None:
    for owner, metadata in templates(objects).items():
        assert metadata["labels"]["team.example.com/cost-center"] == "research", owner
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "daily-profit", owner
        assert metadata["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}, owner
    assert templates(objects).keys() == found.keys()


def test_what_searches_has_its_nodes_and_its_priority(found: dict[str, Pod]) -> None:
    for owner, item in found.items():
        searches = owner in SEARCHING
        assert item.spec.get("nodeSelector") == ({"team.example.com/pool": "batch"} if searches else None), owner
        assert item.spec.get("priorityClassName") == ("batch" if searches else None), owner
        assert [t["key"] for t in item.spec.get("tolerations", [])] == ["team.example.com/batch"] * searches, owner


@pytest.mark.parametrize("owner", ["Job/work-a", "CronJob/nightly"])
def test_a_worker_has_its_gpu(objects: tuple[Object, ...], owner: str) -> None:
    worker = container(objects, owner, "work")
    assert worker["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"cpu": "1", "memory": "4Gi", "nvidia.com/gpu": 1},
    }
    module, words = command_line(objects, worker)
    if module != SHARED:  # the script of a night has another name first
        module, *words = words
    assert parser_of(module).parse_args(words).device == "gpu"
    assert environment(objects, worker)["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    others = [holder for item in pods(objects) for holder in item.containers if holder["name"] != "work"]
    assert not [holder for holder in others if "nvidia.com/gpu" in holder["resources"]["limits"]]
    assert not [holder for holder in others if "--device=gpu" in holder.get("args", [])]


def test_no_overlay_needs_a_gpu() -> None:
    for name in OVERLAYS:
        assert "nvidia" not in str(overlay(name)).lower(), name


def test_the_servers_have_the_same_platform_but_no_batch_nodes(moved: Path) -> None:
    command = [need_kubectl(), "kustomize", str(moved / "serving")]
    served = tuple(documents(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert {item["metadata"]["namespace"] for item in served} == {"research"}
    (metadata,) = templates(served).values()
    assert metadata["labels"]["team.example.com/cost-center"] == "research"
    (item,) = pods(served)
    assert item.spec["imagePullSecrets"] == [{"name": "registry"}]
    assert "priorityClassName" not in item.spec and "nodeSelector" not in item.spec
    assert item.containers[0]["image"] == "registry.team.example.com/daily-profit/serving:0.1.0-team.3"
    assert named(served, "ConfigMap", "serving")["data"]["TARGET"] == "net_profit,is_profitable"


def test_addresses_and_data(objects: tuple[Object, ...]) -> None:
    assert named(objects, "ConfigMap", "stores")["data"]["OPTUNA_POSTGRES_HOST"] == "db.team.example.com"
    assert named(objects, "ConfigMap", "stores")["data"]["OPTUNA_POSTGRES_DB"] == "optuna", "the rest stays"
    for name in ("nightly", "settings-a"):
        assert named(objects, "ConfigMap", name)["data"]["DATA"] == "s3://team-data/accounts.parquet"
    assert "198.51.100.0/24" in yaml.safe_dump(named(objects, "NetworkPolicy", "outside"))


def test_nothing_of_the_placeholders_is_left(objects: tuple[Object, ...]) -> None:
    text = yaml.safe_dump_all(objects)
    assert not re.findall(r"registry\.example\.com|postgres\.example\.com|example-bucket|192\.0\.2\.", text)
