"""The options of `make fanout`: valid Kubernetes names, and errors that are reported before a pod is created."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from k8s.fanout.__main__ import up
from k8s.fanout.options import LONGEST_NAME, OVERLAYS, given, is_on, place_of, run_name, run_of
from src.config import MODEL_CONFIGS
from src.errors import ConfigError

NOON = datetime(2024, 1, 31, 12, 0, 5, tzinfo=UTC)


@for_all(st.text(max_size=80))
def test_a_run_has_a_name_that_kubernetes_takes_or_none(study: str) -> None:
    try:
        name = run_name(study)
    except ConfigError:
        # Judged by the name's letters alone, without the code that cuts it.
        plain = [c for c in study.lower() if c in "abcdefghijklmnopqrstuvwxyz0123456789"]
        assert not plain or len(study) > LONGEST_NAME or len(study.lower()) > LONGEST_NAME
    else:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert len(f"create-{name}-99999") <= 63
        assert run_name(name) == name


@pytest.mark.parametrize("target", [*MODEL_CONFIGS, "all"])
def test_a_run_without_a_name_is_called_after_its_target_and_time(target: str) -> None:
    run = run_of({"TARGET": target}, NOON)
    assert run.study == run.settings["STUDY_NAME"] == f"{target}_20240131_120005"
    assert run.name == f"{target}_20240131_120005".replace("_", "-")


def test_several_targets_make_one_run() -> None:
    assert run_of({"TARGET": "net_profit,num_trades"}, NOON).study == "targets_20240131_120005"


def test_a_given_name_goes_on_with_its_study() -> None:
    run = run_of({"STUDY_NAME": "Net_Profit 2", "WORKERS": "3", "N_TRIALS": "7"}, NOON)
    assert (run.study, run.name, run.workers) == ("Net_Profit 2", "net-profit-2", 3)
    assert run.settings == {"STUDY_NAME": "Net_Profit 2", "N_TRIALS": "7", "RUN_TOKEN": run.settings["RUN_TOKEN"]}


def test_each_run_has_its_own_token() -> None:
    """Also one that goes on with a study, and two in the same second."""
    tokens = {run_of({"STUDY_NAME": "s"}, NOON).settings["RUN_TOKEN"] for _ in range(2)}
    assert len(tokens) == 2
    assert all(re.fullmatch(r"20240131_120005-[0-9a-f]{8}", token) for token in tokens)
    with pytest.raises(ConfigError, match="RUN_TOKEN is unknown"):
        up(["RUN_TOKEN=mine"])


def test_a_config_file_travels_with_the_run(tmp_path: Path) -> None:
    file = tmp_path / "my table.yaml"
    file.write_text("account: trader\ntargets: {pnl: {task: regression, metric: mae}}\n", encoding="utf-8")
    run = run_of({"CONFIG": str(file), "TARGET": "pnl"}, NOON)
    assert run.settings["CONFIG"] == "/config/table.yaml"
    assert run.table == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"WORKERS": "0"}, "WORKERS=0 is not a number of workers: use 1 or more"),
        ({"WORKERS": "-1"}, "WORKERS=-1 is not a number"),
        ({"WORKERS": "eight"}, "WORKERS=eight is not a number"),
        ({"N_TRIALS": "0"}, "--n-trials 0 is too few"),
        ({"TARGET": "net_profi"}, "target 'net_profi' is unknown (did you mean 'net_profit'?)"),
        ({"SAMPLER": "grid"}, "--sampler 'grid' is unknown"),
        ({"WAIT_SECONDS": "soon"}, "WAIT_SECONDS=soon is not a time"),
        ({"IDLE_SECONDS": "0"}, "IDLE_SECONDS=0 is not a time"),
        ({"DATA": "table.parquet"}, "DATA=table.parquet is a local path"),
        ({"DATA": "postgresql://u:secret@h/d"}, "DATA=postgresql://u:***@h/d contains a password"),
        ({"STUDY_NAME": "___"}, "STUDY_NAME=___ cannot name a run"),
        ({"STUDY_NAME": "a/b"}, "--study-name 'a/b' contains '/'"),
        ({"STUDY_NAME": "a "}, "--study-name 'a ' ends with ' '"),
        ({"STUDY_NAME": f"a{'ü' * 99}", "TARGET": "all"}, "…' is too long: 210 bytes"),
        ({"STUDY_NAME": "x" * 60}, "cannot name a run: use letters and digits, 48 at most"),
    ],
)
def test_mistakes_are_one_line(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        run_of(values, NOON)
    assert len(str(caught.value).splitlines()) == 1


def test_what_the_products_parser_refuses_ends_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_of({"N_TRIALS": "abc"}, NOON)
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: argument --n-trials: invalid whole number value: 'abc' (see --help)\n"


def test_words() -> None:
    assert given(["QUERY=select a from b where c = 1", "SEED="], ["QUERY", "SEED"]) == {
        "QUERY": "select a from b where c = 1",
        "SEED": "",
    }
    for word in ("STORAGE_URL=x", "QUERY"):
        with pytest.raises(ConfigError, match="is unknown"):
            given([word], ["QUERY", "SEED"] if word != "QUERY" else ["QUERY"])


def test_places() -> None:
    assert place_of({}).overlay == OVERLAYS / "local"
    assert place_of({"KUBECTL": "minikube kubectl --"}).kubectl == ("minikube", "kubectl", "--")
    with pytest.raises(
        ConfigError, match=r"OVERLAY=produktion is unknown \(did you mean 'production'\?\): use local or"
    ):
        place_of({"OVERLAY": "produktion"})


def test_an_overlay_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"or the path of a folder that contains services and run, such as k8s/"):
        place_of({"OVERLAY": str(tmp_path)})
    for part in ("services", "run"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "kustomization.yaml").touch()
    assert place_of({"OVERLAY": str(tmp_path)}).overlay == tmp_path


@pytest.mark.parametrize(("value", "on"), [("1", True), ("yes", True), ("True", True), ("0", False), ("", False)])
def test_switches(value: str, on: bool) -> None:
    assert is_on("DRY_RUN", {"DRY_RUN": value}) is on
    assert is_on("DRY_RUN", {}) is False
    with pytest.raises(ConfigError, match="ALL=perhaps is neither yes nor no"):
        is_on("ALL", {"ALL": "perhaps"})
