"""Ranks against scipy's, medians, and what counts as a loss."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from benchmarks.ranking import Run, gain, losses, mean_ranks, median_scores, ranks
from src.config import Metric


def cell(scores: dict[str, float | None], metric: Metric = "mae", table: str = "t", seed: int = 1) -> list[Run]:
    return [Run(table, metric, seed, name, score) for name, score in scores.items()]


@given(st.lists(st.one_of(st.none(), st.integers(0, 4).map(float)), min_size=1, max_size=6), st.booleans())
def test_ranks_are_those_of_scipy(scores: list[float | None], is_auc: bool) -> None:
    names = [f"c{i}" for i in range(len(scores))]
    found = ranks(cell(dict(zip(names, scores, strict=True)), "auc" if is_auc else "rmse"))[("t", 1)]
    costs = [math.inf if score is None else -score if is_auc else score for score in scores]
    assert [found[name] for name in names] == rankdata(costs).tolist()


def test_median_leaves_failures_out() -> None:
    runs = [*cell({"a": 1.0, "b": None}, seed=1), *cell({"a": 5.0, "b": None}, seed=2), *cell({"a": 2.0}, seed=3)]
    assert median_scores(runs) == {"t": {"a": 2.0, "b": None}}


def test_mean_rank_counts_only_whole_cells() -> None:
    runs = [
        *cell({"a": 1.0, "b": 2.0}),
        *cell({"a": 0.6, "b": 0.7}, "auc", table="u"),
        *cell({"a": 1.0, "b": 2.0}, seed=2),
        *cell({"b": 2.0}, seed=3),
    ]
    assert mean_ranks(runs) == {"a": pytest.approx(4 / 3), "b": pytest.approx(5 / 3)}
    assert list(mean_ranks(runs)) == ["a", "b"]
    assert mean_ranks([*cell({"a": 1.0}), *cell({"b": 1.0}, seed=2)]) == {}


def test_losses_name_the_best_rival_and_the_margin() -> None:
    runs = [
        *cell({"ours": 11.0, "x": 10.0, "y": 12.0}, seed=1),
        *cell({"ours": 9.0, "x": 10.0, "y": 12.0}, seed=2),
        *cell({"ours": 0.70, "x": 0.72, "y": 0.75}, "auc", table="u"),
        *cell({"ours": None, "x": 1.0}, table="v"),
        *cell({"ours": None, "x": None}, table="w"),
        *cell({"ours": 1.0, "x": 1.0}, table="even"),
    ]
    found = [(loss.table, loss.seed, loss.winner, loss.percent) for loss in losses(runs, "ours", ["x", "y"])]
    assert found == [
        ("t", 1, "x", pytest.approx(10.0)),
        ("u", 1, "y", pytest.approx(100 * 0.05 / 0.75)),
        ("v", 1, "x", None),
    ]
    assert losses(runs, "ours", []) == []


def test_gain_is_the_share_of_the_error_that_is_saved() -> None:
    runs = [
        *cell({"a": 8.0, "b": 10.0}),
        *cell({"a": 6.0, "b": 10.0}, seed=2),
        *cell({"a": 0.9, "b": 0.8}, "auc", table="u"),
        *cell({"a": None, "b": 1.0}, table="v"),
    ]
    found = gain(runs, "a", "b")
    assert found is not None and found.tables == pytest.approx({"t": 30, "u": 50})
    assert [found.mean, found.standard_error] == pytest.approx([40, 10])  # the sd of 30 and 50, by sqrt(2)
    assert gain(runs, "a", "c") is None
