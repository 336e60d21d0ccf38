import re

import pytest

from src.config import TableConfig
from src.config_file import FileTableConfig
from src.data.columns import choose_columns
from src.errors import ConfigError, DataError

BARE = ["account_id", "date", "net_profit"]


@pytest.mark.parametrize(
    ("names", "table", "mode", "reason", "features"),
    [
        ([*BARE, "x", "y"], TableConfig(), "own", "the table has 2 feature columns", ("x", "y")),
        (BARE, TableConfig(), "derived", "the table has no feature columns", ()),
        ([*BARE, "gross_profit"], TableConfig(), "derived", "the table has no feature columns", ()),
        ([*BARE, "desk"], TableConfig(groups=("desk",)), "derived", "the table has no feature columns", ()),
        ([*BARE, "desk", "x"], TableConfig(groups=("desk",)), "own", "the table has 2 feature columns", ("desk", "x")),
        ([*BARE, "fees"], TableConfig(known_after=("fees",)), "derived", "the table has no feature columns", ()),
        ([*BARE, "fees", "x"], TableConfig(known_after=("fees",)), "own", "the table has 1 feature columns", ("x",)),
        ([*BARE, "x"], TableConfig(drop=("x",)), "derived", "the table has no feature columns", ()),
        ([*BARE, "x"], TableConfig(features="derived"), "derived", "--features derived, or features: in --config", ()),
        ([*BARE, "x"], TableConfig(features="both"), "both", "--features both, or features: in --config", ("x",)),
        ([*BARE, "x"], TableConfig(features="own"), "own", "--features own, or features: in --config", ("x",)),
        (
            [*BARE, "desk"],
            TableConfig(features="both", groups=("desk",)),
            "both",
            "--features both, or features: in --config",
            ("desk",),
        ),
        (
            ["net_profit", "desk"],
            FileTableConfig(groups=("desk",), optional=("account_id", "date")),
            "own",
            "",
            ("desk",),
        ),
    ],
)
def test_mode_and_its_reason(
    names: list[str], table: TableConfig, mode: str, reason: str, features: tuple[str, ...]
) -> None:
    columns = choose_columns(names, table, "net_profit")
    assert (columns.mode, columns.features) == (mode, features)
    assert reason in columns.reason


@pytest.mark.parametrize(
    ("names", "table", "said"),
    [
        (
            [*BARE, "fee"],
            TableConfig(known_after=("fees",)),
            "column 'fees' (known_after:) is missing (did you mean 'fee'?)",
        ),
        (BARE, TableConfig(groups=("desk",)), "column 'desk' (groups:) is missing: the table has account_id, date"),
        (
            BARE,
            TableConfig(features="own"),
            "no column is left as a feature, the table has account_id, date, net_profit",
        ),
        (BARE, TableConfig(features="own"), "or use --features derived, which needs account, date and target only"),
        (BARE, TableConfig(features="both"), "no column is left as a feature"),
        (["account_id", "net_profit"], TableConfig(date=None), "no column is left as a feature"),
        (["account_id", "net_profit"], TableConfig(date=None, features="derived"), "features 'derived' needs dates"),
        (["account_id", "net_profit", "x"], TableConfig(date=None, features="both"), "features 'both' needs dates"),
        ([*BARE, "fees"], TableConfig(features="own", known_after=("fees",)), "no column is left as a feature"),
    ],
)
def test_a_table_without_features_is_refused(names: list[str], table: TableConfig, said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        choose_columns(names, table, "net_profit")
    assert len(str(caught.value).splitlines()) == 1


def test_without_dates_no_derived_features_are_recommended() -> None:
    with pytest.raises(DataError) as caught:
        choose_columns(["account_id", "net_profit"], TableConfig(date=None), "net_profit")
    assert "derived" not in str(caught.value)


def test_keys_without_effect_on_own_features_are_warned_of() -> None:
    table = TableConfig(groups=("desk",), calendar="XNYS", known_after=("fees",))
    columns = choose_columns([*BARE, "desk", "x", "fees"], table, "net_profit")
    assert columns.warnings == (
        "groups and calendar of --config have no effect on own features: use --features both or derived",
    )


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("features 'derivd' is unknown (did you mean 'derived'?): use one of own")
    ):
        TableConfig(features="derivd")
