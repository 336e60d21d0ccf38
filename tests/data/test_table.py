import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import TableConfig, TargetConfig
from src.config_file import FileTableConfig
from src.data.table import load_dataset
from tests.data.account_days import BARE, PNL, N, refused, table
from tests.small_table import small_table


def test_a_plain_table() -> None:
    frame = table(gross_profit=1.0)
    data = load_dataset(frame, TableConfig(), "net_profit", "postgresql://u:secret@h/db")
    assert list(data.features.columns) == ["x", "c"]
    assert data.categorical == ("c",)
    assert data.source == "postgresql://u:***@h/db"
    assert data.warnings == ()
    assert data.config == TargetConfig("regression", "mae")
    np.testing.assert_array_equal(data.y, frame["net_profit"])
    assert data.dates is not None
    assert data.dates.dtype == np.dtype("datetime64[D]")
    assert data.accounts is not None
    assert list(data.accounts) == ["a", "b"] * 6
    assert data.features["c"].isna().sum() == 4


def test_rows_are_sorted_by_date_and_account_and_only_disorder_is_warned_of() -> None:
    frame = table()
    expected = load_dataset(frame, TableConfig(), "net_profit")
    by_account = load_dataset(frame.sort_values(["account_id", "date"]), TableConfig(), "net_profit")
    shuffled = load_dataset(frame.sample(frac=1, random_state=1), TableConfig(), "net_profit")
    for data in (by_account, shuffled):
        np.testing.assert_array_equal(data.y, expected.y)
        pd.testing.assert_frame_equal(data.features, expected.features)
        assert data.digest == expected.digest
    assert by_account.warnings == ()
    assert len(shuffled.warnings) == 1
    assert "dates were not in order" in shuffled.warnings[0]


def test_the_frame_given_is_left_as_it_was() -> None:
    frame = table().sample(frac=1, random_state=1)
    before = frame.copy(deep=True)
    load_dataset(frame, TableConfig(), "net_profit")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("frame", "config", "target", "digest"),
    [
        (small_table(10, 3), TableConfig(), "net_profit", "c86056c82ef7ed10"),
        (small_table(10, 3), TableConfig(), "is_profitable", "c01d91ece020b92e"),
        (small_table(10, 3).drop(columns="date"), TableConfig(date=None), "net_profit", "37bf3a1bc171f7b5"),
        (table(), TableConfig(groups=("c",), calendar="XNYS"), "net_profit", "42e3a414ee9651ab"),
    ],
)
def test_own_features_have_the_digest_of_earlier_versions(
    frame: pd.DataFrame, config: TableConfig, target: str, digest: str
) -> None:
    """Else a study or a model of an earlier version would not accept its own table."""
    assert load_dataset(frame, config, target).digest == digest


def test_the_digest_knows_values_not_dtypes() -> None:
    frame = table(n=np.arange(N) % 4)
    digest = load_dataset(frame, TableConfig(), "net_profit").digest
    assert load_dataset(frame.astype({"n": "float32"}), TableConfig(), "net_profit").digest == digest
    assert load_dataset(frame.astype({"c": object}), TableConfig(), "net_profit").digest == digest
    frame.loc[3, "n"] = 9
    assert load_dataset(frame, TableConfig(), "net_profit").digest != digest
    assert load_dataset(frame, TableConfig(), "is_profitable").digest != digest


def test_rows_without_a_target_are_left_out() -> None:
    frame = table()
    frame.loc[[0, 5], "net_profit"] = np.nan
    data = load_dataset(frame, TableConfig(), "net_profit")
    assert len(data.y) == len(data.features) == N - 2
    assert data.warnings == ("2 of 12 rows have no target 'net_profit': they are left out",)


def test_use_and_drop_choose_the_features() -> None:
    frame = table(z=np.arange(N) ** 2)
    assert list(load_dataset(frame, TableConfig(use=("z", "c")), "net_profit").features) == ["z", "c"]
    assert list(load_dataset(frame, TableConfig(drop=("z",)), "net_profit").features) == ["x", "c"]


def test_no_target_is_a_feature_and_a_daily_one_is_left_out_with_a_warning() -> None:
    frame = table(pnl=np.arange(N) ** 2 % 7, win=[0, 1] * 6)
    data = load_dataset(frame, TableConfig(targets=PNL), "pnl")
    assert list(data.features) == ["x", "c"]
    assert len(data.warnings) == 1
    assert "net_profit, is_profitable" in data.warnings[0]
    used = load_dataset(frame, TableConfig(targets=PNL, use=("x", "net_profit")), "pnl")
    assert list(used.features) == ["x", "net_profit"]


