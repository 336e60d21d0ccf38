import logging
import threading
from pathlib import Path

import optuna
import pytest

from src.config import Direction
from src.errors import ConfigError, StoreError
from src.modeling import waiting
from src.modeling.command_line import CommandLine, parse_command_line
from src.modeling.optuna_parallel_optimization import build_parser
from src.modeling.waiting import StudyProgress, read_progress, wait_for_run, wait_for_studies
from src.study.store_location import store_url
from src.study.studies import OptunaStudyManager
from src.study.study_settings import (
    RUN_ATTR,
    SETTINGS_ATTR,
    STARTED_ATTR,
    begin_run,
    change_search,
    record_failure,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.02)


def command_line(folder: Path, *options: str) -> CommandLine:
    return parse_command_line(
        build_parser, ["--mode", "wait", "--max-workers=1", "--storage-dir", str(folder), *options]
    )


def make(
    folder: Path, name: str = "s", total: int = 2, timeout: float | None = None, direction: Direction = "minimize"
) -> optuna.Study:
    study = OptunaStudyManager(folder).create_or_load_study(name, direction)
    study.set_user_attr(SETTINGS_ATTR, {"target": "net_profit", "search": {"n_trials": total, "timeout": timeout}})
    return study


def finish(study: optuna.Study, n: int) -> None:
    for _ in range(n):
        study.add_trial(optuna.trial.create_trial(value=1.0))


