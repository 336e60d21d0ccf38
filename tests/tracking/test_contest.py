import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from src.config import Metric, TableConfig, TargetConfig
from src.data.table import Dataset, load_dataset
from src.errors import ConfigError, DataError, UserError
from src.tracking.contest import judge_contenders
from tests.contenders import TwoVersions

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

OFFICE = ("models:/profit/1", "models:/profit/2")
ORACLES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error}


def data_of(frame: pd.DataFrame, metric: Metric = "mae") -> Dataset:
    return load_dataset(frame, TableConfig(targets={"profit": TargetConfig("regression", metric)}), "profit")


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_numbers_are_those_of_other_libraries(two_versions: TwoVersions, metric: Metric) -> None:
    weak, strong = two_versions.weak, two_versions.strong
    found = judge_contenders(data_of(weak.frame.sample(frac=1, random_state=1), metric), OFFICE, 0.1, 1, seed=1)
    last = slice(360, 400)
    y = weak.frame["profit"].to_numpy()[last]
    errors = [ORACLES[metric](y, tiny.booster.predict(tiny.matrix[last])) for tiny in (weak, strong)]
    compared = found.comparison
    assert (compared.champion_score, compared.challenger_score) == pytest.approx(errors, rel=1e-12)
    assert (found.dates, found.n_dates, compared.n_rows) == (("2024-12-26", "2025-02-03"), 40, 40)
    assert found.interval.low < compared.difference < found.interval.high < 0
    assert (found.probability, found.interval.block_days) == (1.0, 4)


def test_exchanged_roles_exchange_everything(two_versions: TwoVersions) -> None:
    data = data_of(two_versions.weak.frame)
    one = judge_contenders(data, OFFICE, 0.02, 1, seed=1)
    other = judge_contenders(data, OFFICE[::-1], 0.02, 1, seed=1)
    assert one.comparison.difference == -other.comparison.difference
    assert (one.interval.low, one.interval.high) == pytest.approx((-other.interval.high, -other.interval.low))
    assert one.probability == pytest.approx(1 - other.probability)
    assert one.comparison.better != other.comparison.better


def test_a_model_does_not_beat_itself(two_versions: TwoVersions) -> None:
    found = judge_contenders(data_of(two_versions.weak.frame), (OFFICE[0], OFFICE[0]), 0.2, 1, seed=1)
    assert (found.comparison.better, found.probability, found.interval.low, found.interval.high) == (False, 0, 0, 0)


def test_only_rows_after_both_trainings_are_judged(two_versions: TwoVersions) -> None:
    frame = two_versions.weak.frame
    for purge, first in ((0, "2024-11-15"), (3, "2024-11-18")):
        found = judge_contenders(data_of(frame), OFFICE, 1, purge, seed=1)
        assert found.dates == (first, "2025-02-03")
    with pytest.raises(ConfigError, match="models:/profit/2 was trained up to 2024-11-14, the table ends at"):
        judge_contenders(data_of(frame.head(319)), OFFICE, 0.2, 0, seed=1)


def test_no_resample_with_both_classes(two_versions: TwoVersions) -> None:
    """Of two days, one of each class, a resample mostly has both; of one day there is no score at all."""
    frame = two_versions.weak.frame.assign(profit=lambda f: (np.arange(len(f)) % 2 == 0).astype(float))
    table = TableConfig(targets={"profit": TargetConfig("binary", "auc")})
    data = load_dataset(frame, table, "profit")
    assert judge_contenders(data, OFFICE, 2 / 400, 1, seed=1).interval.n_skipped > 0
    with pytest.raises(DataError, match="cannot be compared by auc on 1 rows: auc needs rows of both classes"):
        judge_contenders(data, OFFICE, 1 / 400, 1, seed=1)


def test_absent_version(two_versions: TwoVersions) -> None:
    with pytest.raises(UserError, match="model 'models:/profit/9' cannot be found"):
        judge_contenders(data_of(two_versions.weak.frame), ("models:/profit/9", OFFICE[1]), 0.2, 1, seed=1)


def test_table_without_a_feature_of_the_models(two_versions: TwoVersions) -> None:
    with pytest.raises(DataError, match=r"column\(s\) held missing"):
        judge_contenders(data_of(two_versions.weak.frame.drop(columns="held")), OFFICE, 0.2, 1, seed=1)
