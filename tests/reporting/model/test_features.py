"""Gain, contributions and shift of features, against LightGBM, the data and scipy."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from src.config import SplitSettings
from src.data.encoding import encode
from src.data.split_rows import SplitRows
from src.final.final_model import FinalModel
from src.final.merged_model import merge_models
from src.reporting.model.features import (
    LEAF_VISITS,
    MAX_DRAWN,
    MAX_EXPLAINED,
    MIN_EXPLAINED,
    explain,
    explainable_rows,
    feature_shift,
    measure_features,
)
from tests.reporting.trained import train, trained
from tests.small_table import small_table


def of(name: str, target: str = "net_profit") -> tuple[float, float, float, float | None]:
    one = trained(target)
    features, _, _ = measure_features(one.model, one.data, one.rows, 7)
    (found,) = (feature for feature in features if feature.name == name)
    return found.gain, found.contribution, found.missing, found.shift


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_contributions_and_bias_add_up_to_the_raw_score(target: str) -> None:
    one = trained(target)
    matrix = encode(one.data.features.iloc[one.rows.test], one.model.levels)
    found = explain(one.model.booster, matrix)
    assert found.shape == matrix.shape
    raw = np.asarray(one.model.booster.predict(matrix, raw_score=True))
    np.testing.assert_allclose(np.ptp(raw - found.sum(axis=1)), 0, atol=1e-9, err_msg="the bias is the same everywhere")


def test_every_feature_is_named_and_the_useful_ones_come_first() -> None:
    one = trained()
    features, effects, explained = measure_features(one.model, one.data, one.rows, 7)
    assert sorted(feature.name for feature in features) == sorted(one.data.features.columns)
    assert [feature.name for feature in features[:2]] == ["signal", "style"]
    assert sum(feature.gain for feature in features) == pytest.approx(1)
    gain = dict(zip(one.data.features.columns, one.model.booster.feature_importance("gain"), strict=True))
    assert [feature.gain for feature in features] == sorted(g / sum(gain.values()) for g in gain.values())[::-1]
    assert explained == len(one.rows.test)
    contributions = explain(one.model.booster, encode(one.data.features.iloc[one.rows.test], one.model.levels))
    expected = dict(zip(one.data.features.columns, np.abs(contributions).mean(axis=0), strict=True))
    assert {feature.name: feature.contribution for feature in features} == pytest.approx(expected)
    assert [effect.feature for effect in effects[:2]] == ["signal", "style"]


def test_effects_have_quantiles_except_for_categories_and_missing_values() -> None:
    one = trained()
    _, effects, _ = measure_features(one.model, one.data, one.rows, 7)
    by_name = {effect.feature: effect for effect in effects}
    signal = one.data.features["signal"].iloc[one.rows.test]
    given = signal.notna().to_numpy()
    assert [quantile is not None for quantile in by_name["signal"].quantiles] == given.tolist()
    known = [quantile for quantile in by_name["signal"].quantiles if quantile is not None]
    np.testing.assert_allclose(known, signal[given].rank(pct=True), atol=1e-3)
    assert set(by_name["style"].quantiles) == {None}
    assert all(len(effect.contributions) == len(effect.quantiles) <= MAX_DRAWN for effect in effects)


def test_missing_values_are_counted() -> None:
    assert of("signal")[2] == pytest.approx(small_table()["signal"].isna().mean())
    assert of("noise")[2] == 0


def test_without_a_hold_out_training_rows_are_explained_and_nothing_shifts() -> None:
    one = train(split=SplitSettings(test_fraction=0))
    features, effects, explained = measure_features(one.model, one.data, one.rows, 7)
    assert explained == len(one.rows.search)
    assert {feature.shift for feature in features} == {None}
    assert effects


def test_large_models_are_explained_on_fewer_rows() -> None:
    one = trained()
    leaves = int((one.model.booster.trees_to_dataframe()["left_child"].isna()).sum())
    assert explainable_rows(one.model.booster) == MAX_EXPLAINED
    text = one.model.booster.model_to_string()
    times = 40
    merged = lgb.Booster(model_str=merge_models([text] * times, [1 / times] * times))
    assert explainable_rows(merged) == max(MIN_EXPLAINED, min(MAX_EXPLAINED, LEAF_VISITS // (times * leaves)))
    assert explainable_rows(merged) < MAX_EXPLAINED
    ensemble = FinalModel(merged, one.model.levels)
    several = measure_features(ensemble, one.data, one.rows, 7)[0]
    alone = measure_features(one.model, one.data, one.rows, 7)[0]
    assert {f.name: f.contribution for f in several} == pytest.approx({f.name: f.contribution for f in alone})


def test_a_model_without_a_split_has_no_effects() -> None:
    one = train(rounds=0)
    features, effects, _ = measure_features(one.model, one.data, one.rows, 7)
    assert {(feature.gain, feature.contribution) for feature in features} == {(0, 0)}
    assert effects == ()


def halves(before: pd.Series, after: pd.Series) -> float | None:
    n = len(before)
    rows = SplitRows((), np.arange(n), np.arange(n, n + len(after)))
    return feature_shift(pd.concat([before, after], ignore_index=True), rows)


def test_shift_is_the_symmetric_divergence_of_two_histograms() -> None:
    rng = np.random.default_rng(0)
    before, after = pd.Series(rng.normal(size=4000)), pd.Series(rng.normal(0.5, 1.2, 1000))
    edges = np.r_[-np.inf, np.quantile(before, np.arange(1, 10) / 10), np.inf]
    p, q = (np.histogram(values, edges)[0] / len(values) for values in (before, after))
    assert halves(before, after) == pytest.approx(entropy(p, q) + entropy(q, p), rel=1e-3)
    assert halves(before, pd.Series(rng.normal(size=4000))) == pytest.approx(0, abs=0.02)


def test_shift_of_categories_and_of_missing_values() -> None:
    before = pd.Series(["a"] * 50 + ["b"] * 50, dtype="str")
    after = pd.Series(["a"] * 20 + ["b"] * 80, dtype="str")
    p, q = [0.5, 0.5], [0.2, 0.8]
    assert halves(before, after) == pytest.approx(entropy(p, q) + entropy(q, p))
    assert (halves(before, pd.Series(["new"] * 10, dtype="str")) or 0) > 1
    assert (halves(pd.Series(np.arange(20.0)), pd.Series([np.nan] * 20)) or 0) > 1
    assert halves(pd.Series([np.nan] * 20), pd.Series([np.nan] * 20)) == 0
    assert halves(pd.Series([True, False] * 10), pd.Series([True, False] * 10)) == 0
