"""The search spaces: `seed`, the default, `wide`, and narrowed forms of both.

There are two steps: `suggest_hyperparameters` draws hyperparameters, and `lightgbm_params` turns them into parameters
of LightGBM. The final fit needs only the second step, with the recorded hyperparameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from src.config import TargetConfig
from src.errors import ConfigError
from src.model_settings import SpaceSettings
from src.search.device import CPU, with_device
from src.suggest import did_you_mean, listing, one_line

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

MAX_BIN_STEP = 96
"""A Dataset is binned once per value of `max_bin`: 32, 128, 224 (1 byte per value), 320, 416, 512 (2 bytes)."""

OBJECTIVE_OF_METRIC = {"mae": "regression_l1", "rmse": "regression", "auc": "binary"}
METRIC_NAME = {"mae": "l1", "rmse": "rmse", "auc": "auc"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a search space.

    Attributes:
        name: LightGBM's.
        low, high: ends of the range; unused if there are choices.
        choices: of a categorical parameter.
        log: whether the range is drawn on a log scale.
        step: distance of the values of an integer.
        only: drawn only under this condition: `bagging` (not with goss), `dart`, or `categories` (a table that has
            category columns); always if empty.
    """

    name: str
    low: float = 0
    high: float = 0
    choices: tuple[Any, ...] = ()
    log: bool = False
    step: int = 1
    only: str = ""

    @property
    def is_integer(self) -> bool:
        """Whether its values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: "BaseTrial") -> Any:
        """Draws a value."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        if self.is_integer:
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=self.step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the value can be drawn."""
        if self.choices:
            return value in self.choices
        return bool(self.low <= value <= self.high and (self.step == 1 or (value - self.low) % self.step == 0))

    def narrowed(self, asked: Any) -> "Parameter":
        """The parameter with a smaller range, fewer choices or a fixed value.

        Raises:
            ConfigError: a value is of another type, or outside of this parameter's range.
        """
        if self.choices:
            choices = asked if isinstance(asked, tuple) else (asked,)
            for one in choices:
                if not any(one is known or (isinstance(one, str) and one == known) for known in self.choices):
                    raise self._refused(one, f"use one or more of {listing(self.choices)}")
            return replace(self, choices=choices)
        ends = asked if isinstance(asked, tuple) else (asked, asked)
        if len(ends) != 2 or not all(self._is_number(end) for end in ends):
            raise self._refused(asked, f"write a range [{self.low:g}, {self.high:g}], or one number")
        low, high = (int(end) if self.is_integer else float(end) for end in ends)
        if not self.low <= low <= high <= self.high:
            raise self._refused(asked, f"stay within {self.low:g} to {self.high:g}, the lower end first")
        return replace(self, low=low, high=low + (high - low) // self.step * self.step if self.is_integer else high)

    def _is_number(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (not self.is_integer or value == int(value))

    def _refused(self, asked: Any, remedy: str) -> ConfigError:
        shown = list(asked) if isinstance(asked, tuple) else asked
        return ConfigError(f"--space: `{self.name}` is {one_line(shown, 80)}: {remedy}")


_SEED = (
    Parameter("boosting_type", choices=("gbdt", "dart", "goss")),
    Parameter("max_depth", 3, 12),  # before num_leaves, which it bounds: see DepthLimitedSampler
    Parameter("num_leaves", 10, 200),
    Parameter("learning_rate", 0.01, 0.3, log=True),
    Parameter("feature_fraction", 0.5, 1.0),
    Parameter("min_child_samples", 5, 100),
    Parameter("lambda_l1", 1e-8, 10.0, log=True),
    Parameter("lambda_l2", 1e-8, 10.0, log=True),
    Parameter("min_gain_to_split", 0.0, 1.0),
    Parameter("max_bin", 32, 512, step=MAX_BIN_STEP),
    Parameter("bagging_fraction", 0.5, 1.0, only="bagging"),  # goss samples rows itself: LightGBM refuses both
    Parameter("bagging_freq", 1, 10, only="bagging"),
    Parameter("drop_rate", 0.0, 0.2, only="dart"),
    Parameter("max_drop", 3, 50, only="dart"),
    Parameter("skip_drop", 0.0, 1.0, only="dart"),
)
_WIDE = (
    Parameter("boosting_type", choices=("gbdt", "goss")),
    Parameter("max_depth", 3, 12),
    Parameter("num_leaves", 2, 256, log=True),
    Parameter("learning_rate", 0.005, 0.1, log=True),
    Parameter("feature_fraction", 0.4, 1.0),
    Parameter("min_child_samples", 1, 100, log=True),
    Parameter("lambda_l1", 1e-8, 10.0, log=True),
    Parameter("lambda_l2", 1e-8, 100.0, log=True),
    Parameter("min_gain_to_split", 0.0, 1.0),
    Parameter("max_bin", 32, 512, step=MAX_BIN_STEP),
    Parameter("extra_trees", choices=(False, True)),
    Parameter("path_smooth", 1e-3, 100.0, log=True),
    Parameter("bagging_fraction", 0.5, 1.0, only="bagging"),
    Parameter("bagging_freq", 1, 10, only="bagging"),
    Parameter("cat_smooth", 1.0, 100.0, log=True, only="categories"),
    Parameter("cat_l2", 0.1, 100.0, log=True, only="categories"),
    Parameter("max_cat_to_onehot", 1, 16, only="categories"),
    Parameter("min_data_per_group", 1, 200, log=True, only="categories"),
)
BASES: Mapping[str, tuple[Parameter, ...]] = {"seed": _SEED, "wide": _WIDE}


@dataclass(frozen=True)
class SearchSpace:
    """The parameters that trials draw, in this order.

    Attributes:
        base: `seed` or `wide`.
        parameters: possibly narrowed.
        has_categories: whether the table has category columns.
    """

    base: str
    parameters: tuple[Parameter, ...]
    has_categories: bool = False

    def drawn(self, boosting_type: str) -> list[Parameter]:
        """The parameters that are drawn with this boosting type."""
        holds = {
            "": True,
            "bagging": boosting_type != "goss",
            "dart": boosting_type == "dart",
            "categories": self.has_categories,
        }
        return [each for each in self.parameters if holds[each.only]]

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial can draw exactly these values."""
        drawn = self.drawn(params["boosting_type"])
        return params.keys() == {each.name for each in drawn} and all(
            each.contains(params[each.name]) for each in drawn
        )


