"""Every store requires its password, and no command changes the Secret."""

import json

from tests.k8s.on_cluster.real_cluster import RealCluster, overlay_in, until

SERVER = "deployment/mlflow"


def test_services_that_are_applied_again_leave_the_secret_alone(cluster: RealCluster) -> None:
    before = json.loads(cluster.kubectl("get", "secret", "credentials", "-o", "json"))["data"]
    cluster.kubectl("apply", "-k", "k8s/overlays/local/services")
    assert json.loads(cluster.kubectl("get", "secret", "credentials", "-o", "json"))["data"] == before
    assert all(before.values())
    cluster.run("again", TARGET="net_profit", WORKERS=1, N_TRIALS=1)
    cluster.clear("again")


def test_postgres_requires_a_password_for_every_connection(cluster: RealCluster) -> None:
    for way in ("/var/run/postgresql", "127.0.0.1"):
        done = cluster.kubectl(
            "exec", "postgres-0", "--", "psql", "-w", "-h", way, "-U", "optuna", "-d", "optuna", "-c", "select 1",
            status=None,
        )  # fmt: skip
        assert "no password supplied" in done


def test_pods_wait_and_name_the_secret_that_is_missing(cluster: RealCluster) -> None:
    lone = RealCluster(cluster.folder, "daily-profit-lone", overlay_in("daily-profit-lone", cluster.folder / "lone"))
    try:
        lone.kubectl("apply", "-k", f"{lone.overlay}/services")
        why = until(lambda: _waiting(lone, "postgres-0"), 120, "waiting container")
        assert "credentials" in why
        empty = ["OPTUNA_POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD", "S3_SECRET"]
        lone.kubectl("create", "secret", "generic", "credentials", *(f"--from-literal={key}=" for key in empty))
        log = until(lambda: _log_of(lone, "postgres-0"), 120, "log of Postgres")
        assert "OPTUNA_POSTGRES_PASSWORD is empty" in log
        done = lone.fanout("up", STUDY_NAME="none", TARGET="net_profit")
        assert done.status == 2
        assert all(key in done.text for key in empty)
    finally:
        cluster.kubectl("delete", "namespace", lone.namespace, "--wait=false")


def _waiting(cluster: RealCluster, pod: str) -> str:
    for found in cluster.items("pods"):
        if found["metadata"]["name"] == pod:
            states = [item["state"].get("waiting", {}) for item in found["status"].get("containerStatuses", [])]
            return next((item["message"] for item in states if item.get("reason") == "CreateContainerConfigError"), "")
    return ""


def _log_of(cluster: RealCluster, pod: str) -> str:
    text = cluster.kubectl("logs", pod, status=None)
    return text if "is empty" in text else ""
