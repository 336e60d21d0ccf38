"""The YAML file of `--config`: the roles of a table's columns.

    account: trader_id          # or null: rows belong to no account
    date: day                   # or null: rows are shuffled instead of split by date
    use: [alpha, beta]          # the only features; without it, all other columns
    drop: [comment]             # never features
    categories: [desk]          # names, also where they look like numbers
    numbers: [balance]          # numbers, also formatted as 12,345.67 or 3.2%; {balance: ","} gives the decimal mark
    targets:
      pnl: {task: regression, metric: mae}
      win: {task: binary}       # the metric may be left out
    features: both              # own columns, features derived from past rows, or both (own, derived, both)
    known_after: [volume, fees] # known only when the day is over: only their past is used
    groups: [desk, strategy]    # accounts with the same value are peers
    calendar: XNYS              # exchange calendar, for features of holidays and sessions
    constraint: [trees<=500]    # limits of the registered model, as --constraint
    monotone: {leverage: -1}    # predictions only fall (-1) or only rise (1) with a feature, as --monotone

All keys are optional; an unknown key is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.config import FEATURE_MODES, LOCAL, METRICS_OF_TASK, MODEL_CONFIGS, TableConfig, TargetConfig
from src.errors import ConfigError
from src.model_settings import checked_sign, parse_constraints
from src.names import check_target_name
from src.suggest import did_you_mean, listing, one_line
from src.yaml_file import check_keys, read_yaml

_KEYS = (
    "account", "date", "use", "drop", "categories", "numbers", "targets",
    "features", "known_after", "groups", "calendar", "constraint", "monotone",
)  # fmt: skip
_COLUMN_LISTS = ("drop", "categories", "known_after", "groups")
_TARGET_KEYS = ("task", "metric")
_Named = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class FileTableConfig(TableConfig):
    """Contents of a `--config` file.

    Attributes:
        optional: default column names of `account` and `date`, where the file does not name them; a table without
            such a column is read as a table without accounts (or dates), with a warning.
        constraint: as `--constraint`, which has priority; the study stores the constraints that apply.
        monotone: likewise, as `--monotone`.
    """

    optional: tuple[str, ...] = ()
    constraint: tuple[str, ...] = field(default=(), metadata=LOCAL)
    monotone: Mapping[str, int] = field(default_factory=dict, metadata=LOCAL)


def load_table_config(path: Path) -> FileTableConfig:
    """Reads a `--config` file.

    Raises:
        ConfigError: the file is missing, is not YAML, is empty, has an unknown or repeated key or a value of the wrong
            type, or contradicts itself.
    """
    content = read_yaml(path, "--config")
    if content is None:
        raise ConfigError(f"--config {path} is empty: give at least one of {', '.join(_KEYS)}")
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path} holds a {type(content).__name__}, not keys with values: write `date: day`")
    check_keys(content, _KEYS, f"--config {path}")
    defaults = TableConfig()
    table = FileTableConfig(
        account=_column(content, "account", defaults.account, path),
        date=_column(content, "date", defaults.date, path),
        use=_columns(content["use"], "use", path) if "use" in content else None,
        **{key: _columns(content[key], key, path) for key in _COLUMN_LISTS if key in content},  # type: ignore[arg-type]
        features=_word(content, "features", FEATURE_MODES, path),
        calendar=_calendar(content, path),
        numbers=_numbers(content["numbers"], path) if "numbers" in content else {},
        targets=_targets(content["targets"], path) if "targets" in content else MODEL_CONFIGS,
        optional=tuple(name for key in ("account", "date") if key not in content and (name := getattr(defaults, key))),
        **_options(content, path),
    )
    _check_contradictions(table, path)
    return table


def _column(content: Mapping[str, Any], key: str, default: str | None, path: Path) -> str | None:
    if key not in content:
        return default
    return None if content[key] is None else _name(content[key], key, path)


def _columns(value: Any, key: str, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"--config {path}: `{key}` is {one_line(value)!r}: write a list, `{key}: [a, b]`")
    names = tuple(_name(entry, key, path) for entry in value)
    if key == "use" and not names:
        raise ConfigError(f"--config {path}: `use` names no column: name one or more, or remove the key")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--config {path}: `{key}` names {name!r} twice: name it once")
    return names


def _word(content: Mapping[str, Any], key: str, known: Sequence[str], path: Path) -> str | None:
    if key not in content:
        return None
    word = content[key]
    if word not in known:
        hint = did_you_mean(str(word), known)
        columns = ": columns that are features belong under `use`" if isinstance(word, list) else ""
        raise ConfigError(
            f"--config {path}: `{key}` is {one_line(word)!r}{hint}: use one of {', '.join(known)}{columns}"
        )
    return str(word)


def _calendar(content: Mapping[str, Any], path: Path) -> str | None:
    """The code of an exchange calendar; whether it exists is checked when it is read."""
    code = content.get("calendar")
    if code is None or (isinstance(code, str) and code):
        return code
    raise ConfigError(f"--config {path}: `calendar` is {one_line(code)!r}: write an exchange's code, such as XNYS")


def _options(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values of keys that are options too."""
    options: dict[str, Any] = {}
    if "constraint" in content:
        options["constraint"] = _constraint(content["constraint"], path)
    if "monotone" in content:
        options["monotone"] = _monotone(content["monotone"], path)
    return options