def test_it_waits_for_the_store_the_study_and_its_total(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    waiter = threading.Thread(target=wait_for_studies, args=[command_line(tmp_path / "later", "--study-name", "s")])
    with caplog.at_level(logging.INFO, logger="src"):
        waiter.start()
        waiter.join(0.1)
        study = make(tmp_path / "later")
        finish(study, 1)
        waiter.join(0.2)
        assert waiter.is_alive(), "one of two"
        finish(study, 1)
        waiter.join(20)
    assert not waiter.is_alive()
    assert "waiting for study s: there is no store yet" in caplog.text
    assert "study s has ended: 2 of 2 trials are finished" in caplog.text


def test_it_times_out_with_one_line(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(StoreError, match="timed out waiting for study 's': 0 of 2 trials are finished") as caught:
        wait_for_studies(command_line(tmp_path, "--study-name", "s", "--timeout", "0.1"))
    assert caught.value.exit_status == 1
    with pytest.raises(StoreError, match=r"timed out waiting for study 'other': it does not exist yet"):
        wait_for_studies(command_line(tmp_path, "--study-name", "other", "--timeout", "0.1"))


def test_several_targets_are_several_studies(tmp_path: Path) -> None:
    for target in ("net_profit", "num_trades"):
        finish(make(tmp_path, f"s_{target}"), 2)
    wait_for_studies(command_line(tmp_path, "--study-name", "s", "--targets", "net_profit,num_trades"))
    with pytest.raises(StoreError, match="timed out waiting for study 's_gross_profit'"):
        wait_for_studies(command_line(tmp_path, "--study-name", "s", "--targets", "all", "--timeout", "0.1"))


def test_it_needs_a_study_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the name of a study: give --study-name"):
        wait_for_studies(command_line(tmp_path))


def test_it_changes_nothing(tmp_path: Path) -> None:
    study = make(tmp_path)
    study.enqueue_trial({})
    before = study.trials
    url = store_url(None, tmp_path, {})
    assert read_progress(url, "s") == StudyProgress(0, 0, 2)
    assert study.trials == before
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "studies.db").touch()
    assert "not ready: no such table" in str(read_progress(store_url(None, tmp_path / "empty", {}), "s"))


def test_the_best_value_is_that_of_a_feasible_trial(tmp_path: Path) -> None:
    study = make(tmp_path)
    for value, excess in ((1.0, 0.25), (3.0, -0.5), (2.0, 0.0), (4.0, -0.0)):
        study.add_trial(optuna.trial.create_trial(value=value, constraints={"trees<=5": excess}))
    progress = read_progress(store_url(None, tmp_path, {}), "s")
    assert isinstance(progress, StudyProgress)
    assert progress.best == study.best_value == 2.0


@pytest.mark.parametrize(
    ("progress", "is_over"),
    [
        (StudyProgress(2, 0, 2), True),
        (StudyProgress(1, 1, 2), False),
        (StudyProgress(9, 3, None), False),
        (StudyProgress(1, 1, 2, time_left=5), False),
        (StudyProgress(1, 0, 2, time_left=-1), True),
        (StudyProgress(1, 1, 2, time_left=-1), False),
        (StudyProgress(1, 1, 2, time_left=-1000), True),
    ],
)
def test_a_study_ends_with_its_total_or_its_timeout(progress: StudyProgress, is_over: bool) -> None:
    assert progress.is_over is is_over


def test_the_timeout_of_a_study_counts_from_its_first_worker(tmp_path: Path) -> None:
    study = make(tmp_path, timeout=60)
    url = store_url(None, tmp_path, {})
    study.set_user_attr(STARTED_ATTR, 1000.0)
    seen = read_progress(url, "s")
    assert isinstance(seen, StudyProgress)
    assert seen.is_over


@pytest.mark.parametrize("words", ['FATAL:  password authentication failed for user "u"'])
def test_a_permanent_refusal_is_not_waited_for(words: str) -> None:
    import psycopg2
    from sqlalchemy.exc import OperationalError

    url = store_url("postgresql://u:s3cret@h/optuna", Path(), {})
    with pytest.raises(ConfigError, match=r"cannot be read: .*password authentication") as caught:
        waiting._not_ready(url, OperationalError("", {}, psycopg2.OperationalError(words)))
    assert "s3cret" not in str(caught.value)
    missing = OperationalError("", {}, psycopg2.OperationalError('FATAL:  database "optuna" does not exist'))
    assert "not ready" in str(waiting._not_ready(url, missing))


RUN = ("--study-name", "s", "--run-token", "t2")


def test_a_study_of_an_earlier_run_does_not_end_the_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = make(tmp_path)
    finish(study, 2)
    study.set_user_attr(RUN_ATTR, "t1")
    waiter = threading.Thread(target=wait_for_studies, args=[command_line(tmp_path, *RUN)])
    with caplog.at_level(logging.INFO, logger="src"):
        waiter.start()
        waiter.join(0.2)
        change_search(study, n_trials=3)
        waiter.join(0.2)
        begin_run(study, "t2", None)
        waiter.join(0.2)
        assert waiter.is_alive(), "two of three"
        finish(study, 1)
        waiter.join(20)
    assert not waiter.is_alive()
    assert "waiting for study s: create has not prepared it yet for run t2" in caplog.text
    assert "study s has ended: 3 of 3 trials are finished, 0 run, best 1" in caplog.text


def test_a_worker_waits_for_create_of_each_study(tmp_path: Path) -> None:
    studies = [make(tmp_path, f"s_{target}") for target in ("net_profit", "num_trades")]
    begin_run(studies[0], "t2", None)
    mode = ("--mode", "distributed", "--targets", "net_profit,num_trades", "--timeout", "0.01")
    worker = threading.Thread(target=wait_for_run, args=[command_line(tmp_path, *RUN, *mode)])
    worker.start()
    worker.join(0.2)
    assert worker.is_alive()
    begin_run(studies[1], "t2", None)
    worker.join(20)
    assert not worker.is_alive()


def test_a_failed_run_is_not_waited_for(tmp_path: Path) -> None:
    """A failure of any study of the run ends the wait; a failure of another run does not."""
    studies = [make(tmp_path, f"s_{target}") for target in ("net_profit", "num_trades")]
    options = (*RUN, "--targets", "net_profit,num_trades")
    record_failure(studies[1], "t1", "create", "no column x")
    with pytest.raises(StoreError, match="timed out"):
        wait_for_studies(command_line(tmp_path, *options, "--timeout", "0.1"))
    record_failure(studies[1], "t2", "create", "no column x")
    said = "the run of study 's_num_trades' cannot continue, because create failed: no column x"
    for wait in (wait_for_studies, wait_for_run):
        with pytest.raises(ConfigError, match=said):
            wait(command_line(tmp_path, *options))


def test_a_missing_create_is_a_config_error(tmp_path: Path) -> None:
    """Status 2, because a restarted worker would only wait again."""
    make(tmp_path)
    for wait in (wait_for_studies, wait_for_run):
        with pytest.raises(
            ConfigError, match=r"timed out waiting for study '.*' for 0\.1 s: create has not prepared it yet for run t2"
        ):
            wait(command_line(tmp_path, *RUN, "--idle-timeout", "0.1"))
    with pytest.raises(ConfigError, match="--idle-timeout 0 is not a time"):
        wait_for_run(command_line(tmp_path, *RUN, "--idle-timeout", "0"))


@pytest.mark.slow
def test_a_study_without_active_workers_times_out(tmp_path: Path) -> None:
    study = make(tmp_path, total=9)
    begin_run(study, "t2", None)
    is_over = threading.Event()
    waited: list[str] = []

    def work() -> None:
        while not is_over.wait(0.05):
            finish(study, 1)

    def wait() -> None:
        with pytest.raises(StoreError) as caught:
            wait_for_studies(command_line(tmp_path, *RUN, "--idle-timeout", "2"))
        waited.append(str(caught.value))

    waiter, worker = threading.Thread(target=wait), threading.Thread(target=work)
    change_search(study, n_trials=10_000)
    waiter.start()
    worker.start()
    waiter.join(4)
    assert waiter.is_alive(), "each trial is a sign of a worker"
    is_over.set()
    worker.join()
    waiter.join(20)
    assert waited and waited[0].startswith("no worker was active on study 's' for 2 s: ")


def test_only_a_run_has_a_default_idle_timeout(tmp_path: Path) -> None:
    assert waiting._idle_limit(command_line(tmp_path, *RUN)) == 2400
    assert waiting._idle_limit(command_line(tmp_path, "--study-name", "s")) is None


def test_it_logs_best_value_and_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOG_SECONDS", 0.0)
    study = make(tmp_path, total=3, direction="maximize")
    waiter = threading.Thread(target=wait_for_studies, args=[command_line(tmp_path, "--study-name", "s")])
    with caplog.at_level(logging.INFO, logger="src"):
        waiter.start()
        waiter.join(0.2)
        for value in (0.25, 0.75, 0.5):
            study.add_trial(optuna.trial.create_trial(value=value))
            waiter.join(0.2)
        waiter.join(20)
    assert "waiting for study s: 0 of 3 trials are finished, 0 run\n" in caplog.text
    assert "waiting for study s: 2 of 3 trials are finished, 0 run, best 0.75, " in caplog.text
    assert " trials per minute" in caplog.text
