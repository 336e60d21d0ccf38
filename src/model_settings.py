"""Settings of the models that a search may choose: constraints, the choice, monotone features, search space."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from src.errors import ConfigError
from src.suggest import did_you_mean, one_line

QUANTITIES: Mapping[str, float] = {"trees": 1.0, "leaves": 1.0, "predict_ms_per_1000": 0.0, "fold_spread": 0.0}
"""What a constraint limits, with the lowest limit that a model can meet."""
SELECTIONS = ("score", "stable", "small")
SPACES = ("seed", "wide")


@dataclass(frozen=True)
class Constraint:
    """An upper limit of one quantity of the registered model.

    Attributes:
        quantity: `trees` and `leaves` count those of the whole model; `predict_ms_per_1000` are milliseconds of one
            CPU for 1,000 rows; `fold_spread` is the loss of the worst fold over the mean loss, minus 1.
        limit: the highest allowed value.
    """

    quantity: str
    limit: float

    def __str__(self) -> str:
        return f"{self.quantity}<={self.limit:.15g}"

    def excess(self, value: float) -> float:
        """How far a value is above the limit, as a share of the limit; 0 or less if it meets the constraint.

        Shares make constraints of different units comparable: TPE ranks infeasible trials by the sum of their
        excesses. For a limit of 0 it is the value itself.
        """
        return value / self.limit - 1 if self.limit else value


def parse_constraint(text: str) -> Constraint:
    """A constraint such as `trees<=500`.

    Raises:
        ConfigError: it has another form, an unknown quantity, or a limit that no model meets.
    """
    shown = f"--constraint {one_line(text, 80)!r}"
    name, sign, number = (part.strip() for part in text.partition("<="))
    if not sign:
        raise ConfigError(f'{shown} is not NAME<=NUMBER: write for example --constraint "trees<=500"')
    if name not in QUANTITIES:
        raise ConfigError(
            f"{shown}: {name!r} is unknown{did_you_mean(name, QUANTITIES)}: use one of {', '.join(QUANTITIES)}"
        )
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ConfigError(f"{shown}: {number!r} is not a number: write for example {name}<=10")
    lowest = QUANTITIES[name]
    if limit < lowest or (name == "predict_ms_per_1000" and limit == 0):
        least = "more than 0" if name == "predict_ms_per_1000" else f"{lowest:g} or more"
        raise ConfigError(f"{shown}: no model has {name} of {limit:g} or less: use {least}")
    return Constraint(name, limit)


def parse_constraints(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Constraints in the order of `QUANTITIES`.

    Raises:
        ConfigError: see `parse_constraint`; or two constraints limit the same quantity.
    """
    constraints = [parse_constraint(text) for text in texts]
    names = [each.quantity for each in constraints]
    for name in names:
        if names.count(name) > 1:
            both = " and ".join(str(each) for each in constraints if each.quantity == name)
            raise ConfigError(f"--constraint limits {name} twice, {both}: give it once")
    return tuple(sorted(constraints, key=lambda each: list(QUANTITIES).index(each.quantity)))


def parse_monotone(texts: Iterable[str]) -> dict[str, int]:
    """Signs by feature, from texts such as `planned_leverage:-1`.

    Raises:
        ConfigError: a text has another form, or a feature has two signs.
    """
    signs: dict[str, int] = {}
    for text in texts:
        name, colon, sign = (part.strip() for part in text.rpartition(":"))
        if not colon or not name:
            raise ConfigError(
                f"--monotone {one_line(text, 80)!r} is not FEATURE:SIGN: write for example --monotone leverage:-1"
            )
        if name in signs:
            raise ConfigError(f"--monotone names {one_line(name, 80)!r} twice: give it once")
        signs[name] = checked_sign(name, int(sign) if sign in ("-1", "0", "1", "+1") else sign)
    return signs


def checked_sign(name: str, sign: object) -> int:
    """A sign of `--monotone`.

    Raises:
        ConfigError: it is none of -1, 0 and 1.
    """
    if isinstance(sign, bool) or not isinstance(sign, int) or sign not in (-1, 0, 1):
        raise ConfigError(
            f"--monotone gives feature {one_line(name, 80)!r} the sign {one_line(sign, 40)!r}: use 1 (predictions rise "
            "with it), -1 (they fall) or 0 (either)"
        )
    return sign


@dataclass(frozen=True, repr=False)
class SpaceSettings:
    """The search space of `--space`; `src/search/search_space.py` has the parameters and checks the values.

    Attributes:
        base: `seed` or `wide`.
        parameters: by name a range `(low, high)`, or a tuple of choices, or a fixed value; other parameters are as in
            the base.

    Raises:
        ConfigError: `base` is unknown.
    """

    base: str = SPACES[0]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.base not in SPACES:
            close = did_you_mean(self.base, SPACES)
            raise ConfigError(
                f"--space {one_line(self.base, 80)!r} is unknown{close}: use {', '.join(SPACES)} or a FILE.yaml"
            )
        values = {name: tuple(one) if isinstance(one, list) else one for name, one in sorted(self.parameters.items())}
        object.__setattr__(self, "parameters", values)

    def __repr__(self) -> str:
        changed = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.base} with {changed}" if changed else self.base


@dataclass(frozen=True)
class ModelSettings:
    """Which models a search may choose.

    Attributes:
        constraint: limits that the registered model meets as a whole, such as `trees<=500`.
        select: `score` takes the best feasible trials; `stable` and `small` take one trial of the Pareto front (see
            `src.study.pareto_front`).
        monotone: 1 or -1 by feature: predictions never fall, or never rise, when the feature rises.
        space: what hyperparameters are drawn from.

    Raises:
        ConfigError: a constraint or a sign is wrong, or `select` is unknown.
    """

    constraint: tuple[str, ...] = ()
    select: str = SELECTIONS[0]
    monotone: Mapping[str, int] = field(default_factory=dict)
    space: SpaceSettings = field(default_factory=SpaceSettings, metadata={"options": ("space",)})

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint", tuple(str(each) for each in parse_constraints(self.constraint)))
        signs = {name: checked_sign(name, sign) for name, sign in sorted(self.monotone.items())}
        object.__setattr__(self, "monotone", {name: sign for name, sign in signs.items() if sign})
        if self.select not in SELECTIONS:
            close = did_you_mean(self.select, SELECTIONS)
            raise ConfigError(f"--select {self.select!r} is unknown{close}: use one of {', '.join(SELECTIONS)}")

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints, parsed."""
        return parse_constraints(self.constraint)

    def limits(self, quantity: str) -> bool:
        """Whether a constraint limits this quantity."""
        return any(each.quantity == quantity for each in self.constraints)
