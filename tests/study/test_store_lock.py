import threading
from pathlib import Path

import pytest

from src import file_lock
from src.errors import ConfigError, LockError
from src.study.store_location import store_url
from src.study.store_lock import store_lock, try_store_lock
from tests.paused import paused_holder

HERE = Path("studies")
HOLD = """
import sys, time
from pathlib import Path
from src.study.store_location import store_url
from src.study.store_lock import store_lock
with store_lock(store_url(None, Path(sys.argv[1]), {}), "x"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_an_unreachable_database_is_an_error_of_one_line() -> None:
    url = store_url("postgresql://user:secret@127.0.0.1:9/db", HERE, {})
    with pytest.raises(ConfigError, match="cannot be reached") as raised, store_lock(url, "x"):
        pass
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_lock_keeps_the_second_out_until_the_first_has_left(tmp_path: Path) -> None:
    url = store_url(None, tmp_path, {})
    order: list[str] = []

    def second() -> None:
        with store_lock(url, "x"):
            order.append("second")

    with store_lock(url, "x"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_trying_never_waits(tmp_path: Path) -> None:
    url = store_url(None, tmp_path, {})
    with try_store_lock(url, "x") as first, try_store_lock(url, "x") as second, try_store_lock(url, "y") as other:
        assert (first, second, other) == (True, False, True)
    with try_store_lock(url, "x") as again:
        assert again


@pytest.mark.slow
def test_a_paused_holder_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "MAX_SILENT_SECONDS", 1.0)
    with paused_holder(HOLD, str(tmp_path)) as pid:
        url = store_url(None, tmp_path, {})
        with pytest.raises(LockError) as caught, store_lock(url, "x"):
            pass
        message = str(caught.value)
        assert message.startswith(
            f"the lock 'x' of the store sqlite:///{tmp_path}/studies.db is held by process {pid} on "
        )
        assert message.endswith("resume that process (kill -CONT) or end it, then try again")
        with try_store_lock(url, "x") as held:
            assert not held, "whom nobody waits for any longer still holds it"
