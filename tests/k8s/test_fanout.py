"""`make fanout`: what it renders, what it applies in which order, and how it reports the result."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k8s.fanout.__main__ import main
from k8s.fanout.rendering import documents
from tests.k8s.cluster import RUN, STUDY, WATCHED, Call, FakeCluster, call, job
from tests.k8s.manifests import ROOT, environment, named, need_kubectl, of_kind, pods

KEYS = ("OPTUNA_POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD", "S3_SECRET")
QUERY = "select \"a b\", 'c' from t where d = '$(HOME)' and e = \"1\""


def dry(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[Any, ...]:
    need_kubectl()
    assert main(["up", "DRY_RUN=1", f"STUDY_NAME={STUDY}", *words]) == 0
    return tuple(documents(capsys.readouterr().out))


def applied(calls: list[Call]) -> list[tuple[Any, ...]]:
    return [tuple(documents(item.stdin)) for item in calls if item.words[0] == "apply"]


def created(calls: list[Call]) -> list[Any]:
    return [found for item in calls if item.words[0] == "create" for found in documents(item.stdin)]


def secret(**values: str) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}}


class TestDryRun:
    def test_a_run_has_its_own_name_and_the_services_keep_theirs(self, capsys: pytest.CaptureFixture[str]) -> None:
        objects = dry(capsys)
        mine = {f["kind"]: f["metadata"]["name"] for f in objects if f["metadata"]["labels"].get("daily-profit/run")}
        assert mine.keys() == {"ConfigMap", "Job"}
        assert all(name.endswith(f"-{RUN}") for name in mine.values())
        rest = {found["metadata"]["name"] for found in objects if found["metadata"]["name"].endswith(RUN) is False}
        assert {"daily-profit", "stores", "postgres", "s3", "mlflow", "tuner"} <= rest

    def test_two_runs_share_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        def own(study: str) -> set[tuple[str, str]]:
            found = dry(capsys, f"STUDY_NAME={study}")
            run = study.replace("_", "-")
            return {
                (f["kind"], f["metadata"]["name"])
                for f in found
                if f["metadata"]["labels"].get("daily-profit/run") == run
            }

        assert own("a_1") and not own("a_1") & own("b_2")

    def test_workers_and_settings_arrive_as_they_were_given(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("WORKERS=9", "N_TRIALS=12", f"QUERY={QUERY}", "DATA=postgresql://u@h/d", "TARGET=num_trades")
        objects = dry(capsys, *words)
        spec = named(objects, "Job", f"work-{RUN}")["spec"]
        assert (spec["parallelism"], spec["completions"], spec["maxFailedIndexes"]) == (9, 9, 4)
        for item in pods(objects):
            for holder in item.containers if "Job" in item.owner else []:
                found = environment(objects, holder)
                assert (found["N_TRIALS"], found["QUERY"], found["TARGET"]) == ("12", QUERY, "num_trades")
                assert found["STUDY_NAME"] == STUDY
                assert found["OPTUNA_POSTGRES_HOST"] == "postgres"

    def test_no_password_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        for overlay in ("local", "production"):
            assert not of_kind(dry(capsys, f"OVERLAY={overlay}"), "Secret")

    def test_a_config_file_is_mounted(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        text = "account: trader\ntargets: {pnl: {task: regression, metric: mae}}\n"
        (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
        objects = dry(capsys, f"CONFIG={tmp_path / 't.yaml'}", "TARGET=pnl")
        assert named(objects, "ConfigMap", f"table-{RUN}")["data"] == {"table.yaml": text}
        found = next(item for item in pods(objects) if item.owner == f"Job/work-{RUN}")
        assert [v["configMap"]["name"] for v in found.spec["volumes"] if "configMap" in v] == [f"table-{RUN}"]
        assert environment(objects, found.containers[0])["CONFIG"] == "/config/table.yaml"

    def test_production_brings_its_own_images(self, capsys: pytest.CaptureFixture[str]) -> None:
        objects = dry(capsys, "OVERLAY=production", "WORKERS=1")
        (budget,) = of_kind(objects, "PodDisruptionBudget")
        assert budget["spec"]["selector"]["matchLabels"]["daily-profit/run"] == RUN
        assert named(objects, "Job", f"work-{RUN}")["spec"]["maxFailedIndexes"] == 0
        images = {holder["image"] for item in pods(objects) for holder in item.containers}
        assert all(image.startswith("registry.example.com/") for image in images)

    def test_by_make(self) -> None:
        """With the words of the issue, and with options whose values a shell would take apart."""
        if shutil.which("make") is None:
            pytest.skip("make is not installed")
        need_kubectl()
        env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        words = ["TARGET=net_profit", "WORKERS=8", "N_TRIALS=400", "OVERLAY=local", "DRY_RUN=1"]
        words += ["DATA=s3://b/k", "QUERY=select \"a\"; echo 'b c'"]
        old = ["-o", ".venv/.stamp-requirements.lock"]
        made = subprocess.run(["make", *old, "fanout", *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        objects = tuple(documents(made.stdout))
        (work,) = [found for found in objects if found["metadata"]["name"].startswith("work-net-profit-")]
        assert work["spec"]["parallelism"] == 8
        (settings,) = [found for found in objects if found["metadata"]["name"].startswith("settings-net-profit-")]
        assert (settings["data"]["N_TRIALS"], settings["data"]["QUERY"]) == ("400", "select \"a\"; echo 'b c'")


class TestUp:
    def test_services_first_then_the_run_to_its_end(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done = [job(item, RUN, "Complete") for item in ("create", "worker", "finish")]
        cluster.answers(WATCHED, "lost", {"items": done})
        assert call(cluster, "up", f"STUDY_NAME={STUDY}", "WORKERS=3") == 0
        (space,), services, run = applied(cluster.calls)
        assert space["kind"] == "Namespace" and not of_kind(services, "Namespace")
        assert not [found for found in services if "daily-profit/run" in found["metadata"]["labels"]]
        assert {found["metadata"]["labels"]["daily-profit/run"] for found in run} == {RUN}
        texts = [item.text for item in cluster.calls]
        waited = [text.split()[4] for text in texts if "rollout status" in text]
        assert waited == ["statefulset/postgres", "statefulset/s3", "deployment/mlflow"]
        order = [text.split()[2] if "rollout" in text else text.split()[0] for text in texts]
        assert [word for word in order if word in ("apply", "create", "rollout")] == [
            "apply", "create", "apply", "rollout", "rollout", "rollout", "apply"
        ]  # fmt: skip
        out = capsys.readouterr().out
        assert "worker  done" in out and "finish  done" in out
        assert f"make fanout-down STUDY_NAME={STUDY}" in out and "port-forward service/mlflow 5000:5000" in out

    def test_passwords_are_made_where_there_are_none(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster.answers(WATCHED, {"items": [job("finish", RUN, "Complete")]})
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == call(cluster, "up", f"STUDY_NAME={STUDY}") == 0
        made = created(cluster.calls)
        assert {found["metadata"]["namespace"] for found in made} == {"daily-profit"}
        values = [found["stringData"][key] for found in made for key in KEYS]
        assert len(set(values)) == 6 and all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
        assert all(found["stringData"].keys() == set(KEYS) for found in made)
        streams = capsys.readouterr()
        shown = streams.out + streams.err + " ".join(item.text for item in cluster.calls)
        assert not [value for value in values if value in shown]

    def test_passwords_of_the_cluster_stay(self, cluster: FakeCluster) -> None:
        """Postgres keeps those that its volume was made with."""
        cluster.answers("get secret credentials", secret(**dict.fromkeys(KEYS, "old")))
        cluster.answers(WATCHED, {"items": [job("finish", RUN, "Complete")]})
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 0
        assert not created(cluster.calls)
        assert not [found for objects in applied(cluster.calls) for found in of_kind(objects, "Secret")]

    def test_no_new_passwords_for_old_volumes(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        cluster.answers("get persistentvolumeclaims", "persistentvolumeclaim/data-postgres-0", plain=True)
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 2
        assert "Secret credentials of namespace daily-profit does not exist" in capsys.readouterr().err
        assert not created(cluster.calls) and not applied(cluster.calls)

    @pytest.mark.parametrize("known", ["namespace/daily-profit", "forbidden"])
    def test_who_may_not_make_namespaces_gets_through_where_it_is_there(self, cluster: FakeCluster, known: str) -> None:
        if known == "forbidden":
            cluster.answers("get namespace", 'Error from server (Forbidden): namespaces "daily-profit" is forbidden')
        else:
            cluster.answers("get namespace", known, plain=True)
        cluster.answers(WATCHED, {"items": [job("finish", RUN, "Complete")]})
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 0
        assert not [found for objects in applied(cluster.calls) for found in of_kind(objects, "Namespace")]

    def test_without_permission_to_create_the_namespace(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster.answers("apply", 'Error from server (Forbidden): namespaces is forbidden: User "a" cannot create')
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert 'User "a" cannot create' in line
        assert line.endswith("ask a cluster administrator to create namespace daily-profit")

    def test_a_run_of_this_name_is_not_overwritten(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster.answers("get jobs", {"items": "job.batch/create-" + RUN})
        assert call(cluster, "up", f"STUDY_NAME={STUDY}") == 2
        assert f"STUDY_NAME={STUDY} is already a run in this cluster" in capsys.readouterr().err
        assert not applied(cluster.calls)

    def test_production_needs_its_secret(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        cluster.answers("get secret", secret(OPTUNA_POSTGRES_PASSWORD="a", MLFLOW_POSTGRES_PASSWORD=""))
        assert call(cluster, "up", f"STUDY_NAME={STUDY}", "OVERLAY=production") == 2
        err = capsys.readouterr().err
        assert (
            "lacks MLFLOW_AWS_ACCESS_KEY_ID, MLFLOW_AWS_SECRET_ACCESS_KEY, MLFLOW_POSTGRES_PASSWORD: create it" in err
        )
        assert not applied(cluster.calls)

    def test_no_cluster(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        cluster.answers("get namespace", "The connection to the server was refused")
        assert call(cluster, "up") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: no cluster answers") and line.endswith("DRY_RUN=1")

    def test_no_kubectl(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["up", "KUBECTL=no-such-kubectl"]) == 2
        assert "KUBECTL=no-such-kubectl was not found: install it" in capsys.readouterr().err


class TestDown:
    def test_down_takes_the_only_run(self, cluster: FakeCluster) -> None:
        cluster.answers("get jobs", {"items": [job("create", RUN), job("finish", RUN)]})
        assert call(cluster, "down") == call(cluster, "down", f"STUDY_NAME={STUDY}") == 0
        gone = [item.text for item in cluster.calls if " delete " in item.text]
        kinds = "jobs,configmaps,serviceaccounts,poddisruptionbudgets"
        assert gone == [f"-n daily-profit delete {kinds} -l daily-profit/run={RUN}"] * 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "STUDY_NAME is missing: use STUDY_NAME=a-1 or b-2"),
            (["STUDY_NAME=c"], "STUDY_NAME=c is not a run: use STUDY_NAME=a-1 or b-2"),
            (["VOLUMES=1"], "add ALL=1"),
            (["ALL=1", "STUDY_NAME=a_1"], "cannot be combined"),
        ],
    )
    def test_down_needs_an_unambiguous_run(
        self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], words: list[str], message: str
    ) -> None:
        cluster.answers("get jobs", {"items": [job("create", "b-2"), job("create", "a-1")]})
        assert call(cluster, "down", *words) == 2
        assert message in capsys.readouterr().err
        assert not [item for item in cluster.calls if "delete" in item.text]

    @pytest.mark.parametrize("volumes", [False, True])
    def test_down_all_keeps_volumes_and_their_passwords_by_default(self, cluster: FakeCluster, volumes: bool) -> None:
        assert call(cluster, "down", "ALL=1", *(["VOLUMES=1"] if volumes else [])) == 0
        (listed,) = [json.loads(item.stdin)["items"] for item in cluster.calls if item.stdin]
        kinds = {found["kind"] for found in listed}
        assert {"StatefulSet", "Deployment", "Service", "NetworkPolicy", "CronJob"} <= kinds
        assert {found["metadata"]["name"] for found in listed} >= {"mlflow", "nightly", "monitor", "promote", "serving"}
        assert not kinds & {"Namespace", "Secret"}
        left = "jobs,configmaps,serviceaccounts" + (",persistentvolumeclaims,secrets" if volumes else "")
        label = "app.kubernetes.io/part-of=daily-profit"
        assert cluster.calls[-1].text == f"-n daily-profit delete {left} -l {label}"
