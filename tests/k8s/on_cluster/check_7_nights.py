"""The nightly search, and what keeps its databases: backup, restore, migration."""

import re

from tests.k8s.on_cluster.real_cluster import RealCluster

NIGHT = {"TARGET": "is_profitable", "N_TRIALS": "6"}


def test_a_night_registers_a_model(cluster: RealCluster) -> None:
    cluster.kubectl("apply", "-k", "k8s/overlays/local/nightly")
    data = ", ".join(f'"{key}": "{value}"' for key, value in NIGHT.items())
    cluster.kubectl("patch", "configmap", "nightly", "--patch", f'{{"data": {{{data}}}}}')
    cluster.kubectl("create", "job", "--from=cronjob/nightly", "tonight")
    cluster.kubectl("wait", "--for=condition=complete", "job/tonight", "--timeout=20m")
    assert cluster.finished("tonight") == 6
    with cluster.mlflow() as mlflow:
        assert len(mlflow.versions("is_profitable", "tonight")) == 1
    cluster.kubectl("delete", "-k", "k8s/overlays/local/nightly")
    cluster.kubectl("delete", "job", "tonight", "--ignore-not-found")


def test_a_backup_restores_both_databases(cluster: RealCluster) -> None:
    before = cluster.sql("select study_name, study_id from studies order by 2")
    assert before
    backup = cluster.kubectl("exec", "postgres-0", "--", "bash", "/scripts/backup.sh")
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=0")
    said = cluster.kubectl("exec", "-i", "postgres-0", "--", "bash", "/scripts/restore.sh", stdin=backup)
    assert "both databases are restored" in said
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=1")
    cluster.kubectl("rollout", "status", "deployment/mlflow", "--timeout=180s")
    assert cluster.sql("select study_name, study_id from studies order by 2") == before
    with cluster.mlflow() as mlflow:
        assert mlflow.versions("is_profitable", "longer")


def test_the_migration_runs_to_its_end(cluster: RealCluster) -> None:
    cluster.kubectl("scale", "deployment/mlflow", "--replicas=0")
    cluster.kubectl("delete", "job", "migrate", "--ignore-not-found")
    cluster.kubectl("apply", "-k", "k8s/overlays/local/migrate")
    cluster.kubectl("wait", "--for=condition=complete", "job/migrate", "--timeout=10m")
    cluster.kubectl("apply", "-k", "k8s/overlays/local/services")
    cluster.kubectl("rollout", "status", "deployment/mlflow", "--timeout=180s")
    with cluster.mlflow() as mlflow:
        assert mlflow.versions("is_profitable", "longer")


def test_every_form_of_deletion_keeps_what_the_documentation_says(cluster: RealCluster) -> None:
    said = cluster.fanout("down", ALL=1)
    assert said.status == 0, said.text
    kept = set(re.findall(r"^(\w+)\S*/", cluster.kubectl("get", "secrets,persistentvolumeclaims", "-o", "name"), re.M))
    assert kept == {"secret", "persistentvolumeclaim"}
    kinds = "jobs,cronjobs,services,statefulsets,deployments,networkpolicies,poddisruptionbudgets"
    assert cluster.kubectl("get", kinds, "-o", "name") == ""
    said = cluster.fanout("down", ALL=1, VOLUMES=1)
    assert said.status == 0, said.text
    assert cluster.kubectl("get", "secrets,persistentvolumeclaims", "-o", "name") == ""
