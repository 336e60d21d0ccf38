import logging
import threading
from pathlib import Path

import optuna
import pytest

from src.errors import ConfigError, StoreError
from src.modeling import waiting
from src.modeling.asked import Asked, ask
from src.modeling.optuna_parallel_optimization import build_parser
from src.modeling.optuna_utils import OptunaStudyManager
from src.modeling.recipe import BEGAN_ATTR, RECIPE_ATTR
from src.modeling.store_location import store_url
from src.modeling.waiting import Progress, read_progress, wait_for_studies


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.02)


def asked(folder: Path, *options: str) -> Asked:
    return ask(build_parser, ["--mode", "wait", "--max-workers=1", "--storage-dir", str(folder), *options])


def make(folder: Path, name: str = "s", total: int = 2, timeout: float | None = None) -> optuna.Study:
    study = OptunaStudyManager(folder).create_or_load_study(name)
    study.set_user_attr(RECIPE_ATTR, {"n_trials": total, "timeout": timeout})
    return study


def finish(study: optuna.Study, n: int) -> None:
    for _ in range(n):
        study.add_trial(optuna.trial.create_trial(value=1.0))


def test_it_waits_for_the_store_the_study_and_its_total(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    waiter = threading.Thread(target=wait_for_studies, args=[asked(tmp_path / "later", "--study-name", "s")])
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
    assert "study s is over: 2 of 2 trials are finished" in caplog.text


def test_it_gives_up_after_its_time_in_one_line(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(StoreError, match="study 's' was waited for in vain: 0 of 2 trials are finished") as caught:
        wait_for_studies(asked(tmp_path, "--study-name", "s", "--timeout", "0.1"))
    assert caught.value.exit_status == 1
    with pytest.raises(StoreError, match="in vain: it does not exist yet"):
        wait_for_studies(asked(tmp_path, "--study-name", "other", "--timeout", "0.1"))


def test_several_targets_are_several_studies(tmp_path: Path) -> None:
    for target in ("net_profit", "num_trades"):
        finish(make(tmp_path, f"s_{target}"), 2)
    wait_for_studies(asked(tmp_path, "--study-name", "s", "--targets", "net_profit,num_trades"))
    with pytest.raises(StoreError, match="'s_gross_profit' was waited for in vain"):
        wait_for_studies(asked(tmp_path, "--study-name", "s", "--targets", "all", "--timeout", "0.1"))


def test_it_wants_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not know for what: give --study-name"):
        wait_for_studies(asked(tmp_path))


def test_it_changes_nothing(tmp_path: Path) -> None:
    study = make(tmp_path)
    study.enqueue_trial({})
    before = study.trials
    url = store_url(None, tmp_path, {})
    assert read_progress(url, "s") == Progress(0, 0, 2)
    assert study.trials == before
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "studies.db").touch()
    assert "not ready: no such table" in str(read_progress(store_url(None, tmp_path / "empty", {}), "s"))


@pytest.mark.parametrize(
    ("progress", "over"),
    [
        (Progress(2, 0, 2), True),
        (Progress(1, 1, 2), False),
        (Progress(9, 3, None), False),
        (Progress(1, 1, 2, time_left=5), False),
        (Progress(1, 0, 2, time_left=-1), True),
        (Progress(1, 1, 2, time_left=-1), False),
        (Progress(1, 1, 2, time_left=-1000), True),
    ],
)
def test_a_study_is_over_with_its_total_or_its_time(progress: Progress, over: bool) -> None:
    assert progress.over is over


def test_a_study_s_own_time_counts_from_its_first_worker(tmp_path: Path) -> None:
    study = make(tmp_path, timeout=60)
    url = store_url(None, tmp_path, {})
    study.set_user_attr(BEGAN_ATTR, 1000.0)
    seen = read_progress(url, "s")
    assert isinstance(seen, Progress)
    assert seen.over


@pytest.mark.parametrize("words", ['FATAL:  password authentication failed for user "u"'])
def test_who_is_refused_does_not_wait(words: str) -> None:
    import psycopg2
    from sqlalchemy.exc import OperationalError

    url = store_url("postgresql://u:s3cret@h/optuna", Path(), {})
    with pytest.raises(ConfigError, match=r"cannot be read: .*password authentication") as caught:
        waiting._not_yet(url, OperationalError("", {}, psycopg2.OperationalError(words)))
    assert "s3cret" not in str(caught.value)
    missing = OperationalError("", {}, psycopg2.OperationalError('FATAL:  database "optuna" does not exist'))
    assert "not ready" in waiting._not_yet(url, missing)
