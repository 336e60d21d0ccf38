"""`make check` notices test names that are not the same in every process, of whatever they depend on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAD = "import datetime, gzip, os, pathlib, tempfile, time\nimport pytest\n"
BODY = "\ndef test_it(value):\n    assert True\n"


def load_collect() -> ModuleType:
    """`.ci` is not a package, so the module is loaded by its path."""
    spec = importlib.util.spec_from_file_location("collect", ROOT / ".ci" / "collect.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


collect = load_collect()


DIFFERING = {
    "bytes_with_the_time_of_their_making": "[gzip.compress(b'a,b')]",
    "time": "[str(datetime.datetime.now())]",
    "hash_seed": "set('abcdefgh')",
    "address": "[repr(object())]",
    "time_zone": "[time.tzname[0]]",
    "temporary_folder": "[tempfile.gettempdir()]",
    "order_of_a_folder": "[path.name for path in pathlib.Path(__file__).parent.glob('*.py')]",
}


def write_test(folder: Path, name: str, parameters: str) -> None:
    (folder / f"test_{name}.py").write_text(f"{HEAD}\n@pytest.mark.parametrize('value', {parameters}){BODY}")


@pytest.mark.slow
def test_names_that_differ_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "SHOWN", 100)
    for name, parameters in DIFFERING.items():
        write_test(tmp_path, name, parameters)
    write_test(tmp_path, "same", "[1, 'a', b'b', object()]")
    assert collect.main([str(tmp_path)]) == 1
    assert [name for name in DIFFERING if f"test_{name}.py::test_it[" not in caplog.text] == []
    assert "test_same.py::" not in caplog.text
    assert "give these parameters explicit ids" in caplog.text


@pytest.mark.slow
def test_names_that_are_the_same_are_fine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_test(tmp_path, "same", "[1, 'a', b'b', object()]")
    assert collect.main([str(tmp_path)]) == 0
    assert caplog.text == ""


def test_a_test_that_is_missing_once_differs() -> None:
    assert collect.differences(["a", "b"], ["a"]) == ["b is then nothing"]


@pytest.mark.slow
def test_no_test_at_all_is_no_agreement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert collect.main([str(tmp_path)]) == 1
    assert "cannot be collected" in caplog.text
