"""Places on the ranges of parameters, whatever was drawn."""

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from src.reporting.study.parameter_ranges import ParameterRange, numeric, parameter_ranges


def range_of(*drawn: tuple[object, BaseDistribution]) -> ParameterRange:
    trials = [create_trial(value=0.0, params={"x": value}, distributions={"x": how}) for value, how in drawn]
    return parameter_ranges(trials)["x"]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
def test_share_and_value_undo_each_other(low: float, width: float, share: float) -> None:
    known = ParameterRange("x", low, low + width)
    assert known.share(known.value(share)) == pytest.approx(share, abs=1e-6)
    assert 0 <= known.share(low) <= known.share(low + width) <= 1


@given(st.floats(1e-8, 1.0), st.floats(2.0, 1e8), st.floats(0, 1))
def test_so_they_do_on_a_logarithmic_range(low: float, factor: float, share: float) -> None:
    known = ParameterRange("x", low, low * factor, log=True)
    assert known.share(known.value(share)) == pytest.approx(share, abs=1e-6)
    assert known.share(low * math.sqrt(factor)) == pytest.approx(0.5)


def test_ranges_of_different_trials_are_joined() -> None:
    known = range_of((0.2, FloatDistribution(0.1, 0.3, log=True)), (0.9, FloatDistribution(0.5, 1.0, log=True)))
    assert (known.low, known.high, known.log) == (0.1, 1.0, True)
    mixed = range_of((0.2, FloatDistribution(0.1, 0.3, log=True)), (0.0, FloatDistribution(0.0, 1.0)))
    assert (mixed.low, mixed.high, mixed.log) == (0.0, 1.0, False)


def test_categories_stand_in_the_order_of_their_choices() -> None:
    known = range_of(("b", CategoricalDistribution(("a", "b", None))))
    assert known.choices == ("a", "b", "None")
    assert [known.share(value) for value in ("a", "b", None)] == [0.0, 0.5, 1.0]
    assert known.describe() == "a … None"
    assert range_of(("only", CategoricalDistribution(("only",)))).describe() == "only"


def test_a_number_that_became_a_text_is_a_category() -> None:
    known = range_of((3, IntDistribution(1, 5)), ("many", CategoricalDistribution(("many", "few"))))
    assert known.choices == ("many", "few", "3")


def test_a_range_without_width_has_share_one_half() -> None:
    assert ParameterRange("x", 2.0, 2.0).share(2.0) == 0.5
    assert range_of((1.0, FloatDistribution(-1.7e308, 1.7e308))).share(1.0) == 0.5
    ranges = {"fixed": ParameterRange("fixed", 2.0, 2.0), "free": ParameterRange("free", 1.0, 2.0)}
    assert numeric(ranges | {"kind": ParameterRange("kind", choices=("a", "b"))}) == ["free"]


@given(st.data())
def test_every_sampled_value_is_in_its_range(data: st.DataObject) -> None:
    low, high = data.draw(st.floats(1e-6, 1.0)), data.draw(st.floats(1.0, 1e6))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=data.draw(st.integers(0, 99))))
    asked = study.ask()
    asked.suggest_float("x", low, high, log=True)
    asked.suggest_int("n", -3, 7, step=2)
    ranges = parameter_ranges(study.trials)
    for name, value in study.trials[0].params.items():
        assert -1e-9 <= ranges[name].share(value) <= 1 + 1e-9
