import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.model_settings import QUANTITIES, Constraint, ModelSettings, parse_constraint, parse_monotone


@pytest.mark.parametrize(
    ("text", "quantity", "limit"),
    [
        ("trees<=500", "trees", 500.0),
        (" leaves <= 2e4 ", "leaves", 20000.0),
        ("predict_ms_per_1000<=0.5", "predict_ms_per_1000", 0.5),
        ("fold_spread<=0", "fold_spread", 0.0),
    ],
)
def test_a_constraint_is_a_quantity_and_its_limit(text: str, quantity: str, limit: float) -> None:
    assert parse_constraint(text) == Constraint(quantity, limit)
    assert parse_constraint(str(parse_constraint(text))) == Constraint(quantity, limit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trees<500", r"'trees<500' is not NAME<=NUMBER: write for example --constraint \"trees<=500\""),
        ("500", "is not NAME<=NUMBER"),
        ("", "'' is not NAME<=NUMBER"),
        ("tree<=500", r"'tree' is unknown \(did you mean 'trees'\?\): use one of trees, leaves, predict_ms_per_1000"),
        ("trees<=many", "'many' is not a number: write for example trees<=10"),
        ("trees<=5<=6", "'5<=6' is not a number"),
        ("leaves<=nan", "'nan' is not a number"),
        ("leaves<=inf", "'inf' is not a number"),
        ("trees<=0", "no model has trees of 0 or less: use 1 or more"),
        ("predict_ms_per_1000<=0", "no model has predict_ms_per_1000 of 0 or less: use more than 0"),
        ("fold_spread<=-0.1", "no model has fold_spread of -0.1 or less: use 0 or more"),
    ],
)
def test_a_wrong_constraint_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_constraint(text)


def test_settings_have_one_form_for_equal_constraints() -> None:
    first = ModelSettings(("fold_spread <= 0.10", "trees<=500"))
    assert first == ModelSettings(("trees<=5e2", "fold_spread<=0.1"))
    assert first.constraint == ("trees<=500", "fold_spread<=0.1")
    assert first.limits("trees")
    assert not first.limits("leaves")


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match="limits trees twice, trees<=5 and trees<=6: give it once"):
        ModelSettings(("trees<=5", "trees<=6"))
    with pytest.raises(ConfigError, match=r"--select 'smal' is unknown \(did you mean 'small'\?\)"):
        ModelSettings(select="smal")


@given(st.sampled_from(sorted(QUANTITIES)), st.floats(1, 1e9), st.floats(0, 1e9))
def test_the_excess_is_positive_exactly_above_the_limit(quantity: str, limit: float, value: float) -> None:
    constraint = parse_constraint(f"{quantity}<={limit!r}")
    if abs(value - limit) > 1e-9 * limit:
        assert (constraint.excess(value) > 0) == (value > constraint.limit)
    assert constraint.excess(constraint.limit) == 0
    assert Constraint("fold_spread", 0.0).excess(value) == value


def test_signs_are_given_by_feature() -> None:
    assert parse_monotone(["planned_leverage:-1", " a:b : +1", "c:0"]) == {"planned_leverage": -1, "a:b": 1, "c": 0}
    assert ModelSettings(monotone={"b": 1, "a": -1, "c": 0}) == ModelSettings(monotone={"a": -1, "b": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leverage", "--monotone 'leverage' is not FEATURE:SIGN: write for example --monotone leverage:-1"),
        (":1", "is not FEATURE:SIGN"),
        ("leverage:2", "gives feature 'leverage' the sign '2': use 1 "),
        ("leverage:up", "the sign 'up': use 1 "),
        ("leverage:", "the sign '': use 1 "),
    ],
)
def test_a_wrong_sign_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_monotone([text])


def test_a_feature_has_one_sign() -> None:
    with pytest.raises(ConfigError, match="--monotone names 'a' twice: give it once"):
        parse_monotone(["a:1", "a:-1"])
    with pytest.raises(ConfigError, match="the sign '5': use 1 "):
        ModelSettings(monotone={"a": 5})
