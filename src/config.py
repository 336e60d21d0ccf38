"""Frozen settings; every default of the product stands here once.

Settings are built once, in `main`, checked where they are built, and handed down. Nothing here reads the
environment or touches the disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from src.errors import ConfigError
from src.names import check_study_name, check_target_name

Task = Literal["regression", "binary"]
Metric = Literal["mae", "rmse", "auc"]
Direction = Literal["minimize", "maximize"]

METRICS_OF_TASK: Mapping[str, tuple[str, ...]] = MappingProxyType({"regression": ("mae", "rmse"), "binary": ("auc",)})
DEFAULT_EXPERIMENT = "daily-profit"
NET_PROFIT = "net_profit"
"""The column that says what a row earned; the report translates predictions of any target into it."""
MAX_ROUNDS = 1000
"""Boosting rounds at most; early stopping ends nearly every trial long before."""
EARLY_STOPPING_ROUNDS = 50
REPORT_EVERY_ROUNDS = 10
"""A report costs a transaction; LightGBM's own time for ten rounds is many times that."""
SAMPLERS = ("auto", "tpe", "gp", "cmaes", "random", "qmc")
CV_MODES = ("off", "on", "auto")
PRUNERS = ("median", "hyperband", "asha", "none")
IDLE_SECONDS = 2400
"""How long a run may show no sign of life: create is given up after 1,800 s, and a Job starts a crashed pod again, or
one of a lost node, within 15 minutes. Pods that queue longer for a machine need a longer time."""
PREDICTIONS = Path("predictions.parquet")
PREDICTION_ENDINGS = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class TargetConfig:
    """What is predicted and how a prediction is judged.

    Raises:
        ConfigError: the task is unknown, or the metric does not belong to the task.
    """

    task: Task
    metric: Metric

    def __post_init__(self) -> None:
        if self.task not in METRICS_OF_TASK:
            raise ConfigError(f"task {self.task!r} is unknown: use one of {', '.join(METRICS_OF_TASK)}")
        if self.metric not in METRICS_OF_TASK[self.task]:
            allowed = ", ".join(METRICS_OF_TASK[self.task])
            raise ConfigError(f"metric {self.metric!r} does not fit task {self.task!r}: use one of {allowed}")

    @property
    def direction(self) -> Direction:
        """Optuna's word for it: AUC is maximised, errors are minimised."""
        return "maximize" if self.metric == "auc" else "minimize"


MODEL_CONFIGS: Mapping[str, TargetConfig] = MappingProxyType(
    {
        "net_profit": TargetConfig("regression", "mae"),
        "gross_profit": TargetConfig("regression", "mae"),
        "num_trades": TargetConfig("regression", "rmse"),
        "is_profitable": TargetConfig("binary", "auc"),
        "is_highly_profitable": TargetConfig("binary", "auc"),
    }
)


@dataclass(frozen=True)
class TableConfig:
    """The names in a table: what a `--config` file says, or the contract's defaults.

    Attributes:
        account: column of the trading account; None when rows belong to no account.
        date: column of the trading day; None shuffles the rows with the seed instead of splitting by date.
        use: the only columns that are features; None means all that are left.
        drop: columns that are never features.
        categories: columns whose values are names, codes that look like numbers included.
        numbers: columns whose values are numbers, also as people write them (`12,345.67`, `3.2%`), with the decimal
            mark of each; None decides it by the values.
        targets: what can be predicted, by column name. None of them is ever a feature.

    Raises:
        ConfigError: a target's name cannot be used.
    """

    account: str | None = "account_id"
    date: str | None = "date"
    use: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    numbers: Mapping[str, str | None] = field(default_factory=dict)
    targets: Mapping[str, TargetConfig] = field(default_factory=lambda: MODEL_CONFIGS)

    def __post_init__(self) -> None:
        for name in self.targets:
            check_target_name(name)


@dataclass(frozen=True)
class DataSettings:
    """Where the table comes from: `source` None is the sample table, `query` belongs to a SQL URL."""

    source: str | None = None
    query: str | None = None
    table: TableConfig = TableConfig()


