from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from src.config import Direction
from src.search import progress as progress_module
from src.search.progress import SearchProgress, fit_bar

STATES = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING]


def make_study(direction: Direction = "minimize", states: list[TrialState] | None = None) -> optuna.Study:
    study = optuna.create_study(study_name="net_profit_20240101_120000", direction=direction)
    for number, state in enumerate(STATES if states is None else states):
        study.add_trial(create_trial(state=state, value=float(number) if state.is_finished() else None))
    return study


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("direction", "best"), [("minimize", "0"), ("maximize", "1")])
def test_it_shows_trials_done_best_value_and_pruned(
    capsys: pytest.CaptureFixture[str], direction: Direction, best: str
) -> None:
    with SearchProgress(make_study(direction), 10, "mae"):
        pass
    line = last_line(capsys)
    assert line.startswith("net_profit_20240101_120000")
    assert "3/10" in line
    assert f"best mae={best}" in line
    assert "pruned=1" in line
    assert "failed" not in line


def test_it_follows_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(states=[])
    with SearchProgress(study, 2, "auc") as progress:
        assert "0/2" in last_line(capsys)
        study.add_trial(create_trial(value=0.123456789))
        study.add_trial(create_trial(state=TrialState.FAIL))
        progress.update()
    line = last_line(capsys)
    assert "1/2" in line
    assert "best auc=0.12346" in line
    assert "failed=1" in line


def test_before_the_first_trial_there_is_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress(make_study(states=[]), 2, "auc"):
        pass
    assert "best auc=-" in last_line(capsys)


def test_a_log_gets_lines_and_a_terminal_one_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A container's log is split at line ends only, so a redrawn bar would appear only at the end."""
    with SearchProgress(make_study(), 10, "mae"):
        pass
    written = capsys.readouterr().err
    assert "\r" not in written
    assert written.endswith("\n")
    assert all("/10" in line for line in written.splitlines())


def test_more_trials_than_asked_for_are_a_full_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress(make_study(), 2, "mae") as progress:
        progress.update()
    assert "2/2" in last_line(capsys)


def test_before_and_after_its_time_it_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    SearchProgress(make_study(), 2, "mae").update()
    assert "it/s" not in capsys.readouterr().err


def test_a_short_fit_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with fit_bar("final fit of net_profit", 3) as progress:
        for _ in range(3):
            progress.update()
    assert capsys.readouterr().err == ""


def test_a_long_fit_is_a_line_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BEFORE_FIT_BAR", 0.0)
    with fit_bar("final fit of net_profit", 400) as progress, ThreadPoolExecutor(4) as pool:
        for _ in range(400):
            pool.submit(progress.update)
    written = capsys.readouterr().err
    assert "\r" not in written
    last = written.splitlines()[-1]
    assert last.startswith("final fit of net_profit: 100%")
    assert "400/400" in last


def test_rounds_are_counted_without_a_known_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BEFORE_FIT_BAR", 0.0)
    with fit_bar("3 folds of net_profit") as progress:
        progress.update(10)
        progress.update(10)
    assert capsys.readouterr().err.splitlines()[-1].startswith("3 folds of net_profit: 20round")


def test_the_best_value_is_that_of_a_feasible_trial() -> None:
    cases: list[tuple[Direction, float]] = [("minimize", 2.0), ("maximize", 3.0)]
    for direction, expected in cases:
        study = optuna.create_study(direction=direction)
        for value, excess in ((1.0, 0.5), (3.0, -0.5), (2.0, 0.0), (4.0, 0.1)):
            study.add_trial(optuna.trial.create_trial(value=value, constraints={"trees<=5": excess}))
        assert SearchProgress(study, 9, "mae")._best(study.trials) == expected
