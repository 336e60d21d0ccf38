"""The rows that contenders get, a real run of one contender, recording and resuming."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import our_command, peers, quality
from benchmarks.problem import Answer, Problem, make_problem, read_answer, read_problem, write_answer, write_problem
from benchmarks.runs import Record, describe, read_journal, run_contender, write_journal
from benchmarks.tables import Table
from src.cli import run_settings
from src.config_file import load_table_config
from src.data.encoding import encode, learn_levels
from src.errors import ConfigError
from src.modeling.optuna_parallel_optimization import build_parser

RNG_SEED = 7


@pytest.fixture
def table() -> Table:
    rng = np.random.default_rng(RNG_SEED)
    kind = pd.Series(rng.choice(["a", "b", "c"], 400)).astype("str")
    x = rng.normal(size=400)
    date = pd.date_range("2020-01-01", periods=40).repeat(10)
    y = 3 * x + (kind == "b") * 2.0
    frame = pd.DataFrame({"x": x, "kind": kind, "y": y, "day": date})
    frame.loc[frame.index[-1], "kind"] = "unseen"
    return Table("small", frame, "y", "regression", "mae", "day", "none", "made here")


def parsed(*words: str) -> quality.Plan:
    return quality.make_plan(quality.build_parser().parse_args(words))


def test_problem_and_answer_survive_their_files(table: Table, tmp_path: Path) -> None:
    problem, search, test = make_problem(table, 1, 60.0, 2)
    write_problem(tmp_path, problem, search, test)
    same, rows, asked = read_problem(tmp_path)
    assert same == problem
    pd.testing.assert_frame_equal(rows, search)
    pd.testing.assert_frame_equal(asked, test.drop(columns="y"))
    answer = Answer(np.array([1.5, 2.0]), 60.5, 1.0, 12)
    write_answer(tmp_path, answer)
    found = read_answer(tmp_path)
    assert found.prediction.tolist() == [1.5, 2.0]
    assert (found.search_seconds, found.fit_seconds, found.trials) == (60.5, 1.0, 12)


def test_peers_get_categories_of_the_search_rows_and_the_last_dates_for_validation(table: Table) -> None:
    problem, search, test = make_problem(table, 1, 60.0, 2)
    rows = peers.make_rows(problem, search, test.drop(columns="y"))
    assert list(rows.x.columns) == ["x", "kind"]
    assert list(rows.x["kind"].cat.categories) == list(rows.x_test["kind"].cat.categories) == ["a", "b", "c"]
    assert rows.x_test["kind"].isna().sum() == 1
    dates = search["day"]
    assert dates[: rows.n_train].max() < dates[rows.n_train :].min()
    assert dates[rows.n_train :].nunique() == round(0.2 * dates.nunique())


@pytest.mark.slow
def test_a_contender_that_fails_is_written_down_with_its_last_words(table: Table, tmp_path: Path) -> None:
    problem, search, test = make_problem(table, 1, 5.0, 1)
    write_problem(tmp_path, problem, search, test)
    record = run_contender("small", "ours+n-trials=0", problem, tmp_path, test)
    assert record.score is None and record.error is not None
    assert "exit status 2" in record.error and "--n-trials 0 is too few" in record.error
    assert "FAILED" in describe(record) and "\n" not in describe(record)


def test_our_command_is_one_that_the_product_takes(table: Table, tmp_path: Path) -> None:
    problem = make_problem(table, 3, 60.0, 2)[0]
    command = our_command.command("ours+ensemble-size=5", tmp_path, problem, tmp_path)
    settings = run_settings(build_parser().parse_args(command[command.index("-m") + 2 :]))
    assert settings.ensemble_size == 5 and not settings.register
    assert settings.search.total_timeout == 60 and settings.search.seed == settings.split.seed == 3
    assert (settings.split.test_fraction, settings.split.purge_days) == (0, 0)
    config = load_table_config(tmp_path / "config.yaml")
    assert (config.account, config.date, dict(config.targets)) == (None, "day", dict(table.config.targets))


def test_our_model_file_is_read_by_its_metadata_alone(table: Table, tmp_path: Path) -> None:
    import lightgbm as lgb

    search = table.frame[:300]
    levels = learn_levels(search, ["kind"], np.arange(300))
    matrix = encode(search[["kind", "x"]], levels)
    booster = lgb.train(
        {"verbosity": -1, "num_threads": 1}, lgb.Dataset(matrix, search["y"], categorical_feature=[0]), 20
    )
    booster.save_model(tmp_path / "model.txt")
    metadata = {"feature_names": ["kind", "x"], "categorical_levels": levels}
    found = our_command.predict(tmp_path / "model.txt", metadata, table.frame[300:].drop(columns="y"))
    expected = booster.predict(encode(table.frame[300:][["kind", "x"]], levels))
    assert found.tolist() == np.asarray(expected).tolist()


def test_stores_and_servers_of_the_caller_are_not_used() -> None:
    inherited = {"PATH": "p", "MLFLOW_TRACKING_URI": "http://there", "OPTUNA_POSTGRES_HOST": "there"}
    assert our_command.environment(inherited) == {"PATH": "p", "PYTHONPATH": str(our_command.ROOT)}


def test_contenders_take_turns() -> None:
    plan = quality.Plan(("t", "u"), ("a", "b", "c"), seeds=2, seconds=1.0, cores=1)
    cells = list(plan.cells())
    assert [(table, seed) for table, seed, _ in cells] == [("t", 1), ("u", 1), ("t", 2), ("u", 2)]
    assert ["".join(order) for _, _, order in cells] == ["abc", "bca", "cab", "abc"]
    assert len(plan.keys()) == 12


@pytest.mark.slow
def test_a_peer_runs_in_a_process_and_what_is_written_down_is_not_run_again(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "load_table", lambda name: table)
    plan = quality.Plan(("small",), ("defaults",), seeds=1, seconds=5.0, cores=1)
    journal = tmp_path / "runs.jsonl"
    quality.run_plan(plan, journal)
    written = read_journal(journal)
    quality.run_plan(plan, journal)
    assert read_journal(journal) == written and len(written) == 1
    test = make_problem(table, 1, 5.0, 1)[2]
    assert written[0].score is not None and written[0].score < 0.3 * test["y"].std()
    assert written[0].trials == 1 and written[0].total_seconds > (written[0].search_seconds or 0) > 0
    other = Record("small", "mae", 1, "ours", 5.0, 1, None, 2.0, error="exit status 1: it broke")
    elsewhere = Record("gone", "mae", 1, "ours", 5.0, 1, 1.0, 2.0)
    write_journal(journal, [*written, other, elsewhere])
    both = quality.Plan(("small",), ("ours", "defaults"), seeds=1, seconds=5.0, cores=1)
    quality.summarise(both, read_journal(journal), tmp_path)
    result = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))["result"]
    assert {run["table"] for run in result["runs"]} == {"small"}
    found = result["tables"]["that rules were chosen on"]
    assert found["mean_ranks"] == {"all": {"defaults": 1, "ours": 2}}
    assert [loss["winner"] for loss in found["losses"]] == ["defaults"]
    assert result["tables"]["for confirmation"] == {}
    assert "losses: 1" in capsys.readouterr().out


@pytest.mark.slow
def test_variants_of_ours_are_ranked_against_the_peers_alone_too(tmp_path: Path) -> None:
    plan = quality.Plan(("t",), ("ours", "ours+use-cv=true", "plain"), seeds=1, seconds=5.0, cores=1)
    scores = {"ours": 3.0, "ours+use-cv=true": 1.0, "plain": 2.0}
    quality.summarise(plan, [Record("t", "mae", 1, name, 5.0, 1, s, 9.0) for name, s in scores.items()], tmp_path)
    means = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))["result"]
    means = means["tables"]["that rules were chosen on"]["mean_ranks"]
    assert means["ours and the peers"] == {"plain": 1, "ours": 2}
    assert means["ours+use-cv=true and the peers"] == {"ours+use-cv=true": 1, "plain": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tables", "diamond"], "--tables 'diamond' is unknown"),
        (["--contenders", "ours,plane"], "--contenders 'plane' is unknown"),
        (["--seeds", "0"], "--seeds 0 is too few"),
        (["--seconds", "10"], "--seconds 10 is too few: use 20 or more"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--contenders", "ours,defaults", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"^the package 'flaml' is not installed: run `make bench`"):
        parsed("--contenders", "flaml")
    assert parsed("--contenders", "ours,defaults", "--seeds", "1").contenders == ("ours", "defaults")


def test_more_cores_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--cores 100000 is more than this process may use"):
        quality.pin(100_000)


def test_plain_script_draws_what_the_contract_lists() -> None:
    import optuna

    names = {
        "boosting_type", "num_leaves", "learning_rate", "feature_fraction", "min_child_samples", "lambda_l1",
        "lambda_l2", "max_depth", "min_gain_to_split", "max_bin",
    }  # fmt: skip
    bagging, dart = {"bagging_fraction", "bagging_freq"}, {"drop_rate", "max_drop", "skip_drop"}
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(sampler=sampler)
    seen = {}
    for _ in range(30):
        params = peers.plain_space(study.ask())
        seen[params["boosting_type"]] = set(params)
    assert seen == {"gbdt": names | bagging, "goss": names, "dart": names | bagging | dart}


def test_problem_is_frozen(table: Table) -> None:
    problem = make_problem(table, 1, 60.0, 2)[0]
    assert isinstance(problem, Problem) and hash(problem) == hash(make_problem(table, 1, 60.0, 2)[0])
