"""Frozen settings dataclasses, with all defaults.

Settings are built and checked once, in `main`, and passed down. Nothing here reads the environment or the disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from src.errors import ConfigError
from src.model_settings import ModelSettings
from src.names import check_study_name, check_target_name
from src.suggest import did_you_mean

Task = Literal["regression", "binary"]
Metric = Literal["mae", "rmse", "auc"]
Direction = Literal["minimize", "maximize"]

METRICS_OF_TASK: Mapping[str, tuple[str, ...]] = MappingProxyType({"regression": ("mae", "rmse"), "binary": ("auc",)})
DEFAULT_EXPERIMENT = "daily-profit"
NET_PROFIT = "net_profit"
"""Column with the profit of a row; the report relates the predictions of any target to it."""
MAX_ROUNDS = 1000
"""Most boosting rounds of a trial; early stopping ends nearly all trials much earlier."""
EARLY_STOPPING_ROUNDS = 50
REPORT_EVERY_ROUNDS = 10
"""Rounds between two `trial.report` calls. A report takes far less time than ten rounds of boosting."""
SAMPLERS = ("auto", "tpe", "gp", "cmaes", "random", "qmc")
CV_MODES = ("off", "on", "auto")
DEVICES = ("cpu", "gpu")
PRUNERS = ("median", "hyperband", "asha", "none")
FEATURE_MODES = ("own", "derived", "both")
MIN_TOTAL_SECONDS = 20.0  # of `--total-timeout`; a table of 2,000 rows leaves the search about half of it
IDLE_SECONDS = 2400
"""Seconds without activity after which a distributed run is given up. The Job of create ends after 1,800 s, and
Kubernetes restarts a crashed pod, or one of a lost node, within 15 minutes. Pods that wait longer need more."""
LOCAL = {"study": False}
"""Metadata of a field that belongs to one process: it is not stored on the study. All other fields are, and a command
that resumes a study takes them from there unless the option with the field's name, or one of `options` in the field's
metadata, is given."""
PREDICTIONS = "predictions.parquet"
LOG_TABLE = "prediction_log"
PREDICTION_ENDINGS = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class TargetConfig:
    """Task and metric of a target.

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
        """Optuna's direction: AUC is maximised, errors are minimised."""
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
    """Roles of a table's columns: from a `--config` file, or the defaults.

    Attributes:
        account: column of the trading account; None when rows belong to no account.
        date: column of the trading day; None shuffles the rows with the seed instead of splitting by date.
        use: the only feature columns; None means all other columns.
        drop: columns that are never features.
        categories: category columns, also where the values look like numbers.
        numbers: numeric columns, also with formatted values (`12,345.67`, `3.2%`), and their decimal mark; None
            detects it from the values.
        targets: tasks and metrics by target column. A target is never a feature.
        features: `own` uses the table's columns, `derived` features of past rows, `both` uses both; None means own
            columns where the table has some, else derived features.
        known_after: columns that are known only when the day is over: their past values may be used, never their own
            day's.
        groups: category columns; accounts with the same value are peers.
        calendar: exchange calendar such as XNYS, for features of holidays and sessions.

    Raises:
        ConfigError: the name of a target is not allowed, or `features` is unknown.
    """

    account: str | None = "account_id"
    date: str | None = "date"
    use: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    numbers: Mapping[str, str | None] = field(default_factory=dict)
    targets: Mapping[str, TargetConfig] = field(default_factory=lambda: MODEL_CONFIGS)
    features: str | None = None
    known_after: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    calendar: str | None = None

    def __post_init__(self) -> None:
        for name in self.targets:
            check_target_name(name)
        if self.features is not None and self.features not in FEATURE_MODES:
            close = did_you_mean(self.features, FEATURE_MODES)
            raise ConfigError(f"features {self.features!r} is unknown{close}: use one of {', '.join(FEATURE_MODES)}")


@dataclass(frozen=True)
class DataSettings:
    """Where the table comes from. `source` None is the sample table; `query` is for a SQL URL."""

    source: str | None = field(default=None, metadata={"options": ("data",)})
    query: str | None = field(default=None, metadata={"options": ("query", "data")})
    table: TableConfig = field(default=TableConfig(), metadata={"options": ("config",)})


@dataclass(frozen=True)
class SplitSettings:
    """How rows are split by whole dates.

    Raises:
        ConfigError: a fraction outside its range, fewer than 2 folds, a negative purge.
    """

    test_fraction: float = 0.2
    valid_fraction: float = 0.2
    use_cv: bool = field(default=False, metadata={"options": ("use_cv", "cv")})
    n_folds: int = 5
    purge_days: int = 1
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise ConfigError(f"--test-fraction {self.test_fraction} is out of range: use 0 or more and less than 1")
        if not 0 < self.valid_fraction < 1:
            raise ConfigError(
                f"--valid-fraction {self.valid_fraction} is out of range: use more than 0 and less than 1"
            )
        if self.n_folds < 2:
            raise ConfigError(f"--n-folds {self.n_folds} is too few: use 2 or more")
        if self.purge_days < 0:
            raise ConfigError(f"--purge-days {self.purge_days} is negative: use 0 or more")


