import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as t_distribution
from scipy.stats import ttest_1samp
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from src.config import Metric, TableConfig, TargetConfig
from src.data.columns import choose_columns
from src.data.table import load_dataset
from src.errors import ConfigError, DataError, UserError
from src.evaluation.intervals import dependence_factor
from src.tracking.registry.comparison import (
    ASSUMED_AUTOCORRELATION,
    ModelComparison,
    compare_models,
    with_column_types_of_models,
)
from src.tracking.registry.served_model import load_served
from tests.contenders import TwoVersions

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

URIS_OF_ROLES = ("models:/profit/1", "models:/profit/2")
ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error}


def judge(
    frame: pd.DataFrame, uris: tuple[str, str], test_fraction: float, purge_days: int, metric: Metric = "mae"
) -> ModelComparison:
    task = TargetConfig("binary" if metric == "auc" else "regression", metric)
    data = load_dataset(frame, TableConfig(targets={"profit": task}), "profit")
    return compare_models(data, frame, [(uri, load_served(uri)) for uri in uris], test_fraction, purge_days)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_numbers_equal_those_of_other_libraries(two_versions: TwoVersions, metric: Metric) -> None:
    weak, strong = two_versions.weak, two_versions.strong
    found = judge(weak.frame.sample(frac=1, random_state=1), URIS_OF_ROLES, 0.1, 1, metric)
    last = slice(360, 400)
    y = weak.frame["profit"].to_numpy()[last]
    errors = [ORACLES[metric](y, tiny.booster.predict(tiny.matrix[last])) for tiny in (weak, strong)]
    compared = found.comparison
    assert (compared.champion_score, compared.challenger_score) == pytest.approx(errors, rel=1e-12)
    assert (found.dates, found.n_dates, compared.n_rows) == (("2024-12-26", "2025-02-03"), 40, 40)
    low, high = found.difference.interval or (0.0, 0.0)
    assert low < compared.difference == found.difference.value < high < 0
    # The paired t statistic of four groups of ten dates, by scipy.
    if metric == "mae":
        losses = [np.abs(y - tiny.booster.predict(tiny.matrix[last])) for tiny in (strong, weak)]
        gains = np.subtract(*losses).reshape(4, 10).mean(axis=1)
        # Its standard error is enlarged for dates that are autocorrelated without showing it.
        t = ttest_1samp(gains, 0, alternative="less").statistic / dependence_factor(40, ASSUMED_AUTOCORRELATION)
        assert found.confidence == pytest.approx(t_distribution.sf(t, 3))
    assert found.confidence is not None and found.confidence > 0.95


def test_swapped_roles_swap_all_results(two_versions: TwoVersions) -> None:
    frame = two_versions.weak.frame
    one = judge(frame, URIS_OF_ROLES, 0.1, 1)
    other = judge(frame, (URIS_OF_ROLES[1], URIS_OF_ROLES[0]), 0.1, 1)
    assert one.comparison.difference == -other.comparison.difference
    mirrored = other.difference.interval
    assert mirrored is not None and one.confidence is not None and other.confidence is not None
    assert one.difference.interval == pytest.approx((-mirrored[1], -mirrored[0]))
    assert one.confidence == pytest.approx(1 - other.confidence)
    assert one.comparison.better != other.comparison.better


def test_a_model_does_not_beat_itself(two_versions: TwoVersions) -> None:
    found = judge(two_versions.weak.frame, (URIS_OF_ROLES[0], URIS_OF_ROLES[0]), 0.2, 1)
    assert (found.comparison.better, found.confidence, found.difference.interval) == (False, 0.5, (0, 0))


