"""A disk that is full at any time: one line names the file and the remedy, and the model is saved first."""

import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from src.modeling.optuna_visualization import main as report
from src.modeling.train_with_optuna import main as tune
from tests.commands import run_here
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
NAME = "net_profit_20240101_120000"
TUNE = [
    *("src.modeling.train_with_optuna", "--data", "table.parquet", "--targets", "net_profit", "--n-trials", "1"),
    *("--ensemble-size", "1", "--study-name", NAME),
]
TOO_SMALL_FOR_REPORT = 3_000_000
"""Bytes; a page holds plotly's script and is larger, everything else of a small run is smaller."""
MODULE = "python -m "
TABLE = small_table(n_days=30, n_accounts=4)


@dataclass(frozen=True)
class Ended:
    """Status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        assert "Traceback" not in self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(line) <= 500
        assert not line.startswith("error: [Errno")
        return line


def run(folder: Path, words: list[str], before: Callable[[], None] | None = None) -> Ended:
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TMPDIR": str(folder)}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, preexec_fn=before
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def client_settings(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


def champion_of(folder: Path) -> str:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    version = client.get_model_version_by_alias("net_profit", "champion")
    return str(version.run_id)


def test_a_report_that_does_not_fit_on_the_disk_does_not_affect_the_model(tmp_path: Path) -> None:
    """Without root, a limit on the file size simulates a full disk."""
    TABLE.to_parquet(tmp_path / "table.parquet")
    limit = (TOO_SMALL_FOR_REPORT, TOO_SMALL_FOR_REPORT)
    done = run(tmp_path, TUNE, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.status == 1, done.err
    assert "net_profit v1 @champion" in done.out, "the summary is shown"
    page = tmp_path / f"artefacts/reports/{NAME}/report.html"
    assert "is saved (net_profit v1 @champion), but" in done.error
    assert f"{page.relative_to(tmp_path)} cannot be written: File too large: raise the limit" in done.error
    run_id, client = champion_of(tmp_path), MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    ended = client.get_run(run_id)
    assert ended.info.status == "FAILED", "as the command did"
    assert ended.data.tags["daily_profit.outcome"] == done.error.replace("error: ", "failed: ")
    assert not page.exists()
    assert (page.parent / "report.pdf").exists(), "what is smaller is written all the same"
    remedy = done.error.partition(MODULE)[2].partition(" writes it")[0]
    again = run_here(report, shlex.split(remedy)[1:], tmp_path, client_settings(tmp_path))
    assert again.status == 0, again.err
    assert page.exists()
    assert "report/report.html" in [file.path for file in client.list_artifacts(run_id, "report")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB in memory, which needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("no disk can be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, free_kb: int) -> None:
    TABLE.to_parquet(disk / "table.parquet")
    left = os.statvfs(disk)
    (disk / "fill").write_bytes(b"\0" * (left.f_bavail * left.f_frsize - free_kb * 1024))


def test_a_disk_without_space_for_the_store(small_disk: Path) -> None:
    fill(small_disk, 50)
    done = run(small_disk, TUNE)
    assert (done.status, done.out) == (1, "")
    assert "studies.db cannot be used: database or disk is full: free space on its disk, then give" in done.error


@pytest.mark.parametrize(
    ("free_kb", "words"),
    [
        pytest.param(450, (f"--study-name {NAME}",), id="in the middle"),
        pytest.param(4_500, (f"{NAME}/report.html", "net_profit v1 @champion"), id="no report"),
    ],
)
def test_a_disk_with_little_left_and_then_with_enough(small_disk: Path, free_kb: int, words: tuple[str, ...]) -> None:
    fill(small_disk, free_kb)
    done = run(small_disk, TUNE)
    assert done.status == 1, done.err
    assert [word for word in (*words, "free space on ") if word not in done.error] == [], done.error
    (small_disk / "fill").unlink()
    again = run_here(tune, TUNE[1:], small_disk, client_settings(small_disk))
    assert again.status == 0, again.err
    assert "net_profit v1 @champion" in again.out
    assert (small_disk / f"artefacts/reports/{NAME}/report.html").exists()
