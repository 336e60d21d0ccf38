"""The rendered manifests: true to Kubernetes' schemas, without a secret, and every name in them means something."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils
from packaging.version import Version

from src.secrets import mask_url
from tests.command_lines import commands_in, mlflow_options_of, options_after, options_of
from tests.k8s.manifests import (
    OVERLAYS,
    ROOT,
    TEAM,
    VARIABLE,
    Pod,
    command_line,
    container,
    environment,
    named,
    of_kind,
    overlay,
    parser_of,
    pods,
    project_containers,
    rendered,
)

SUPPORTED = [
    version
    for version in dict.fromkeys(v.rpartition(".")[0] for v in utils.all_versions())
    if Version(version) >= Version("1.31")
]
"""From the first Kubernetes in which podFailurePolicy is stable up to the newest whose schema there is."""
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def secret_keys(pod: Pod) -> list[dict[str, Any]]:
    """The keys of Secrets that a pod's containers need."""
    variables = [item for holder in pod.containers for item in holder.get("env", [])]
    return [item["valueFrom"]["secretKeyRef"] for item in variables if "secretKeyRef" in item.get("valueFrom", {})]


@pytest.fixture(scope="module")
def _schemas_read_once() -> Iterator[None]:
    """The library reads a megabyte for each object anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


@pytest.mark.usefixtures("_schemas_read_once")
@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("name", [*OVERLAYS, TEAM])
def test_every_object_fits_the_schema(name: str, version: str) -> None:
    objects = overlay(name)
    for found in objects:
        assert kubernetes_validate.validate(found, version, strict=True) == version
    assert len(objects) > 15


def test_the_newest_schemas_are_looked_at() -> None:
    assert SUPPORTED[0] == "1.31" and len(SUPPORTED) >= 7


@pytest.mark.parametrize("name", OVERLAYS)
class TestOverlay:
    def test_names_are_dns_labels_and_stand_once(self, name: str) -> None:
        names = [(found["kind"], found["metadata"]["name"]) for found in overlay(name)]
        assert len(set(names)) == len(names)
        assert not [item for _, item in names if not DNS_LABEL.fullmatch(item)]

    def test_everything_is_in_one_hardened_namespace(self, name: str) -> None:
        (space,) = of_kind(overlay(name), "Namespace")
        assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        rest = [found for found in overlay(name) if found["kind"] != "Namespace"]
        assert {found["metadata"]["namespace"] for found in rest} == {space["metadata"]["name"]}

    def test_recommended_labels(self, name: str) -> None:
        for found in overlay(name):
            labels = found["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "daily-profit", found["metadata"]["name"]
            assert labels["app.kubernetes.io/managed-by"] == "kustomize", found["metadata"]["name"]
        for pod in pods(overlay(name)):
            assert {"app.kubernetes.io/name", "app.kubernetes.io/component"} <= pod.labels.keys(), pod.owner

    def test_no_secret(self, name: str) -> None:
        """Not even an empty one: applying it would delete the cluster's passwords."""
        assert not of_kind(overlay(name), "Secret")
        for pod in pods(overlay(name)):
            for holder in pod.containers:
                for key, value in environment(overlay(name), holder).items():
                    assert mask_url(value) == value, f"{pod.owner}: {key}"
                    if re.search("PASSWORD|SECRET", key, re.IGNORECASE):
                        assert value == f"<{key}>", f"{pod.owner}: {key}"

    def test_every_reference_resolves(self, name: str) -> None:
        objects = overlay(name)
        maps = {found["metadata"]["name"] for found in of_kind(objects, "ConfigMap")}
        accounts = {found["metadata"]["name"] for found in of_kind(objects, "ServiceAccount")}
        for pod in pods(objects):
            assert pod.spec.get("serviceAccountName") in accounts | {None}, pod.owner
            volumes = [v["configMap"] for v in pod.spec["volumes"] if "configMap" in v]
            assert not [v for v in volumes if not v.get("optional") and v["name"] not in maps], pod.owner
            assert {reference["name"] for reference in secret_keys(pod)} <= {"credentials"}, pod.owner

    def test_every_variable_is_known(self, name: str) -> None:
        for owner, holder in project_containers(overlay(name)):
            asked = {match for word in holder["args"] for match in VARIABLE.findall(word)}
            assert asked and asked <= environment(overlay(name), holder).keys(), owner

    def test_every_command_line_is_taken(self, name: str) -> None:
        """By the parser of the command itself, with the values that the settings have."""
        for owner, holder in project_containers(overlay(name)):
            module, words = command_line(overlay(name), holder)
            args = parser_of(module).parse_args(words)
            assert args.targets and getattr(args, "study_name", owner), owner

    def test_pods_mount_what_they_have(self, name: str) -> None:
        for pod in pods(overlay(name)):
            there = {volume["name"] for volume in pod.spec["volumes"]} | pod.claims
            used = {mount["name"] for holder in pod.containers for mount in holder["volumeMounts"]}
            assert used == there, pod.owner

    def test_services_find_their_pods_and_ports(self, name: str) -> None:
        for service in of_kind(overlay(name), "Service"):
            chosen = [p for p in pods(overlay(name)) if service["spec"]["selector"].items() <= p.labels.items()]
            (pod,) = chosen
            ports = {port["name"]: port["containerPort"] for port in pod.containers[0]["ports"]}
            for port in service["spec"]["ports"]:
                assert ports[port["targetPort"]] == port["port"]

    def test_probes_use_named_ports(self, name: str) -> None:
        for pod in pods(overlay(name)):
            for holder in pod.containers:
                probes = [holder.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
                assert all(probes) or not any(probes), pod.owner
                asked = {probe["httpGet"]["port"] for probe in probes if probe and "httpGet" in probe}
                assert asked <= {port["name"] for port in holder.get("ports", [])}, pod.owner

    def test_a_finish_searches_nothing(self, name: str) -> None:
        """Also where the time was up, with several targets too: what is missing is not for one pod to do."""
        for owner, holder in project_containers(overlay(name)):
            if owner.endswith("/finish"):
                module, words = command_line(overlay(name), holder)
                assert parser_of(module).parse_args(words).timeout <= 0.001, owner


def test_settings_default_to_the_commands_defaults() -> None:
    _, words = command_line(overlay("local"), container(overlay("local"), "Job/create", "create"))
    parser = parser_of("src.modeling.optuna_parallel_optimization")
    given = {"targets": ["is_profitable"], "study_name": "daily_profit", "mode": "create"}
    plain = vars(parser.parse_args([]))
    assert vars(parser.parse_args(words)) == plain | given


def test_mlflow_and_nothing_else_is_called_beside_the_product() -> None:
    for name in OVERLAYS:
        text = yaml.safe_dump_all(overlay(name))
        options = options_after(text, "mlflow", "server")
        assert {"--host", "--port", "--serve-artifacts"} <= options <= mlflow_options_of("server")
        mine = {command_line(overlay(name), holder)[0] for _, holder in project_containers(overlay(name))}
        assert {call.module for call in commands_in(text)} == mine
        assert all(call.options <= options_of(call.module) for call in commands_in(text))


def test_optuna_and_mlflow_have_a_database_each() -> None:
    for name in OVERLAYS:
        stores = named(overlay(name), "ConfigMap", "stores")["data"]
        mlflow = named(overlay(name), "ConfigMap", "mlflow")["data"]["MLFLOW_BACKEND_STORE_URI"]
        assert mlflow.startswith("postgresql+psycopg2://")
        assert mlflow.rpartition("/")[2] != stores["OPTUNA_POSTGRES_DB"]


def test_a_run_is_jobs_and_their_settings() -> None:
    """What all runs share, their ServiceAccount, belongs to the services, or each run would leave one behind."""
    assert {found["kind"] for found in rendered("base")} == {"ConfigMap", "Job"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_say_which_keys_their_secret_has(name: str) -> None:
    text = (ROOT / f"k8s/overlays/{name}/services/kustomization.yaml").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    documented = {word for line in comments for word in re.findall(r"[A-Z_0-9]{6,}", line)}
    keys = [key for pod in pods(overlay(name)) for key in secret_keys(pod)]
    needed, used = ({k["key"] for k in keys if not k.get("optional")}, {k["key"] for k in keys})
    assert needed <= documented <= used


@pytest.mark.parametrize("name", OVERLAYS)
def test_who_tunes_has_one_name(name: str) -> None:
    """So that a workload identity is bound once, for all runs and nights; the server has another one."""
    used = {item.owner: item.spec.get("serviceAccountName") for item in pods(overlay(name))}
    tuning = {owner.rpartition("/")[0] for owner, _ in project_containers(overlay(name), "tuner")}
    assert len(tuning) == 6
    assert {used[owner] for owner in tuning} == {"tuner"}
    assert {used[owner] for owner in used.keys() - tuning} <= {"mlflow", "serving", None}
