import threading
from collections.abc import Iterator

import pytest

from src.serving.read_ahead import read_ahead


def test_items_come_in_their_order_from_one_other_thread() -> None:
    threads = set[int]()

    def numbers() -> Iterator[int]:
        for number in range(50):
            threads.add(threading.get_ident())
            yield number

    assert list(read_ahead(numbers())) == list(range(50))
    assert len(threads) == 1 and threading.get_ident() not in threads
    assert list(read_ahead(iter(()))) == []
    assert list(read_ahead(iter([0, None, False]))) == [0, None, False]


def test_one_item_is_made_ahead_and_no_more() -> None:
    made = list[int]()
    third = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if len(made) == 3:
                third.set()
            yield number

    ahead = read_ahead(numbers())
    assert next(ahead) == 0
    assert next(ahead) == 1
    assert third.wait(10)
    ahead.close()  # waits for the thread
    assert made == [0, 1, 2]


def test_an_error_comes_after_the_items_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("the file is damaged")

    ahead = read_ahead(numbers())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the file is damaged"):
        next(ahead)