def _monotone(value: Any, path: Path) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"--config {path}: `monotone` is {one_line(value)!r}: write signs by feature, `monotone: {{leverage: -1}}`"
        )
    try:
        return {
            name: checked_sign(name, sign) for key, sign in value.items() for name in [_name(key, "monotone", path)]
        }
    except ConfigError as error:
        if str(path) in str(error):
            raise
        raise ConfigError(f"--config {path}: {error}") from error


def _constraint(value: Any, path: Path) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"--config {path}: `constraint` is {one_line(value)!r}: write a list, `constraint: [trees<=500]`"
        )
    try:
        return tuple(str(each) for each in parse_constraints(texts))
    except ConfigError as error:  # its message lacks the file
        raise ConfigError(f"--config {path}: {error}") from error


def _numbers(value: Any, path: Path) -> dict[str, str | None]:
    """Decimal marks by column; None for columns that are given as a list."""
    if not isinstance(value, dict):
        return dict.fromkeys(_columns(value, "numbers", path))
    for name, mark in value.items():
        if mark not in (None, ".", ","):
            raise ConfigError(
                f"--config {path}: `numbers` gives column {one_line(name)!r} the decimal mark {one_line(mark)!r}: use "
                '`"."` or `","`'
            )
    return {_name(name, "numbers", path): mark for name, mark in value.items()}


def _name(value: Any, key: str, path: Path) -> str:
    """A column name. A number is allowed; a value that YAML reads as a boolean, null or a date needs quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        shown = one_line(value)
        raise ConfigError(
            f'--config {path}: `{key}` has {shown!r}, which is no column name: write it in quotes, "{shown}"'
        )
    return value


def _targets(value: Any, path: Path) -> dict[str, TargetConfig]:
    if not isinstance(value, dict) or not value:
        shown = one_line(value)
        raise ConfigError(f"--config {path}: `targets` is {shown!r}: write `targets: {{pnl: {{task: regression}}}}`")
    return {_target_name(name, path): _target(name, entry, path) for name, entry in value.items()}


def _target_name(value: Any, path: Path) -> str:
    """A column name that is also allowed for files, studies and a registered model."""
    name = _name(value, "targets", path)
    try:
        check_target_name(name)
    except ConfigError as error:  # its message lacks the file
        raise ConfigError(f"--config {path}: {error}") from error
    return name


def _target(name: Any, entry: Any, path: Path) -> TargetConfig:
    where = f"--config {path}: target {one_line(name)!r}"
    tasks = " or ".join(METRICS_OF_TASK)
    if not isinstance(entry, dict) or "task" not in entry:
        if isinstance(entry, dict):
            check_keys(entry, _TARGET_KEYS, where)
        raise ConfigError(f"{where} has no task: write `{{task: regression}}`; a task is {tasks}")
    check_keys(entry, _TARGET_KEYS, where)
    task = entry["task"]
    if not isinstance(task, str) or task not in METRICS_OF_TASK:
        close = did_you_mean(str(task), METRICS_OF_TASK)
        raise ConfigError(f"{where}: task {one_line(task)!r} is unknown{close}: use {tasks}")
    metric = entry.get("metric", METRICS_OF_TASK[task][0])
    if not isinstance(metric, str):
        raise ConfigError(
            f"{where}: metric {one_line(metric)!r} is not a text: use {' or '.join(METRICS_OF_TASK[task])}"
        )
    try:
        return TargetConfig(task, metric)  # type: ignore[arg-type]  # it checks the words itself
    except ConfigError as error:  # its message lacks the file and the target
        raise ConfigError(f"{where}: {error}") from error


def _check_contradictions(table: FileTableConfig, path: Path) -> None:
    if table.account is not None and table.account == table.date:
        raise ConfigError(f"--config {path}: {table.date!r} is both `account` and `date`: name two columns")
    for key, names in (("use", table.use or ()), ("categories", table.categories), ("groups", table.groups)):
        if targets := [name for name in names if name in table.targets]:
            why = "a target is no feature" if key == "use" else "a target is a number"
            raise ConfigError(f"--config {path}: target {listing(targets)} is in `{key}`: remove it, {why}")
    for (key, names), (other, others) in _exclusive_keys(table):
        if twice := [name for name in names if name in others]:
            raise ConfigError(
                f"--config {path}: {listing(twice)} is in both `{key}` and `{other}`: remove it from one of them"
            )
    for role, column in (("account", table.account), ("date", table.date)):
        if column in table.targets:
            raise ConfigError(
                f"--config {path}: {column!r} is both a target and the `{role}` column: name another column"
            )
        for key, names in (("known_after", table.known_after), ("groups", table.groups)):
            if column in names:
                raise ConfigError(f"--config {path}: `{key}` names {column!r}, the {role} column: remove it there")


def _exclusive_keys(table: TableConfig) -> Iterator[tuple[_Named, _Named]]:
    """Pairs of keys that must not name the same column."""
    use, drop = ("use", table.use or ()), ("drop", table.drop)
    categories, numbers = ("categories", table.categories), ("numbers", tuple(table.numbers))
    known_after, groups = ("known_after", table.known_after), ("groups", table.groups)
    yield from ((use, drop), (categories, numbers), (categories, drop), (numbers, drop))
    yield from ((known_after, use), (known_after, groups), (known_after, categories), (known_after, drop))
    yield groups, numbers
