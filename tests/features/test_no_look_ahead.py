"""Features of a date use rows strictly before it, and a fixed number of them: to the bit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from src.features import blocks, peers, ranks
from tests.features.random_tables import CANDIDATES, COLUMNS, Case, cases, features_of

often = settings(max_examples=40, deadline=None)


def assert_same_bits(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """NaN equals NaN; the sign of 0 counts."""
    assert len(found)
    found = found.loc[expected.index]
    differ = (found.to_numpy().view(np.uint32) != expected.to_numpy().view(np.uint32)) & ~(
        found.isna().to_numpy() & expected.isna().to_numpy()
    )
    assert not differ.any(), found.columns[differ.any(axis=0)].tolist()


def until(features: pd.DataFrame, date: pd.Timestamp) -> pd.DataFrame:
    return features[features.index.get_level_values("date") <= date]


@often
@given(cases())
def test_rows_from_a_date_on_are_not_used(case: Case) -> None:
    table, expected = case.table, until(features_of(case.table), case.date)
    unanswered = table[table["date"] <= case.date].copy()
    unanswered.loc[unanswered["date"] == case.date, COLUMNS] = np.nan
    assert_same_bits(features_of(unanswered), expected)

    shuffled, later = table.copy(), np.flatnonzero(table["date"] >= case.date)
    shuffled.loc[later, COLUMNS] = table.loc[case.rng.permutation(later), COLUMNS].to_numpy()
    assert_same_bits(features_of(shuffled), expected)


@often
@given(cases())
def test_the_future_of_other_accounts_is_not_used(case: Case) -> None:
    table, expected = case.table, until(features_of(case.table), case.date)
    account = case.rng.choice(table["account"].unique())
    others = (table["date"] >= case.date) & (table["account"] != account)
    changed = table.copy()
    changed.loc[others, COLUMNS] = 3.0 * changed.loc[others, COLUMNS].fillna(7.0) - 5.0
    assert_same_bits(features_of(changed), expected)

    left = table[~(others & (case.rng.random(len(table)) < 0.5))]
    of_account = expected[expected.index.get_level_values("account") == account]
    if len(of_account):
        assert_same_bits(features_of(left), of_account)


@pytest.mark.slow
@often
@given(cases())
def test_a_truncated_history_gives_the_same_bits(case: Case) -> None:
    table = case.table
    everything = features_of(table)
    expected = everything[everything.index.get_level_values("date") == case.date]
    before = table[table["date"] < case.date]
    for history in {feature.history for feature in CANDIDATES}:
        dates = sorted(before["date"].unique())[-history:] if history else []
        last_rows = before.sort_values("date").groupby("account").tail(history).index
        kept = before[before.index.isin(last_rows) | before["date"].isin(dates)]
        features = [feature for feature in CANDIDATES if feature.history <= history]
        truncated = features_of(pd.concat([kept, table[table["date"] == case.date]]), features)
        assert_same_bits(truncated, expected[truncated.columns])


@often
@given(cases())
def test_blocks_threads_and_order_of_rows_do_not_matter(case: Case) -> None:
    expected = features_of(case.table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ROWS", int(case.rng.integers(1, 40)))
        patch.setattr(peers, "CHUNK_CELLS", int(case.rng.integers(1, 200)))
        patch.setattr(ranks, "CHUNK_ROWS", int(case.rng.integers(1, 40)))
        shuffled = case.table.sample(frac=1, random_state=1)
        assert_same_bits(features_of(shuffled, threads=3), expected)


@often
@given(cases())
def test_the_past_is_used(case: Case) -> None:
    before = case.table["date"] < case.date
    changed = case.table.copy()
    changed.loc[before, COLUMNS] = 3.0 * changed.loc[before, COLUMNS].fillna(7.0) - 5.5
    asked = case.table[~before & case.table["account"].isin(case.table[before]["account"])]
    if len(asked):
        found, expected = (
            features_of(table).loc[pd.MultiIndex.from_frame(asked[["account", "date"]])]
            for table in (changed, case.table)
        )
        with pytest.raises(AssertionError, match="x_lag_1"):
            assert_same_bits(found, expected)