def test_a_default_name_may_be_absent_only_when_a_config_file_is_given() -> None:
    frame = table(account_id=None, date=None)
    assert "column 'account_id' (the account) is missing" in refused(frame)
    data = load_dataset(frame, FileTableConfig(optional=("account_id", "date")), "net_profit")
    assert (data.dates, data.accounts) == (None, None)
    assert [warning.split(" and ")[0] for warning in data.warnings] == [
        "the table has no column 'account_id'",
        "the table has no column 'date'",
    ]


def test_names_need_not_be_text() -> None:
    frame = pd.DataFrame({1: np.arange(N) % 5, "[]{},:": [1.5, 2] * 6, "pnl": np.arange(N) ** 2 % 7})
    assert list(load_dataset(frame, BARE, "pnl").features.columns) == ["1", "[]{},:"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame(), "the table is empty, it has no columns"),
        (table().iloc[:0], "the table is empty, it has no rows"),
        (table(net_profit=None), "column 'net_profit' (the target) is missing: the table has account_id, date, x, c"),
        (table(date=None, Date=1), "column 'date' (the date) is missing (did you mean 'Date'?)"),
        (table().set_axis(["account_id", "date", "x", "x", "net_profit", "z"], axis=1), "more than once: 'x'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "more than once: '1'"),
        (table(net_profit=["1", "2", "oops"] * 4), "target 'net_profit' is not numeric: 'oops' in row 3"),
        (table(net_profit=[[1]] * 12), "target 'net_profit' is not numeric: it holds values of type list"),
        (table(net_profit=[1.0, -np.inf] * 6), "target 'net_profit' holds 6 infinite values, the first in row 2"),
        (table(net_profit=np.nan), "target 'net_profit' is missing in every row"),
        (table(net_profit=3.0), "target 'net_profit' is 3 in all 12 rows"),
        (
            table(date=["2024-01-01"] * 12),
            "10 rows repeat the account and date of another row, the first is account 'a'",
        ),
        (
            table(account_id=["a", None] * 6),
            "column 'account_id' (the account) is missing in 6 rows, the first is row 2",
        ),
        (table(account_id=[1.5] * 12), "column 'account_id' (the account): '1.5' in row 1 is not an account"),
        (table(date=[None, "2024-01-01"] * 6), "column 'date' (the date) is missing in 6 rows, the first is row 1"),
        (table(date=["2024-01-01", "01/02/2024"] * 6), "'01/02/2024' in row 2 is not a date: write it as 2024-01-31"),
        (table(date=[20240101, 20241301] * 6), "'20241301' in row 2 is not a date"),
        (table(date=[1704067200] * 12), "'1704067200' in row 1 is not a date"),
        (table(date=[2024] * 12), "'2024' in row 1 is not a date"),
    ],
)
def test_tables_that_cannot_be_learned_from(frame: pd.DataFrame, said: str) -> None:
    assert said in refused(frame)


@pytest.mark.parametrize(
    ("config", "target", "said"),
    [
        (
            TableConfig(),
            "net_proft",
            "target 'net_proft' is not configured (did you mean 'net_profit'?): use net_",
        ),
        (TableConfig(use=("y",)), "net_profit", "column 'y' (use:) is missing"),
        (TableConfig(drop=("y",)), "net_profit", "column 'y' (drop:) is missing"),
        (TableConfig(use=("x", "is_profitable")), "net_profit", "target 'is_profitable' is in use:"),
        (TableConfig(use=("date",)), "net_profit", "feature 'date' holds values of type datetime64"),
        (FileTableConfig(account="acc", optional=("date",)), "net_profit", "column 'acc' (the account) is missing"),
    ],
)
def test_configurations_that_do_not_fit_the_table(config: TableConfig, target: str, said: str) -> None:
    assert said in refused(table(), config, target)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 2] * 6, "binary target 'is_profitable' has the values 0, 2: use 0 and 1"),
        (np.arange(12) / 2, "has the values 0, 0.5, 1, 1.5, 2, …"),
        ([1] * 12, "binary target 'is_profitable' is 1 in all 12 rows: both classes are needed"),
        (["yes", "no"] * 6, "target 'is_profitable' is not numeric: 'yes' in row 1"),
    ],
)
def test_binary_targets(values: Any, said: str) -> None:
    assert said in refused(table(is_profitable=values), target="is_profitable")