@dataclass(frozen=True)
class SplitSettings:
    """How rows are divided by whole dates.

    Raises:
        ConfigError: a fraction outside its range, fewer than 2 folds, a negative purge.
    """

    test_fraction: float = 0.2
    valid_fraction: float = 0.2
    use_cv: bool = False
    n_folds: int = 5
    purge_days: int = 1
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise ConfigError(f"--test-fraction {self.test_fraction} is out of range: from 0 up to, not including, 1")
        if not 0 < self.valid_fraction < 1:
            raise ConfigError(f"--valid-fraction {self.valid_fraction} is out of range: between 0 and 1")
        if self.n_folds < 2:
            raise ConfigError(f"--n-folds {self.n_folds} is too few: use 2 or more")
        if self.purge_days < 0:
            raise ConfigError(f"--purge-days {self.purge_days} is negative: use 0 or more")


@dataclass(frozen=True)
class SearchSettings:
    """How long and where a study is searched.

    Attributes:
        keep_total: `n_trials` was not asked for: a study that has a total keeps it.
        wait_for_store: seconds to wait for a database that is not there yet.

    Raises:
        ConfigError: fewer than one trial or worker, a timeout that is not positive, an unknown sampler or pruner, a
            study's name that cannot be used.
    """

    n_trials: int = 100
    timeout: float | None = None
    max_workers: int = 1
    sampler: str = "auto"
    pruner: str = "median"
    seed: int = 42
    study_name: str | None = None
    storage_url: str | None = field(default=None, repr=False)
    storage_dir: Path = Path("artefacts/optuna_studies")
    keep_total: bool = False
    wait_for_store: float = 0.0

    def __post_init__(self) -> None:
        if self.n_trials < 1:
            raise ConfigError(f"--n-trials {self.n_trials} is too few: use 1 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"--timeout {self.timeout} is not a time: use seconds above 0")
        if self.max_workers < 1:
            raise ConfigError(f"--max-workers {self.max_workers} is too few: use 1 or more")
        for option, value, known in (("--sampler", self.sampler, SAMPLERS), ("--pruner", self.pruner, PRUNERS)):
            if value not in known:
                raise ConfigError(f"{option} {value!r} is unknown: use one of {', '.join(known)}")
        if self.study_name is not None:
            check_study_name(self.study_name)


@dataclass(frozen=True)
class RunSettings:
    """Everything one command was asked for."""

    data: DataSettings = DataSettings()
    split: SplitSettings = SplitSettings()
    search: SearchSettings = SearchSettings()
    output_dir: Path = Path("artefacts")
    register: bool = True
    ensemble_size: int = 10
    """Different trials, at most, that the final model is made of; 1 is the best trial alone."""
    cv_auto: bool = False
    """Whether there are folds is left to `src.data.auto_folds`."""

    def __post_init__(self) -> None:
        if self.cv_auto and self.split.use_cv:
            raise ConfigError("--cv auto and --use-cv contradict each other: give one of them")
        if self.ensemble_size < 1:
            raise ConfigError(f"--ensemble-size {self.ensemble_size} is too few: use 1 or more; 1 is no ensemble")


@dataclass(frozen=True)
class PromotionSettings:
    """What one command was asked for.

    Attributes:
        data: where the rows come from.
        test_fraction: of the table's dates, the last; 1 for a table that holds new dates only.
        purge_days: dates left out after the last training date of either model.
        min_probability: one-sided confidence with which the challenger has to be better. Up to 0.5 the better score
            alone decides, so that every other challenger that is no better becomes champion; at 0.95 few real
            improvements would pass in some months of dates. At 0.8 an equal model passes one time in five, which
            costs nothing, and one that is better by its own standard error passes more often than not.
        dry_run: judge and move nothing.
        output_dir: where the decisions are written, too; None writes none.

    Raises:
        ConfigError: a value is out of range.
    """

    data: DataSettings
    test_fraction: float = SplitSettings.test_fraction
    purge_days: int = SplitSettings.purge_days
    min_probability: float = 0.8
    dry_run: bool = False
    output_dir: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.test_fraction <= 1:
            raise ConfigError(f"--test-fraction {self.test_fraction} is out of range: above 0, up to 1 (all dates)")
        if self.purge_days < 0:
            raise ConfigError(f"--purge-days {self.purge_days} is negative: use 0 or more")
        if not 0 <= self.min_probability <= 1:
            raise ConfigError(f"--min-probability {self.min_probability} is out of range: from 0 to 1")
