"""Studies made by hand, whose answers are plain to see."""

import math
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.config import Direction
from src.reporting.study.numbers import Snapshot, take_snapshot
from src.study.trial_times import local_time

START = datetime(2024, 1, 1)
RANGES: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(("gbdt", "dart", None)),
    "rate": FloatDistribution(0.01, 0.3, log=True),
    "leaves": IntDistribution(10, 200),
    "bins": IntDistribution(32, 512, step=32),
}


def trial(value: float | None, state: TrialState = TrialState.COMPLETE, **given: Any) -> FrozenTrial:
    params = {"rate": 0.1, "leaves": 31} | given.pop("params", {})
    ranges = {name: RANGES[name] for name in params}
    return create_trial(state=state, value=value, params=params, distributions=ranges, **given)


def study_of(*trials: FrozenTrial, direction: Direction = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction, study_name="by_hand")
    study.add_trials(trials)
    return study


def snapshot_of(*trials: FrozenTrial, direction: Direction = "minimize") -> Snapshot:
    return take_snapshot(study_of(*trials, direction=direction))


MIXED = (
    trial(5.0),
    trial(None, TrialState.FAIL),
    trial(7.0),
    trial(6.5, TrialState.PRUNED, intermediate_values={10: 8.0, 20: 6.5}),
    trial(3.0),
    trial(None, TrialState.PRUNED),
    trial(None, TrialState.RUNNING),
    trial(math.inf),
    trial(3.0),
)


def timed(
    value: float | None, begin: float, end: float, state: TrialState = TrialState.COMPLETE, **given: Any
) -> FrozenTrial:
    """A trial that ran from `begin` to `end`, in seconds after `START`, which is UTC."""
    made = trial(value, state, **given)
    made.datetime_start, made.datetime_complete = (local_time(START + timedelta(seconds=s)) for s in (begin, end))
    return made


def reporting(steps: dict[int, float]) -> dict[str, Any]:
    """Arguments of a trial that reported these values to the pruner."""
    return {"intermediate_values": steps}