def make_space(settings: SpaceSettings, has_categories: bool = False) -> SearchSpace:
    """The search space of `--space`.

    Raises:
        ConfigError: a parameter is unknown, or a value is outside of its range.
    """
    known = {each.name: each for each in BASES[settings.base]}
    for name in settings.parameters:
        if name not in known:
            other = [base for base, parameters in BASES.items() if any(each.name == name for each in parameters)]
            hint = f": it belongs to `base: {other[0]}`" if other else did_you_mean(name, known)
            raise ConfigError(
                f"--space: {one_line(name, 80)!r} is no parameter of {settings.base!r}{hint}; use {listing(known)}"
            )
    changed = [
        each.narrowed(settings.parameters[each.name]) if each.name in settings.parameters else each
        for each in known.values()
    ]
    return SearchSpace(settings.base, tuple(changed), has_categories)


SEED_SPACE = make_space(SpaceSettings())


def suggest_hyperparameters(trial: "BaseTrial", space: SearchSpace = SEED_SPACE) -> dict[str, Any]:
    """Draws hyperparameters; those that do not apply to the boosting type or to the table are not drawn."""
    first, *_ = space.parameters
    boosting_type = first.suggest(trial)
    others = [each for each in space.drawn(boosting_type) if each.name != first.name]
    return {first.name: boosting_type} | {each.name: each.suggest(trial) for each in others}


def lightgbm_params(
    hyperparameters: Mapping[str, Any],
    config: TargetConfig,
    seed: int,
    num_threads: int = 1,
    signs: Sequence[int] = (),
    device: str = CPU,
) -> dict[str, Any]:
    """Turns hyperparameters into the parameters of a LightGBM booster.

    With `deterministic` and a fixed histogram layout, the score depends to the bit only on data, parameters, seed and
    number of threads, not on the process; no cost was measured. Another number of threads sums in another order (the
    last digits differ), and on larger tables goss then draws another sample.

    On a GPU that holds for the device alone, and `force_row_wise` has no effect.

    `signs` are the monotone constraints, one per feature; empty without any.
    """
    params = dict(hyperparameters)
    if params.get("boosting_type") == "goss":  # since LightGBM 4 goss is a sampling strategy
        params["boosting_type"] = "gbdt"
        params["data_sample_strategy"] = "goss"
    if signs:  # `basic`, because `advanced` violates its constraints or crashes (LightGBM 4.7)
        params |= {"monotone_constraints": list(signs), "monotone_constraints_method": "basic"}
    return with_device(params, device) | {
        "objective": OBJECTIVE_OF_METRIC[config.metric],
        "metric": METRIC_NAME[config.metric],
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,  # else binning would filter features by the first trial's min_child_samples
        "verbosity": -1,
    }