def test_only_rows_after_both_trainings_are_compared(two_versions: TwoVersions) -> None:
    frame = two_versions.weak.frame
    for purge, first in ((0, "2024-11-15"), (3, "2024-11-18")):
        found = judge(frame, URIS_OF_ROLES, 1, purge)
        assert found.dates == (first, "2025-02-03")
    with pytest.raises(ConfigError, match="models:/profit/2 was trained up to 2024-11-14, the table ends at"):
        judge(frame.head(319), URIS_OF_ROLES, 0.2, 0)


def test_few_dates_give_a_difference_and_no_confidence(two_versions: TwoVersions) -> None:
    found = judge(two_versions.weak.frame, URIS_OF_ROLES, 11 / 400, 1)
    assert (found.confidence, found.difference.interval, found.n_dates) == (None, None, 11)
    assert found.difference.note == "only 11 dates: an interval needs 12"
    assert found.difference.value == found.comparison.difference < 0


def test_one_class_is_no_score(two_versions: TwoVersions) -> None:
    frame = two_versions.weak.frame.assign(profit=lambda f: (np.arange(len(f)) % 2 == 0).astype(float))
    one, other = (judge(frame, uris, 0.5, 1, "auc") for uris in (URIS_OF_ROLES, (URIS_OF_ROLES[1], URIS_OF_ROLES[0])))
    assert one.confidence is not None and other.confidence is not None
    assert (one.confidence > 0.5) == one.comparison.better == (one.comparison.difference > 0)
    assert one.confidence == pytest.approx(1 - other.confidence)
    with pytest.raises(DataError, match="cannot be compared by auc on 1 rows: auc needs rows of both classes"):
        judge(frame, URIS_OF_ROLES, 1 / 400, 1, "auc")


def test_absent_version(two_versions: TwoVersions) -> None:
    with pytest.raises(UserError, match="model 'models:/profit/9' cannot be found"):
        judge(two_versions.weak.frame, ("models:/profit/9", URIS_OF_ROLES[1]), 0.2, 1)


def test_table_without_a_feature_of_the_models(two_versions: TwoVersions) -> None:
    with pytest.raises(DataError, match=r"column\(s\) held missing"):
        judge(two_versions.weak.frame.drop(columns="held"), URIS_OF_ROLES, 0.2, 1)


DERIVED = {
    "feature_names": ["net_profit_lag_1"],
    "derived_features": {"features": [{"name": "net_profit_lag_1"}]},
}
OWN = {"feature_names": ["signal", "style"], "categorical_levels": {"style": ["a"]}, "decimal_marks": {"signal": ","}}
NAMES = ["account_id", "date", "net_profit", "signal", "style", "other"]


@pytest.mark.parametrize(
    ("trainings", "names", "use", "mode"),
    [
        ([OWN, OWN], NAMES, ("signal", "style"), "own"),
        ([DERIVED, DERIVED], NAMES, (), "derived"),
        ([DERIVED, DERIVED], NAMES[:3], (), "derived"),
        ([OWN, DERIVED], NAMES, ("signal", "style"), "own"),
        ([DERIVED, OWN], NAMES, ("signal", "style"), "own"),
    ],
)
@pytest.mark.parametrize("features", [None, "own", "derived", "both"])
def test_the_table_is_read_with_the_columns_of_both_models(
    trainings: list[dict[str, object]], names: list[str], use: tuple[str, ...], mode: str, features: str | None
) -> None:
    """Whatever `features:` of the config says: each model derives its features itself."""
    table = with_column_types_of_models(TableConfig(features=features), names, trainings)
    columns = choose_columns(names, table, "net_profit")
    assert (columns.features, columns.mode) == (use, mode)
    assert table.categories == tuple(name for name in ("style",) if name in use)


def test_columns_of_a_champion_that_are_known_after_the_day_now() -> None:
    """A champion of an earlier config used them as features; the comparison still reads the table."""
    given = TableConfig(known_after=("signal",), groups=("style",))
    table = with_column_types_of_models(given, NAMES, [OWN, DERIVED])
    assert choose_columns(NAMES, table, "net_profit").features == ("signal", "style")
