"""Progress of a fit: no output for a short fit, log lines for a long one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from src.final import fit_progress
from src.final.fit_progress import FitProgress


def test_a_short_fit_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with FitProgress("final fit of net_profit", 3) as progress:
        for _ in range(3):
            progress.advance()
    assert capsys.readouterr().err == ""


def test_a_long_one_is_a_line_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_progress, "SECONDS_BEFORE_FIRST", 0.0)
    with FitProgress("final fit of net_profit", 400) as progress, ThreadPoolExecutor(4) as pool:
        for _ in range(400):
            pool.submit(progress.advance)
    written = capsys.readouterr().err
    assert "\r" not in written
    last = written.splitlines()[-1]
    assert last.startswith("final fit of net_profit: 100%")
    assert "400/400" in last


def test_rounds_are_counted_without_a_known_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_progress, "SECONDS_BEFORE_FIRST", 0.0)
    with FitProgress("3 folds of net_profit") as progress:
        progress.advance(10)
        progress.advance(10)
    assert capsys.readouterr().err.splitlines()[-1].startswith("3 folds of net_profit: 20round")
