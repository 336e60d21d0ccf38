"""Merged models against the predictions of their members."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.final.merged_model import merge_models

ROUNDS = 12
BOOSTING: dict[str, dict[str, Any]] = {
    "gbdt": {"bagging_fraction": 0.7, "bagging_freq": 1},
    "dart": {"boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.0},
    "goss": {"data_sample_strategy": "goss"},
}
FOREST = {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}
OBJECTIVES = ("regression", "regression_l1", "binary")


def make_rows(n_rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers and a category of 40 levels, a tenth of all values missing; and a target."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n_rows), rng.exponential(size=n_rows), rng.integers(0, 40, n_rows)])
    y = 3 * x[:, 0] + x[:, 1] + 2 * (x[:, 2] % 3 == 0) + rng.normal(size=n_rows)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


X, Y = make_rows()
UNSEEN = np.vstack([make_rows(100, seed=1)[0], [[np.nan] * 3, [1e300, -1e300, 1000.0], [0.0, 0.0, -1.0]]])


@cache
def train(objective: str, boosting: str, max_bin: int = 64, seed: int = 0, **changes: Any) -> lgb.Booster:
    y = (Y > 1).astype(float) if objective == "binary" else Y
    binning = {"max_bin": max_bin, "verbosity": -1, "num_threads": 1}
    data = lgb.Dataset(X, y, categorical_feature=[2], params=binning)
    params = {
        "objective": objective, "num_leaves": 7, "seed": seed, "verbosity": -1, "num_threads": 1,
        "min_data_in_leaf": 5, "cat_smooth": 1, "min_data_per_group": 5,
    }  # fmt: skip
    return lgb.train(params | BOOSTING.get(boosting, FOREST) | changes, data, ROUNDS)


def merge(members: list[lgb.Booster], weights: list[float]) -> lgb.Booster:
    return lgb.Booster(model_str=merge_models([member.model_to_string() for member in members], weights))


def mean_raw(members: list[lgb.Booster], weights: list[float], x: np.ndarray) -> np.ndarray:
    raw = [np.asarray(member.predict(x, raw_score=True)) for member in members]
    return np.average(raw, axis=0, weights=weights)


member_keys = st.tuples(st.sampled_from(list(BOOSTING)), st.sampled_from([16, 64, 255]), st.integers(0, 2))


@given(st.sampled_from(OBJECTIVES), st.lists(st.tuples(member_keys, st.integers(1, 9)), min_size=1, max_size=5))
def test_the_merged_model_is_the_weighted_mean(objective: str, drawn: list[tuple[tuple[str, int, int], int]]) -> None:
    members = [train(objective, *key) for key, _ in drawn]
    weights = [count / sum(count for _, count in drawn) for _, count in drawn]
    merged = merge(members, weights)
    expected = mean_raw(members, weights, UNSEEN)
    raw = np.asarray(merged.predict(UNSEEN, raw_score=True))
    np.testing.assert_allclose(raw, expected, rtol=1e-10, atol=1e-10)
    contributions = np.asarray(merged.predict(UNSEEN, pred_contrib=True))
    np.testing.assert_allclose(contributions.sum(axis=1), raw, rtol=1e-9, atol=1e-9)
    answer = 1 / (1 + np.exp(-raw)) if objective == "binary" else raw
    np.testing.assert_allclose(np.asarray(merged.predict(UNSEEN)), answer, rtol=1e-12)
    assert merged.num_trees() == sum(member.num_trees() for member in members)


@pytest.mark.parametrize("boosting", BOOSTING)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_model_of_weight_one_is_its_own_text(objective: str, boosting: str) -> None:
    text = train(objective, boosting).model_to_string()
    assert lgb.Booster(model_str=merge_models([text], [1.0])).model_to_string() == text


def test_the_text_can_be_saved_to_a_file(tmp_path: Path) -> None:
    merged = merge([train("regression", "gbdt"), train("regression", "dart")], [0.25, 0.75])
    merged.save_model(tmp_path / "model.txt")
    again = lgb.Booster(model_file=tmp_path / "model.txt")
    np.testing.assert_array_equal(np.asarray(again.predict(UNSEEN)), np.asarray(merged.predict(UNSEEN)))
    assert again.model_to_string() == merged.model_to_string()


def test_inner_nodes_are_scaled_as_leaves_are() -> None:
    member = train("regression", "gbdt")
    merged = merge([train("regression", "goss"), member], [0.25, 0.75]).dump_model()
    before = [tree["tree_structure"]["internal_value"] for tree in member.dump_model()["tree_info"]]
    after = [tree["tree_structure"]["internal_value"] for tree in merged["tree_info"][-len(before) :]]
    assert after == pytest.approx([0.75 * value for value in before], rel=1e-4)
    assert [tree["tree_index"] for tree in merged["tree_info"]] == list(range(2 * ROUNDS))


def test_models_without_a_split_are_merged() -> None:
    constant = train("regression", "gbdt", min_data_in_leaf=10_000)
    assert constant.num_trees() == 1
    member = train("regression", "gbdt")
    merged = merge([constant, member], [0.5, 0.5])
    expected = mean_raw([constant, member], [0.5, 0.5], UNSEEN)
    np.testing.assert_allclose(np.asarray(merged.predict(UNSEEN)), expected, rtol=1e-10)


def feature_infos(text: str) -> list[str]:
    (found,) = re.findall(r"^feature_infos=(.*)$", text, re.MULTILINE)
    return str(found).split(" ")


def test_feature_infos_of_members_are_merged() -> None:
    """With few bins LightGBM leaves out the rarest categories; bounds are of the rows, not of the bins."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=3000), np.minimum(rng.geometric(0.05, 3000), 99), np.zeros(3000)])
    texts = []
    for max_bin in (16, 255):
        binning = {"max_bin": max_bin, "min_data_in_bin": 1, "verbosity": -1, "num_threads": 1}
        data = lgb.Dataset(x, x[:, 0], categorical_feature=[1], params=binning)
        texts.append(lgb.train({"verbosity": -1, "num_threads": 1, "num_leaves": 4}, data, 2).model_to_string())
    few, many = (feature_infos(text) for text in texts)
    assert len(few[1].split(":")) < len(many[1].split(":"))
    for order in ([0, 1], [1, 0]):
        joined = feature_infos(merge_models([texts[i] for i in order], [0.5, 0.5]))
        assert joined[0] == few[0] == many[0]
        assert sorted(joined[1].split(":")) == sorted(many[1].split(":"))
        assert joined[2] == "none"


