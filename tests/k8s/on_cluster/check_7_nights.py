"""The nightly search, and what keeps its databases: backup, restore, migration."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.k8s.on_cluster.real_cluster import RealCluster


@pytest.fixture(scope="module")
def nights(cluster: RealCluster) -> Iterator[RealCluster]:
    """The cluster with the nightly search."""
    cluster.kubectl("apply", "-k", "k8s/overlays/local/nightly")
    yield cluster
    cluster.kubectl("delete", "-k", "k8s/overlays/local/nightly", "--ignore-not-found")
    cluster.kubectl("delete", "job", "-l", "app.kubernetes.io/component=nightly")


def begin_night(cluster: RealCluster, name: str, **settings: str) -> None:
    """Begins a night with these settings in place of those of the ConfigMap."""
    cluster.kubectl("patch", "configmap", "nightly", "--patch", json.dumps({"data": settings}))
    cluster.kubectl("create", "job", "--from=cronjob/nightly", name)


def test_a_night_registers_a_model_and_says_whether_it_would_be_promoted(nights: RealCluster) -> None:
    begin_night(nights, "tonight", TARGET="is_profitable", N_TRIALS="6", PROMOTE="dry-run")
    nights.kubectl("wait", "--for=condition=complete", "job/tonight", "--timeout=20m")
    assert nights.finished("tonight") == 6
    with nights.mlflow() as mlflow:
        assert len(mlflow.versions("is_profitable", "tonight")) == 1
        assert mlflow.outcome("tonight") == "registered"
    index = "batch.kubernetes.io/job-completion-index=0,batch.kubernetes.io/job-name=tonight"
    assert "is_profitable" in nights.kubectl("logs", "-l", index, "-c", "promote")


def test_a_wrong_setting_ends_a_night_before_its_search(nights: RealCluster) -> None:
    begin_night(nights, "wrong", TARGET="is_profitable", N_TRIALS="6", PROMOTE="maybe")
    nights.kubectl("wait", "--for=condition=failed", "job/wrong", "--timeout=5m")
    (job,) = [found for found in nights.items("jobs") if found["metadata"]["name"] == "wrong"]
    assert "PodFailurePolicy" in {item["reason"] for item in job["status"]["conditions"]}
    assert nights.trials("wrong").total() == 0


def test_a_backup_restores_both_databases(cluster: RealCluster) -> None:
    before = cluster.sql("select study_name, study_id from studies order by 2")
    assert before
    backup = cluster.kubectl("exec", "postgres-0", "--", "bash", "/scripts/backup.sh")
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=0")
    done = cluster.kubectl("exec", "-i", "postgres-0", "--", "bash", "/scripts/restore.sh", stdin=backup)
    assert "both databases are restored" in done
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=1")
    cluster.kubectl("rollout", "status", "deployment/mlflow", "--timeout=180s")
    assert cluster.sql("select study_name, study_id from studies order by 2") == before
    with cluster.mlflow() as mlflow:
        assert mlflow.versions("is_profitable", "tonight")


def test_the_migration_runs_to_its_end(cluster: RealCluster) -> None:
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=0")
    cluster.kubectl("delete", "job", "migrate", "--ignore-not-found")
    cluster.kubectl("apply", "-k", "k8s/overlays/local/migrate")
    cluster.kubectl("wait", "--for=condition=complete", "job/migrate", "--timeout=10m")
    cluster.kubectl("apply", "-k", "k8s/overlays/local/services")
    cluster.kubectl("rollout", "status", "deployment/mlflow", "--timeout=180s")
    with cluster.mlflow() as mlflow:
        assert mlflow.versions("is_profitable", "tonight")


def test_every_form_of_deletion_keeps_what_the_documentation_says(cluster: RealCluster) -> None:
    done = cluster.fanout("down", ALL=1)
    assert done.status == 0, done.text
    kept = set(re.findall(r"^(\w+)\S*/", cluster.kubectl("get", "secrets,persistentvolumeclaims", "-o", "name"), re.M))
    assert kept == {"secret", "persistentvolumeclaim"}
    kinds = "jobs,cronjobs,services,statefulsets,deployments,networkpolicies,poddisruptionbudgets"
    assert cluster.kubectl("get", kinds, "-o", "name") == ""
    done = cluster.fanout("down", ALL=1, VOLUMES=1)
    assert done.status == 0, done.text
    assert cluster.kubectl("get", "secrets,persistentvolumeclaims", "-o", "name") == ""
