"""Values that can be checked by hand, rows and columns at the margin, and the copy that travels with a model."""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import src.features.derive
from src.features.catalogue import Feature, candidates
from src.features.derive import derive
from src.features.panel import Panel, make_panel
from tests.features.random_tables import CANDIDATES, SESSIONS, features_of, panel_of

NAN = np.nan


def one_account(values: list[float]) -> pd.DataFrame:
    dates = pd.date_range("2024-01-01", periods=len(values))
    return pd.DataFrame({"account": "a", "date": dates, "desk": "u", "x": values, "y": 0.0})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x_lag_2", [NAN, NAN, 1, 2, NAN, -4, 0]),
        ("x_mean_5", [NAN, 1, 1.5, 1.5, -1 / 3, -0.25, 0.25]),
        ("x_share_positive_5", [NAN, 1, 1, 1, 2 / 3, 0.5, 0.5]),
        ("x_min_5", [NAN, 1, 1, 1, -4, -4, -4]),
        ("x_streak", [NAN, 1, 2, 2, -1, 0, 1]),
        ("x_drawdown_20", [NAN, 0, 0, 0, 4, 4, 1]),
        ("x_q50_20", [NAN, 1, 1.5, 1.5, 1, 0.5, 1]),
        ("x_rank_20", [NAN, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ("market_x_mean_1", [NAN, 1, 2, NAN, -4, 0, 3]),
        ("desk_x_mean_5", [NAN, 1, 1.5, 1.5, -1 / 3, -0.25, 0.25]),
        ("rows_so_far", [0, 1, 2, 3, 4, 5, 6]),
        ("days_since_last_row", [NAN, 1, 1, 1, 1, 1, 1]),
        ("weekday", [0, 1, 2, 3, 4, 5, 6]),
        ("after_holiday", [0, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_values_of_a_short_history(name: str, expected: list[float]) -> None:
    found = features_of(one_account([1, 2, NAN, -4, 0, 3, 9]))[name]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_equal_values_have_no_dispersion() -> None:
    found = features_of(one_account([0.1] * 70)).iloc[-1]
    assert found["x_std_60"] == found["x_std_5"] == 0
    assert np.isnan(found["x_ratio_5_60"])


def test_means_of_counts_tie_whatever_their_order() -> None:
    counts = np.random.default_rng(0).permuted(np.tile(np.arange(20.0), (7, 1)) // 3, axis=1)
    table = pd.DataFrame(
        {
            "account": np.repeat(list("abcdefg"), 21),
            "date": np.tile(pd.date_range("2024-01-01", periods=21), 7),
            "desk": "u",
            "x": np.column_stack([counts, np.zeros(7)]).ravel(),
            "y": 0.0,
        }
    )
    assert (features_of(table)["x_rank_20"].xs(table["date"].max(), level="date") == 0.5).all()


def test_large_values_warn_of_nothing() -> None:
    found = features_of(one_account([1e300, -1e300, 1e308, 1e308, 1.0] * 3))
    assert found["x_lag_1"].iloc[1] == np.inf
    assert found["y_mean_5"].iloc[1:].eq(0).all()


def test_rows_without_a_group_have_no_peers() -> None:
    found = features_of(one_account([1.0, 2.0]).assign(desk=None))
    assert found.filter(like="desk_").isna().all(axis=None)
    assert found["market_x_mean_1"].tolist()[1] == 1.0


def test_a_group_that_returns_after_a_long_gap_begins_anew() -> None:
    away = one_account([float(i) for i in range(90)])
    seen = away.assign(account="b", desk="v")[lambda table: (table.index < 2) | (table.index > 85)]
    found = features_of(pd.concat([away, seen])).xs("b", level="account")
    np.testing.assert_array_equal(found["desk_x_mean_20"], [NAN, 0, NAN, 86, 86.5, 87])
    np.testing.assert_array_equal(found["x_mean_20"], [NAN, 0, 0.5, 29, 43.5, np.float32(52.4)])


def test_no_rows_and_no_features() -> None:
    table = one_account([1.0, 2.0])
    assert features_of(table.iloc[:0]).shape == (0, len(CANDIDATES))
    assert features_of(table, []).shape == (2, 0)


def test_the_result_is_stored_by_columns_of_float32() -> None:
    result = derive(panel_of(one_account([1.0, 2.0]))[0], CANDIDATES, SESSIONS)
    assert result.dtype == np.float32
    assert result.flags.f_contiguous


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (Feature("z_lag_1", "lags", "lag", "z", 1), "'z_lag_1' needs the past of column 'z', which is missing.* x, y"),
        (Feature("m", "groups", "mean", "x", 5, "team"), "needs the peer groups of column 'team'.* desk"),
        (Feature("after_holiday", "calendar", "after_holiday"), "needs the sessions of an exchange"),
    ],
)
def test_what_is_missing_is_named(feature: Feature, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        derive(panel_of(one_account([1.0]))[0], [feature])


def test_an_error_of_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(src.features.derive, "gap_values", fail)
    with pytest.raises(MemoryError, match="no room"):
        derive(panel_of(one_account([1.0]))[0], CANDIDATES, SESSIONS, threads=2)


def test_a_copy_of_the_folder_under_another_name_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(src.features.derive.__file__).parent, tmp_path / "carried_features")
    monkeypatch.syspath_prepend(tmp_path)
    catalogue, carried = (importlib.import_module(f"carried_features.{name}") for name in ("catalogue", "derive"))
    assert carried.__file__ == str(tmp_path / "carried_features" / "derive.py")
    features = candidates(["x"], ["desk"], calendar=False)
    described = json.loads(json.dumps([feature.to_dict() for feature in features]))
    panel = random_panel()
    found = carried.derive(panel, [catalogue.Feature.from_dict(values) for values in described])
    assert found.tobytes() == derive(panel, features).tobytes()


def random_panel() -> Panel:
    rng = np.random.default_rng(0)
    accounts, dates = np.repeat(["a", "b", "c"], 80).astype(object), np.arange(80).astype("datetime64[D]")
    panel, _ = make_panel(accounts, np.tile(dates, 3), {"x": rng.normal(size=240)}, {"desk": rng.integers(0, 2, 240)})
    return panel
