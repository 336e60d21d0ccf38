"""Makes the next item of an iterator while the current one is in use."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The items in their order, made one ahead in a thread: at most one more of them is in memory.

    Raises:
        Exception: whatever `items` raises, in its place.
    """
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = pool.submit(_next, items)
        while found := coming.result():
            coming = pool.submit(_next, items)
            yield found[0]


def _next(items: Iterator[Item]) -> tuple[Item] | None:
    """The next item in a tuple; None after the last one."""
    for item in items:
        return (item,)
    return None
