"""The files of a finished model's report, and what is left of them when a measurement or a drawing fails."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest

from src.config import RunSettings, SearchSettings
from src.errors import ConfigError
from src.final.final_model import score_hold_out
from src.reporting.final_report import FinalReport, attempt, write_final_report
from src.reporting.model.files import read_model_numbers
from src.reporting.pdf import pages as pdf_pages
from src.search.finish_time import TableSize, TimeLimit
from src.search.search_task import SearchTask
from tests.reporting.trained import Trained, trained

FILES = ["report.html", "report.pdf", "model_numbers.json", "test_predictions.parquet"]


def metadata_of(one: Trained) -> dict[str, Any]:
    config = one.data.config
    scores = score_hold_out(one.model, one.data, one.rows)
    return {"target": one.data.target, "task": config.task, "metric": config.metric, "validation_score": None} | scores


def write(one: Trained, folder: Path, settings: RunSettings | None = None) -> FinalReport:
    study = optuna.create_study(study_name="s")
    task = SearchTask(one.data, one.rows, settings or RunSettings())
    return write_final_report(task, study, one.model, metadata_of(one), folder)


@pytest.mark.slow
def test_html_pdf_numbers_and_predictions_are_in_the_folder(tmp_path: Path) -> None:
    one, folder = trained("is_profitable"), tmp_path / "reports" / "s"
    report = write(one, folder)
    assert [path.name for path in report.files] == FILES
    assert (report.page, report.trials, report.write_errors) == (folder / "report.html", folder / "trials.csv", ())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "metadata.json", "trials.csv"])
    assert json.loads((folder / "metadata.json").read_text()) == metadata_of(one)
    assert "Net profit by prediction" in (folder / "report.html").read_text()
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    numbers = read_model_numbers(folder)
    assert numbers is not None and numbers.curves is not None
    assert numbers.curves.roc.area == metadata_of(one)["test_score"]


def test_a_model_that_cannot_be_measured_still_has_its_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """LightGBM itself refuses: the model knows more features than the table has."""
    one = trained()
    width = one.data.features.shape[1] + 1
    table = lgb.Dataset(np.random.default_rng(0).normal(size=(50, width)), np.arange(50.0), params={"verbosity": -1})
    wider = lgb.train({"verbosity": -1, "num_threads": 1}, table, 2)
    broken = replace(one, model=replace(one.model, booster=wider))
    task = SearchTask(one.data, one.rows, RunSettings())
    with caplog.at_level(logging.WARNING):
        found = write_final_report(task, optuna.create_study(study_name="s"), broken.model, metadata_of(one), tmp_path)
    assert [path.name for path in found.files] == ["report.html", "report.pdf"]
    assert "Net profit by prediction" not in (tmp_path / "report.html").read_text()
    (record,) = [record for record in caplog.records if record.name == "src.reporting.final_report"]
    assert record.message.startswith("the report lacks the model's chapters, which failed with LightGBMError: ")
    assert record.message.endswith("the model is saved and will be registered; --verbose shows the traceback")
    assert "\n" not in record.message


def test_the_pdf_is_left_out_where_a_total_timeout_leaves_no_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = trained()
    limit = TimeLimit(monotonic(), TableSize.of(one.rows, 3), 60.0)
    task = SearchTask(one.data, one.rows, RunSettings(), limit=limit)
    with caplog.at_level(logging.WARNING):
        found = write_final_report(task, optuna.create_study(study_name="s"), one.model, metadata_of(one), tmp_path)
    assert [path.name for path in found.files] == [name for name in FILES if name != "report.pdf"]
    assert caplog.messages == [
        "report.pdf is left out, to keep --total-timeout 60: "
        "python -m src.modeling.optuna_visualization --study-name s writes it"
    ]


@pytest.mark.slow
def test_a_report_that_cannot_be_typeset_has_all_but_its_pdf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    template = tmp_path / "broken.typ"
    template.write_text("#unknown")
    monkeypatch.setattr(pdf_pages, "TEMPLATE", template)
    report = write(trained(), tmp_path / "s")
    assert [path.name for path in report.files] == [name for name in FILES if name != "report.pdf"]
    assert "the report lacks report.pdf, which failed with TypstError: unknown variable" in caplog.text


def test_a_failure_is_one_line_whatever_it_says(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise ValueError("two\n  lines, " + "long " * 200)

    with caplog.at_level(logging.WARNING):
        assert attempt("report.pdf", work) is None
    (record,) = caplog.records
    assert "the report lacks report.pdf, which failed with ValueError: two lines, long long" in record.message
    assert "\n" not in record.message
    assert len(record.message) < 500
    assert record.exc_info is None


def test_verbose_shows_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="src"):
        attempt("report.pdf", lambda: 1 / 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]
    assert caplog.records[1].exc_info is not None


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ConfigError("x: use y"), KeyboardInterrupt()]
)
def test_a_full_disk_a_line_of_its_own_and_ctrl_c_go_on(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        attempt("report.pdf", work)


def test_what_the_disk_refuses_is_named_with_the_command_that_writes_it(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    report = write(trained(), tmp_path / "reports" / "s")
    assert (report.files, report.page, report.trials) == ((), None, None)
    assert len(report.write_errors) == 5, "trials, metadata, numbers, page and PDF, each tried"
    assert report.retry_command == "the same command with --study-name s", "without numbers, measure again"
    line = report.failure(report.retry_command)
    assert line.startswith(f"{tmp_path / 'reports' / 's'}")
    assert line.endswith("then the same command with --study-name s writes it and 4 more")


@pytest.mark.slow
def test_a_page_alone_is_written_by_the_report_command(tmp_path: Path) -> None:
    folder, search = tmp_path / "s", SearchSettings(storage_dir=tmp_path / "studies")
    (folder / "report.html").mkdir(parents=True)  # a folder where the page is to lie
    report = write(trained(), folder, RunSettings(search=search, output_dir=Path("out")))
    assert [path.name for path in report.files] == FILES[1:]
    assert report.retry_command == (
        f"python -m src.modeling.optuna_visualization --study-name s --storage-dir {tmp_path / 'studies'} "
        f"--output-dir out"
    )
    assert report.failure(report.retry_command).startswith(f"{folder / 'report.html'} cannot be written: ")
