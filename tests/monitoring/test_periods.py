import numpy as np
import pytest

from src.monitoring.periods import MAX_BLOCKS, default_window, histograms, make_blocks, share_in_blocks, sums_of
from tests.monitoring.panels import noise, periods_of


@pytest.mark.parametrize(("n_reference", "n_new", "between", "window"), [(60, 5, 0, 5), (61, 12, 0, 4), (100, 6, 7, 6)])
def test_a_block_is_as_long_and_as_far_from_its_side_as_the_window(
    n_reference: int, n_new: int, between: int, window: int
) -> None:
    periods = periods_of({"x": ("number", noise(0, n_reference + n_new))}, n_reference, n_new, between)
    blocks = make_blocks(periods, window)
    gap = between + n_new - window
    assert blocks.n_independent == n_reference / window
    assert len(blocks.block) == n_reference - window + 2
    for (start, stop), (first, end) in zip(blocks.block[:-1].tolist(), blocks.side[:-1].tolist(), strict=True):
        assert stop - start == window and start >= 0 and stop <= n_reference
        assert (first, end) in ((0, start - gap), (stop + gap, n_reference))
        assert end - first >= (n_reference - window) // 2 - gap
    assert blocks.block[-1].tolist() == [n_reference + n_new - window, n_reference + n_new]
    assert blocks.side[-1].tolist() == [0, n_reference]


def test_a_long_way_to_the_window_leaves_a_side() -> None:
    periods = periods_of({"x": ("number", noise(0, 100))}, 40, 60, 500)
    blocks = make_blocks(periods, 2)
    assert (blocks.side[:, 1] - blocks.side[:, 0]).min() >= 9


def test_there_are_no_more_blocks_than_help() -> None:
    periods = periods_of({"x": ("number", noise(0, 3003, 1))}, 3000, 3)
    assert len(make_blocks(periods, 3).block) == MAX_BLOCKS + 1


def test_a_window_longer_than_the_reference_has_no_block() -> None:
    periods = periods_of({"x": ("number", noise(0, 12))}, 4, 8)
    assert len(make_blocks(periods, 8).block) == 1


@pytest.mark.parametrize(("n_reference", "n_new", "window"), [(400, 7, 7), (400, 90, 20), (5, 3, 1)])
def test_the_default_window_is_a_20th_of_the_reference_at_most(n_reference: int, n_new: int, window: int) -> None:
    assert default_window(n_reference, n_new) == window


def test_sums_histograms_and_shares_of_ranges_of_dates() -> None:
    row_day, codes = np.array([0, 0, 1, 3, 3, 3]), np.array([0, 1, 1, 0, 2, 2])
    ranges = np.array([[0, 1], [1, 4], [2, 3]])
    assert sums_of(ranges, row_day, 4).tolist() == [2, 4, 0]
    assert sums_of(ranges, row_day, 4, codes.astype(float)).tolist() == [1, 5, 0]
    assert histograms(ranges, codes, row_day, 4).tolist() == [[1, 1, 0], [1, 1, 2], [0, 0, 0]]
    periods = periods_of({"x": ("number", np.arange(4.0))}, 3, 1)
    blocks = make_blocks(periods, 1)
    shares = share_in_blocks(blocks, periods.row_day, lambda block, side: np.array([block.start > side.start]))
    assert shares.tolist() == (blocks.block[:, 0] > blocks.side[:, 0]).tolist()
