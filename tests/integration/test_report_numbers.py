"""Numbers of a report equal those of study, MLflow and metadata; another process wrote the study."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from scipy.stats import spearmanr

from src.modeling.optuna_visualization import main
from src.study.studies import OptunaStudyManager
from tests.commands import Finished, run_here
from tests.report_page import Page
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
TARGETS = ("net_profit", "num_trades")
N_TRIALS = 11


@dataclass
class Desk:
    """A user's folder and a store on Postgres with the results of a search."""

    folder: Path
    store: str
    said: str = ""
    reports: dict[tuple[str, ...], Finished] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def tune(self) -> None:
        """In another process."""
        small_table(n_days=100, n_accounts=10).to_parquet(self.folder / "table.parquet")
        command = [
            *(sys.executable, "-m", "src.modeling.train_with_optuna", "--targets", *TARGETS, "--study-name", "s"),
            *("--data", "table.parquet", "--n-trials", str(N_TRIALS), "--storage-url", self.store),
        ]
        environ = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": self.uri}
        run = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr

    def report(self, *options: str) -> Finished:
        """Runs the command once for all tests."""
        if options not in self.reports:
            environ = {"MLFLOW_TRACKING_URI": self.uri}
            run = run_here(main, ["--storage-url", self.store, *options], self.folder, environ)
            assert (run.status, run.err) == (0, "")
            self.reports[options] = run
        return self.reports[options]

    def page(self, name: str) -> Page:
        return Page((self.folder / "artefacts/reports" / name / "report.html").read_text(encoding="utf-8"))

    @cached_property
    def manager(self) -> OptunaStudyManager:
        return OptunaStudyManager(storage_url=self.store)

    def study(self, target: str) -> optuna.Study:
        return self.manager.load_study(f"s_{target}")

    def metadata(self, target: str) -> dict[str, Any]:
        path = self.folder / f"artefacts/models/lgb_{target}_optuna_metadata.json"
        return dict(json.loads(path.read_text()))

    def run(self, target: str) -> Run:
        client = MlflowClient(self.uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        (run,) = client.search_runs(experiments, f"attributes.run_name = 's_{target}'")
        return run


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, postgres_socket: str) -> Desk:
    import psycopg2

    connection = psycopg2.connect(host=postgres_socket, user="postgres", dbname="postgres")
    try:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE reported")
    finally:
        connection.close()
    desk = Desk(tmp_path_factory.mktemp("desk"), f"postgresql://postgres@/reported?host={postgres_socket}")
    desk.tune()
    desk.said = desk.report("--study-name", "s_net_profit").out
    return desk


def shown(text: str) -> float:
    """The rounded number at the start of a text; `+3.2 %` is 0.032."""
    plain = text.replace(",", "").replace("\N{MINUS SIGN}", "-").split()
    return float(plain[0]) / 100 if plain[1:2] == ["%"] else float(plain[0])


def close(value: float) -> Any:
    """Four digits are shown."""
    return pytest.approx(value, rel=1e-3, abs=1e-3)


@pytest.mark.timeout(300)
def test_the_report_of_a_study_shows_what_study_metadata_and_mlflow_hold(desk: Desk) -> None:
    page, study = desk.page("s_net_profit"), desk.study("net_profit")
    metadata, run = desk.metadata("net_profit"), desk.run("net_profit")
    assert f"MLflow   run {run.info.run_id}, folder report" in desk.said
    metrics, summary = run.data.metrics, page.sections["summary"].facts
    assert shown(summary["MAE on test"]) == close(metadata["test_score"]) == close(metrics["test_score"])
    best_naive = metadata["baselines"][metadata["best_baseline"]]
    assert best_naive == min(metadata["baselines"].values())
    assert shown(summary["best naive baseline"]) == close(best_naive)
    assert best_naive == metrics[f"baseline_{metadata['best_baseline']}"]
    assert shown(summary["skill over it"]) == close(metadata["skill"]) == close(metrics["skill"])
    assert shown(summary["best MAE in the search"]) == close(study.best_value) == close(metrics["best_value"])
    assert summary["finished trials"] == str(metadata["n_trials"]) == str(N_TRIALS)
    assert f"(trial {study.best_trial.number})" in summary["best value"]
    low, high = metadata["test_interval"]
    assert (metrics["test_score_low"], metrics["test_score_high"]) == (low, high)
    interval = summary["test score"].partition("interval ")[2].rstrip(")").split(" to ")
    assert [shown(bound) for bound in interval] == [close(low), close(high)]


