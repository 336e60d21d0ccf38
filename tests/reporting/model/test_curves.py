"""ROC and precision by recall against scikit-learn."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from src.reporting.model.curves import MAX_POINTS, rank_curves

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=40)


@given(ROWS)
def test_areas_and_points_are_those_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    y, prediction = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    assume(0 < y.sum() < y.size)
    found = rank_curves(y, prediction)
    assert found is not None
    assert found.roc.area == pytest.approx(roc_auc_score(y, prediction))
    assert found.precision_recall.area == pytest.approx(average_precision_score(y, prediction))
    assert found.base_rate == y.mean()
    false_alarms, hits, _ = roc_curve(y, prediction, drop_intermediate=False)
    np.testing.assert_allclose([found.roc.x, found.roc.y], [false_alarms, hits])
    precision, recall, _ = precision_recall_curve(y, prediction)
    # scikit-learn adds a last point that no threshold gives, from the highest threshold to the lowest.
    np.testing.assert_allclose(
        [found.precision_recall.x, found.precision_recall.y], [recall[:-1][::-1], precision[:-1][::-1]]
    )


def test_long_curves_are_thinned_and_keep_their_ends_and_areas() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(5000) < 0.3).astype(float)
    prediction = rng.normal(size=5000) + y
    found = rank_curves(y, prediction)
    assert found is not None
    assert len(found.roc.x) == len(found.precision_recall.x) == MAX_POINTS
    assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
    assert found.roc.area == pytest.approx(roc_auc_score(y, prediction))
    false_alarms, hits, _ = roc_curve(y, prediction, drop_intermediate=False)
    points = set(zip(false_alarms.tolist(), hits.tolist(), strict=True))
    assert set(zip(found.roc.x, found.roc.y, strict=True)) <= points


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_has_no_curve(value: float) -> None:
    assert rank_curves(np.full(5, value), np.arange(5.0)) is None
