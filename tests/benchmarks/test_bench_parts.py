"""The pure functions of the benchmarks report, overhead, scaling, memory and growth."""

import itertools
import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import growth, memory, overhead, report, scaling
from benchmarks.filled_study import finished_trials
from benchmarks.job import Job, load_job
from benchmarks.pure import PureLightGBM, load_fold, nearest
from benchmarks.synthetic import TARGET, draw_sets, largest_max_bin, synthetic_table, write_table
from src.config import MODEL_CONFIGS, SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.search.binned_folds import BinnedFolds
from src.search.objective import ObjectiveSettings, make_objective
from src.search.search_space import suggest_hyperparameters


def test_a_synthetic_table_is_a_function_of_its_seed_and_can_be_learned_from() -> None:
    table = synthetic_table(3_000, 6, seed=1)
    assert table.equals(synthetic_table(3_000, 6, seed=1))
    assert not table.equals(synthetic_table(3_000, 6, seed=2))
    assert not table.duplicated(["date", "account_id"]).any()
    assert table[["date", "account_id"]].equals(table[["date", "account_id"]].sort_values(["date", "account_id"]))
    data = load_dataset(table, TableConfig(), TARGET)
    assert data.warnings == ()
    assert data.features.shape == (3_000, 6)
    assert table[TARGET].std() == pytest.approx(np.sqrt(2), rel=0.1)
    assert synthetic_table(3_000, 6, signal=0.0)[TARGET].std() == pytest.approx(1, rel=0.1)


def test_drawn_sets_are_trials_of_the_search_space() -> None:
    sets = draw_sets(5, seed=3, fixed={"boosting_type": "goss"})
    assert sets == draw_sets(5, seed=3, fixed={"boosting_type": "goss"})
    study = optuna.create_study()
    for item in sets:
        study.enqueue_trial(item)
        trial = study.ask()
        suggest_hyperparameters(trial)
        assert trial.params == item
    with pytest.raises(ValueError, match="num_leaves 100000 is not in the search space"):
        draw_sets(1, fixed={"num_leaves": 100_000})
    assert largest_max_bin() <= 256 < largest_max_bin(512)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12, unique=True), st.floats(0.01, 100), st.integers(1, 12))
def test_the_nearest_durations_are_kept(seconds: list[float], target: float, n: int) -> None:
    kept = nearest(seconds, target, n)
    assert kept == sorted(set(kept))
    assert len(kept) == min(n, len(seconds))
    off = [abs(np.log(item / target)) for item in seconds]
    left = set(range(len(seconds))) - set(kept)
    assert all(off[i] <= off[j] + 1e-9 for i, j in itertools.product(kept, left))


def test_pure_lightgbm_trains_what_the_product_trains(tmp_path: Path) -> None:
    """The same score to the bit after the same number of rounds, for every kind of boosting."""
    path = write_table(tmp_path, 1_000, 5)
    pure = PureLightGBM(load_fold(path))
    data = load_dataset(synthetic_table(1_000, 5), TableConfig(), TARGET)
    objective = make_objective(
        BinnedFolds(data, make_split_rows(data, SplitSettings()).folds), ObjectiveSettings(seed=42)
    )
    for boosting in ("gbdt", "dart", "goss"):
        params = draw_sets(1, fixed={"boosting_type": boosting, "learning_rate": 0.3, "num_leaves": 10})[0]
        study = optuna.create_study(pruner=optuna.pruners.NopPruner())
        study.enqueue_trial(params)
        study.optimize(objective, n_trials=1)
        rounds = pure.rounds_needed(params)
        assert study.best_trial.user_attrs["curve"]["steps"][-1] == rounds
        assert pure.train(params, rounds).value == study.best_value
    assert MODEL_CONFIGS[TARGET].metric == "rmse"  # what `pure` reads its curve by


def test_a_job_travels_as_a_file(tmp_path: Path) -> None:
    job = Job("ours", Path("table.parquet"), draw_sets(2), [3, 4], workers=2, options={"rss_every": 5})
    job.save(tmp_path / "job.json")
    assert load_job(tmp_path / "job.json") == job


