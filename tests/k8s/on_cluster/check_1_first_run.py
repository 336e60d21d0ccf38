"""From an empty cluster to a registered model with one command, and what its closing lines promise."""

import re
import subprocess

from tests.k8s.manifests import ROOT
from tests.k8s.on_cluster.real_cluster import LONGEST_RUN, RealCluster

COMMAND = "make fanout TARGET=is_profitable WORKERS=3 N_TRIALS=24 OVERLAY=local"


def test_one_command_ends_with_a_registered_model(cluster: RealCluster) -> None:
    ended = subprocess.run(COMMAND.split(), cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_RUN, check=False)
    (cluster.folder / "first_run.txt").write_text(ended.stdout, encoding="utf-8")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    match = re.search(r"STUDY_NAME=(is_profitable_\d{8}_\d{6})", ended.stdout)
    assert match is not None, ended.stdout
    study = match[1]
    assert cluster.finished(study) == 24
    assert re.search(rf"{study}: \d+ of 24 trials are finished", ended.stdout)
    with cluster.mlflow() as mlflow:
        assert len(mlflow.versions("is_profitable", study)) == 1
        assert mlflow.trial_numbers(study) == dict.fromkeys(range(24), 1)
        (run,) = set(re.findall(r"http://localhost:5000/\S*/runs/(\w+)", ended.stdout))
        assert mlflow.get(f"runs/get?run_id={run}")["run"]["info"]["run_name"] == study
    assert "port-forward service/mlflow 5000:5000" in ended.stdout


def test_the_run_is_listed_until_it_is_deleted(cluster: RealCluster) -> None:
    shown = cluster.fanout("status")
    assert shown.status == 0, shown.text
    match = re.search(r"is_profitable_\d{8}_\d{6}|is-profitable-\d{8}-\d{6}", shown.text)
    assert match is not None, shown.text
    assert "finish-" in shown.text
    cluster.clear(match[0].replace("-", "_"))
    assert cluster.left_of(match[0]) == []


def test_a_run_that_is_not_there_is_a_mistake(cluster: RealCluster) -> None:
    for command in ("status", "down"):
        done = cluster.fanout(command, STUDY_NAME="nope")
        assert done.status == 2, done.text
        assert "nope" in done.text
