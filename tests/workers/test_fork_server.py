"""The fork server, started in an unusual environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from src.workers.fork_server import fork_context, start_process

if __name__ == "__main__":
    process = fork_context().Process(target=print, args=("forked",), daemon=True)
    start_process(process)
    process.join()
    raise SystemExit(process.exitcode)
"""


def run(folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "program.py").write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "program.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_folder_for_temporary_files_may_have_a_long_path(tmp_path: Path) -> None:
    """A scheduler's TMPDIR is often too long for the path of a socket."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    done = run(folder)
    assert (done.returncode, done.stdout) == (0, "forked\n"), done.stderr
    assert [path.name for path in folder.iterdir()] == ["program.py"]


def test_a_short_one_is_used(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (0, "forked\n"), done.stderr