@pytest.mark.parametrize("target", TARGETS)
def test_the_models_scores_stand_beside_every_baseline_of_the_same_rows(desk: Desk, target: str) -> None:
    desk.report("--study-name", f"s_{target}")
    page, metadata, metrics = desk.page(f"s_{target}"), desk.metadata(target), desk.run(target).data.metrics
    summary = page.sections["summary"].facts
    for part, prefix in (("test", ""), ("validation", "validation_")):
        found = dict(metadata[f"{prefix}baselines"])
        assert found == {name: metrics[f"{prefix}baseline_{name}"] for name in found}
        figure = page.figures[f"baselines-{part}"]
        names = figure["layout"]["yaxis"]["ticktext"]
        bars = dict(zip(names, next(trace for trace in figure["data"] if trace["type"] == "bar")["x"], strict=True))
        score = metadata[f"{part}_score"]
        if part == "validation" and "members" in metadata:
            assert bars.pop("best trial alone") == pytest.approx(metadata["best_trial"]["value"], rel=1e-4)
            assert "mean of several trials, too optimistic" in summary["validation score"]
        assert bars.pop("the model") == pytest.approx(score, rel=1e-4)
        assert bars == pytest.approx(found, rel=1e-4)
        assert shown(summary[f"{part} score"]) == close(score)
        reference = metadata["validation_best_baseline"] if prefix else metadata["best_baseline"]
        assert summary[f"{part}, best baseline"].startswith(reference)
        assert shown(summary[f"{part}, skill over it"]) == pytest.approx(1 - score / found[reference], abs=1e-3)


def test_members_states_and_rows_are_those_of_metadata_study_and_table(desk: Desk) -> None:
    page, study, metadata = desk.page("s_net_profit"), desk.study("net_profit"), desk.metadata("net_profit")
    (members,) = page.sections["ensemble"].tables
    for row, member in zip(members, metadata["members"], strict=True):
        assert (row["trial"].value, row["rounds"].value) == (member["trial"], member["rounds"])
        assert row["weight"].value == member["weight"]
        trial = study.trials[member["trial"]]
        assert row["validation MAE"].value == trial.value
        for name, value in trial.params.items():
            assert row[name].text == value if isinstance(value, str) else row[name].value == value
    counts = {name: sum(trial.state.name == name for trial in study.trials) for name in ("COMPLETE", "PRUNED")}
    assert f"{counts['COMPLETE']} complete" in page.sections["summary"].facts["trials"]
    states = {row["state"].text: row["trials"].value for row in page.sections["time"].tables[0]}
    assert states == {name.lower(): n for name, n in counts.items() if n or name == "COMPLETE"}
    table = pd.read_parquet(desk.folder / "table.parquet")
    parts = {row["part"].text: row for row in page.sections["data"].tables[0]}
    assert sum(row["rows"].value or 0 for row in parts.values()) == len(table)
    assert parts["search"]["rows"].value == metadata["training_samples"]
    for part, (first, last) in {item: metadata["split"][f"{item}_dates"] for item in ("search", "test")}.items():
        kept = table[table["date"].between(first, last)]
        row = parts[part]
        assert (row["from"].text, row["to"].text) == (first, last)
        assert row["rows"].value == len(kept) == metadata["split"][f"{part}_rows"]
        assert (row["days"].value, row["accounts"].value) == (kept["date"].nunique(), kept["account_id"].nunique())


def test_both_files_are_artifacts_of_the_run(desk: Desk) -> None:
    desk.report("--study-name", "s_net_profit")
    client, run_id = MlflowClient(desk.uri), desk.run("net_profit").info.run_id
    names = {item.path for item in client.list_artifacts(run_id, "report")}
    assert {"report/report.html", "report/report.pdf"} <= names
    for name in ("report.html", "report.pdf"):
        here = (desk.folder / "artefacts/reports/s_net_profit" / name).read_bytes()
        assert Path(client.download_artifacts(run_id, f"report/{name}", str(desk.folder))).read_bytes() == here


def test_the_trials_of_the_report_are_the_studys(desk: Desk) -> None:
    page, study = desk.page("s_net_profit"), desk.study("net_profit")
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    (table,) = page.sections["trials"].tables
    assert [row["trial"].value for row in table] == [t.number for t in sorted(complete, key=lambda t: t.value or 0.0)]
    by_number = {trial.number: trial for trial in complete}
    for row in table:
        trial = by_number[int(row["trial"].text)]
        assert trial.duration is not None
        assert row["value"].value == trial.value
        assert row["seconds"].value == trial.duration.total_seconds()
        for name, value in trial.params.items():
            assert row[name].text == value if isinstance(value, str) else row[name].value == value
    (best,) = page.sections["parameters"].tables
    held = {row["parameter"].text: row["value"] for row in best}
    assert {name: cell.text if cell.value is None else cell.value for name, cell in held.items()} == study.best_params
    drawn = {trace["name"]: trace for trace in page.figures["history"]["data"] if trace.get("name")}
    assert drawn["complete"]["y"] == pytest.approx([t.value for t in complete], rel=1e-5)


