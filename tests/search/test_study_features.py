from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.config import TableConfig
from src.errors import ConfigError, DataError
from src.modeling.open_study import open_study
from src.search import feature_choice
from src.search.derived_features import FEATURES_ATTR, DerivedFeatures, all_candidates
from src.search.study_features import describe_choice, with_study_features
from src.study.study_settings import SETTINGS_ATTR
from tests.bare_table import PEERS, bare_table, with_peers
from tests.search_tasks import NAME, make_task
from tests.small_table import small_table

FRAME = with_peers(bare_table(30, 4))


def test_own_features_are_not_stored(tmp_path: Path) -> None:
    opened = open_study(make_task(tmp_path, frame=small_table(20, 4)))
    assert FEATURES_ATTR not in opened.study.user_attrs
    assert opened.task.derived is None
    assert list(opened.task.data.features) == ["signal", "noise", "style", "is_open"]


def test_a_study_chooses_once_and_every_process_has_its_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ["net_profit_mean_5", "desk_volume_mean_1", "net_profit_lag_1"]
    calls: list[int] = []

    def choose(*_: Any) -> tuple[list[str], dict[str, Any]]:
        calls.append(1)
        return chosen, {"set": "lags", "families": {"lags": {"kept": 1}, "means": {"kept": 1}, "market": {"kept": 0}}}

    monkeypatch.setattr(feature_choice, "choose_features", choose)
    first = open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    assert list(first.task.data.features) == ["net_profit_lag_1", "net_profit_mean_5", "desk_volume_mean_1"]
    again = open_study(make_task(tmp_path, frame=FRAME.sample(frac=1, random_state=0), table=PEERS))
    assert len(calls) == 1
    pd.testing.assert_frame_equal(again.task.data.features, first.task.data.features, check_exact=True)
    assert again.task.derived == first.task.derived
    assert first.task.derived is not None
    considered = all_candidates(make_task(tmp_path, frame=FRAME, table=PEERS).data).considered
    assert describe_choice(first.task.derived) == f"3 of {considered} derived features are used (lags): lags, means"
    assert with_study_features(again.task, again.study) is again.task, "they are there already"


def test_sessions_are_those_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of the calendar package may know other holidays."""
    table = replace(PEERS, calendar="XNYS")
    first = open_study(make_task(tmp_path, frame=FRAME, table=table))
    assert first.task.derived is not None and "2024-01-02" in first.task.derived.sessions
    monkeypatch.setattr("src.search.derived_features.read_sessions", lambda *_: ("2024-01-02", "2024-01-03"))
    again = open_study(make_task(tmp_path, frame=FRAME, table=table))
    pd.testing.assert_frame_equal(again.task.data.features, first.task.data.features, check_exact=True)


def test_features_of_a_later_version_are_refused_in_one_line(tmp_path: Path) -> None:
    opened = open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    assert opened.task.derived is not None
    stored = opened.task.derived.to_json()
    stored["features"][0] |= {"statistic": "kurtosis"}
    opened.study.set_user_attr(FEATURES_ATTR, stored)
    with pytest.raises(
        ConfigError, match=f"study '{NAME}': the derived .*: feature 'net_profit_lag_1' is of"
    ) as caught:
        open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    assert "use the version that made it" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "stored", [{"features": []}, {"features": [{"name": "x"}], "sessions": []}, {"chosen": []}, []]
)
def test_other_contents_are_refused_in_one_line(tmp_path: Path, stored: Any) -> None:
    opened = open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    opened.study.set_user_attr(FEATURES_ATTR, stored)
    with pytest.raises(ConfigError, match=f"study '{NAME}': ") as caught:
        open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    assert len(str(caught.value).splitlines()) == 1


def test_a_study_without_the_choice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.modeling.open_study.choose_study_features", lambda *_: None)
    with pytest.raises(ConfigError, match="was created without derived features: use --features own, or another"):
        open_study(make_task(tmp_path, frame=FRAME, table=PEERS))


def test_a_study_resumes_only_with_its_kind_of_features(tmp_path: Path) -> None:
    frame = small_table(20, 4)
    opened = open_study(make_task(tmp_path, frame=frame))
    with pytest.raises(ConfigError, match="was created with features 'own', now it is 'both': give the same value"):
        open_study(make_task(tmp_path, frame=frame, table=TableConfig(features="both")))
    stored = opened.study.user_attrs[SETTINGS_ATTR]
    del stored["features"]  # of an earlier version
    opened.study.set_user_attr(SETTINGS_ATTR, stored)
    assert open_study(make_task(tmp_path, frame=frame, table=TableConfig(features="own"))).task.derived is None


def test_names_that_occur_already_are_refused(tmp_path: Path) -> None:
    frame = small_table(20, 4).assign(weekday=1)
    with pytest.raises(DataError, match="columns weekday have the names of derived features"):
        open_study(make_task(tmp_path, frame=frame, table=TableConfig(features="both")))


def test_the_stored_choice_is_read_back(tmp_path: Path) -> None:
    opened = open_study(make_task(tmp_path, frame=FRAME, table=PEERS))
    assert DerivedFeatures.from_json(opened.study.user_attrs[FEATURES_ATTR]) == opened.task.derived