@pytest.mark.parametrize("values", [[True, False] * 6, ["1", "0"] * 6, [Decimal(1), Decimal(0)] * 6])
def test_binary_targets_of_other_types(values: Any) -> None:
    data = load_dataset(table(is_profitable=values), TableConfig(), "is_profitable")
    assert list(data.y) == [1, 0] * 6


DAYS = [dt.date(2024, 1, 30) + dt.timedelta(days=day) for day in range(6)]


@pytest.mark.parametrize(
    "values",
    [
        DAYS,
        [day.isoformat() for day in DAYS],
        [f"{day:%Y%m%d}" for day in DAYS],
        [int(f"{day:%Y%m%d}") for day in DAYS],
        [float(f"{day:%Y%m%d}") for day in DAYS],
        [f" {day} 23:30:00+05:00" for day in DAYS],
        pd.to_datetime(DAYS) + pd.Timedelta("23h"),
        pd.to_datetime(DAYS).tz_localize("Asia/Tokyo") + pd.Timedelta("1h"),
        [dt.datetime(day.year, day.month, day.day, 1, tzinfo=dt.timezone(dt.timedelta(hours=9))) for day in DAYS],
        pd.Categorical([day.isoformat() for day in DAYS]),
    ],
)
def test_days_are_those_of_the_local_calendar(values: Any) -> None:
    frame = pd.DataFrame({"day": pd.Series(values), "x": [1.5, 2, 1, 3, 9, 4], "pnl": [3, 1, 4, 1, 5, 9]})
    data = load_dataset(frame, TableConfig(account=None, date="day", targets=PNL), "pnl")
    assert data.dates is not None
    assert data.dates.tolist() == DAYS


def test_several_times_of_a_day_are_duplicates() -> None:
    times = pd.to_datetime(
        ["2024-01-01 09:00", "2024-01-01 17:00"] + [f"2024-01-{day:02} 09:00" for day in range(2, 12)]
    )
    assert "1 rows repeat" in refused(table(account_id="a", date=times))


@pytest.mark.parametrize("raw", [[7, 12] * 6, [7.0, 12.0] * 6, ["7", "12"] * 6])
def test_accounts_are_text(raw: list[Any]) -> None:
    data = load_dataset(table(account_id=raw), TableConfig(), "net_profit")
    assert data.accounts is not None
    assert list(data.accounts) == ["12", "7"] * 6


@pytest.mark.parametrize("raw", [["00001", "1"] * 6, ["NA", "NB"] * 6, [UUID(int=1), UUID(int=2)] * 6])
def test_account_names_stay_as_they_are(raw: list[Any]) -> None:
    data = load_dataset(table(account_id=raw), TableConfig(), "net_profit")
    assert data.accounts is not None
    assert list(data.accounts) == [str(each) for each in raw]


def test_unlikely_dates_give_a_warning() -> None:
    assert load_dataset(table(), TableConfig(), "net_profit").warnings == ()
    future = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30)
    days = np.repeat([dt.date(1969, 12, 31), *DAYS[:4], future], 2)
    warnings = load_dataset(table(date=days), TableConfig(), "net_profit").warnings
    assert [warning.partition(": check")[0] for warning in warnings] == [
        "column 'date' (the date) has 2 rows before 1970, the first is 1969-12-31 in row 1",
        f"column 'date' (the date) has 2 rows after tomorrow, the first is {future} in row 11",
    ]


def test_a_nameless_counter_is_left_out_and_a_nameless_feature_stays() -> None:
    counted = table()
    counted.insert(0, "Unnamed: 0", np.random.default_rng(1).permutation(N) + 3)
    data = load_dataset(counted, TableConfig(), "net_profit")
    assert data.warnings == ("column 'Unnamed: 0' has no name and holds row numbers only: it is left out",)
    assert list(data.features) == ["x", "c"]
    assert data.digest == load_dataset(table(), TableConfig(), "net_profit").digest
    as_text = counted.assign(**{"Unnamed: 0": counted["Unnamed: 0"].astype("str"), "Unnamed: 9": None})
    assert list(load_dataset(as_text, TableConfig(), "net_profit").features) == ["x", "c"]
    nameless = table().assign(**{"Unnamed: 7": [1.5, 2] * 6})
    assert list(load_dataset(nameless, TableConfig(), "net_profit").features) == ["x", "c", "Unnamed: 7"]
    used = load_dataset(counted, TableConfig(use=("Unnamed: 0",)), "net_profit")
    assert list(used.features) == ["Unnamed: 0"]


