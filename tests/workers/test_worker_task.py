import sys
from pathlib import Path

import cloudpickle
import psutil
import pytest

from src.config import RunSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.search.search_task import SearchTask
from src.workers.shared_table import FRAME, TableSharer
from src.workers.worker_task import release_memory, share_task
from tests.small_table import small_table


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim belongs to glibc")
def test_freed_memory_goes_back_to_the_system() -> None:
    before = resident()
    blocks = [bytes(5000) for _ in range(80_000)]
    roof = bytes(5000)  # above the other blocks: glibc by itself returns only free memory at the top
    held = resident() - before
    del blocks
    release_memory("a study", "a trial")
    assert held > 100e6, "what other tests freed is used first"
    assert resident() - before < held / 4
    assert len(roof) == 5000


def test_the_pickled_task_is_small_and_the_frame_is_written_only_for_a_users_objective(tmp_path: Path) -> None:
    data = load_dataset(small_table(n_days=1000, n_accounts=20), TableConfig(), "net_profit")
    settings = RunSettings()
    task = SearchTask(data, make_split_rows(data, settings.split), settings, callbacks=(print,))
    shared = share_task(task, "mine", TableSharer(tmp_path))
    assert (shared.study_name, shared.settings, shared.callbacks) == ("mine", settings, (print,))
    assert len(cloudpickle.dumps(shared)) < 10_000
    assert not list(tmp_path.rglob(FRAME))
    own = SearchTask(data, task.rows, settings, user_objective=lambda trial, *frames: 0.0)
    (tmp_path / "other").mkdir()
    assert share_task(own, "mine", TableSharer(tmp_path / "other")).table.has_frame
    assert list(tmp_path.rglob(FRAME))
