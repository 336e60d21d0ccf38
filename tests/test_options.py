"""`make options` and `make check`: derived files, and one new row adds an option."""

import importlib.util
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from k8s.containers import NIGHT, RUN
from src.cli import command_parser
from src.option_lookup import arguments, options_of
from src.option_types import Option
from src.options import COMMANDS, OPTIONS, TUNING

ROOT = Path(__file__).resolve().parents[1]


def load_writer() -> ModuleType:
    """`.ci` is not a package, so the module is loaded by its path."""
    spec = importlib.util.spec_from_file_location("options_writer", ROOT / ".ci" / "options.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


writer = load_writer()
FILES = sorted(writer.derived())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files with derived parts."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(command: str, root: Path, caplog: pytest.LogCaptureFixture) -> tuple[int, list[str]]:
    """The writer's exit status and lines."""
    caplog.clear()
    with caplog.at_level("INFO"):
        status = writer.main([command, "--root", str(root)])
    return status, [record.getMessage() for record in caplog.records]


def words_of(root: Path, file: str, name: str) -> list[str]:
    """The arguments of a container as YAML reads them."""

    def containers(node: Any) -> list[Any]:
        if isinstance(node, list):
            return [found for each in node for found in containers(each)]
        if not isinstance(node, dict):
            return []
        return [node] * ("args" in node) + [found for each in node.values() for found in containers(each)]

    document = yaml.safe_load((root / file).read_text(encoding="utf-8"))
    (found,) = [each for each in containers(document) if each["name"] == name]
    return [str(word) for word in found["args"]]


def test_the_repository_agrees_with_the_table(caplog: pytest.LogCaptureFixture) -> None:
    assert run("check", ROOT, caplog) == (0, [])


def test_one_new_row_and_one_command_add_an_option(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'what it means: "quoted", 100 % of it # and more'
    new = Option("trial-timeout", float, 2.5, text, "search", TUNING)
    monkeypatch.setattr("src.option_lookup.OPTIONS", (*OPTIONS, new))

    status, said = run("check", project, caplog)
    assert status == 1
    jobs = ["base/create", "base/work", "base/finish", "components/nightly/cron-job"]
    settings = ["base/settings", "components/nightly/settings"]
    changed = ["MLproject", "Makefile", *(f"k8s/{name}.yaml" for name in jobs + settings)]
    assert sorted(said) == sorted(f"{name} differs from src/options.py: run `make options`" for name in changed)

    status, said = run("write", project, caplog)
    assert (status, sorted(said)) == (0, sorted(f"wrote {name}" for name in changed))
    assert run("check", project, caplog) == (0, [])
    assert run("write", project, caplog) == (0, [])

    entries = yaml.safe_load((project / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    for name in ("tune", "main", "parallel", "worker"):
        assert entries[name]["parameters"]["trial_timeout"] == {"type": "string", "default": "2.5"}
        assert "--trial-timeout={trial_timeout}" in entries[name]["command"].split()
    assert "trial_timeout" not in entries["predict"]["parameters"]
    assert re.search(r"^OPTIONS := [^\n]*(\\\n\t[^\n]*)*\bTRIAL_TIMEOUT$", (project / "Makefile").read_text(), re.M)
    for config_map in (RUN, NIGHT):
        data = yaml.safe_load((project / config_map.file).read_text(encoding="utf-8"))["data"]
        assert data["TRIAL_TIMEOUT"] == "2.5"
        for each in config_map.containers:
            taken = each.command in new.commands
            assert ("--trial-timeout=$(TRIAL_TIMEOUT)" in words_of(project, each.file, each.name)) is taken
    for command in new.commands:
        assert command_parser(command, "").parse_args(["--trial-timeout", "3"]).trial_timeout == 3.0
    shown = " ".join(command_parser("tune", "").format_help().split())
    assert f"--trial-timeout TRIAL-TIMEOUT {text} (default: 2.5)" in shown


@pytest.mark.parametrize("name", FILES)
def test_a_change_by_hand_is_found_and_undone(project: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = project / name
    good = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(# begin options: .*\n.*\n)", r"\1# mine\n", good, count=1), encoding="utf-8")
    assert run("check", project, caplog) == (1, [f"{name} differs from src/options.py: run `make options`"])
    assert run("write", project, caplog) == (0, [f"wrote {name}"])
    assert path.read_text(encoding="utf-8") == good


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_by_hand_stays(project: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = project / name
    text = f"# above\n{path.read_text(encoding='utf-8')}# below\n"
    path.write_text(text, encoding="utf-8")
    assert run("write", project, caplog) == (0, [])
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("pattern", "new", "said"),
    [
        (r" *# begin options.*\n", "", "k8s/base/create.yaml lacks the line '# begin options: create, …': put it back"),
        (r" *# end options\n", "", "k8s/base/create.yaml lacks the line '# end options': put it back"),
        (r"options: create", "options: work", "k8s/base/create.yaml: '# begin options: work, …' is unexpected"),
    ],
)
def test_a_part_without_its_comments_is_one_line(
    project: Path, caplog: pytest.LogCaptureFixture, pattern: str, new: str, said: str
) -> None:
    path = project / "k8s/base/create.yaml"
    broken = re.sub(pattern, new, path.read_text(encoding="utf-8"))
    path.write_text(broken, encoding="utf-8")
    for command in ("check", "write"):
        status, (line,) = run(command, project, caplog)
        assert status == 1
        assert line.startswith(said)
    assert path.read_text(encoding="utf-8") == broken


def test_a_missing_file_is_one_line(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / "Makefile").unlink()
    assert run("check", project, caplog) == (1, ["Makefile is missing: restore it"])


@pytest.mark.parametrize(
    "text", ["", "off", "0.2", "null", "1e3", "a: b # c", 'it\'s "so"', "é…\\", "yes", "[x]", "{y}"]
)
def test_a_default_is_a_text_in_yaml(text: str) -> None:
    assert yaml.safe_load(f"{{default: {writer.quoted(text)}}}") == {"default": text}


def test_commands_know_each_option_once() -> None:
    for command in COMMANDS:
        for names in ([each.name for each in options_of(command)], [each.parameter for each in options_of(command)]):
            assert [name for name, count in Counter(names).items() if count > 1] == [], command
    assert {command for option in OPTIONS for command in (*option.commands, *option.overrides)} == set(COMMANDS)


def test_a_value_of_an_option_that_a_command_does_not_take_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="predict takes no n-trials"):
        arguments("predict", {"n-trials": "3"})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_reads_back_as_it_is(command: str) -> None:
    """The texts in MLproject and in the settings mean the defaults of the parser."""
    parser = command_parser(command, "")
    words = [f"--{option.name}={option.default_text}" for option in options_of(command)]
    assert parser.parse_args(words) == parser.parse_args([])