def test_a_target_may_have_formatted_numbers() -> None:
    frame = table(net_profit=["1,234.50", "(12.00)", ""] * 4)
    assert "name it under numbers: in --config" in refused(frame)
    data = load_dataset(frame, TableConfig(numbers={"net_profit": None}), "net_profit")
    assert data.y.tolist() == [1234.5, -12] * 4
    flags = load_dataset(table(is_profitable=["True", "false"] * 6), TableConfig(), "is_profitable")
    assert flags.y.tolist() == [1, 0] * 6
    won = load_dataset(table(net_profit=["1.5", "-2"] * 6), TableConfig(), "is_profitable").net_profit
    assert won is not None
    assert won.tolist() == [1.5, -2] * 6


def test_rows_are_found_again_in_the_frame_that_was_given() -> None:
    frame = table().sample(frac=1, random_state=2)
    frame.loc[3, "net_profit"] = np.nan
    data = load_dataset(frame, TableConfig(), "net_profit")
    assert data.positions is not None
    assert frame["net_profit"].iloc[data.positions].tolist() == data.y.tolist()


@pytest.mark.parametrize(
    ("target", "make"),
    [
        ("net_profit", lambda y: y),
        ("net_profit", lambda y: 3 - 2 * y),
        ("net_profit", lambda y: y.astype("float32")),
        ("net_profit", lambda y: y.where(y.index != 3)),
        ("is_profitable", lambda y: y * 5 - 1),
        ("is_profitable", lambda y: y == 0),
        ("is_profitable", lambda y: y.map({0: "loss", 1: "gain"})),
    ],
)
def test_a_copy_of_the_target_is_named_as_a_leak(target: str, make: Any) -> None:
    frame = table()
    frame["copy"] = make(frame[target])
    warnings = load_dataset(frame, TableConfig(), target).warnings
    assert warnings == (f"feature 'copy' is a copy of the target {target!r}: likely a leak",)


@given(st.integers(5, 3000), st.integers(0, 10))
def test_leaks_are_found_and_near_copies_are_not(n: int, seed: int) -> None:
    """Leaks are searched in a sample first; rare differences and rare classes must not change the result."""
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < 0.05).astype(float)
    y[:4] = 0, 1, 0, 1  # with one row of a class, half a one would still be a linear copy
    near = y.copy()
    near[generator.integers(n)] = 0.5
    frame = pd.DataFrame({"copy": 1 - y, "level": np.where(y, "a", "b"), "near": near, "win": y})
    frame["noise"] = generator.normal(size=n)
    warned = load_dataset(frame, BARE, "win").warnings
    assert [warning.split("'")[1] for warning in warned] == ["copy", "level"]


def earned(frame: pd.DataFrame, config: TableConfig | None = None, target: str = "is_profitable") -> Any:
    return load_dataset(frame, config or TableConfig(), target).net_profit


def test_the_profit_of_a_row_is_sorted_with_it_and_is_no_feature() -> None:
    shuffled = table(x=np.arange(N)).sample(frac=1, random_state=0)
    data = load_dataset(shuffled, TableConfig(), "is_profitable")
    assert data.net_profit is not None
    in_order = shuffled.sort_values(["date", "account_id"])
    assert data.net_profit.tolist() == in_order["net_profit"].tolist()
    assert list(data.features.columns) == ["x", "c"]
    without = load_dataset(shuffled.drop(columns="net_profit"), TableConfig(), "is_profitable")
    assert without.net_profit is None
    assert without.digest == data.digest


def test_the_profit_of_a_row_without_target_is_left_out() -> None:
    y = [None, *(table()["is_profitable"][1:])]
    assert earned(table(is_profitable=y)).tolist() == table()["net_profit"][1:].tolist()


@pytest.mark.parametrize("values", [["rich", "poor"] * 6, [True, False] * 6, [10**400, *range(11)], [1 + 2j] * 12])
def test_a_profit_column_without_numbers_is_ignored(values: list[Any]) -> None:
    """The target is another column, so this is not an error."""
    assert earned(table(net_profit=pd.Series(values))) is None


def test_missing_and_infinite_profits_are_unknown() -> None:
    found = earned(table(net_profit=[np.nan, np.inf, *range(10)]))
    assert np.isnan(found).tolist() == [True, True] + [False] * 10


def test_a_profit_that_is_a_feature_is_known_before_the_day() -> None:
    targets = {"is_profitable": TargetConfig("binary", "auc")}
    assert earned(table(), TableConfig(use=("net_profit", "x"), targets=targets)) is None
    assert earned(table(), TableConfig(use=("x",), targets=targets)) is not None