def _trial(pid: int, start: float, complete: float) -> scaling.Trial:
    return {"pid": pid, "start": start, "complete": complete, "params": {"a": pid}, "value": start}


def test_the_steady_rate_leaves_out_what_only_one_worker_did() -> None:
    alone = [_trial(1, i, i + 1) for i in range(10)]
    assert scaling.steady_rate(alone) == pytest.approx(60)
    # The second worker starts 3.5 s later and ends 2 s earlier: in between there are two trials per second.
    late = [_trial(2, 3.5 + i, 4.5 + i) for i in range(4)]
    assert scaling.steady_rate(alone + late) == pytest.approx(120)
    # Workers that do not overlap: the whole span counts.
    assert scaling.steady_rate([_trial(1, 0, 1), _trial(2, 2, 3)]) == pytest.approx(40)


def test_scores_are_compared_by_parameters() -> None:
    assert scaling.scores_by_params([_trial(1, 5, 6), _trial(2, 7, 8)]) == {'{"a": 1}': 5, '{"a": 2}': 7}


def test_memory_is_read_as_the_kernel_writes_it() -> None:
    text = (
        "00400000-7fff rollup\nRss:  10 kB\nPss:  7 kB\nPss_Anon:  5 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:  4 kB\n"
    )
    assert memory.read_rollup(text) == (7 * 1024, 5 * 1024)


def test_peaks_are_of_each_process_and_of_all_at_one_time() -> None:
    peaks = memory.Peaks()
    peaks.add({1: (10, 8), 2: (5, 4)}, command=1)
    peaks.add({1: (4, 9), 2: (7, 3), 3: (2, 1)}, command=1)
    assert peaks.pss == {1: 10, 2: 7, 3: 2}
    assert peaks.private == {1: 9, 2: 4, 3: 1}
    assert (peaks.total_pss, peaks.workers_pss) == (15, 9)


@given(st.floats(-5, 5), st.floats(-100, 100), st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_slope_of_a_line(slope: float, start: float, xs: list[int]) -> None:
    assert growth.slope([(x, start + slope * x) for x in xs]) == pytest.approx(slope, abs=1e-6)
    assert growth.slope([(1.0, 2.0)]) == 0


def test_growth_is_told_only_if_both_sizes_were_measured() -> None:
    rows = [{"trials": "100", "beyond, ms": 20.0}, {"trials": "3000", "beyond, ms": 50.0}]
    assert growth.growth(rows, 100, 3_000) == 30
    assert growth.growth(rows[:1], 100, 3_000) is None
    assert growth.beyond([0.3, 0.2, 0.9], [0.1, 0.1, 0.1]) == pytest.approx(0.2)


def test_filled_in_trials_look_like_those_of_the_product() -> None:
    trials = finished_trials(30, seed=1)
    states = {trial.state for trial in trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    for trial in trials:
        assert set(trial.distributions) == set(trial.params)
        assert trial.user_attrs["curve"]["steps"][-1] >= (trial.last_step or 0) > 0
        assert len(trial.user_attrs["curve"]["steps"]) <= 100
        json.dumps(trial.user_attrs)
    study = optuna.create_study()
    study.add_trials(trials)
    assert len(study.trials) == 30


def test_cpu_seconds_leave_the_first_trial_out() -> None:
    assert overhead.cpu_ratio({"cpu_each": [1.1, 1.1]}, {"cpu_each": [9.0, 1.0, 1.0]}) == pytest.approx(1.1)


@pytest.mark.parametrize("module", [report, overhead, scaling, memory, growth])
def test_help_and_quick(module: object, capsys: pytest.CaptureFixture[str]) -> None:
    parse = getattr(module, "parse")  # noqa: B009 - modules have no common type
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    assert left.value.code == 0
    assert "default" in capsys.readouterr().out
    assert parse(["--quick"]).quick


def test_a_peer_that_is_not_installed_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        overhead.parse([])
    assert left.value.code == 2
    assert "optuna-integration is not installed: run" in capsys.readouterr().err.splitlines()[-1]
