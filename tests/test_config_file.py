from pathlib import Path

import pytest

from src.config import MODEL_CONFIGS, TableConfig, TargetConfig
from src.config_file import FileTableConfig, load_table_config
from src.errors import ConfigError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_key(tmp_path: Path) -> None:
    text = """
        account: trader_id
        date: day
        use: [alpha, 7]
        drop: [comment]
        targets:
          pnl: {task: regression, metric: rmse}
          win: {task: binary}
          size: {task: regression}
    """
    assert load_table_config(write(tmp_path, text)) == FileTableConfig(
        account="trader_id",
        date="day",
        use=("alpha", "7"),
        drop=("comment",),
        targets={
            "pnl": TargetConfig("regression", "rmse"),
            "win": TargetConfig("binary", "auc"),
            "size": TargetConfig("regression", "mae"),
        },
    )


def test_keys_of_derived_features(tmp_path: Path) -> None:
    text = "features: both\nknown_after: [fees, net_profit]\ngroups: [desk]\ncalendar: XNYS\nuse: [desk]"
    table = load_table_config(write(tmp_path, text))
    assert (table.features, table.known_after) == ("both", ("fees", "net_profit"))
    assert (table.groups, table.calendar, table.use) == (("desk",), "XNYS", ("desk",))
    dropped = load_table_config(write(tmp_path, "groups: [desk]\ndrop: [desk]"))
    assert dropped.groups == dropped.drop, "peers by a column that is no feature itself"
    assert load_table_config(write(tmp_path, "calendar: null\nnumbers: [fees]\nknown_after: [fees]")).calendar is None


def test_missing_keys_are_defaults_that_may_be_missing_in_the_table(tmp_path: Path) -> None:
    table = load_table_config(write(tmp_path, "drop: [comment]"))
    assert (table.account, table.date, table.use) == (TableConfig().account, TableConfig().date, None)
    assert table.targets == MODEL_CONFIGS
    assert table.optional == ("account_id", "date")


def test_null_means_none_and_a_named_column_is_not_optional(tmp_path: Path) -> None:
    table = load_table_config(write(tmp_path, "account: null\ndate: date"))
    assert (table.account, table.date, table.optional) == (None, "date", ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: give at least one of account, date"),
        ("# only a comment", "is empty"),
        ("- a\n- b", "holds a list, not keys with values"),
        ("just text", "holds a str, not keys with values"),
        ("acount: a", "unknown key 'acount' (did you mean 'account'?): use account, date, use, drop"),
        ("1: a", "unknown key '1'"),
        ("account: a\naccount: b", "line 2: the key 'account' is repeated"),
        ("targets:\n  a: {task: binary}\n  a: {task: binary}", "line 3: the key 'a' is repeated"),
        ("account: [a", "line 1: "),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("date: 2024-99-99", "is not YAML: month must be in 1..12"),
        ("a: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"account: \x00", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("date: 2024-01-01", "`date` has '2024-01-01', which is no column name: write it in quotes"),
        ("account: yes", "`account` has 'True'"),
        ("account: [a]", "`account` has \"['a']\""),
        ("use: alpha", "`use` is 'alpha': write a list"),
        ("use: null", "`use` is 'None': write a list"),
        ("use: []", "`use` names no column"),
        ("use: [a, a]", "`use` names 'a' twice"),
        ("drop: [a, null]", "`drop` has 'None'"),
        ("use: [a, b]\ndrop: [b]", "b is in both `use` and `drop`"),
        ("use: [net_profit]", "target net_profit is in `use`"),
        ("account: day\ndate: day", "'day' is both `account` and `date`"),
        ("date: day\ntargets: {day: {task: binary}}", "'day' is both a target and the `date` column"),
        ("targets: {}", "`targets` is '{}'"),
        ("targets: [a]", "`targets` is"),
        ("targets: {a: regression}", "target 'a' has no task"),
        ("targets: {a: null}", "target 'a' has no task"),
        ("targets: {a: {tsak: binary}}", "target 'a': unknown key 'tsak' (did you mean 'task'?)"),
        ("targets: {a: {task: binary, metrics: auc}}", "unknown key 'metrics' (did you mean 'metric'?)"),
        ("targets: {a: {task: regresion}}", "task 'regresion' is unknown (did you mean 'regression'?)"),
        ("targets: {a: {task: [binary]}}", "task \"['binary']\" is unknown"),
        ("targets: {a: {task: regression, metric: auc}}", "target 'a': metric 'auc' does not fit task 'regression'"),
        ("targets: {a: {task: regression, metric: 1}}", "metric '1' is not a text"),
        ("features: derivd", "`features` is 'derivd' (did you mean 'derived'?): use one of own, derived, both"),
        ("features: [a]", "use one of own, derived, both: columns that are features belong under `use`"),
        ("features: null", "`features` is 'None'"),
        ("known_after: fees", "`known_after` is 'fees': write a list"),
        ("known_after: [fees, fees]", "`known_after` names 'fees' twice"),
        ("known_after: [x]\nuse: [x]", "x is in both `known_after` and `use`"),
        ("known_after: [x]\ngroups: [x]", "x is in both `known_after` and `groups`"),
        ("known_after: [x]\ncategories: [x]", "x is in both `known_after` and `categories`"),
        ("known_after: [x]\ndrop: [x]", "x is in both `known_after` and `drop`"),
        ("known_after: [date]", "`known_after` names 'date', the date column: remove it there"),
        ("groups: [account_id]", "`groups` names 'account_id', the account column: remove it there"),
        ("groups: [net_profit]", "target net_profit is in `groups`: remove it, a target is a number"),
        ("groups: [x]\nnumbers: [x]", "x is in both `groups` and `numbers`"),
        ("groups: desk", "`groups` is 'desk': write a list"),
        ("calendar: [XNYS]", "`calendar` is \"['XNYS']\": write an exchange's code, such as XNYS"),
        ('calendar: ""', "`calendar` is ''"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_table_config(path)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"--config {path}")
    assert len(message.splitlines()) == 1


def test_a_missing_file_names_a_close_one(tmp_path: Path) -> None:
    write(tmp_path, "account: a")
    with pytest.raises(ConfigError, match=r"does not exist \(did you mean 'table.yaml'\?\)"):
        load_table_config(tmp_path / "tabel.yaml")
    with pytest.raises(ConfigError, match="does not exist: give"):
        load_table_config(tmp_path / "no" / "such.yaml")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_table_config(tmp_path)
