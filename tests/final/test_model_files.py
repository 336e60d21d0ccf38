import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import optuna
import pytest

from src.final.model_files import library_versions, write_metadata, write_model_text

ROOT = Path(__file__).parents[2]
KILLED_IN = """
import os, pathlib, sys
from src.final import model_files as outputs
setattr(os, sys.argv[2], lambda *_, **__: os.kill(os.getpid(), 9))
outputs.write_model_text(sys.argv[3], pathlib.Path(sys.argv[1]), "t")
"""
UNWRITABLE = "the beginning \ud800"  # half a surrogate pair: no encoding of it exists


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("target", ["net_profit", "pnl [usd]*", "größe"])
def test_model_files_are_numbered_and_the_same_model_keeps_its_number(tmp_path: Path, target: str) -> None:
    written = [write_model_text(text, tmp_path, target) for text in ("one", "one", "two", "two", "one")]
    folder = tmp_path / "models"
    assert [path.name for path in written] == [f"lgb_{target}_optuna_v{n}.txt" for n in (1, 1, 2, 2, 3)]
    assert [path.read_text() for path in written] == ["one", "one", "two", "two", "one"]
    assert len(names(folder)) == 3, "no temporary file is left"


def test_numbers_go_beyond_nine_and_do_not_fill_gaps(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("v2", "v10", "vX", "v3_backup"):
        (folder / f"lgb_t_optuna_{name}.txt").write_text("old")
    assert write_model_text("new", tmp_path, "t").name == "lgb_t_optuna_v11.txt"


def test_targets_are_numbered_separately(tmp_path: Path) -> None:
    for target in ("profit", "net_profit", "profit_optuna_v7"):
        assert write_model_text("same", tmp_path, target).name == f"lgb_{target}_optuna_v1.txt"


def test_two_processes_never_overwrite_each_other(tmp_path: Path) -> None:
    texts = [f"model {i}" for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda text: write_model_text(text, tmp_path, "t"), texts))
    assert len(set(written)) == 12
    assert [path.read_text() for path in written] == texts


def test_a_model_that_cannot_be_written_leaves_no_number_behind(tmp_path: Path) -> None:
    write_model_text("one", tmp_path, "t")
    with pytest.raises(UnicodeEncodeError):
        write_model_text(UNWRITABLE, tmp_path, "t")
    assert names(tmp_path / "models") == ["lgb_t_optuna_v1.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("call", ["fsync", "chmod", "link", "unlink"])
def test_a_kill_leaves_no_partial_model_file(tmp_path: Path, call: str) -> None:
    write_model_text("one", tmp_path, "t")
    command = [sys.executable, "-c", KILLED_IN, str(tmp_path), call, "two"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    left = {path.read_text() for path in (tmp_path / "models").glob("lgb_*.txt")}
    assert left == ({"one", "two"} if call == "unlink" else {"one"})
    again = write_model_text("two", tmp_path, "t")
    assert (again.name, again.read_text()) == ("lgb_t_optuna_v2.txt", "two")


def test_the_number_of_an_empty_file_is_used_again(tmp_path: Path) -> None:
    write_model_text("one", tmp_path, "t")
    for number in (2, 3):
        (tmp_path / "models" / f"lgb_t_optuna_v{number}.txt").touch()
    assert write_model_text("one", tmp_path, "t").name == "lgb_t_optuna_v1.txt"
    assert write_model_text("two", tmp_path, "t").name == "lgb_t_optuna_v2.txt"
    assert names(tmp_path / "models") == [f"lgb_t_optuna_v{number}.txt" for number in (1, 2, 3)]


def test_two_processes_never_share_the_number_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lgb_t_optuna_v1.txt").touch()
    texts = [f"model {i}" for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda text: write_model_text(text, tmp_path, "t"), texts))
    assert sorted(path.name for path in written) == sorted(f"lgb_t_optuna_v{n}.txt" for n in range(1, 13))
    assert [path.read_text() for path in written] == texts


def test_numbering_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    written = [write_model_text(text, tmp_path, "t") for text in ("one", "two", "two")]
    assert [path.name for path in written] == [f"lgb_t_optuna_v{n}.txt" for n in (1, 2, 2)]
    assert names(tmp_path / "models") == ["lgb_t_optuna_v1.txt", "lgb_t_optuna_v2.txt"]


def test_metadata_is_json_of_the_newest_model(tmp_path: Path) -> None:
    write_metadata({"n": 1}, tmp_path, "t")
    path = write_metadata({"n": 2, "name": "größe", "none": None}, tmp_path, "t")
    assert path == tmp_path / "models" / "lgb_t_optuna_metadata.json"
    assert json.loads(path.read_text()) == {"n": 2, "name": "größe", "none": None}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_metadata_holds_only_numbers_that_json_has(tmp_path: Path, value: float) -> None:
    write_metadata({"n": 1}, tmp_path, "t")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_metadata({"test_score": value}, tmp_path, "t")
    assert json.loads((tmp_path / "models" / "lgb_t_optuna_metadata.json").read_text()) == {"n": 1}


def test_versions_are_those_that_are_installed() -> None:
    versions = library_versions()
    assert versions["lightgbm"] == lightgbm.__version__
    assert versions["optuna"] == optuna.__version__
    assert set(versions) == {"python", "lightgbm", "mlflow", "numpy", "optuna", "pandas", "scikit-learn"}
