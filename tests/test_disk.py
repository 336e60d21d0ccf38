import errno
import stat
from pathlib import Path

import numpy as np
import pytest

from src.disk import explain, is_full, names_file, write_atomically
from src.errors import StoreError


def refused(code: int, *names: str | None) -> OSError:
    return OSError(code, "said the system", *names)


def test_the_file_the_reason_and_the_remedy_are_named() -> None:
    assert explain(OSError(errno.ENOSPC, "No space left on device", "a/b")) == (
        "a/b cannot be used: No space left on device: free space on its disk, then give the same command again"
    )
    assert explain(refused(errno.EACCES, "a"), "then go on", "written") == (
        "a cannot be written: said the system: let this user write there, or name another place, then go on"
    )


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_error_has_a_text(code: int) -> None:
    line = explain(refused(code, "a/b"))
    assert line.startswith("a/b cannot be used: said the system: ")
    assert "Errno" not in line
    assert line.endswith("then give the same command again")


def test_an_error_of_two_files_or_none() -> None:
    assert explain(OSError(errno.EXDEV, "no", "a", None, "b")).startswith("a and b cannot be used: no: ")
    assert explain(OSError("odd")).startswith(
        "standard output, a file or a connection cannot be used: odd: remove the cause, then"
    )
    assert explain(OSError()).startswith("standard output, a file or a connection cannot be used: OSError: ")


def test_a_write_names_its_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left") as caught,
        names_file(tmp_path / "x"),
        open("/dev/full", "w") as f,
    ):
        f.write("content")
        f.flush()
    assert caught.value.filename == str(tmp_path / "x")
    assert "x cannot be used: No space left on device: free space" in explain(caught.value)


def test_a_short_write_of_numpy_counts_as_a_full_disk() -> None:
    with pytest.raises(OSError, match="requested and") as caught, open("/dev/full", "wb") as file:
        np.ones(100_000).tofile(file)
    assert caught.value.errno is None
    assert is_full(caught.value)
    assert "free space on its disk" in explain(caught.value)


def test_a_full_disk_is_found_behind_other_errors() -> None:
    assert is_full(refused(errno.ENOSPC))
    assert is_full(StoreError("could not extend file: No space left on device"))
    assert is_full(StoreError("(sqlite3.OperationalError) database or disk is full"))
    try:
        raise StoreError("the store failed") from refused(errno.EDQUOT)
    except StoreError as error:
        assert is_full(error)
    assert not is_full(StoreError("gone"))
    assert not is_full(refused(errno.EACCES))
    assert not is_full(None)


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file.bin", b"\x00\xff\r\n")
    assert (tmp_path / "file.bin").read_bytes() == b"\x00\xff\r\n"


def test_a_failed_write_leaves_the_former_content(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "the beginning \ud800")  # half a surrogate pair: no encoding of it exists
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "others may read a result"