@dataclass(frozen=True)
class SearchSettings:
    """Budget, sampler, pruner and storage of a study.

    Attributes:
        keep_total: `n_trials` was not given: an existing study keeps its total.
        wait_for_store: seconds to wait for a database that does not answer yet.
        total_timeout: seconds for the whole command, from its start to its end.
        device: where this process trains; workers of a study may have different ones (see `src/search/device.py`).

    Raises:
        ConfigError: fewer than one trial or worker, a timeout that is not positive or too short, an unknown sampler,
            pruner or device, or a study name that is not allowed.
    """

    n_trials: int = 100
    timeout: float | None = None
    max_workers: int = field(default=1, metadata=LOCAL)
    sampler: str = "auto"
    pruner: str = "median"
    seed: int = 42
    study_name: str | None = field(default=None, metadata=LOCAL)
    storage_url: str | None = field(default=None, repr=False, metadata=LOCAL)
    storage_dir: Path = field(default=Path("artefacts/optuna_studies"), metadata=LOCAL)
    keep_total: bool = field(default=False, metadata=LOCAL)
    wait_for_store: float = field(default=0.0, metadata=LOCAL)
    total_timeout: float | None = field(default=None, metadata=LOCAL)
    device: str = field(default=DEVICES[0], metadata=LOCAL)

    def __post_init__(self) -> None:
        if self.n_trials < 1:
            raise ConfigError(f"--n-trials {self.n_trials} is too few: use 1 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"--timeout {self.timeout} is not positive: use seconds above 0")
        if self.total_timeout is not None and not self.total_timeout >= MIN_TOTAL_SECONDS:
            raise ConfigError(
                f"--total-timeout {self.total_timeout:g} is too short: loading packages, final model and report take "
                f"longer; use {MIN_TOTAL_SECONDS:g} seconds or more, or --timeout for the search alone"
            )
        if self.max_workers < 1:
            raise ConfigError(f"--max-workers {self.max_workers} is too few: use 1 or more")
        for option, value, known in (
            ("--sampler", self.sampler, SAMPLERS),
            ("--pruner", self.pruner, PRUNERS),
            ("--device", self.device, DEVICES),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value!r} is unknown: use one of {', '.join(known)}")
        if self.study_name is not None:
            check_study_name(self.study_name)


@dataclass(frozen=True)
class RunSettings:
    """All settings of a tuning command."""

    data: DataSettings = DataSettings()
    split: SplitSettings = SplitSettings()
    search: SearchSettings = SearchSettings()
    output_dir: Path = field(default=Path("artefacts"), metadata=LOCAL)
    register: bool = field(default=True, metadata=LOCAL)
    ensemble_size: int = 10
    """Most distinct trials in the final model; 1 is the best trial alone."""
    cv_auto: bool = field(default=False, metadata=LOCAL)
    """`src.data.auto_folds` decides between folds and one validation window."""
    model: ModelSettings = field(default_factory=ModelSettings)

    def __post_init__(self) -> None:
        if self.cv_auto and self.split.use_cv:
            raise ConfigError("--cv auto and --use-cv contradict each other: give one of them")
        if self.ensemble_size < 1:
            raise ConfigError(f"--ensemble-size {self.ensemble_size} is too few: use 1 or more; 1 is no ensemble")


@dataclass(frozen=True)
class PromotionSettings:
    """Settings of `promote`.

    Attributes:
        data: where the rows come from.
        test_fraction: share of the table's dates, the latest ones; 1 for a table with new dates only.
        purge_days: dates left out after the last training date of either model.
        min_probability: 1 minus alpha. Of any number of challengers that are no better and are compared on the same
            dates, one becomes champion with probability alpha at most: the k-th needs the one-sided confidence
            1 - alpha / (k (k + 1)). At 0 the better score alone decides the first contest. At 0.95 few real
            improvements would pass with some months of dates.
        dry_run: compare the models and leave the aliases as they are.
        output_dir: folder for the decisions as JSON; None writes none.
        approve_by: the user who has to confirm before the alias moves; None asks nobody.

    Raises:
        ConfigError: a value is out of range.
    """

    data: DataSettings
    test_fraction: float = SplitSettings.test_fraction
    purge_days: int = SplitSettings.purge_days
    min_probability: float = 0.8
    dry_run: bool = False
    output_dir: Path | None = None
    approve_by: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.test_fraction <= 1:
            raise ConfigError(
                f"--test-fraction {self.test_fraction} is out of range: use more than 0, up to 1 (all dates)"
            )
        if self.purge_days < 0:
            raise ConfigError(f"--purge-days {self.purge_days} is negative: use 0 or more")
        if not 0 <= self.min_probability <= 1:
            raise ConfigError(f"--min-probability {self.min_probability} is out of range: use 0 to 1")
