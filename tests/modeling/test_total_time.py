"""`--total-timeout`: the end of a command and the shares of its targets; no test measures how long anything takes."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from src.config import MIN_TOTAL_SECONDS, DataSettings, RunSettings, SearchSettings
from src.errors import ConfigError
from src.modeling.open_study import open_study
from src.modeling.run_search import run_search
from src.modeling.total_time import limit_time, process_start, share_time
from src.modeling.train_with_optuna import train_targets
from src.search.search_task import SearchTask
from tests.search_tasks import NAME, make_task
from tests.small_table import small_table


def limited(folder: Path, seconds: float | None, n_trials: int = 2) -> SearchTask:
    task = make_task(folder, n_trials=n_trials)
    search = replace(task.settings.search, total_timeout=seconds)
    return replace(task, settings=replace(task.settings, search=search))


def test_the_process_started_before_this_test() -> None:
    assert process_start() < monotonic()


def test_without_the_option_nothing_is_limited(tmp_path: Path) -> None:
    (task,) = share_time(limit_time([limited(tmp_path, None)], 0.0), 1)
    assert task.limit is None


def test_the_end_counts_from_the_start_of_the_command(tmp_path: Path) -> None:
    started = monotonic() - 100
    (task,) = limit_time([limited(tmp_path, 500.0)], started)
    assert task.limit is not None
    assert task.limit.end == started + 500
    assert task.limit.size.search_rows == len(task.rows.search)


def test_targets_get_equal_parts_of_the_time_that_is_left(tmp_path: Path) -> None:
    tasks = limit_time([limited(tmp_path, 900.0)] * 3, monotonic())
    (first,) = share_time(tasks[:1], 3)
    both = share_time(tasks[1:], 2)
    ends = [task.limit.end for task in (*tasks, first, *both) if task.limit is not None]
    left = ends[0] - monotonic()
    assert ends[3] < ends[0] - left / 2
    assert ends[4] == ends[5] == pytest.approx(ends[0])
    assert [task.limit.n_finishes for task in (first, *both) if task.limit is not None] == [1, 2, 2]


def test_a_total_that_the_table_has_used_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--total-timeout 30 leaves no time for a search: reading .* 25 s.*use more"):
        limit_time([limited(tmp_path, 30.0)], monotonic() - 25)


def test_an_impossible_total_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--total-timeout 5 is too short: .* use 20 seconds or more, or --timeout"):
        SearchSettings(total_timeout=5.0)
    assert SearchSettings(total_timeout=MIN_TOTAL_SECONDS).total_timeout == MIN_TOTAL_SECONDS


def test_a_search_ends_at_its_limit(tmp_path: Path, mlflow_store: str) -> None:
    (task,) = limit_time([limited(tmp_path, 60.0, n_trials=100_000)], monotonic() - 47)
    opened = open_study(task)
    run_search(task, opened)
    assert len(opened.study.trials) < 10_000


@pytest.mark.slow
@pytest.mark.parametrize(("in_processes", "seconds"), [(False, 5), (True, 15)], ids=["here", "workers"])
def test_a_total_leaves_time_for_final_model_and_report(
    tmp_path: Path, mlflow_store: str, capsys: pytest.CaptureFixture[str], in_processes: bool, seconds: float
) -> None:
    small_table().to_parquet(tmp_path / "table.parquet")
    (task,) = limit_time([limited(tmp_path, 3600.0)], monotonic())
    assert task.limit is not None
    search = SearchSettings(n_trials=100_000, total_timeout=3600.0, study_name=NAME, storage_dir=tmp_path)
    settings = RunSettings(DataSettings(str(tmp_path / "table.parquet")), search=search, output_dir=tmp_path)
    began = monotonic() - 3600 + task.limit.rest_seconds(0) + seconds
    (outcome,) = train_targets(["net_profit"], settings, in_processes, started=began)
    assert 0 < outcome.metadata["n_trials"] < 100_000
    assert outcome.report is not None
    assert "net_profit v1 @champion" in capsys.readouterr().out
