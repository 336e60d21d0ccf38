"""What `make fanout` and `make fanout-status` say of a run, and with which status they end."""

import re
from typing import Any

import pytest
from mlflow.server.security_utils import is_allowed_host_header

from src.modeling.waiting import StudyProgress
from tests.k8s.cluster import RUN, STUDY, WATCHED, FakeCluster, call, job, pod
from tests.k8s.manifests import OVERLAYS, named, overlay

WORK, FINISH = f"worker-{RUN}", f"finish-{RUN}"
LOGS = f"logs {FINISH}-0 -c "
REPORT = "#/experiments/1/runs/ab/artifacts/report/report.html"
DONE = {"items": [job("worker", RUN, "Complete"), job("finish", RUN, "Complete"), pod(FINISH, phase="Succeeded")]}


def refusal(uid: str, message: str) -> dict[str, object]:
    return {"involvedObject": {"uid": uid, "name": WORK}, "message": message, "lastTimestamp": "2024-01-01T00:00:00Z"}


def up(cluster: FakeCluster, *seen: object) -> int:
    """Follows a run that is seen so, one look after the other."""
    cluster.answers(WATCHED, *seen)
    return call(cluster, "up", f"STUDY_NAME={STUDY}", "WORKERS=3")


def items(*found: object) -> dict[str, object]:
    return {"items": list(found)}


