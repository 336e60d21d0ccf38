"""`promote --history`, `--rollback`, `--approve-by` and `--approve`, and the MLflow runs of decisions."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from src.tracking.promote import main
from src.tracking.registry.model_versions import register_model
from tests.commands import Finished, run_here
from tests.contenders import TwoVersions, aliases

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

ANNA, BEN, CARL = ({"MLFLOW_TRACKING_USERNAME": name} for name in ("anna", "ben", "carl"))


@pytest.fixture
def promote(two_versions: TwoVersions, tmp_path: Path) -> Any:
    """Runs `promote --targets profit` with these options, as a user."""
    two_versions.weak.frame.to_parquet(tmp_path / "table.parquet")
    (tmp_path / "names.yaml").write_text("targets: {profit: {task: regression}}\n")

    def run(*options: str, user: dict[str, str] = ANNA, named: bool = True) -> Finished:
        given = [*(["--targets", "profit"] if named else []), "--config", "names.yaml", "--data", "table.parquet"]
        return run_here(main, [*given, *options], tmp_path, user)

    return run


def out(done: Finished) -> str:
    assert (done.status, done.err) == (0, "")
    return done.out


def decision_runs() -> list[Run]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("daily-profit")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return sorted(runs, key=lambda run: int(run.info.start_time))


def tags_of(version: int) -> dict[str, str]:
    return dict(MlflowClient().get_model_version("profit", str(version)).tags)


def history(promote: Any) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(out(promote("--history", "--json", "-")))
    return found["profit"]


def reasons(promote: Any) -> list[tuple[int, str, str | None]]:
    return [(row["version"], row["why"], row["by"]) for row in history(promote)]


def test_the_decision_is_a_run(promote: Any) -> None:
    out(promote())
    (run,) = decision_runs()
    assert (run.info.run_name, run.info.status) == ("promote-profit-v2-against-v1", "FINISHED")
    tags, metrics = run.data.tags, run.data.metrics
    assert tags["mlflow.user"] == "anna" and tags["daily_profit.host"]
    assert (tags["daily_profit.decision"], tags["daily_profit.model"]) == ("promoted", "profit")
    assert (tags["daily_profit.champion"], tags["daily_profit.challenger"]) == ("models:/profit/1", "models:/profit/2")
    assert metrics["difference"] == metrics["challenger_score"] - metrics["champion_score"] < 0
    assert metrics["difference_low"] < metrics["difference"] < metrics["difference_high"]
    assert (metrics["n_dates"], metrics["contest"], metrics["required_confidence"]) == (80, 1, 0.9)
    assert run.data.params["min_probability"] == "0.8"
    assert tags_of(1)["decision_run"] == tags_of(2)["decision_run"] == run.info.run_id
    sources = {MlflowClient().get_model_version("profit", number).source for number in "12"}
    run = MlflowClient().get_run(run.info.run_id)  # a search leaves the models out
    assert run.inputs is not None
    assert {f"models:/{model.model_id}" for model in run.inputs.model_inputs} == sources


def test_a_refusal_is_a_run_once(promote: Any) -> None:
    client = MlflowClient()
    client.set_registered_model_alias("profit", "champion", "2")
    client.set_registered_model_alias("profit", "challenger", "1")
    for _ in range(2):
        assert "kept: the challenger is not better" in out(promote())
    (run,) = decision_runs()
    assert run.data.tags["daily_profit.decision"] == "kept"
    assert run.data.tags["daily_profit.reason"] == "the challenger is not better"
    out(promote("--dry-run", "--min-probability", "0"))
    assert len(decision_runs()) == 1


@pytest.mark.parametrize("by_another_command", [True, False])
def test_a_refused_move_ends_the_run_as_failed(
    promote: Any, monkeypatch: pytest.MonkeyPatch, by_another_command: bool
) -> None:
    """Two commands at once have one run: the slower one does not say that the promotion failed."""
    real, client = MlflowClient.set_model_version_tag, MlflowClient()
    third = client.create_model_version("profit", str(client.get_model_version("profit", "1").source))

    def and_the_alias_moves(_: MlflowClient, *arguments: str) -> None:
        real(client, *arguments)
        if arguments[1:3] != ("1", "decision_run"):
            return
        monkeypatch.setattr(MlflowClient, "set_model_version_tag", real)
        if by_another_command:
            out(promote())
        else:
            client.set_registered_model_alias("profit", "champion", third.version)

    monkeypatch.setattr(MlflowClient, "set_model_version_tag", and_the_alias_moves)
    done = promote()
    assert done.status == 2 and "changed meanwhile" in done.err
    (run,) = decision_runs()
    expected = ("FINISHED", "promoted") if by_another_command else ("FAILED", "failed")
    assert (run.info.status, run.data.tags["daily_profit.decision"]) == expected


def test_an_interrupted_promotion_ends_its_run(promote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "delete_registered_model_alias", no_more)
        assert promote().status == 130
    assert decision_runs()[0].info.status == "RUNNING"
    assert "an interrupted promotion is completed" in out(promote())
    (run,) = decision_runs()
    assert (run.info.status, run.data.tags["daily_profit.decision"]) == ("FINISHED", "promoted")
    assert reasons(promote)[1:] == [(2, "contest", "anna")]


def test_history_and_rollback(promote: Any, two_versions: TwoVersions) -> None:
    first = promote("--history")
    assert [line.split()[:2] for line in out(first).splitlines()[2:]] == [["profit", "v1"]]
    out(promote())
    assert out(promote("--rollback", "--dry-run")) == ("profit: v1 would be champion again, v2 would be rolled back\n")
    assert aliases() == {"champion": 2}
    done = promote("--rollback", user=BEN)
    assert out(done) == "profit: v1 is champion again, v2 is rolled back\n"
    assert aliases() == {"champion": 1}
    run = decision_runs()[-1]
    assert (run.info.run_name, run.info.status) == ("rollback-profit-v2-to-v1", "FINISHED")
    assert (tags_of(2)["rolled_back_to"], tags_of(2)["rolled_back_by"]) == ("1", "ben")
    assert reasons(promote)[1:] == [(2, "contest", "anna"), (1, "rollback", "ben")]
    rows = history(promote)
    assert [row["until"] for row in rows] == [rows[1]["at"], rows[2]["at"], None]
    assert [row["is_present"] for row in rows] == [False, False, True]
    header, _, v1, v2, again = out(promote("--history")).splitlines()
    assert header.split("  ")[0] == "target" and "first version" in v1
    assert "contest against v1: MAE" in v2 and "80 rows" in v2
    assert "  now  " in again and "rollback of v2" in again
    refused = promote("--rollback")
    assert refused.status == 2
    assert "model 'profit' has no former champion: v1 is the first in its history" in refused.err


def test_a_rolled_back_version_is_not_promoted_again(promote: Any, two_versions: TwoVersions) -> None:
    out(promote())
    out(promote("--rollback"))
    assert "no challenger to promote, champion is v1" in out(promote())
    client = MlflowClient()
    run_id = str(client.get_model_version("profit", "2").run_id)
    assert register_model(run_id, two_versions.strong.card).alias is None, "the study is resumed"
    assert aliases() == {"champion": 1}
    client.set_registered_model_alias("profit", "challenger", "2")
    assert "profit: challenger v2 was rolled back on 20" in out(promote())
    client.delete_model_version_tag("profit", "2", "rolled_back_at")
    assert out(promote()).rstrip().splitlines()[2].endswith("promoted")
    assert aliases() == {"champion": 2}
    assert [(version, why) for version, why, _ in reasons(promote)] == [
        (1, "first version"), (2, "contest"), (1, "rollback"), (2, "contest"),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["set_model_version_tag", "set_registered_model_alias", "set_registered_model_tag"])
@pytest.mark.parametrize("before", [True, False])
def test_a_killed_rollback_is_completed(
    promote: Any, monkeypatch: pytest.MonkeyPatch, method: str, before: bool
) -> None:
    out(promote())
    real = getattr(MlflowClient, method)

    def interrupted(*arguments: object) -> None:
        if not before:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, method, interrupted)
        assert promote("--rollback").status == 130
    moved = aliases() == {"champion": 1}
    assert promote("--rollback").status == (2 if moved else 0), "the alias moves once"
    assert aliases() == {"champion": 1}
    assert [(version, why) for version, why, _ in reasons(promote)][1:] == [(2, "contest"), (1, "rollback")]
    assert len(decision_runs()) == 2


def test_a_deleted_former_champion_is_an_error(promote: Any) -> None:
    out(promote())
    MlflowClient().delete_model_version("profit", "1")
    done = promote("--rollback")
    assert done.status == 2
    assert "the former champion v1 of model 'profit' was deleted" in done.err
    assert reasons(promote)[1:] == [(2, "contest", "anna")]


def test_a_champion_set_by_hand(promote: Any) -> None:
    client = MlflowClient()
    client.set_registered_model_alias("profit", "champion", "2")
    client.delete_registered_model_alias("profit", "challenger")
    assert reasons(promote) == [(2, "set by hand", None)]
    assert "no former champion" in promote("--rollback").err
    client.set_registered_model_alias("profit", "champion", "1")
    client.set_registered_model_alias("profit", "challenger", "2")
    out(promote())
    client.set_registered_model_alias("profit", "champion", "1")
    assert [(version, why) for version, why, _ in reasons(promote)] == [
        (1, "first version"), (2, "contest"), (1, "set by hand"),
    ]  # fmt: skip
    assert "set by hand after v2" in out(promote("--history"))
    assert "v2 is champion again, v1 is rolled back" in out(promote("--rollback"))


def test_history_of_promotions_by_earlier_versions_of_the_program(promote: Any) -> None:
    out(promote())
    client = MlflowClient()
    for key in client.get_registered_model("profit").tags:
        client.delete_registered_model_tag("profit", key)
    client.delete_model_version_tag("profit", "2", "promoted_by")
    (_, second) = history(promote)
    assert (second["version"], second["over"], second["why"], second["by"]) == (2, 1, "contest", None)
    assert second["figures"]["metric"] == "mae"
    assert "v1 is champion again" in out(promote("--rollback"))


def test_history_as_a_file(promote: Any, tmp_path: Path) -> None:
    assert "first version" in out(promote("--history", "--json", "history.json"))
    assert json.loads((tmp_path / "history.json").read_text())["profit"][0]["version"] == 1


def test_a_second_person_approves(promote: Any) -> None:
    assert "waits for the approval of ben" in out(promote("--approve-by", "ben"))
    assert aliases() == {"champion": 1, "challenger": 2}
    (run,) = decision_runs()
    assert run.data.tags["daily_profit.decision"] == "waiting for approval"
    waiting = "profit: challenger v2 waits for the approval of ben (--approve)\n"
    assert out(promote()) == waiting, "a plain promotion does not bypass it"
    own = promote("--approve")
    assert (own.status, own.err) == (
        2, "error: 'anna' has requested the promotion of 'profit': 'ben' has to approve it\n",
    )  # fmt: skip
    other = promote("--approve", user=CARL)
    assert other.status == 2 and "waits for the approval of 'ben'" in other.err
    assert aliases() == {"champion": 1, "challenger": 2}
    assert out(promote("--approve", "--dry-run", user=BEN)) == "profit: v2 would be promoted, requested by anna\n"
    assert out(promote("--approve", user=BEN)) == "profit: v2 promoted, requested by anna\n"
    assert aliases() == {"champion": 2}
    assert "approval_pending" not in tags_of(2)
    (run,) = decision_runs()
    assert (run.data.tags["daily_profit.decision"], run.data.tags["daily_profit.approved_by"]) == ("promoted", "ben")
    assert reasons(promote)[1:] == [(2, "contest", "anna, approved by ben")]
    assert "no promotion of 'profit' waits for approval" in promote("--approve", user=BEN).err


def test_an_approval_of_another_champion_does_not_hold(promote: Any) -> None:
    out(promote("--approve-by", "ben"))
    client = MlflowClient()
    third = client.create_model_version("profit", str(client.get_model_version("profit", "1").source))
    client.set_registered_model_alias("profit", "champion", third.version)
    done = promote("--approve", user=BEN)
    assert (done.status, aliases()["champion"]) == (2, 3)
    assert "its champion or challenger has changed since: run promote with --approve-by first" in done.err


def test_a_refused_challenger_asks_nobody(promote: Any) -> None:
    client = MlflowClient()
    client.set_registered_model_alias("profit", "champion", "2")
    client.set_registered_model_alias("profit", "challenger", "1")
    assert "kept: the challenger is not better" in out(promote("--approve-by", "ben"))
    assert "approval_pending" not in tags_of(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rollback", "--history"], "--rollback and --history contradict each other"),
        (["--approve", "--approve-by", "ben"], "--approve and --approve-by contradict each other"),
        (["--approve-by", "anna"], "--approve-by 'anna' is this user: name a second person"),
        (["--json", "x.json"], "--json x.json is for --history"),
    ],
)
def test_options_that_contradict_each_other(promote: Any, options: list[str], said: str) -> None:
    done = promote(*options)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err


@pytest.mark.parametrize("option", ["--rollback", "--approve"])
def test_aliases_move_only_for_named_models(promote: Any, option: str) -> None:
    done = promote(option, named=False)
    assert done.status == 2
    assert f"{option} moves aliases without a comparison: name the models with --targets" in done.err
