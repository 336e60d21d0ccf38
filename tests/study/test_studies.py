from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from src.errors import ConfigError, SearchError
from src.modeling.open_study import open_study
from src.study.studies import OptunaStudyManager, best_trial, default_pruner, new_study_name
from tests.search_tasks import NAME, make_task


def test_a_study_is_named_by_target_and_time() -> None:
    assert new_study_name("net_profit", datetime(2024, 1, 1, 12)) == "net_profit_20240101_120000"


def test_create_then_load(tmp_path: Path) -> None:
    created = OptunaStudyManager(str(tmp_path)).create_or_load_study("net_profit_optimization")
    created.add_trial(create_trial(value=1.0))
    again = OptunaStudyManager(tmp_path).create_or_load_study("net_profit_optimization")
    assert len(again.trials) == 1
    assert OptunaStudyManager(tmp_path).load_study("net_profit_optimization").best_value == 1.0


def test_the_contracts_pruner() -> None:
    """A median pruner that lets 10 trials complete and each trial run 50 rounds."""
    study = optuna.create_study(pruner=default_pruner())
    assert isinstance(study.pruner, optuna.pruners.MedianPruner)

    def is_pruned(step: int) -> bool:
        trial = study.ask()
        trial.report(9.0, step)
        pruned = trial.should_prune()
        study.tell(trial, state=TrialState.FAIL)
        return pruned

    for _ in range(10):
        assert not is_pruned(50)
        study.add_trial(create_trial(value=1.0, intermediate_values={49: 1.0, 50: 1.0}))
    assert not is_pruned(49)
    assert is_pruned(50)


def test_an_error_for_an_unknown_study_lists_the_known_ones(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    with pytest.raises(ConfigError, match=r"no study 'x'.*none yet"):
        manager.load_study("x")
    manager.create_or_load_study("y")
    with pytest.raises(ConfigError, match=r"no study 'x'.*there are y"):
        manager.load_study("x")


def test_a_study_keeps_its_direction(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    manager.create_or_load_study("s", "maximize")
    with pytest.raises(ConfigError, match="exists with direction maximize, not minimize"):
        manager.create_or_load_study("s")


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "a\\b", "a\nb", "x" * 201])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--study-name"):
        OptunaStudyManager(tmp_path).create_or_load_study(name)


def test_attributes_are_set_on_a_new_study_only(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    manager.create_or_load_study("s", user_attrs={"data": "a.csv"})
    study = manager.create_or_load_study("s", user_attrs={"data": "b.csv"})
    assert study.user_attrs == {"data": "a.csv"}


def test_the_newest_study_of_a_target(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    names = ("profit_20240101_120000", "profit_20240301_210000", "profit_20240301_120001")
    for name in (*names, "net_profit_20250101_000000", "profit_mine", "profit_20260101_120000_copy"):
        manager.create_or_load_study(name)
    assert manager.newest_study("profit") == "profit_20240301_120001", "created last, after one named in Tokyo's time"
    assert manager.newest_study("trades") is None


def test_a_file_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("this is no database, but long enough to look like one" * 10)
    with pytest.raises(ConfigError, match="not a database"):
        OptunaStudyManager(tmp_path)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be opened"):
        OptunaStudyManager(tmp_path / "file" / "studies")


def test_the_manager_never_shows_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OptunaStudyManager, "_open", lambda self: None)
    manager = OptunaStudyManager(tmp_path, "postgresql://user:secret@host/db")
    assert "secret" not in repr(manager)
    assert "host" in repr(manager)


def test_two_studies_that_begin_within_a_second_have_two_names(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    names = set()
    for _ in range(3):
        name = manager.unused_study_name("net_profit")
        manager.create_or_load_study(name)
        names.add(name)
    assert len(names) == 3


def test_the_best_trial_is_that_of_the_direction(tmp_path: Path) -> None:
    opened = open_study(make_task(tmp_path, target="is_profitable"))
    with pytest.raises(SearchError, match=f"'{NAME}' has no complete trial.*--study-name {NAME}"):
        best_trial(opened.study)
    for value in (0.6, 0.8, 0.7):
        opened.study.add_trial(optuna.trial.create_trial(value=value))
    opened.study.add_trial(optuna.trial.create_trial(value=0.99, state=optuna.trial.TrialState.PRUNED))
    assert best_trial(opened.study).value == 0.8
