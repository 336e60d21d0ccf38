"""Selecting a study by name, target or age."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.errors import ConfigError
from src.study.studies import OptunaStudyManager
from src.study.study_index import KnownStudy, choose_several, choose_study, known_studies
from src.study.study_settings import record_failure


def store_of(folder: Path, *studies: str | tuple[str, Mapping[str, Any]]) -> list[KnownStudy]:
    """A store with these studies, created in this order, some with settings."""
    manager = OptunaStudyManager(folder)
    for study in studies:
        name, settings = (study, None) if isinstance(study, str) else study
        manager.create_or_load_study(name, user_attrs={"settings": settings} if settings is not None else None)
    return known_studies(OptunaStudyManager(folder))


def test_age_is_the_order_of_creation_whatever_the_clock_in_the_name(tmp_path: Path) -> None:
    found = store_of(
        tmp_path,
        "first",
        "net_profit_20240301_120000",
        ("nightly", {"target": "num_trades"}),
        "net_profit_20240201_120000",
        "x_20249999_120000",
    )
    assert [(study.name, study.target) for study in found] == [
        ("x_20249999_120000", None),
        ("net_profit_20240201_120000", "net_profit"),
        ("nightly", "num_trades"),
        ("net_profit_20240301_120000", "net_profit"),
        ("first", None),
    ]


def test_a_study_with_a_failed_create_is_not_listed(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    for name in ("real", "nightly-29"):
        record_failure(manager.create_or_load_study(name), "t1", "create", "no column x")
    manager.load_study("real").set_user_attr("settings", {"target": "num_trades"})
    assert known_studies(manager) == [KnownStudy("real", "num_trades")]


def test_settings_of_a_foreign_study_are_ignored(tmp_path: Path) -> None:
    manager = OptunaStudyManager(tmp_path)
    manager.create_or_load_study("mine", user_attrs={"settings": ["target"]})
    assert known_studies(manager) == [KnownStudy("mine", None)]


def test_the_newest_study_is_meant_where_none_is_named(tmp_path: Path) -> None:
    known = store_of(tmp_path, "a_20240101_000000", "a_20231231_235959", "b_20240102_000000")
    assert choose_study(None, known, "the store") == "b_20240102_000000"
    assert choose_study("a_20231231_235959", known, "the store") == "a_20231231_235959"
    assert choose_several(["a"], known, "the store") == {"a": "a_20231231_235959"}


def test_a_study_that_is_not_there_is_named_with_the_newest(tmp_path: Path) -> None:
    known = store_of(tmp_path, *(f"a_2024010{i}_000000" for i in range(1, 8)))
    with pytest.raises(ConfigError) as told:
        choose_study("a_2024010_000000", known, "the store")
    said = str(told.value)
    assert said.startswith("there is no study 'a_2024010_000000' in the store (did you mean 'a_20240107_000000'?)")
    assert said.endswith(": the newest are " + ", ".join(f"a_2024010{i}_000000" for i in range(7, 2, -1)))


def test_an_empty_store_is_an_error() -> None:
    for choose in (lambda: choose_study(None, [], "the store"), lambda: choose_several(["a"], [], "the store")):
        with pytest.raises(ConfigError, match="there is no study in the store yet: tune first"):
            choose()


KNOWN = [
    KnownStudy("b_20240103_000000", "b"),
    KnownStudy("nightly", "a"),
    KnownStudy("a_20240101_000000", "a"),
    KnownStudy("mine=x", None),
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b"], {"a": "nightly", "b": "b_20240103_000000"}),
        (["b", "a", "b"], {"b": "b_20240103_000000", "a": "nightly"}),
        (["a=a_20240101_000000", "b"], {"a": "a_20240101_000000", "b": "b_20240103_000000"}),
        (["old=a_20240101_000000", "a"], {"old": "a_20240101_000000", "a": "nightly"}),
        (["a_20240101_000000", "nightly"], {"a_20240101_000000": "a_20240101_000000", "nightly": "nightly"}),
        (["nightly", "a"], {"a": "nightly"}),
        (["mine=x"], {"mine=x": "mine=x"}),
    ],
)
def test_a_word_is_a_target_a_study_or_both(words: list[str], expected: dict[str, str]) -> None:
    assert choose_several(words, KNOWN, "the store") == expected
    assert list(choose_several(words, KNOWN, "the store")) == list(expected)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("c", "--ensemble 'c' is neither a target nor a study in the store: there are targets b, a; studies b_2024"),
        ("nighly", "(did you mean 'nightly'?)"),
        ("a=other", "there is no study 'other' in the store: the newest are b_20240103_000000, nightly"),
        ("=nightly", "--ensemble '=nightly' is neither"),
    ],
)
def test_a_word_that_is_neither_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        choose_several(["a", word], KNOWN, "the store")
    assert said in str(told.value)
    assert "\n" not in str(told.value)
