"""The user's command reports errors within seconds and exits with their status."""

from tests.k8s.on_cluster.real_cluster import RealCluster, Started, overlay_in, until

USER_ERROR = {"DATA": "postgresql://optuna@postgres:5432/optuna", "QUERY": "select 1 as account_id"}


def test_a_mistake_that_only_a_pod_sees_ends_the_run(cluster: RealCluster) -> None:
    done = cluster.fanout("up", STUDY_NAME="mistake", TARGET="net_profit", WORKERS=2, N_TRIALS=5, **USER_ERROR)
    assert done.status == 2, done.text
    assert "job create-mistake failed (PodFailurePolicy)" in done.text
    shown = cluster.fanout("status", STUDY_NAME="mistake")
    assert shown.status == 2
    assert "job create-mistake failed" in shown.text
    cluster.clear("mistake")
    assert cluster.left_of("mistake") == []


def test_an_image_that_is_not_there_is_said_within_seconds(cluster: RealCluster, started: list[Started]) -> None:
    images = "images:\n  - name: daily-profit/tuner\n    newTag: of-nobody"
    overlay = overlay_in(cluster.namespace, cluster.folder / "images", images)
    other = RealCluster(cluster.folder, overlay=overlay)
    command = other.start("up", STUDY_NAME="image", TARGET="net_profit", WORKERS=3, N_TRIALS=5)
    started.append(command)
    line = command.says(r"worker .*ErrImage|worker .*ImagePull", 120)
    assert "0 of 3 running" in line
    assert "of-nobody" in line
    other.clear("image")


def test_pods_without_room_do_not_run(cluster: RealCluster, started: list[Started]) -> None:
    patch = (
        "patches:\n  - target: {kind: Job, name: work}\n    patch: |\n"
        '      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/memory, value: "900Gi"}\n'
        '      - {op: replace, path: /spec/template/spec/containers/0/resources/limits/memory, value: "900Gi"}'
    )
    other = RealCluster(cluster.folder, overlay=overlay_in(cluster.namespace, cluster.folder / "room", patch))
    command = other.start("up", STUDY_NAME="room", TARGET="net_profit", WORKERS=3, N_TRIALS=5)
    started.append(command)
    line = command.says(r"worker .*memory", 120)
    assert "0 of 3 running" in line
    other.clear("room")


def test_what_is_left_of_a_run_whose_jobs_are_gone_is_found(cluster: RealCluster, started: list[Started]) -> None:
    command = cluster.start("up", STUDY_NAME="leftover", TARGET="net_profit", WORKERS=1, N_TRIALS=50)
    started.append(command)
    command.says(r"worker .*1 of 1 running|worker .*running", 120)
    cluster.kubectl("delete", "jobs", "-l", "daily-profit/run=leftover")
    done = command.end(60)
    assert done.status == 1
    assert "run leftover was deleted" in done.text
    assert cluster.left_of("leftover") != []
    cluster.clear("leftover")
    until(lambda: cluster.left_of("leftover") == [], 120, "end of what is left")
