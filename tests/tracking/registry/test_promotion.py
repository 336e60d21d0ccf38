import threading
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from src.errors import TrackingError, UserError
from src.tracking.registry.champion_history import champion_changes
from src.tracking.registry.model_versions import ScoreComparison
from src.tracking.registry.promotion import complete_promotion, promote_challenger
from tests.contenders import TwoVersions, aliases

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
    pytest.mark.usefixtures("two_versions"),
]

FOUND = ScoreComparison("mae", "models:/profit/1", "models:/profit/2", 3.25, 1.5, -1.75, True, 150)
STEPS = [
    ("set_model_version_tag", 1),  # the first of the challenger's six
    ("set_model_version_tag", 6),
    ("set_registered_model_alias", 1),
    ("set_model_version_tag", 7),  # the first of the former champion's six
    ("set_model_version_tag", 12),
    ("set_registered_model_tag", 1),
    ("delete_registered_model_alias", 1),
]


class Killed(BaseException):
    """Simulates `kill -9`: the project's code must not catch it."""


def tags(version: int) -> dict[str, str]:
    """The tags that the promotion wrote to a version."""
    found = MlflowClient().get_model_version("profit", str(version)).tags
    return {key: value for key, value in found.items() if key.startswith(("promot", "replaced"))}


def assert_promoted() -> None:
    assert aliases() == {"champion": 2}
    assert [(change.version, change.over) for change in champion_changes("profit")] == [(1, None), (2, 1)]
    scores = {
        "promotion_metric": "mae",
        "promotion_rows": "150",
        "promotion_champion_score": "3.25",
        "promotion_challenger_score": "1.5",
    }
    new, old = tags(2), tags(1)
    assert new.pop("promoted_at") == old.pop("replaced_at")
    assert new == scores | {"promoted_over": "1"}
    assert old == scores | {"replaced_by": "2"}


def test_better_challenger_is_promoted_once() -> None:
    assert promote_challenger("profit", FOUND)
    assert_promoted()
    with pytest.raises(UserError, match="now champion models:/profit/2, challenger unassigned: run promote again"):
        promote_challenger("profit", FOUND)
    assert_promoted()


def test_worse_challenger_changes_nothing() -> None:
    assert not promote_challenger("profit", replace(FOUND, better=False))
    assert aliases() == {"champion": 1, "challenger": 2}
    assert (tags(1), tags(2)) == ({}, {})


@pytest.mark.parametrize("moved", ["champion_uri", "challenger_uri"])
def test_stale_comparison_is_refused(moved: str) -> None:
    stale = replace(FOUND, **{moved: "models:/profit/3"})  # type: ignore[arg-type]  # both are texts
    with pytest.raises(UserError, match="changed meanwhile"):
        promote_challenger("profit", stale)
    assert aliases() == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize(("step", "call"), STEPS)
@pytest.mark.parametrize("before", [True, False])
def test_a_killed_call_can_be_repeated(monkeypatch: pytest.MonkeyPatch, step: str, call: int, before: bool) -> None:
    real, calls = getattr(MlflowClient, step), 0

    def killed(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if not (before and calls == call):
            real(*arguments)
        if calls == call:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MlflowClient, step, killed)
        promote_challenger("profit", FOUND)
    assert "champion" in aliases()
    if not complete_promotion("profit") and aliases() != {"champion": 2}:
        assert promote_challenger("profit", FOUND)
    assert_promoted()


def test_nothing_to_complete() -> None:
    assert not complete_promotion("profit")
    assert aliases() == {"champion": 1, "challenger": 2}


def test_both_aliases_set_by_hand() -> None:
    MlflowClient().set_registered_model_alias("profit", "champion", "2")
    assert complete_promotion("profit") == "2"
    assert (aliases(), tags(2)) == ({"champion": 2}, {})


def test_challenger_registered_meanwhile_keeps_its_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MlflowClient.set_registered_model_alias

    def and_another_comes(client: MlflowClient, name: str, alias: str, version: str) -> None:
        real(client, name, alias, version)
        third = client.create_model_version(name, str(client.get_model_version(name, "2").source))
        real(client, name, "challenger", third.version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", and_another_comes)
    assert promote_challenger("profit", FOUND)
    assert aliases() == {"champion": 2, "challenger": 3}
    assert tags(1)["replaced_by"] == "2"


@pytest.mark.filterwarnings(
    "ignore:DELETE statement on table 'registered_model_aliases'"
)  # the other process was faster
def test_concurrent_promotions_promote_once(two_versions: TwoVersions) -> None:
    """The later process is refused; any order of their steps gives exactly one promotion."""
    results: list[bool | str] = []
    start = threading.Barrier(2)

    def promote() -> None:
        start.wait()
        try:
            results.append(promote_challenger("profit", FOUND))
        except (UserError, TrackingError) as error:  # MLflow's database may refuse the slower process in between
            results.append(str(error))

    threads = [threading.Thread(target=promote) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert True in results
    refusals = ("changed meanwhile", "UNIQUE constraint failed")
    assert all(result is True or any(words in str(result) for words in refusals) for result in results)
    assert aliases() == {"champion": 2}
    assert (tags(2)["promoted_over"], tags(1)["replaced_by"]) == ("1", "2")
    assert [change.version for change in champion_changes("profit")] == [1, 2]