class TestWhatIsSaid:
    @pytest.mark.parametrize(
        ("pods", "line"),
        [
            ([pod(WORK, i) for i in range(3)], "3 of 3 running, 0 done"),
            ([pod(WORK, i, "Pending") for i in range(3)], "0 of 3 running, 0 done; 3 starting"),
            (
                [pod(WORK), *(pod(WORK, i, "Pending", "0/1 nodes: 1 Insufficient cpu.") for i in (1, 2))],
                "1 of 3 running, 0 done; 2 pending, Unschedulable (0/1 nodes: 1 Insufficient cpu.)",
            ),
            (
                [pod(WORK, i, "Pending", work={"waiting": {"reason": "ErrImageNeverPull"}}) for i in range(3)],
                "0 of 3 running, 0 done; 3 pending, ErrImageNeverPull (tuner:1)",
            ),
            (
                [pod(WORK, i, "Pending", work={"waiting": {"reason": "PodInitializing"}}) for i in range(3)],
                "0 of 3 running, 0 done; 3 starting",
            ),
        ],
    )
    def test_only_ready_pods_count_as_running(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], pods: list[object], line: str
    ) -> None:
        assert up(cluster, items(job("worker", RUN, active=3), *pods), DONE) == 0
        assert f" worker  {line}\n" in capsys.readouterr().out

    def test_a_quota_that_lets_no_pod_be_made(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        """Only an event reports it; events of an earlier Job of the same name do not count."""
        cluster.answers(
            "get events",
            items(
                refusal("uid of worker", 'Error creating: pods "w-1-x" is forbidden: exceeded quota: small'),
                refusal("uid of an earlier one", "old"),
            ),
        )
        assert up(cluster, items(job("worker", RUN, active=1), pod(WORK)), DONE) == 0
        out = capsys.readouterr().out
        assert " worker  1 of 3 running, 0 done; 2 not created, FailedCreate (exceeded quota: small)\n" in out
        assert "old" not in out

    def test_an_image_that_cannot_be_pulled_is_said_once(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The kubelet changes between two reasons, and a message may count seconds."""
        looks = [
            items(job("worker", RUN), *(pod(WORK, i, "Pending", work={"waiting": why}) for i in range(3)))
            for why in (
                {"reason": "ErrImagePull", "message": "no such tag"},
                {"reason": "ImagePullBackOff", "message": "Back-off"},
                {"reason": "ErrImagePull", "message": "no such tag!"},
            )
        ]
        assert up(cluster, *looks, DONE) == 0
        assert capsys.readouterr().out.count("3 pending, ErrImagePull") == 1

    def test_pods_that_crash_are_counted(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        assert up(cluster, items(job("create", RUN, failed=2), job("finish", RUN)), DONE) == 0
        assert " create  not started; 2 failed attempts\n" in capsys.readouterr().out

    @pytest.mark.parametrize("phase", ["Running", "Succeeded"])
    def test_a_pod_that_has_ended_before_its_job_says_so_is_ending(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], phase: str
    ) -> None:
        ended = pod(FINISH, 0, phase, finish={"terminated": {"exitCode": 0}})
        ended["status"]["conditions"] = []
        assert up(cluster, items(job("finish", RUN), ended), DONE) == 0
        assert re.findall(r" finish  (.*)\n", capsys.readouterr().out) == ["ending", "done"]

    def test_the_progress_of_the_study(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        """As the finish's first step logs it; only what has changed."""
        lines = [
            f"I src.modeling.waiting: waiting for study s: {StudyProgress(n, 3, 24, best=0.625)}" for n in (1, 1, 2)
        ]
        cluster.answers(f"{LOGS}wait", lines[0], "not started", *lines[1:], plain=True)
        cluster.answers(f"{LOGS}finish", "trained", plain=True)
        waiting = items(job("finish", RUN), pod(FINISH, 0, "Pending", wait={"running": {}}))
        assert up(cluster, waiting, waiting, waiting, waiting, DONE) == 0
        out = capsys.readouterr().out
        assert " finish  waiting for the trials\n" in out
        shown = [line.partition(" trials  ")[2] for line in out.splitlines() if " trials  " in line]
        assert shown == [f"s: {n} of 24 trials are finished, 3 run, best 0.625" for n in (1, 2)]

    def test_the_end_names_what_can_be_opened(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        log = f"report   http://mlflow:5000/{REPORT}\nMLflow   open http://mlflow:5000"
        cluster.answers(f"{LOGS}finish", log, plain=True)
        assert up(cluster, DONE) == 0
        *_, report, mlflow, forward = capsys.readouterr().out.splitlines()
        assert report == f"report   http://localhost:5000/{REPORT}"
        assert mlflow == "MLflow   open http://localhost:5000"
        assert forward.endswith("kubectl -n daily-profit port-forward service/mlflow 5000:5000")

    @pytest.mark.parametrize("name", OVERLAYS)
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_a_forwarded_port_is_let_in_by_name_and_by_number(self, name: str, host: str) -> None:
        allowed = named(overlay(name), "ConfigMap", "mlflow")["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
        assert is_allowed_host_header(allowed, f"{host}:5000") and is_allowed_host_header(allowed, host)
        assert not is_allowed_host_header(allowed, "example.com")


CREATE_2 = "Container create for pod d/create-x failed with exit code 2 matching FailJob rule at index 1"
WAIT_1 = "Container wait for pod d/finish-x failed with exit code 1 matching FailJob rule at index 1"


class TestFailure:
    @pytest.mark.parametrize(
        ("component", "reason", "message", "status"),
        [
            ("create", "PodFailurePolicy", CREATE_2, 2),
            ("finish", "PodFailurePolicy", WAIT_1, 1),
            ("worker", "MaxFailedIndexesExceeded", "why", 1),
        ],
    )
    def test_the_last_line_of_the_failed_pod_ends_it(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str],
        component: str, reason: str, message: str, status: int,
    ) -> None:  # fmt: skip
        holder = "wait" if component == "finish" else component
        name = f"{component}-{RUN}"
        ended: dict[str, Any] = {holder: {"terminated": {"exitCode": 1}}}
        dead = [pod(name, i, "Failed", **ended) for i in (1, 2)]
        cluster.answers(f"logs {name}-2 -c {holder}", "first\nerror: no column x: use y\n", plain=True)
        lost = job(component, RUN, "Failed", reason, message=message)
        assert up(cluster, items(lost, *dead)) == status
        followed = capsys.readouterr()
        cluster.answers("get jobs,configmaps", items(lost))
        assert call(cluster, "status", f"STUDY_NAME={STUDY}") == status
        shown = capsys.readouterr()
        assert "first\n" in followed.out and "first\n" in shown.out
        assert (
            followed.err
            == shown.err
            == (
                f"error: job {name} failed ({reason}): no column x: use y; make fanout-down STUDY_NAME={RUN} deletes "
                f"the run but keeps its study, which the corrected command resumes\n"
            )
        )

    def test_of_several_failed_jobs_the_first_of_the_flow_says_why(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        failed = [job(item, RUN, "Failed", "BackoffLimitExceeded") for item in ("finish", "worker", "create")]
        assert up(cluster, items(*failed)) == 1
        assert f"job create-{RUN} failed (BackoffLimitExceeded): why; " in capsys.readouterr().err

    def test_workers_that_were_given_up_on_do_not_end_it(self, cluster: FakeCluster) -> None:
        lost = job("worker", RUN, "Failed", "FailedIndexes", succeeded=2)
        assert up(cluster, items(lost, job("finish", RUN, active=1)), items(lost, job("finish", RUN, "Complete"))) == 0

    @pytest.mark.parametrize(
        ("says", "said"),
        [("refused", "refused; the run continues, but is not watched any more"), (items(), f"run {RUN} was deleted")],
    )
    def test_a_run_that_cannot_be_seen(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], says: object, said: str
    ) -> None:
        assert up(cluster, says) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line

    def test_who_stops_looking_is_told_how_to_look_again(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("k8s.fanout.__main__.follow", stopped)
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 130
        assert capsys.readouterr().err == f"the run continues: see make fanout-status STUDY_NAME={STUDY}\n"


class TestServices:
    def test_what_hinders_a_service_is_said_while_it_is_waited_for(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster.answers("rollout", "timed out", "timed out", None)
        stuck = pod("", 0, "Pending", postgres={"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}})
        cluster.answers("get pods -l app.kubernetes.io/name=postgres", items(stuck))
        assert up(cluster, DONE) == 0
        out = capsys.readouterr().out
        assert out.startswith("waiting for statefulset/postgres\n  1 pending, ErrImageNeverPull: not present\nwaiting")

    def test_a_service_that_does_not_get_ready(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("k8s.fanout.readiness.READY_SECONDS", 0.0)
        cluster.answers("rollout", "timed out")
        event = {"uid": "u", "name": "postgres"}
        quota = {"involvedObject": event, "message": "create Pod postgres-0 failed: exceeded quota: small"}
        cluster.answers("get events", items(quota))
        assert up(cluster, DONE) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "statefulset/postgres was not ready after 0 seconds (not created, FailedCreate: " in line
        assert "exceeded quota: small" in line


class TestStatus:
    def test_all_and_one(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        left = job("worker", RUN, active=3)
        cluster.answers("get jobs,pods", None, items(left, pod(WORK)))
        cluster.answers("get jobs,configmaps", items(left))
        assert call(cluster, "status") == 0
        assert call(cluster, "status", f"STUDY_NAME={STUDY}") == 0
        shown = [item.text for item in cluster.calls]
        assert any("-l app.kubernetes.io/part-of=daily-profit" in text for text in shown)
        assert f"-n daily-profit get jobs,pods -l daily-profit/run={RUN}" in shown
        assert f"{WORK}: 1 of 3 running, 0 done\n" in capsys.readouterr().out

    def test_a_run_that_is_not_there(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        assert call(cluster, "status", "STUDY_NAME=nope") == 2
        said = "error: STUDY_NAME=nope is not a run: this cluster has no run\n"
        assert capsys.readouterr().err == said

    def test_what_the_jobs_left_behind_is_found_and_taken(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Jobs are deleted after a week, ConfigMaps and ServiceAccounts are not."""
        left = {"kind": "ConfigMap", "metadata": {"name": f"settings-{RUN}", "labels": {"daily-profit/run": RUN}}}
        cluster.answers("get jobs,configmaps,serviceaccounts,poddisruptionbudgets", items(left))
        assert call(cluster, "status", f"STUDY_NAME={STUDY}") == 0
        assert f"make fanout-down STUDY_NAME={RUN} deletes the rest" in capsys.readouterr().out
        assert call(cluster, "down", f"STUDY_NAME={STUDY}") == 0
        assert cluster.calls[-1].text.startswith("-n daily-profit delete jobs,configmaps")
