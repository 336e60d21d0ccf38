"""Servers that lose no request while their pods are replaced, and the chain from an alarm to a new champion."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.k8s.manifests import ROOT
from tests.k8s.on_cluster.check_7_nights import begin_night
from tests.k8s.on_cluster.real_cluster import RealCluster, until

TARGET = "gross_profit"
FOLDERS = ("k8s/overlays/local/nightly", "k8s/overlays/local/serving")
DATES, CHANGED_DATES, ACCOUNTS = 300, 200, 10
FEATURES = ("signal", "noise", "mood")
DATA = "postgresql://optuna@postgres:5432/optuna"
ALL_ROWS = "select * from planted"
ROWS_BEFORE = f"{ALL_ROWS} where date < '{pd.bdate_range('2023-01-02', periods=DATES + 1)[-1]:%Y-%m-%d}'"
STOP = "/tmp/stop"
BODY = json.dumps({"dataframe_split": {"columns": list(FEATURES), "data": [[0.5, -1.0, 0.0]] * 20}})


def planted_table() -> pd.DataFrame:
    """A table whose `signal` and its meaning change after `DATES` dates."""
    rng, n_rows = np.random.default_rng(1), (DATES + CHANGED_DATES) * ACCOUNTS
    changed = np.arange(n_rows) >= DATES * ACCOUNTS
    features = rng.normal(size=(len(FEATURES), n_rows))
    features[0] += 2.0 * changed
    dates = pd.bdate_range("2023-01-02", periods=DATES + CHANGED_DATES).strftime("%Y-%m-%d")
    columns: dict[str, Any] = {"account_id": np.arange(n_rows) % ACCOUNTS, "date": np.repeat(dates, ACCOUNTS)}
    columns |= dict(zip(FEATURES, features, strict=True))
    columns[TARGET] = np.where(changed, -100.0, 100.0) * features[0] + 30.0 * rng.normal(size=n_rows)
    return pd.DataFrame(columns)


def load_table(cluster: RealCluster) -> None:
    """The table in Postgres, and its password for the pods that read it."""
    columns = ", ".join(f"{name} double precision" for name in (*FEATURES, TARGET))
    cluster.sql(f"drop table if exists planted; create table planted (account_id int, date date, {columns})")
    cluster.sql("copy planted from stdin csv", planted_table().to_csv(index=False, header=False))
    assert cluster.sql("select count(*), '' from planted") == [[str((DATES + CHANGED_DATES) * ACCOUNTS), ""]]
    secret = json.loads(cluster.kubectl("get", "secret", "credentials", "-o", "json"))["data"]
    given = {"DATA_PGPASSWORD": secret["OPTUNA_POSTGRES_PASSWORD"]}
    cluster.kubectl("patch", "secret", "credentials", "--patch", json.dumps({"data": given}))


def register_first_champion(cluster: RealCluster) -> None:
    cluster.run("base", TARGET=TARGET, WORKERS=2, N_TRIALS=4, DATA=DATA, QUERY=ROWS_BEFORE)
    cluster.clear("base")


@pytest.fixture(scope="module")
def serving(cluster: RealCluster) -> Iterator[RealCluster]:
    """The cluster with a table whose first dates trained a champion, and with servers of it."""
    cluster.run("services", TARGET="is_profitable", WORKERS=1, N_TRIALS=1)
    cluster.clear("services")
    load_table(cluster)
    register_first_champion(cluster)
    for folder in FOLDERS:
        cluster.kubectl("apply", "-k", folder)
    cluster.kubectl("patch", "configmap", "serving", "--patch", json.dumps({"data": {"TARGET": TARGET}}))
    cluster.kubectl("rollout", "restart", "deployment/serving")
    cluster.kubectl("rollout", "status", "deployment/serving", "--timeout=300s")
    until(lambda: len(servers(cluster)) == 2, 120, "second server")
    yield cluster
    for folder in FOLDERS:
        cluster.kubectl("delete", "-k", folder, "--ignore-not-found")
    cluster.kubectl("delete", "job", "-l", "app.kubernetes.io/component=nightly")
    cluster.sql("drop table planted")


def servers(cluster: RealCluster) -> list[str]:
    """Names of the pods that are ready and are not about to end."""
    return [
        pod["metadata"]["name"]
        for pod in cluster.items("pods", "app.kubernetes.io/name=serving")
        if "deletionTimestamp" not in pod["metadata"]
        and any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
    ]


@dataclass
class Sent:
    """What became of the requests of a load."""

    versions: dict[str, int]
    failures: list[str]


@contextmanager
def load(cluster: RealCluster, name: str) -> Iterator[Sent]:
    """Requests through the Service from a pod, while the block runs; afterwards the result is filled in."""
    server = json.loads(cluster.kubectl("get", "deployment", "serving", "-o", "json"))["spec"]["template"]["spec"]
    script = (ROOT / "tests/k8s/on_cluster/load.py").read_text(encoding="utf-8")
    container = {key: server["containers"][0][key] for key in ("image", "securityContext", "resources")}
    container |= {
        "name": "load",
        "command": ["python", "-c", script, "serving:8080", STOP, BODY],
        "volumeMounts": [{"name": "tmp", "mountPath": str(Path(STOP).parent)}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"daily-profit/client": "serving"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": server["securityContext"],
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "10Mi"}}],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=ready", f"pod/{name}", "--timeout=120s")
    sent = Sent({}, [])
    yield sent
    cluster.kubectl("exec", name, "--", "touch", STOP)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=120s")
    found = json.loads(cluster.kubectl("logs", name).splitlines()[-1])
    (cluster.folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    sent.versions, sent.failures = found["versions"], found["failures"]
    cluster.kubectl("delete", "pod", name)


def replaced(cluster: RealCluster, before: list[str]) -> bool:
    """Whether two other pods are ready."""
    now = servers(cluster)
    return len(now) == 2 and not {*now} & {*before}


def test_no_request_is_lost_while_all_pods_are_replaced(serving: RealCluster) -> None:
    with load(serving, "load-replaced") as sent:
        first = servers(serving)
        serving.kubectl("rollout", "restart", "deployment/serving")
        serving.kubectl("rollout", "status", "deployment/serving", "--timeout=300s")
        until(lambda: replaced(serving, first), 180, "two new servers after the rollout")
        second = servers(serving)
        for name in second:
            serving.kubectl("delete", "pod", name)  # waits until it has ended
            until(lambda: len(servers(serving)) == 2, 180, "replacement of a deleted server")
        assert replaced(serving, second)
    assert sent.failures == []
    assert list(sent.versions) == ["1"] and sent.versions["1"] > 1000


def night(cluster: RealCluster, name: str, query: str) -> str:
    """Runs a night that searches only on an alarm; returns what `monitor` wrote."""
    settings = {"FALSE_ALARM_RATE": "0.01", "N_TRIALS": "6", "ONLY_ON_ALARM": "true", "PROMOTE": "on"}
    begin_night(cluster, name, TARGET=TARGET, DATA=DATA, QUERY=query, **settings)
    cluster.kubectl("wait", "--for=condition=complete", f"job/{name}", "--timeout=20m")
    return first_pod_log(cluster, name, "monitor")


def first_pod_log(cluster: RealCluster, job: str, step: str) -> str:
    label = f"batch.kubernetes.io/job-completion-index=0,batch.kubernetes.io/job-name={job}"
    return cluster.kubectl("logs", "-l", label, "-c", step, "--tail=-1")


def champion(cluster: RealCluster) -> str:
    with cluster.mlflow() as mlflow:
        found = mlflow.get(f"registered-models/alias?name={TARGET}&alias=champion")
        return str(found["model_version"]["version"])


def test_a_night_without_an_alarm_searches_nothing(serving: RealCluster) -> None:
    log = night(serving, "quiet", ROWS_BEFORE)
    assert f"{TARGET}: no alarm" in log
    assert serving.trials("quiet").total() == 0
    assert champion(serving) == "1"
    assert first_pod_log(serving, "quiet", "promote") == ""


def test_an_alarm_leads_to_a_new_champion_that_the_servers_follow(serving: RealCluster) -> None:
    with load(serving, "load-chain") as sent:
        log = night(serving, "drift", ALL_ROWS)
        assert f"{TARGET}: ALARM" in log and "signal" in log
        assert serving.finished("drift") == 6
        with serving.mlflow() as mlflow:
            assert len(mlflow.versions(TARGET, "drift")) == 1
        assert "promoted" in first_pod_log(serving, "drift", "promote")
        assert champion(serving) == "2"
        until(lambda: answering(serving) == {"2"}, 60, "version 2 in every server")
    assert sent.failures == []
    assert set(sent.versions) == {"1", "2"}


def answering(cluster: RealCluster) -> set[str]:
    """The versions that the servers answer with."""
    ask = "import urllib.request; print(urllib.request.urlopen('http://localhost:8080/version').read().decode())"
    texts = [cluster.kubectl("exec", name, "--", "python", "-c", ask) for name in servers(cluster)]
    return {str(json.loads(text)[TARGET]["version"]) for text in texts}


def test_the_monitor_by_itself_fails_on_an_alarm_and_changes_nothing(serving: RealCluster) -> None:
    """The champion of the former check has seen the change, so it is its alias that is moved back."""
    with serving.mlflow() as mlflow:
        mlflow.post("registered-models/alias", name=TARGET, alias="champion", version="1")
    until(lambda: answering(serving) == {"1"}, 60, "version 1 in every server")
    serving.kubectl("create", "job", "--from=cronjob/monitor", "monitor-now")
    serving.kubectl("wait", "--for=condition=failed", "job/monitor-now", "--timeout=10m")
    (pod,) = serving.items("pods", "batch.kubernetes.io/job-name=monitor-now")
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3
    assert champion(serving) == "1"
    serving.kubectl("delete", "job", "monitor-now")
