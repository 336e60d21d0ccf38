"""The range of each parameter, and the position of a value in it as a share.

Trials may have sampled the same parameter from different ranges, and a parameter may be numeric in one trial and
categorical in another; the range covers all trials.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.reporting.study.numbers import is_finite

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class ParameterRange:
    """The possible values of a parameter.

    Attributes:
        name: the parameter's.
        low, high: the lowest and the highest number; 0 for a categorical parameter.
        log: sampled on a logarithmic scale in every trial.
        choices: of a categorical parameter, as text and in order; empty for a numeric one.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether there is only one possible value."""
        return len(self.choices) == 1 if self.choices else self.low == self.high

    def share(self, value: Any) -> float:
        """The value's position from 0, the lowest or the first choice, to 1; 0.5 if there is only one."""
        if self.choices:
            last = len(self.choices) - 1
            return self.choices.index(str(value)) / last if last else 0.5
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, float(value)))
        return (at - low) / (high - low) if 0 < high - low < math.inf else 0.5

    def value(self, share: float) -> float:
        """The number at a share of the range."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low * (1 - share) + self.high * share

    def describe(self) -> str:
        """A short tick label: `0.01 to 0.3`, or the first and the last choice."""
        if self.choices:
            return " … ".join(dict.fromkeys((self.choices[0], self.choices[-1])))
        return f"{self.low:.4g} to {self.high:.4g}"


def parameter_ranges(trials: Iterable["FrozenTrial"]) -> dict[str, ParameterRange]:
    """The range of every parameter of any trial, in order of first appearance."""
    met: dict[str, list[tuple[Any, Any]]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            met.setdefault(name, []).append((value, trial.distributions[name]))
    return {name: _range(name, pairs) for name, pairs in met.items()}


def _range(name: str, pairs: Sequence[tuple[Any, Any]]) -> ParameterRange:
    if not all(is_finite(value) and is_number(drawn) for value, drawn in pairs):
        choices = [str(choice) for _, drawn in pairs for choice in getattr(drawn, "choices", ())]
        return ParameterRange(name, choices=tuple(dict.fromkeys([*choices, *(str(value) for value, _ in pairs)])))
    low = float(min(min(drawn.low, value) for value, drawn in pairs))
    high = float(max(max(drawn.high, value) for value, drawn in pairs))
    if not math.isfinite(high - low):  # the width overflows a float
        low, high = float(min(value for value, _ in pairs)), float(max(value for value, _ in pairs))
    return ParameterRange(name, low, high, low > 0 and all(drawn.log for _, drawn in pairs))


def is_number(distribution: Any) -> bool:
    """Whether a distribution is numeric, not categorical."""
    return not hasattr(distribution, "choices")


def numeric(ranges: Mapping[str, ParameterRange]) -> list[str]:
    """Names of the numeric parameters that are not fixed."""
    return [name for name, known in ranges.items() if not known.choices and 0 < known.high - known.low < math.inf]
