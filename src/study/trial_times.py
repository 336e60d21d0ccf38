"""The times of trials, the same instants for every reader.

Optuna keeps naive UTC in the database and gives a trial naive local times of the process that reads it. In the hour
that a zone repeats when summer time ends it loses which of the two is meant, and two readers of one trial then differ
by an hour. Here a local time keeps that (`fold`, PEP 495), and whatever counts or shows times takes UTC.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    from optuna.trial import FrozenTrial

_TIMES = ("datetime_start", "datetime_complete")


def local_time(stored: datetime | None) -> datetime | None:
    """Naive UTC of the database as Optuna shows it, in naive local time; exact in a repeated hour too."""
    return None if stored is None else datetime.fromtimestamp(stored.replace(tzinfo=UTC).timestamp())


def utc_time(shown: datetime) -> datetime:
    """A trial's time, naive local as Optuna shows it, as an aware time in UTC."""
    return shown.astimezone(UTC)


def epoch_ms(shown: datetime) -> int:
    """A trial's time in milliseconds since 1970, MLflow's unit."""
    return int(shown.timestamp() * 1000)


def seconds_taken(trial: "FrozenTrial") -> float | None:
    """How long a trial that has ended took; unlike `trial.duration` also when the local clock was changed meanwhile."""
    if trial.datetime_start is None or trial.datetime_complete is None:
        return None
    return (utc_time(trial.datetime_complete) - utc_time(trial.datetime_start)).total_seconds()


def trials_in_utc(study: "optuna.Study") -> "pd.DataFrame":
    """Optuna's table of a study's trials, its times in UTC."""
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
