from pathlib import Path

import optuna
import pytest

from src.modeling.recipe import BEGAN_ATTR, RECIPE_ATTR
from src.modeling.run_token import RUN_ATTR, begin_run, failure_of, note_failure
from src.modeling.studies import OptunaStudyManager


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    study = OptunaStudyManager(tmp_path).create_or_load_study("s")
    study.set_user_attr(RECIPE_ATTR, {"n_trials": 3, "timeout": 60.0})
    study.set_user_attr(BEGAN_ATTR, 1000.0)
    return study


@pytest.mark.parametrize(
    ("token", "timeout", "noted", "began"),
    [
        ("t1", None, 60.0, None),
        ("t1", 60.0, 60.0, None),
        ("t1", 90.0, 90.0, None),
        (None, None, 60.0, 1000.0),
        (None, 60.0, 60.0, 1000.0),
        (None, 90.0, 90.0, None),
    ],
)
def test_a_run_has_the_whole_timeout(
    study: optuna.Study, token: str | None, timeout: float | None, noted: float, began: float | None
) -> None:
    begin_run(study, token, timeout)
    attributes = study.user_attrs
    assert (attributes[RECIPE_ATTR], attributes[BEGAN_ATTR]) == ({"n_trials": 3, "timeout": noted}, began)
    assert attributes.get(RUN_ATTR) == token


def test_create_that_is_started_again_gives_no_new_time(study: optuna.Study) -> None:
    begin_run(study, "t1", None)
    study.set_user_attr(BEGAN_ATTR, 2000.0)
    begin_run(study, "t1", None)
    assert study.user_attrs[BEGAN_ATTR] == 2000.0


def test_a_failure_is_that_of_its_own_run(study: optuna.Study) -> None:
    begin_run(study, "t1", None)
    note_failure(study, "t2", "worker 3", "no column x")
    assert failure_of(study.user_attrs, "t2") == "worker 3 failed: no column x"
    assert failure_of(study.user_attrs, "t1") is failure_of(study.user_attrs, None) is failure_of({}, "t1") is None
    assert study.user_attrs[RUN_ATTR] == "t1", "a mistake of another run takes no run its study away"
