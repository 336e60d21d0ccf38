import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.workers.work_folder import OWNER_FILE, PREFIX, work_folder

ROOT = Path(__file__).parents[2]


def test_the_folder_is_private_and_removed_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), work_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "inner").mkdir()
        (folder / "inner/file").write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_only_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from src.workers.work_folder import work_folder\n"
        "with work_folder(Path(sys.argv[1])) as folder: os.kill(os.getpid(), signal.SIGKILL)"
    )
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    (tmp_path / "another-programs").mkdir()
    (tmp_path / f"{PREFIX}new").mkdir()
    with work_folder(tmp_path) as mine:
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {mine.name, "another-programs", f"{PREFIX}new"}, "the last one's owner may be about to sign"
        with work_folder(tmp_path):
            assert (mine / OWNER_FILE).exists(), "that of a living process stays"
    assert not left.exists()
