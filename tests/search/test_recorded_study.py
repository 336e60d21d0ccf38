"""The seed's search space is the default, to the letter: a study draws what it drew before other spaces existed."""

import json
from pathlib import Path

import pytest

from src.search.search_task import make_task_objective, task_sampler
from src.search.starting_points import N_STARTING_POINTS, STARTING_POINTS_ATTR
from src.search.stop_flag import StopFlag
from src.study.pruner import make_pruner
from src.study.studies import OptunaStudyManager, set_optuna_verbosity
from tests.search_tasks import make_task

RECORDED = json.loads(Path(__file__).with_name("recorded_study.json").read_text())
"""14 trials per target, run by the version of 2026-11-27: its starting points, which differ since then, then TPE."""


@pytest.mark.parametrize("target", RECORDED)
def test_a_study_of_the_default_space_is_the_recorded_one(tmp_path: Path, target: str) -> None:
    set_optuna_verbosity()
    task = make_task(tmp_path, target, seed=7)
    study = OptunaStudyManager(tmp_path).create_or_load_study(
        "s", task.data.config.direction, task_sampler(task.settings.search, None), make_pruner("median")
    )
    first = RECORDED[target][:N_STARTING_POINTS]
    study.set_user_attr(STARTING_POINTS_ATTR, [trial["params"] for trial in first])
    study.optimize(make_task_objective(task, study, StopFlag()), n_trials=len(RECORDED[target]))
    for trial, recorded in zip(study.trials, RECORDED[target], strict=True):
        assert trial.params == recorded["params"], f"trial {trial.number}"
        assert (trial.state.name, trial.user_attrs["best_iteration"]) == (recorded["state"], recorded["best_iteration"])
        assert trial.value == pytest.approx(recorded["value"], rel=1e-12), "processors round differently"
