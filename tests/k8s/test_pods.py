"""How the pods are locked down, what they may use, and how Jobs go on after what went wrong."""

import re
from typing import Any

import pytest

from tests.k8s.manifests import (
    OVERLAYS,
    TEAM,
    Pod,
    environment,
    named,
    of_kind,
    overlay,
    pod,
    pods,
)


@pytest.fixture(params=[*OVERLAYS, TEAM])
def every_pod(request: pytest.FixtureRequest) -> list[Pod]:
    return list(pods(overlay(request.param)))


class TestHardening:
    """Pod Security `restricted`, and what goes beyond it."""

    def test_pods(self, every_pod: list[Pod]) -> None:
        for item in every_pod:
            context = item.spec["securityContext"]
            assert context["runAsNonRoot"] is True, item.owner
            assert context["runAsUser"] > 0 and context["runAsGroup"] > 0 and context["fsGroup"] > 0, item.owner
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, item.owner
            assert item.spec["automountServiceAccountToken"] is False, item.owner
            assert item.spec["enableServiceLinks"] is False, item.owner
            assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & item.spec.keys(), item.owner

    def test_containers(self, every_pod: list[Pod]) -> None:
        for item in every_pod:
            for holder in item.containers:
                assert holder["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }, f"{item.owner}/{holder['name']}"

    def test_what_can_be_written_has_an_end(self, every_pod: list[Pod]) -> None:
        for item in every_pod:
            for volume in item.spec["volumes"]:
                (kind,) = volume.keys() - {"name"}
                assert kind in ("emptyDir", "configMap", "secret"), item.owner
                assert kind != "emptyDir" or volume["emptyDir"]["sizeLimit"], item.owner
            for holder in item.containers:
                assert "/tmp" in [mount["mountPath"] for mount in holder["volumeMounts"]], item.owner

    def test_images_have_a_fixed_tag(self, every_pod: list[Pod]) -> None:
        for item in every_pod:
            for holder in item.containers:
                assert re.fullmatch(r"[a-z0-9./-]+:[a-z0-9][a-z0-9.-]*", holder["image"]), item.owner
                assert not holder["image"].endswith(":latest"), item.owner


def cpus(text: Any) -> float:
    return float(text[:-1]) / 1000 if str(text).endswith("m") else float(text)


def mebibytes(text: str) -> int:
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


class TestResources:
    def test_every_container_has_requests_and_limits(self, every_pod: list[Pod]) -> None:
        for item in every_pod:
            for holder in item.containers:
                asked, most = holder["resources"]["requests"], holder["resources"]["limits"]
                assert 0 < cpus(asked["cpu"]) <= cpus(most["cpu"]), item.owner
                assert 0 < mebibytes(asked["memory"]) <= mebibytes(most["memory"]), item.owner


def jobs(name: str) -> list[tuple[str, Any]]:
    found = [(item["metadata"]["name"], item["spec"]) for item in of_kind(overlay(name), "Job")]
    crons = of_kind(overlay(name), "CronJob")
    return found + [(item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]) for item in crons]


@pytest.mark.parametrize("name", OVERLAYS)
class TestJobs:
    def test_every_job_ends_and_is_deleted(self, name: str) -> None:
        for job, spec in jobs(name):
            assert spec["template"]["spec"]["restartPolicy"] == "Never", job
            assert spec["activeDeadlineSeconds"] > 0 and spec["ttlSecondsAfterFinished"] > 0, job
            assert ("backoffLimit" in spec) != ("backoffLimitPerIndex" in spec), job
            assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 30, job

    def test_a_mistake_stops_the_job_and_a_lost_node_is_not_counted(self, name: str) -> None:
        for job, spec in jobs(name):
            rules = spec["podFailurePolicy"]["rules"]
            assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            codes = {
                r["onExitCodes"]["containerName"]: r["action"] for r in rules[1:] if 2 in r["onExitCodes"]["values"]
            }
            template = spec["template"]["spec"]
            assert codes == {
                item["name"]: "FailJob" for item in [*template.get("initContainers", []), *template["containers"]]
            }, job

    def test_fan_out(self, name: str) -> None:
        for job, spec in jobs(name):
            if job not in ("work", "nightly"):
                assert "completionMode" not in spec
                continue
            assert spec["completionMode"] == "Indexed"
            assert spec["parallelism"] == spec["completions"] > spec["maxFailedIndexes"] >= 0
            told_to_leave = {"containerName": "work", "operator": "In", "values": [143]}
            assert {"action": "Ignore", "onExitCodes": told_to_leave} in spec["podFailurePolicy"]["rules"]
            (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
            labels = spec["template"]["metadata"]["labels"]
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()

    def test_a_study_that_was_given_up_is_not_waited_for_again(self, name: str) -> None:
        """Five times forty minutes, or five times a day."""
        rules = dict(jobs(name))["finish"]["podFailurePolicy"]["rules"]
        given_up = {"containerName": "wait", "operator": "In", "values": [1, 2]}
        assert {"action": "FailJob", "onExitCodes": given_up} in rules

    def test_finish_waits_for_the_study_and_outlives_the_wait(self, name: str) -> None:
        found = pod(overlay(name), "Job/finish")
        assert [item["name"] for item in found.containers] == ["wait", "finish"]
        waits = int(environment(overlay(name), found.containers[0])["WAIT_SECONDS"])
        assert waits < dict(jobs(name))["finish"]["activeDeadlineSeconds"]


class TestDisruptionBudget:
    def test_it_selects_only_the_workers(self) -> None:
        budget = named(overlay("production"), "PodDisruptionBudget", "workers")
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert [item.owner for item in pods(overlay("production")) if wanted <= item.labels.items()] == ["Job/work"]

    @pytest.mark.parametrize("running", [1, 2, 40])
    def test_no_drain_waits_for_a_worker(self, running: int) -> None:
        """As Kubernetes reckons it: what may be evicted is what runs beyond the number that has to be available."""
        budget = named(overlay("production"), "PodDisruptionBudget", "workers")
        # A Job has no scale, so that Kubernetes takes neither a percentage nor maxUnavailable for its pods.
        assert type(budget["spec"]["minAvailable"]) is int and "maxUnavailable" not in budget["spec"]
        assert running - budget["spec"]["minAvailable"] == running
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
