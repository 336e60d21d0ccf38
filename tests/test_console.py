"""Output of text in different encodings."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from src.console import LineFormatter, accept_any_text, output_failure
from tests.test_house import COMMANDS

ROOT = Path(__file__).parents[1]
ENCODINGS = ["ascii", "latin-1", "cp437", "utf-8"]


def written(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    accept_any_text()
    stream.write(text)
    stream.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("1 … 2", "ascii", b"1 ... 2"),
        ("1 … 2", "cp1252", b"1 \x85 2"),
        ("größe", "ascii", b"gro?e"),
        ("größe", "latin-1", "größe".encode("latin-1")),
        ("日本 ▶ x", "latin-1", b"?? ? x"),
        ("日本 ▶ …", "utf-8", "日本 ▶ …".encode()),
        ("a path of \udcff bytes", "utf-8", b"a path of ? bytes"),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(
    text: str, encoding: str, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(text, encoding, monkeypatch) == expected


def test_streams_of_other_kinds_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    accept_any_text()
    assert output_failure() is None


def run(command: Sequence[str], encoding: str, **options: str) -> "subprocess.CompletedProcess[bytes]":
    environ = os.environ | {"PYTHONIOENCODING": encoding} | options
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("module", COMMANDS)
def test_help_in_every_encoding(module: str, encoding: str) -> None:
    done = run(["-m", f"src.{module}", "--help"], encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert text.startswith(f"usage: python -m src.{module}")
    assert ("…" in text or "..." in text) and "?" not in text


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "command",
    [["-m", "src.serving.predict", "--größe"], ["-m", "k8s.fanout", "up", "GRÖSSE=日本"]],
    ids=["option", "fanout"],
)
def test_mistakes_in_every_encoding(command: list[str], encoding: str) -> None:
    done = run(command, encoding, PYTHONUTF8="1")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode(encoding).splitlines()
    assert line.startswith("error: ")


@pytest.mark.slow
def test_an_encoding_of_the_locale_without_python_s_help() -> None:
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | plain
    command = [sys.executable, "-m", "src.modeling.train_with_optuna", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "..." in done.stdout.decode("ascii")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirect", "reason"),
    [(">/dev/full", "No space left on device"), ("| true", "Broken pipe")],
    ids=["full", "closed"],
)
def test_a_failed_output_is_one_line(redirect: str, reason: str) -> None:
    code = (
        "import sys, time; from src.cli import run_command\n"
        "def command():\n"
        "    time.sleep(0.5)\n"
        "    sys.stdout.write('x' * SIZE)\n"
        "    return 0\n"
        "sys.exit(run_command(command))"
    )
    for size in ("10", "100_000"):
        line = f'"$0" -c "$1" {redirect}; exit ${{PIPESTATUS[0]}}'
        command = ["bash", "-c", line, sys.executable, code.replace("SIZE", size)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("error: standard output")
        assert f"cannot be used: {reason}: " in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_log_line_is_one_line_and_short_and_a_traceback_follows_as_it_is() -> None:
    formatter = LineFormatter("warning: %(message)s")
    try:
        raise ValueError("long " * 400)
    except ValueError as error:
        caught = error
    record = logging.LogRecord("src", logging.WARNING, "", 0, "two\nlines, %s: use y", ("long " * 400,), None)
    line = formatter.format(record)
    assert len(line) <= 500
    assert len(line.splitlines()) == 1
    assert line.startswith("warning: two lines, long")
    assert line.endswith("long : use y")
    record.exc_info = (ValueError, caught, None)
    assert formatter.format(record).splitlines()[1].startswith("ValueError: long")
