from pathlib import Path
from time import monotonic

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from src.errors import Interrupted, SearchError, StoreError
from src.modeling.optuna_utils import OptunaCallbacks
from src.search.stop_flag import StopFlag
from src.search.trial_loop import MAX_FAILURES_IN_A_ROW, WorkerContext, run_trials
from src.study.studies import OptunaStudyManager


def uniform(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 1)


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def test_the_total_counts_what_was_there_before(manager: OptunaStudyManager, study: optuna.Study) -> None:
    run_trials(study, uniform, WorkerContext(manager.storage, 3, StopFlag()))
    run_trials(study, uniform, WorkerContext(manager.storage, 5, StopFlag()))
    run_trials(study, uniform, WorkerContext(manager.storage, 5, StopFlag()))
    assert states(study) == ["COMPLETE"] * 5


def test_pruned_trials_count_and_failed_ones_do_not(manager: OptunaStudyManager, study: optuna.Study) -> None:
    def mixed(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("no luck")
        return 1.0

    run_trials(study, mixed, WorkerContext(manager.storage, 4, StopFlag()))
    assert states(study) == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[2].user_attrs["error"] == "ValueError: no luck"


def test_a_search_in_which_everything_fails_ends_with_the_reason(
    manager: OptunaStudyManager, study: optuna.Study
) -> None:
    def broken(trial: optuna.Trial) -> float:
        raise RuntimeError("column 'x' is gone")

    with pytest.raises(SearchError, match="column 'x' is gone"):
        run_trials(study, broken, WorkerContext(manager.storage, 100, StopFlag()))
    assert states(study) == ["FAIL"] * MAX_FAILURES_IN_A_ROW


def test_a_stop_requeues_the_running_trial_for_the_next_run(manager: OptunaStudyManager, study: optuna.Study) -> None:
    stop_flag = StopFlag()

    def stopped_in_trial_2(trial: optuna.Trial) -> float:
        x = uniform(trial)
        if trial.number == 2:
            stop_flag.requested = True
        stop_flag.raise_if_stopped()
        return x

    with pytest.raises(Interrupted):
        run_trials(study, stopped_in_trial_2, WorkerContext(manager.storage, 5, stop_flag))
    assert states(study) == ["COMPLETE", "COMPLETE", "WAITING"]
    drawn = study.trials[2].params
    run_trials(study, uniform, WorkerContext(manager.storage, 5, StopFlag()))
    assert states(study) == ["COMPLETE"] * 5
    assert study.trials[2].params == drawn


def test_an_interrupted_study_equals_one_that_was_not(tmp_path: Path) -> None:
    def run(folder: str, totals: list[int]) -> list[dict[str, float]]:
        manager = OptunaStudyManager(tmp_path / folder)
        for total in totals:  # each time a new process would load the study anew, with a new sampler
            study = manager.create_or_load_study("s")
            run_trials(study, _branin, WorkerContext(manager.storage, total, StopFlag()))
        return [trial.params for trial in study.trials]

    assert run("once", [25]) == run("often", [1, 7, 12, 13, 25])


def _branin(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    return (y - 0.129 * x**2 + 1.59 * x - 6) ** 2 + 9.6 * (1 - x / 20) + 10


def test_past_its_deadline_no_trial_starts(manager: OptunaStudyManager, study: optuna.Study) -> None:
    run_trials(study, uniform, WorkerContext(manager.storage, 5, StopFlag(deadline=monotonic() - 1)))
    assert states(study) == []


def test_callbacks_are_called_and_may_stop_the_study(manager: OptunaStudyManager, study: optuna.Study) -> None:
    seen: list[int] = []
    callbacks = [lambda study, trial: seen.append(trial.number), OptunaCallbacks.target_value(0.9)]
    study.enqueue_trial({"x": 0.95})
    study.enqueue_trial({"x": 0.85})
    run_trials(study, uniform, WorkerContext(manager.storage, 50, StopFlag(), callbacks))
    assert seen == [0, 1]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2


def test_a_stop_by_a_callback_is_told_to_other_workers(manager: OptunaStudyManager, study: optuna.Study) -> None:
    stops, ends, tired = StopFlag(), StopFlag(), StopFlag(deadline=monotonic() + 0.2)
    stop = OptunaCallbacks.target_value(1.0)
    run_trials(study, uniform, WorkerContext(manager.storage, 3, ends))
    run_trials(study, uniform, WorkerContext(manager.storage, 10_000, tired))
    run_trials(study, uniform, WorkerContext(manager.storage, 10_000, stops, [stop]))
    assert [stop_flag.study_stopped for stop_flag in (stops, ends, tired)] == [True, False, False]


def test_a_worker_finishes_its_trial_when_the_study_is_stopped(
    manager: OptunaStudyManager, study: optuna.Study
) -> None:
    stop_flag = StopFlag()

    def told_in_trial_2(trial: optuna.Trial) -> float:
        stop_flag.study_stopped = stop_flag.study_stopped or trial.number == 2
        return uniform(trial)

    run_trials(study, told_in_trial_2, WorkerContext(manager.storage, 9, stop_flag))
    assert states(study) == ["COMPLETE"] * 3
    run_trials(study, uniform, WorkerContext(manager.storage, 9, stop_flag))
    assert states(study) == ["COMPLETE"] * 3, "it starts no other"


def test_a_full_disk_ends_the_search_in_one_line_and_loses_no_finished_trial(
    manager: OptunaStudyManager, study: optuna.Study
) -> None:
    def limit(connection: sqlalchemy.engine.interfaces.DBAPIConnection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 100")

    def wordy(trial: optuna.Trial) -> float:
        value = uniform(trial)
        trial.set_user_attr("notes", "x" * 20_000)
        return value

    sqlalchemy.event.listen(manager.storage.engine, "checkout", limit)
    with pytest.raises(StoreError, match=r"disk is full.*--study-name s resumes it"):
        run_trials(study, wordy, WorkerContext(manager.storage, 100, StopFlag()))
    sqlalchemy.event.remove(manager.storage.engine, "checkout", limit)
    manager.storage.engine.dispose()
    again = OptunaStudyManager(Path(manager.url.database or "").parent)
    kept = again.load_study("s")
    finished = states(kept).count("COMPLETE")
    assert finished >= 1
    run_trials(kept, uniform, WorkerContext(again.storage, finished + 3, StopFlag()))
    assert states(kept).count("COMPLETE") == finished + 3 == len(kept.trials)