def test_the_model_page_shows_what_was_measured_at_the_finish(desk: Desk) -> None:
    page, metadata = desk.page("s_net_profit"), desk.metadata("net_profit")
    kept = pd.read_parquet(desk.folder / "artefacts/reports/s_net_profit/test_predictions.parquet")
    assert len(kept) == metadata["test_samples"]
    assert (kept["y"] - kept["prediction"]).abs().mean() == pytest.approx(metadata["test_score"])
    bins = page.sections["money"].tables[0]
    assert sum(row["rows"].value or 0 for row in bins) == len(kept)
    earned = sum((row["rows"].value or 0) * (row["mean net profit"].value or 0) for row in bins)
    assert earned / len(kept) == pytest.approx(kept["y"].mean(), rel=1e-3)
    months = page.sections["stability"].tables[0]
    by_month = (kept["y"] - kept["prediction"]).abs().groupby(kept["date"].dt.strftime("%Y-%m")).mean()
    assert {row["month"].text: row["MAE"].value for row in months} == pytest.approx(by_month.to_dict(), rel=1e-4)


def test_the_ensemble_report_shows_each_studys_own_numbers(desk: Desk) -> None:
    desk.report("--ensemble", *TARGETS)
    page = desk.page("ensemble_net_profit_num_trades")
    final, searched = page.sections["performance"].tables
    for target, row, search in zip(TARGETS, final, searched, strict=True):
        metadata, study, metrics = desk.metadata(target), desk.study(target), desk.run(target).data.metrics
        assert row["model"].text == search["model"].text == target
        assert row["test"].value == metadata["test_score"] == metrics["test_score"]
        assert metadata["best_trial"]["value"] == study.best_value
        assert row["validation"].value == metadata["validation_score"] == metrics["validation_score"]
        assert row["its score"].value == metrics[f"baseline_{row['best naive baseline'].text}"]
        assert shown(row["skill"].text) == close(metadata["skill"])
        assert search["best in search"].value == study.best_value == metrics["best_value"]
        assert search["finished trials"].value == metadata["n_trials"]
        assert search["metric"].text == metadata["metric"].upper()
        (way,) = (item for item in page.sections["convergence"].tables[0] if item["model"].text == target)
        assert way["best value"].value == study.best_value
    folder = desk.folder / "artefacts/reports"
    a, b = (pd.read_parquet(folder / f"s_{target}/test_predictions.parquet") for target in TARGETS)
    both = a.merge(b, on=["account", "date"])
    ((pair,),) = page.sections["agreement"].tables
    assert pair["account-days"].value == len(both)
    expected = spearmanr(both["prediction_x"], both["prediction_y"]).statistic
    assert pair["rank correlation"].value == pytest.approx(expected)
    first = page.sections["money"].tables[0][0]
    top = a.nlargest(round(len(a) / 10), "prediction")
    assert first["ranked by"].text == "net_profit"
    assert first["mean net profit in the top tenth"].value == pytest.approx(top["y"].mean())


@pytest.mark.parametrize("n", [0, 1, 9, 1000])
@pytest.mark.timeout(300)
def test_a_study_of_another_objective_and_any_size_is_reported(desk: Desk, n: int) -> None:
    """A study of another objective on Postgres, with failed, pruned and running trials."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import TrialState, create_trial

    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    ranges = {"shift": FloatDistribution(-1.0, 1.0), "size": IntDistribution(1, 2**40, log=True)}
    kinds = {"kind": CategoricalDistribution((None, True, "a b", 1.5))}
    study = optuna.create_study(study_name=f"mine {n}", storage=desk.manager.storage, direction="maximize")
    for i in range(n):
        state = TrialState.RUNNING if i == n - 1 and n > 1 else states[i % 5]
        params: dict[str, Any] = {"shift": (i * 37 % 200) / 100 - 1, "size": 2 ** (i % 40)}
        if i % 3:
            params["kind"] = (None, True, "a b", 1.5)[i % 4]
        value = float("inf") if i == 7 else (i * 7919 % 1009) / 10
        study.add_trial(
            create_trial(
                state=state,
                value=value if state == TrialState.COMPLETE else None,
                params=params,
                distributions={name: item for name, item in (ranges | kinds).items() if name in params},
                intermediate_values={0: -1.0, 5: float("nan")} if i % 2 else {},
            )
        )
    desk.report("--study-name", f"mine {n}")
    folder = desk.folder / "artefacts/reports" / f"mine {n}"
    assert (folder / "report.html").stat().st_size < 6e6
    assert (folder / "report.pdf").stat().st_size > 1000
    page = desk.page(f"mine {n}")
    values = [t.value for t in study.trials if t.value is not None and t.value != float("inf")]
    tiles = page.sections["summary"].facts
    assert tiles["finished trials"] == str(sum(t.state.name in ("COMPLETE", "PRUNED") for t in study.trials))
    assert ("best value in the search" in tiles) == bool(values)
    if values:
        assert shown(tiles["best value in the search"]) == close(max(values))
    assert ("Too few trials" in page.text) == (n < 10)
