"""The parallel command, a distributed worker, and the Python API of the contract's section 7."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings
from src.errors import ConfigError, SearchError
from src.modeling import train_with_optuna
from src.modeling.distributed import worker_name
from src.modeling.optuna_parallel_optimization import ParallelOptimizer, build_parser, main
from src.study.studies import OptunaStudyManager
from tests.commands import Finished, run_here
from tests.small_table import small_table

QUICK = ("--data", "table.parquet", "--n-trials", "3", "--no-register")
Command = Callable[..., Finished]


@pytest.fixture
def folder(tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_table().to_parquet(tmp_path / "table.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Command:
    return lambda *options: run_here(main, [*options], folder, {name: os.environ[name] for name in os.environ})


def trials(folder: Path, study_name: str) -> Sequence[optuna.trial.FrozenTrial]:
    return OptunaStudyManager(folder / "artefacts/optuna_studies").load_study(study_name).trials


def test_the_whole_flow_of_several_targets(folder: Path, command: Command) -> None:
    names = "net_profit,is_profitable,num_trades"
    run = command("--mode", "parallel", "--targets", names, *QUICK, "--max-workers", "2", "--study-name", "all")
    assert run.status == 0, run.err
    assert [line.split()[0] for line in run.out.splitlines()[3:6]] == names.split(",")
    for name in names.split(","):
        assert {trial.state for trial in trials(folder, f"all_{name}")} <= {TrialState.COMPLETE, TrialState.PRUNED}
        assert len(trials(folder, f"all_{name}")) == 3
        assert (folder / f"artefacts/models/lgb_{name}_optuna_v1.txt").exists()
        assert (folder / f"artefacts/reports/all_{name}/report.html").exists()
        assert f"all_{name}: 100%" in run.err, "each has its bar"


def test_a_failing_target_is_reported_and_the_others_complete(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_target = train_with_optuna._finish_target

    def fails_once(task: Any, opened: Any) -> Any:
        if task.data.target == "net_profit":
            raise SearchError("no luck: try again")
        return finish_target(task, opened)

    monkeypatch.setattr(train_with_optuna, "_finish_target", fails_once)
    run = command("--targets", "net_profit,num_trades", *QUICK, "--max-workers", "2")
    assert run.status == 1
    assert "warning: net_profit: no luck: try again" in run.err.splitlines()
    assert run.err.splitlines()[-1] == "error: no luck: try again"
    assert run.out.splitlines()[3].startswith("num_trades")


def test_the_command_of_the_contract_for_a_distributed_worker(folder: Path, command: Command) -> None:
    """The first worker creates the study, the next one finds it by its target."""
    line = ("--mode", "distributed", "--worker-id", "1", "--targets", "net_profit", *QUICK)
    run = command(*line)
    assert run.status == 0, run.err
    manager = OptunaStudyManager(folder / "artefacts/optuna_studies")
    (name,) = manager.list_studies()
    assert name.startswith("net_profit_2")
    assert len(trials(folder, name)) == 3
    assert not (folder / "artefacts/models").exists(), "no final model is trained"
    again = command(*line)
    assert again.status == 0, again.err
    assert f"study {name} already has its 3 trials: use another --study-name to start a new one" in again.err
    more = command(*line, "--n-trials", "5")
    assert more.status == 0, more.err
    assert len(trials(folder, name)) == 5
    assert manager.list_studies() == [name]


def test_create_work_wait_and_finish_need_only_the_study_name(folder: Path, command: Command) -> None:
    made = command("--mode", "create", "--study-name", "s", "--targets", "net_profit", *QUICK, "--seed", "7")
    assert (made.status, made.out.splitlines()[0]) == (0, "study s is ready: 0 of 3 trials are finished"), made.err
    assert made.out.splitlines()[1].endswith("--mode distributed --study-name s")
    wrong = command("--mode", "distributed", "--study-name", "s", "--seed", "8")
    assert (wrong.status, "was created with seed 7, now it is 8" in wrong.err.splitlines()[-1]) == (2, True)
    worked = command("--mode", "distributed", "--study-name", "s", "--worker-id", "4")
    assert worked.status == 0, worked.err
    assert "worker 4 leaves study s: it has all 3 trials" in worked.err
    assert command("--mode", "wait", "--study-name", "s").status == 0
    finished = run_here(train_with_optuna.main, ["--study-name", "s", "--no-register"], folder)
    assert finished.status == 0, finished.err
    assert finished.out.splitlines()[3].startswith("net_profit")
    assert len(trials(folder, "s")) == 3


def test_a_worker_is_named_by_its_id_its_index_or_its_process() -> None:
    assert worker_name("a", {"JOB_COMPLETION_INDEX": "3"}) == "a"
    assert worker_name(None, {"JOB_COMPLETION_INDEX": "3"}) == "3"
    assert worker_name(None, {}).endswith(f":{os.getpid()}")


def test_an_unknown_mode_is_one_line(command: Command) -> None:
    run = command("--mode", "cluster")
    assert (run.status, run.out) == (2, "")
    assert run.err == "error: --mode 'cluster' is unknown: use parallel, distributed, create, wait\n"


def test_the_number_of_workers_has_a_default() -> None:
    parser = build_parser()
    assert parser.parse_args([]).max_workers is None
    assert parser.parse_args(["--max-workers="]).max_workers is None
    assert parser.parse_args(["--max-workers", "3"]).max_workers == 3


@pytest.mark.parametrize("given", ["0", "-1"])
def test_too_few_workers_are_refused(command: Command, given: str) -> None:
    run = command("--max-workers", given)
    assert run.status == 2
    assert run.err.startswith(f"error: --max-workers {given} is too few")


def settings_in(folder: Path) -> RunSettings:
    return RunSettings(search=SearchSettings(storage_dir=folder / "studies", pruner="none"))


def test_as_the_contract_calls_it(folder: Path) -> None:
    targets = ["net_profit", "gross_profit", "num_trades"]
    optimizer = ParallelOptimizer(n_jobs=2, data=small_table(), settings=settings_in(folder))
    found = optimizer.optimize_ensemble_parallel(targets=targets, n_trials_per_target=2, max_workers=3)
    assert list(found) == targets
    for target, (study, best_params) in found.items():
        assert study.study_name.startswith(f"{target}_2")
        assert len(study.trials) == 2
        assert best_params == study.best_trial.params
    assert not (folder / "artefacts").exists(), "no final model is trained"


def test_one_target_with_an_objective_and_a_callback_of_ones_own(folder: Path) -> None:
    marks = folder / "marks"
    marks.mkdir()

    def objective(trial: optuna.Trial, x_train: Any, y_train: Any, x_valid: Any, y_valid: Any) -> float:
        assert list(x_train) == ["signal", "noise", "style", "is_open"]
        return abs(trial.suggest_float("x", 0, 1) - float(y_valid.mean() > 0))

    def stop_at_four(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        (marks / f"{trial.number}-{os.getpid()}").touch()
        if trial.number >= 4:
            study.stop()

    optimizer = ParallelOptimizer(2, data=folder / "table.parquet", settings=settings_in(folder))
    study, best = optimizer.optimize_parallel("net_profit", 50, objective=objective, callbacks=[stop_at_four])
    assert set(best) == {"x"}
    assert 5 <= len(study.trials) < 10
    seen = [path.name.split("-") for path in marks.iterdir()]
    assert sorted(int(number) for number, _ in seen) == list(range(len(study.trials)))
    assert str(os.getpid()) not in {pid for _, pid in seen}


def test_settings_apply_where_no_argument_is_given(folder: Path) -> None:
    search = SearchSettings(storage_dir=folder / "studies", n_trials=2, max_workers=2, study_name="s")
    settings = RunSettings(search=search, cv_auto=True)
    optimizer = ParallelOptimizer(data=small_table(n_days=200), settings=settings)
    assert optimizer.n_jobs == 2
    assert ParallelOptimizer(n_jobs=3, settings=settings).n_jobs == 3
    found = optimizer.optimize_ensemble_parallel(["net_profit", "num_trades"])
    assert [(study.study_name, len(study.trials)) for study, _ in found.values()] == [
        ("s_net_profit", 2), ("s_num_trades", 2),
    ]  # fmt: skip
    for study, _ in found.values():
        split = study.user_attrs["settings"]["split"]
        assert (split["use_cv"], split["n_folds"]) == (True, 3), "folds are left to the rule"
    study, _ = optimizer.optimize_parallel("net_profit", 3)
    assert (study.study_name, len(study.trials)) == ("s", 3)


@pytest.mark.parametrize("mode", ["parallel", "create", "distributed"])
def test_automatic_folds_in_every_mode(folder: Path, command: Command, mode: str) -> None:
    small_table(n_days=200).to_parquet(folder / "table.parquet")
    run = command("--mode", mode, "--targets", "net_profit", *QUICK, "--n-trials", "1", "--cv", "auto")
    assert run.status == 0, run.err
    manager = OptunaStudyManager(folder / "artefacts/optuna_studies")
    split = manager.load_study(manager.list_studies()[0]).user_attrs["settings"]["split"]
    assert (split["use_cv"], split["n_folds"]) == (True, 3)


def test_a_target_that_mlflow_cannot_address_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="target 'ret@close' contains '@': rename the column"):
        ParallelOptimizer(1, data=folder / "nowhere.csv").optimize_parallel("ret@close", 1)


def test_wrong_input_is_reported_at_once() -> None:
    with pytest.raises(ConfigError, match="n_jobs 0 is too few"):
        ParallelOptimizer(n_jobs=0)
    with pytest.raises(ConfigError, match="max_workers 0 is too few"):
        ParallelOptimizer(n_jobs=1).optimize_ensemble_parallel(["net_profit"], 1, max_workers=0)