def test_bounds_that_differ_are_widened() -> None:
    text = train("regression", "gbdt").model_to_string()
    low = feature_infos(text)[0].partition(":")[0]
    other = text.replace(f"{low}:", "[-9.5:", 1)
    for pair in ([text, other], [other, text]):
        assert feature_infos(merge_models(pair, [0.5, 0.5]))[0] == feature_infos(other)[0]
    nothing = text.replace(feature_infos(text)[0], "none", 1)
    assert feature_infos(merge_models([nothing, text], [0.5, 0.5])) == feature_infos(text)


def test_parameters_are_those_that_all_members_share() -> None:
    first, second = train("binary", "gbdt"), train("binary", "goss", max_bin=255)
    text = merge_models([first.model_to_string(), second.model_to_string()], [0.5, 0.5])
    assert "[objective: binary]" in text
    assert "[data_sample_strategy:" not in text
    assert "[max_bin:" not in text
    assert lgb.Booster(model_str=text).params["objective"] == "binary"


def test_models_that_cannot_be_merged_are_refused() -> None:
    text = train("regression", "gbdt").model_to_string()
    with pytest.raises(ValueError, match="differ in objective"):
        merge_models([text, train("binary", "gbdt").model_to_string()], [0.5, 0.5])
    with pytest.raises(ValueError, match="2 models and 1 weights"):
        merge_models([text, text], [1.0])
    with pytest.raises(ValueError, match="0 models"):
        merge_models([], [])
    forest = train("regression", "forest")
    with pytest.raises(ValueError, match="not a sum of trees"):
        merge_models([forest.model_to_string()], [1.0])
    linear = text.replace("is_linear=0", "is_linear=1", 1)
    with pytest.raises(ValueError, match="linear trees"):
        merge_models([linear], [1.0])
