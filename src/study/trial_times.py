"""Unambiguous times of trials.

Optuna stores naive UTC in the database and returns naive local times of the reading process. In the hour that is
repeated at the end of summer time these are ambiguous, and two readers of one trial may differ by an hour. Here a local
time keeps its `fold` (PEP 495), and all calculations and outputs use UTC.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    from optuna.trial import FrozenTrial

_TIMES = ("datetime_start", "datetime_complete")


def local_time(stored: datetime | None) -> datetime | None:
    """Naive UTC of the database as naive local time, as Optuna returns it; exact in a repeated hour too."""
    return None if stored is None else datetime.fromtimestamp(stored.replace(tzinfo=UTC).timestamp())


def utc_time(shown: datetime) -> datetime:
    """A trial's time, naive local as Optuna returns it, as an aware time in UTC."""
    return shown.astimezone(UTC)


def epoch_ms(shown: datetime) -> int:
    """A trial's time in milliseconds since 1970, MLflow's unit."""
    return int(shown.timestamp() * 1000)


def seconds_taken(trial: "FrozenTrial") -> float | None:
    """Seconds that an ended trial took; unlike `trial.duration` also correct when the clock changed meanwhile."""
    if trial.datetime_start is None or trial.datetime_complete is None:
        return None
    return (utc_time(trial.datetime_complete) - utc_time(trial.datetime_start)).total_seconds()


def trials_in_utc(study: "optuna.Study") -> "pd.DataFrame":
    """Optuna's table of a study's trials, with times in UTC."""
    import pandas as pd

    frame, trials = study.trials_dataframe(), study.get_trials(deepcopy=False)
    for name in set(_TIMES) & set(frame.columns):
        shown = [getattr(trial, name) for trial in trials]
        frame[name] = pd.Series(
            [None if time is None else utc_time(time) for time in shown], dtype="datetime64[us, UTC]"
        )
    if "duration" in frame.columns:
        frame["duration"] = pd.to_timedelta([seconds_taken(trial) for trial in trials], unit="s")
    return frame
