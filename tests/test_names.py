"""Refused names, and allowed names that real MLflow can register, find, load and promote."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Param
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import _validate_experiment_name, _validate_model_name, _validate_param_name

from src.config import SearchSettings, TableConfig, TargetConfig
from src.errors import ConfigError
from src.final.model_files import write_metadata, write_model_text
from src.names import check_experiment_name, check_study_name, check_target_name, mlflow_key
from src.tracking.connection.session import TrackingSession
from src.tracking.projection.final_record import log_files
from src.tracking.registry.model_versions import ScoreComparison, register_model, version_aliases
from src.tracking.registry.promotion import promote_challenger
from src.tracking.registry.served_model import load_served, pinned_uri
from tests.tiny_model import tiny_model

ODD = [
    "net profit", "größe", "日本", "ab.", "a..b", "100%", "a%b", "$a'b`c;d=e", "(a)[b]{c}+d&e|f<g>h!i~j^k*", "1",
    "champion", "latest", "ALL",
]  # fmt: skip
REFUSED = {
    "ret@close": "contains '@'", "a/b": "contains '/'", "a\\b": r"contains '\\'", "a:b": "contains ':'",
    "a?b": "contains '?'", "a#b": "contains '#'", 'a"b': "contains '\"'", "a,b": "contains ','",
    "a%20b": "contains '%20', which MLflow decodes to one character", "%4a": "contains '%4a'",
    "all": "means all targets",
    "": "is blank", "  ": "is blank", "a\nb": "is not printable", "a\tb": "is not printable",
    "a\u200bb": "is not printable", "a\udcffb": "is not printable", "a\u00a0b": "is not printable",
    ".a": "begins with '.'", "..": "begins with '.'", "-a": "begins with '-'", " a": "begins with ' '",
    "a ": "ends with ' '", "x" * 181: "is too long: 181 bytes", "ü" * 91: "is too long: 182 bytes",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED, ids=[repr(name)[:20] for name in REFUSED])
def test_a_name_that_cannot_be_addressed_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_target_name(name)
    assert REFUSED[name] in str(caught.value)
    assert "rename the column, without any of" in str(caught.value)
    assert len(str(caught.value)) <= 500
    with pytest.raises(ConfigError, match="rename the column"):  # also where settings are made in Python
        TableConfig(targets={"fine": TargetConfig("binary", "auc"), name: TargetConfig("binary", "auc")})


@pytest.mark.parametrize("name", ODD)
def test_every_other_name_works_from_registration_to_promotion(name: str, tmp_path: Path, mlflow_store: str) -> None:
    check_target_name(name)
    session, client = TrackingSession(), MlflowClient()
    models = [tiny_model(tmp_path, "m", rounds) for rounds in (5, 9)]
    for number, model in enumerate(models, 1):
        run_id = client.create_run(session.experiment_id, run_name=name).info.run_id
        record = model.card.metadata | {"study_name": f"{name}_{number}"}
        version = register_model(run_id, replace(model.card, target=name, metadata=record))
        assert (version.name, version.version) == (name, number)
    expected = [np.asarray(model.booster.predict(model.matrix)) for model in models]
    for uri, predicted in ((f"models:/{name}@champion", expected[0]), (f"models:/{name}/2", expected[1])):
        np.testing.assert_array_equal(np.asarray(load_served(uri).predict(models[0].frame)), predicted)
    assert pinned_uri(f"models:/{name}@challenger") == f"models:/{name}/2"
    assert pinned_uri(f"models:/{name}/1") == f"models:/{name}/1"
    holders = version_aliases(name)
    compared = ScoreComparison("mae", holders["champion"], holders["challenger"], 2.0, 1.0, -1.0, True, 9)
    assert promote_challenger(name, compared)
    assert version_aliases(name) == {"champion": f"models:/{name}/2"}
    path = write_model_text(f"text of {name}", tmp_path / "out", name)
    log_files(session, run_id, [("", path), ("", write_metadata({}, tmp_path / "out", name))])
    assert path.name in [file.path for file in client.list_artifacts(run_id)]
    with tempfile.TemporaryDirectory() as folder:
        assert Path(client.download_artifacts(run_id, path.name, folder)).read_text() == f"text of {name}"


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_mlflow_and_the_file_system_accept_all_other_names(name: str) -> None:
    try:
        check_target_name(name)
    except ConfigError:
        return
    _validate_model_name(name)
    with tempfile.TemporaryDirectory() as folder:
        written = [write_model_text("x", Path(folder), name), write_metadata({}, Path(folder), name)]
        assert sorted(written) == sorted((Path(folder) / "models").iterdir())
    check_study_name(f"{name}_20240101_120000")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/b", "'a/b' contains '/': use printable"), (".a", "begins with '.'"),
        ("-a", "begins with '-'"), ("a ", "ends with ' '"), ("\n", "is blank"), ("é" * 101, "is too long: 202"),
    ],
    ids=["slash", "dot", "hyphen", "space", "blank", "long"],
)  # fmt: skip
def test_a_study_s_name_is_checked_where_settings_are_made(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"--study-name .*{said}"):
        SearchSettings(study_name=name)
    assert SearchSettings(study_name="größe @ 5 %: #1?, a").study_name is not None


@pytest.mark.parametrize("name", ["", " ", "x" * 501, "a\nb"], ids=["empty", "blank", "long", "lines"])
def test_an_experiment_s_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"MLFLOW_EXPERIMENT_NAME .* is not allowed"):
        check_experiment_name(name)
    check_experiment_name("x" * 500)
    _validate_experiment_name("x" * 500)


@given(st.text(min_size=1, max_size=300))
def test_any_name_of_a_parameter_becomes_one_that_mlflow_takes(name: str) -> None:
    key = mlflow_key(name)
    _validate_param_name(key)
    assert 0 < len(key) <= 250
    assert mlflow_key(key) == key


def test_parameters_keep_their_names_where_they_can_and_stay_apart(mlflow_store: str) -> None:
    for name in ("num_leaves", "a b", "model/depth", "größe: 1.5"):
        assert mlflow_key(name) == name
    odd = ["a?", "a!", "a//b", "..", ".", "/a", "a/../b", "%", "x" * 251, "x" * 252, "(a)"]
    keys = [mlflow_key(name) for name in odd]
    assert len(set(keys)) == len(odd)
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_batch(run_id, params=[Param(key, "1") for key in keys])
    assert set(client.get_run(run_id).data.params) == set(keys)
