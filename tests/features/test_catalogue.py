import json
from typing import Any

import pytest

from src.features.catalogue import DECAYS, FAMILIES, LONGEST_WINDOW, STATISTICS, Feature, candidates, longest_history

ALL = candidates(["net_profit", "fees"], ["desk", "style"], calendar=True)


def test_names_say_what_is_derived() -> None:
    names = [feature.name for feature in ALL]
    assert len(set(names)) == len(names)
    for name in (
        *("net_profit_lag_1", "fees_mean_20", "net_profit_q10_20", "net_profit_exponential_mean_7", "fees_streak"),
        *("market_net_profit_mean_5", "desk_net_profit_share_positive_1", "weekday", "before_holiday", "rows_so_far"),
    ):
        assert name in names


def test_the_set_covers_each_family_and_statistic_and_stays_within_the_longest_window() -> None:
    assert {feature.family for feature in ALL} == set(FAMILIES)
    assert {feature.statistic for feature in ALL} == set(STATISTICS)
    assert longest_history(ALL) == LONGEST_WINDOW
    assert longest_history([]) == 0


def test_sessions_and_groups_are_optional() -> None:
    few = candidates(["net_profit"], [], calendar=False)
    assert {feature.family for feature in few} == set(FAMILIES) - {"groups"}
    assert not [feature.name for feature in few if "holiday" in feature.name or "session" in feature.name]


def test_features_survive_json() -> None:
    assert [Feature.from_dict(json.loads(json.dumps(feature.to_dict()))) for feature in ALL] == ALL


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"name": "n", "family": "means", "statistic": "mode"},
            "feature 'n' is of family 'means' and statistic 'mode'",
        ),
        ({"name": "n", "family": "means", "statistic": "mean", "unit": 1}, r"'n' has unknown keys \['unit'\]"),
        ({"name": "n", "family": "means"}, r"lacks \['statistic'\]"),
        ({"name": "n", "family": "exponential", "statistic": "exponential_mean", "parameter": 3}, "half-life 3"),
    ],
)
def test_descriptions_of_another_version_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Feature.from_dict(values)


def test_two_features_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'market_x_mean_1': rename a column or a group"):
        candidates(["x"], ["market"], calendar=False)


def test_decays_are_halved_after_the_half_life() -> None:
    for half_life, decay in DECAYS.items():
        assert decay == pytest.approx(0.5 ** (1 / half_life), rel=1e-15)
