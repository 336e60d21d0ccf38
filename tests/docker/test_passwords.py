"""Nothing starts with an empty password: the scripts of the images and of the manifests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import container, named, of_kind, overlay

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = {"OPTUNA_POSTGRES_PASSWORD": "one", "MLFLOW_POSTGRES_PASSWORD": "two"}


def run(
    folder: Path, program: str, words: list[str], doing: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a script with a fake for the program that it finally calls, which prints its arguments."""
    stand_in = folder / program
    stand_in.write_text(f'#!/bin/sh\necho "$0 $*"\necho "superuser: $POSTGRES_PASSWORD"\n{doing}\n', encoding="utf-8")
    stand_in.chmod(0o755)
    given = {"PATH": f"{folder}:{os.environ['PATH']}", "PGDATA": str(folder / "pgdata")}
    return subprocess.run(words, env=given | environ, capture_output=True, text=True, check=False)


def start_of_postgres(folder: Path) -> list[str]:
    """The pod's command, with the scripts that the cluster would mount."""
    found = container(overlay("local"), "StatefulSet/postgres", "postgres")
    (mount,) = [item for item in found["volumeMounts"] if item["mountPath"] == "/scripts"]
    assert mount["name"] == "scripts"
    for item in of_kind(overlay("local"), "ConfigMap"):
        if item["metadata"]["name"].startswith("postgres-"):
            for name, text in item["data"].items():
                (folder / name).write_text(text, encoding="utf-8")
    return [word.replace("/scripts", str(folder)) for word in [*found["command"], *found["args"]]]


class TestPostgres:
    @pytest.mark.parametrize("empty", PASSWORDS)
    def test_no_role_without_a_password(self, tmp_path: Path, empty: str) -> None:
        words = start_of_postgres(tmp_path)
        for passwords in (PASSWORDS | {empty: ""}, {k: v for k, v in PASSWORDS.items() if k != empty}):
            done = run(tmp_path, "docker-entrypoint.sh", words, **passwords)
            assert done.returncode == 2 and not done.stdout
            assert done.stderr == f"error: {empty} is empty: give it a value in the Secret credentials\n"

    def test_the_superuser_gets_a_random_password(self, tmp_path: Path) -> None:
        words = start_of_postgres(tmp_path)
        outputs = [run(tmp_path, "docker-entrypoint.sh", words, **PASSWORDS).stdout.splitlines() for _ in range(2)]
        assert outputs[0][0].partition(" ")[2].startswith("postgres -c hba_file=/scripts/pg_hba.conf -c max_conn")
        first, second = (lines[1].removeprefix("superuser: ") for lines in outputs)
        assert len(first) == len(second) == 44 and first != second

    def test_a_first_start_that_was_cut_off_begins_again(self, tmp_path: Path) -> None:
        """And nothing else deletes a volume's data."""
        words, data = start_of_postgres(tmp_path), tmp_path / "pgdata"
        last_of_init = (tmp_path / "databases.sh").read_text(encoding="utf-8").splitlines()[-1]

        def start(doing: str) -> list[str]:
            """One start, in which the image's own script does this; what the volume has afterwards."""
            done = run(
                tmp_path, "docker-entrypoint.sh", words, f'mkdir -p "$PGDATA" && cd "$PGDATA"\n{doing}', **PASSWORDS
            )
            assert done.returncode == 0, done.stderr
            return sorted(file.name for file in data.iterdir())

        assert start("touch half && echo 15 > PG_VERSION") == ["PG_VERSION", "half"]
        assert start(f"echo 15 > PG_VERSION\n{last_of_init}") == ["PG_VERSION"]
        assert start("touch table") == start("true") == ["PG_VERSION", "table"]

    def test_every_connection_needs_a_password_in_both_stacks(self) -> None:
        """Also on a volume of an earlier version, whose own rules trust every connection over the socket."""
        rules = (ROOT / "k8s/components/postgres/pg_hba.conf").read_text(encoding="utf-8")
        methods = [line.split()[-1] for line in rules.splitlines() if not line.startswith("#")]
        assert methods == ["scram-sha-256", "scram-sha-256"]
        compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]["postgres"]
        assert compose["command"] == ["postgres", "-c", "hba_file=/scripts/pg_hba.conf"]
        assert "../k8s/components/postgres/pg_hba.conf:/scripts/pg_hba.conf:ro" in compose["volumes"]


class TestMlflow:
    SCRIPT = str(ROOT / "docker" / "mlflow.sh")

    @pytest.mark.parametrize("empty", ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY"])
    def test_no_empty_password(self, tmp_path: Path, empty: str) -> None:
        done = run(tmp_path, "mlflow", ["sh", self.SCRIPT, "server"], **{empty: ""})
        assert done.returncode == 2 and not done.stdout
        assert done.stderr.startswith(f"error: {empty} is empty: ")

    def test_a_store_may_need_none(self, tmp_path: Path) -> None:
        """SQLite, or a cloud's workload identity."""
        done = run(tmp_path, "mlflow", ["sh", self.SCRIPT, "server", "--port", "1"], PGPASSWORD="a b")
        assert done.stdout.splitlines()[0].endswith("/mlflow server --port 1")

    @pytest.mark.parametrize("name", ["local", "production"])
    def test_the_pods_have_both(self, name: str) -> None:
        found = container(overlay(name), "Deployment/mlflow", "mlflow")
        assert "command" not in found, "the image's own entry is what refuses an empty password"
        asked = {item["name"] for item in found["env"] if "secretKeyRef" in item.get("valueFrom", {})}
        assert {"PGPASSWORD", "AWS_SECRET_ACCESS_KEY"} <= asked


class TestS3:
    @pytest.mark.parametrize("empty", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_no_store_without_keys(self, tmp_path: Path, empty: str) -> None:
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        words = [sys.executable, str(ROOT / "docker" / "s3.py"), "1", "2", "weed"]
        for given in (keys | {empty: ""}, {k: v for k, v in keys.items() if k != empty}):
            done = run(tmp_path, "weed", words, **given)
            assert done.returncode == 2 and not done.stdout
            assert done.stderr == f"error: {empty} is empty: set it, otherwise anybody could read and write\n"

    def test_the_pods_keys_are_those_of_the_server(self) -> None:
        """MLflow uses the keys that the store was started with."""

        def keys(owner: str, name: str) -> dict[str, object]:
            found = container(overlay("local"), owner, name)
            return {e["name"]: e.get("value", e.get("valueFrom")) for e in found["env"] if e["name"].startswith("AWS_")}

        store = keys("StatefulSet/s3", "s3")
        assert store == keys("Deployment/mlflow", "mlflow")
        assert store["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "credentials", "key": "S3_SECRET"}}
        assert named(overlay("local"), "Service", "s3")["spec"]["ports"][0]["port"] == 8333
