"""Thinning keeps what matters."""

from hypothesis import given
from hypothesis import strategies as st

from src.reporting.document.downsample import downsampled, downsampling_note


@given(st.integers(0, 3000), st.integers(2, 500), st.data())
def test_the_best_stay_and_the_rest_is_spread(n: int, limit: int, data: st.DataObject) -> None:
    best = data.draw(st.lists(st.integers(0, max(0, n - 1)), unique=True, max_size=min(n, 600)))
    kept = downsampled(n, best, limit)
    assert kept == sorted(set(kept))
    assert len(kept) == min(n, limit)
    assert set(kept) <= set(range(n))
    assert set(best[: limit // 10]) <= set(kept)


def test_without_any_best_the_ends_stay() -> None:
    assert downsampled(100, limit=5) == [0, 24, 49, 74, 99]


def test_it_is_said_only_where_points_are_left_out() -> None:
    assert downsampling_note(10_000, 2000) == " 2,000 of 10,000 points are drawn, including the best ones."
    assert downsampling_note(100, 100) == ""
