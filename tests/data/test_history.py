"""The past of a table: what features are derived from, and tables from which none can be derived."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.config import TableConfig, TargetConfig
from src.config_file import FileTableConfig
from src.data.table import Dataset, load_dataset
from tests.bare_table import PEERS, bare_table, with_peers
from tests.data.account_days import refused


def table(**columns: Any) -> pd.DataFrame:
    """Ten days of six accounts on three desks."""
    frame = bare_table(10, 6)
    desk = frame["account_id"].map(dict(zip(sorted(frame["account_id"].unique()), "uuvvww", strict=True)))
    base: dict[str, Any] = dict(frame) | {"desk": desk, "volume": np.arange(60) % 7 + 1.0}
    return pd.DataFrame({name: values for name, values in (base | columns).items() if values is not None})


def loaded(frame: pd.DataFrame, config: TableConfig = PEERS) -> Dataset:
    return load_dataset(frame, config, "net_profit")


def test_the_past_has_all_rows_targets_and_known_after() -> None:
    frame = table(is_profitable=["True", "False"] * 30, gross_profit=None).sample(frac=1, random_state=0)
    frame.loc[frame.index[3], "net_profit"] = np.nan
    data = loaded(frame)
    history = data.history
    assert history is not None
    assert (data.mode, data.features.shape, len(data.y)) == ("derived", (59, 0), 59)
    assert list(history.past) == ["net_profit", "is_profitable", "volume"]
    assert history.booleans == ("is_profitable",)
    np.testing.assert_array_equal(history.past["net_profit"], frame["net_profit"])
    np.testing.assert_array_equal(history.past["is_profitable"], frame["is_profitable"] == "True")
    assert history.accounts.tolist() == frame["account_id"].tolist()
    assert history.groups["desk"].tolist() == frame["desk"].tolist()
    assert data.positions is not None and data.dates is not None
    np.testing.assert_array_equal(history.dates[data.positions], data.dates)
    np.testing.assert_array_equal(history.past["net_profit"][data.positions], data.y)


def test_own_features_need_no_past() -> None:
    assert loaded(table(), TableConfig(features="own")).history is None
    assert loaded(table(x=np.arange(60))).history is None
    both = loaded(table(x=np.arange(60)), TableConfig(features="both", groups=("desk",), known_after=("volume",)))
    assert both.history is not None
    assert list(both.features) == ["desk", "x"]


def test_formatted_numbers_of_the_past_keep_their_decimal_mark() -> None:
    texts = [f"{value:,.2f}" for value in np.linspace(-2000, 2000, 60)]
    fees = [text.replace(",", " ").replace(".", ",") for text in texts]
    config = TableConfig(known_after=("fees",), numbers={"net_profit": None, "fees": ","})
    history = loaded(table(net_profit=texts, fees=fees, desk=None, volume=None), config).history
    assert history is not None
    assert history.decimal_marks == {"net_profit": ".", "fees": ","}
    np.testing.assert_array_equal(history.past["fees"], history.past["net_profit"])


@pytest.mark.parametrize(
    ("frame", "config", "said"),
    [
        (table().head(30), None, "the table has 5 dates: features of past rows need 6 or more; give more history"),
        (
            pd.concat([table(), table().iloc[[7, 7]]]),
            None,
            "2 rows repeat the account and date of another row, the first is account 'A01' on 2024-01-02 (rows 8 and",
        ),
        (
            table(),
            FileTableConfig(account=None, known_after=("volume",), groups=("desk",), drop=("account_id",)),
            "50 rows repeat the date of another row, the first is 2024-01-01 (rows 1 and 2), and the rows belong to no",
        ),
        (
            table().groupby("account_id").head(1).assign(date=pd.bdate_range("2024-01-01", periods=6)),
            None,
            "each of the 6 accounts has one row: features of past rows need accounts with several dates; name the",
        ),
        (table().assign(desk=table()["account_id"]), None, "column 'desk' (groups:) has 6 groups of one account"),
        (table().assign(desk=None), None, "column 'desk' (groups:) has no value: remove it from groups:"),
        (table(volume=np.nan), None, "column 'volume' (known_after:) has no value: remove it from known_after:"),
        (table(volume="high"), None, "column 'volume' (known_after:) holds texts, and past values must be numbers"),
        (table(volume=np.inf), None, "'volume'"),
        (table(gross_profit=["a", "b"] * 30), None, "target 'gross_profit' is not numeric: 'a' in row 1"),
        (table(desk=[["u"]] * 60), None, "column 'desk' (groups:) cannot be a group: a value of type list"),
    ],
    ids=[
        "dates",
        "repeated",
        "no account",
        "one row",
        "lonely",
        "no group",
        "empty",
        "texts",
        "infinite",
        "other",
        "lists",
    ],
)
def test_tables_without_a_usable_past(frame: pd.DataFrame, config: TableConfig | None, said: str) -> None:
    assert said in refused(frame, config or PEERS)


def test_single_rows_and_lonely_groups_are_warned_of() -> None:
    frame = table()
    frame.loc[frame["account_id"] == "A05", "desk"] = "x"
    frame = pd.concat([frame, frame.tail(1).assign(account_id="new", date=pd.Timestamp("2024-01-15"))])
    frame = frame[~((frame["account_id"] == "A05") & (frame["date"] > pd.Timestamp("2024-01-01")))]
    assert loaded(frame).warnings == (
        "2 accounts have one row, so no past of their own: A05, new",
        "column 'desk' (groups:) has 1 groups of one account, without peers: w",
    )


def test_equal_tables_have_one_digest_and_other_pasts_another() -> None:
    frame = with_peers(bare_table(10, 6))
    digest = loaded(frame).digest
    shuffled = frame.sample(frac=1, random_state=0)[["volume", "date", "desk", "net_profit", "account_id"]]
    assert loaded(shuffled).digest == digest
    assert loaded(frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d"))).digest == digest
    others = [
        (frame.assign(volume=frame["volume"] + 1), PEERS),
        (frame.assign(desk="u"), PEERS),
        (frame, TableConfig(known_after=("volume",), groups=("desk",), calendar="XNYS")),
        (frame.drop(columns="volume"), TableConfig(groups=("desk",))),
        (frame, TableConfig(known_after=("volume",), groups=("desk",), features="both")),
        (frame.assign(is_profitable=frame["net_profit"] > 0), PEERS),
    ]
    assert len({digest, *(loaded(other, config).digest for other, config in others)}) == 1 + len(others)


def test_a_row_without_the_target_belongs_to_the_past() -> None:
    frame = table(gross_profit=np.arange(60.0))
    frame.loc[5, "net_profit"] = np.nan
    history = loaded(frame).history
    assert history is not None
    assert history.past["gross_profit"][5] == 5
    other = frame.copy()
    other.loc[5, "gross_profit"] = 99
    assert loaded(other).digest != loaded(frame).digest


def test_a_dropped_target_has_no_past_unless_it_is_predicted() -> None:
    frame = table(gross_profit=np.arange(60.0))
    config = TableConfig(drop=("gross_profit", "desk", "volume"))
    for target, past in (("net_profit", ["net_profit"]), ("gross_profit", ["net_profit", "gross_profit"])):
        history = load_dataset(frame, config, target).history
        assert history is not None
        assert list(history.past) == past


def test_a_binary_target_is_part_of_the_past() -> None:
    config = TableConfig(targets={"win": TargetConfig("binary", "auc")}, drop=("net_profit", "desk", "volume"))
    data = load_dataset(table(win=np.arange(60) % 3 == 0), config, "win")
    assert data.history is not None
    assert set(np.unique(data.history.past["win"])) == {0.0, 1.0}
