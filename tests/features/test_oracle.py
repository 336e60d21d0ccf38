"""Each transformation against a window query of DuckDB."""

import numpy as np
import pytest
from hypothesis import given, settings

from src.features.catalogue import FAMILIES
from tests.features.oracle import oracle, scale
from tests.features.random_tables import CANDIDATES, Case, cases, features_of

RELATIVE, OF_SCALE = 1e-6, 1e-9
"""Tolerance: float32 keeps 24 bits; sums of doubles lose a few bits of the column's largest value."""


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_family_equals_the_query(family: str, case: Case) -> None:
    features = [feature for feature in CANDIDATES if feature.family == family]
    found = features_of(case.table, features)
    expected = oracle(case.table, features).loc[found.index]
    for feature in features:
        ours, theirs = found[feature.name].to_numpy(dtype=np.float64), expected[feature.name].to_numpy()
        unit = 1.0 if feature.family in ("ratios", "rank") else scale(case.table, feature)
        np.testing.assert_allclose(ours, theirs, RELATIVE, OF_SCALE * unit, err_msg=feature.name)
