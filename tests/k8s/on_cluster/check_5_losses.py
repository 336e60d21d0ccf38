"""Loss of pods, nodes and stores during a run: no trial is lost or counted twice."""

from tests.k8s.on_cluster.real_cluster import RealCluster, Started, until

N_TRIALS = 45


def test_killed_and_drained_workers_and_stores_lose_nothing(cluster: RealCluster, started: list[Started]) -> None:
    command = cluster.start("up", STUDY_NAME="losses", TARGET="is_profitable", WORKERS=3, N_TRIALS=N_TRIALS)
    started.append(command)
    until(lambda: cluster.finished("losses") >= 3, 300, "three trials", lambda: command.text)
    cluster.kubectl("delete", "pod", cluster.workers("losses")[0], "--force", "--grace-period=0")
    until(lambda: cluster.finished("losses") >= 8, 300, "eight trials", lambda: command.text)
    _drain(cluster, cluster.workers("losses")[0])
    until(lambda: cluster.finished("losses") >= 14, 300, "fourteen trials", lambda: command.text)
    cluster.kubectl("delete", "pod", "postgres-0")
    cluster.kubectl("wait", "--for=condition=ready", "pod/postgres-0", "--timeout=180s")
    until(lambda: cluster.finished("losses") >= 22, 300, "22 trials", lambda: command.text)
    cluster.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=mlflow")
    done = command.end()
    assert done.status == 0, done.text
    found = cluster.trials("losses")
    assert cluster.finished("losses") == N_TRIALS, found
    assert found["RUNNING"] == found["WAITING"] == 0
    with cluster.mlflow() as mlflow:
        assert len(mlflow.versions("is_profitable", "losses")) == 1
        numbers = mlflow.trial_numbers("losses")
        assert numbers.total() == N_TRIALS
        assert set(numbers.values()) == {1}
    cluster.clear("losses")


def _drain(cluster: RealCluster, pod: str) -> None:
    """Drains the node of a worker: the disruption budget must not block it."""
    (found,) = [item for item in cluster.items("pods") if item["metadata"]["name"] == pod]
    node = found["spec"]["nodeName"]
    cluster.kubectl("label", "pod", pod, "daily-profit-drained=yes")
    try:
        cluster.kubectl(
            "drain", node, "--pod-selector=daily-profit-drained=yes", "--ignore-daemonsets", "--delete-emptydir-data",
            "--force", "--timeout=120s",
        )  # fmt: skip
    finally:
        cluster.kubectl("uncordon", node)


def test_two_runs_at_once_are_two(cluster: RealCluster, started: list[Started]) -> None:
    both = {"first": "net_profit", "second": "num_trades"}
    for study, target in both.items():
        started.append(cluster.start("up", STUDY_NAME=study, TARGET=target, WORKERS=2, N_TRIALS=12))
    for command in started:
        done = command.end()
        assert done.status == 0, done.text
    unclear = cluster.fanout("down")
    assert unclear.status == 2
    assert "first or second" in unclear.text
    cluster.clear("first")
    assert cluster.left_of("first") == []
    assert cluster.left_of("second") != []
    with cluster.mlflow() as mlflow:
        for study, target in both.items():
            assert cluster.finished(study) == 12
            assert mlflow.trial_numbers(study) == dict.fromkeys(range(12), 1)
            assert len(mlflow.versions(target, study)) == 1
    last = cluster.fanout("down")
    assert last.status == 0
    assert cluster.left_of("second") == []
