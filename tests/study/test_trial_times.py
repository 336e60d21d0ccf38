import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pandas as pd
import pytest
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState, create_trial

from src.study.studies import OptunaStudyManager
from src.study.trial_times import epoch_ms, local_time, seconds_taken, trials_in_utc, utc_time

REPEATED = [datetime(2024, 11, 3, 5, 30), datetime(2024, 11, 3, 6, 30)]
"""Naive UTC; half past one in New York both times, before and after summer time ended."""


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from in_zone(request.param)


def in_zone(name: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield name
    time.tzset()


@pytest.fixture
def twice(tmp_path: Path) -> Callable[[], optuna.Study]:
    """A study of one trial that ran for the hour that New York's clocks repeat; opened anew at each call."""
    study = OptunaStudyManager(tmp_path).create_or_load_study("s")
    study.add_trial(create_trial(value=1.0))
    study.add_trial(create_trial(state=TrialState.WAITING))
    storage = OptunaStudyManager(tmp_path).storage
    times = dict(zip(("_datetime_start_utc", "_datetime_complete_utc"), REPEATED, strict=True))
    with storage.engine.begin() as connection:
        columns = {getattr(models.TrialModel, name): value for name, value in times.items()}
        connection.execute(sqlalchemy.update(models.TrialModel).where(models.TrialModel.number == 0).values(columns))
    return lambda: OptunaStudyManager(tmp_path).load_study("s")


@pytest.mark.parametrize("stored", [*REPEATED, datetime(2024, 3, 10, 7, 0, 0, 123456), datetime(2024, 7, 1)])
def test_every_zone_reads_the_same_instant(zone: str, stored: datetime) -> None:
    shown = local_time(stored)
    assert shown is not None
    assert shown.tzinfo is None, "as Optuna's own users expect"
    assert utc_time(shown) == stored.replace(tzinfo=UTC)
    assert epoch_ms(shown) == int((stored - datetime(1970, 1, 1)) / timedelta(milliseconds=1))
    assert local_time(None) is None


def test_a_study_is_read_alike_in_every_zone(zone: str, twice: Callable[[], optuna.Study]) -> None:
    trial = twice().trials[0]
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    assert [utc_time(time) for time in (trial.datetime_start, trial.datetime_complete)] == [
        stored.replace(tzinfo=UTC) for stored in REPEATED
    ]
    assert seconds_taken(trial) == 3600


def test_a_trial_that_has_not_ended_took_no_time(twice: Callable[[], optuna.Study]) -> None:
    assert seconds_taken(twice().trials[1]) is None


def test_the_table_of_trials_says_utc(zone: str, twice: Callable[[], optuna.Study], tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    trials_in_utc(twice()).to_csv(path, index=False)
    first, waiting = path.read_text().splitlines()[1:]
    assert first.startswith("0,1.0,2024-11-03 05:30:00+00:00,2024-11-03 06:30:00+00:00,0 days 01:00:00,")
    assert waiting.startswith("1,,,,,")
    table = pd.read_csv(path, parse_dates=["datetime_start", "datetime_complete"])
    assert (table["datetime_complete"] - table["datetime_start"])[0] == timedelta(hours=1)


def test_a_trial_of_this_process_has_the_times_that_others_read(zone: str, tmp_path: Path) -> None:
    study = OptunaStudyManager(tmp_path).create_or_load_study("s")
    before = datetime.now(UTC)
    study.optimize(lambda trial: 1.0, n_trials=1)
    here, there = study.trials[0], OptunaStudyManager(tmp_path).load_study("s").trials[0]
    assert here.datetime_start is not None
    assert here.datetime_complete is not None
    assert before <= utc_time(here.datetime_start) <= utc_time(here.datetime_complete) <= datetime.now(UTC)
    assert (here.datetime_start, here.datetime_complete) == (there.datetime_start, there.datetime_complete)
    assert os.environ["TZ"] == zone
