"""Requirements of a platform team: no warning of Pod Security, a quota, a user who may only edit one namespace."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.k8s.manifests import ROOT
from tests.k8s.on_cluster.real_cluster import RealCluster, overlay_in, until

SPACE = "daily-profit-team"
COMPONENT = "app.kubernetes.io/component"
SPACE_YAML = f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {SPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: all, namespace: {SPACE}}}
spec:
  hard: {{limits.cpu: "14", limits.memory: 14Gi, requests.cpu: "8", requests.memory: 12Gi, pods: "20"}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: editor, namespace: {SPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}}]
"""


@pytest.fixture(scope="module")
def space(cluster: RealCluster) -> Iterator[RealCluster]:
    """A namespace with a quota, in which jane may edit."""
    RealCluster(cluster.folder, SPACE).kubectl("apply", "-f", "-", stdin=SPACE_YAML)
    yield RealCluster(cluster.folder, SPACE, overlay_in(SPACE, cluster.folder / "team"), user="jane")
    cluster.kubectl("delete", "namespace", SPACE, "--wait=true", "--timeout=180s")


@pytest.mark.parametrize("name", ["local", "local/nightly", "local/serving", "production", "production/serving"])
def test_a_dry_run_on_the_server_warns_of_nothing(space: RealCluster, name: str) -> None:
    text = subprocess.run(
        ["kubectl", "kustomize", f"k8s/overlays/{name}"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.replace("namespace: daily-profit\n", f"namespace: {space.namespace}\n")
    ended = subprocess.run(
        # The namespace is there, made by `kubectl apply` without --server-side, and two ways of applying it conflict.
        ["kubectl", "apply", "--server-side", "--dry-run=server", "-l", f"{COMPONENT}!=namespace", "-f", "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(re.findall(" serverside-applied", ended.stdout)) == text.count("\nkind: ") - text.count(
        "kind: Namespace"
    )


def test_who_may_only_edit_the_namespace_gets_a_run_to_its_end(space: RealCluster) -> None:
    done = space.run("janes", TARGET="is_profitable", WORKERS=2, N_TRIALS=8)
    assert "2 of 2 running" in done
    assert space.finished("janes") == 8
    with space.mlflow() as mlflow:
        assert len(mlflow.versions("is_profitable", "janes")) == 1
    space.clear("janes")


def test_a_quota_is_named_as_the_reason(space: RealCluster) -> None:
    command = space.start("up", STUDY_NAME="quota", TARGET="is_profitable", WORKERS=15, N_TRIALS=500)
    try:
        assert "exceeded quota" in command.says(r"worker .*quota", 120)
    finally:
        command.process.kill()
        command.process.wait()
    space.clear("quota")
    until(lambda: space.left_of("quota") == [], 120, "end of what is left")


def test_all_of_it_goes_and_the_namespace_stays(space: RealCluster) -> None:
    done = space.fanout("down", ALL=1, VOLUMES=1)
    assert done.status == 0, done.text
    kinds = "jobs,cronjobs,pods,services,statefulsets,deployments,secrets,persistentvolumeclaims,networkpolicies"
    left = space.kubectl("get", kinds, "-l", "app.kubernetes.io/part-of=daily-profit", "-o", "name")
    pods = [name for name in left.split() if name.startswith("pod/")]  # those may still be on their way out
    assert left.split() == pods
