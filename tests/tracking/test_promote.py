import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.config import DataSettings, PromotionSettings
from src.errors import ConfigError
from src.tracking.promote import main
from tests.commands import Finished, run_here
from tests.contenders import TwoVersions, aliases

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

HEADER = "target  metric  champion  challenger  rows  dates"


def promote(two: TwoVersions, folder: Path, *options: str, n_rows: int = 400) -> Finished:
    two.weak.frame.head(n_rows).to_parquet(folder / "table.parquet")
    (folder / "names.yaml").write_text("targets: {profit: {task: regression}, gone: {task: regression}}\n")
    return run_here(main, ["--data", "table.parquet", "--config", "names.yaml", *options], folder)


def decision(done: Finished) -> str:
    """The end of the third line, the target's row; a note on the interval follows."""
    assert (done.status, done.err) == (0, "")
    return re.split(r" {2,}", done.out.splitlines()[2])[-1]


def judged(version: int) -> dict[str, dict[str, Any]]:
    """The records of a version's comparisons."""
    found = MlflowClient().get_model_version("profit", str(version)).tags
    return {key: json.loads(value) for key, value in found.items() if key.startswith("judged_")}


def exchange_roles() -> None:
    client = MlflowClient()
    client.set_registered_model_alias("profit", "champion", "2")
    client.set_registered_model_alias("profit", "challenger", "1")


def test_better_challenger_is_promoted_once(two_versions: TwoVersions, tmp_path: Path) -> None:
    done = promote(two_versions, tmp_path, "--targets", "profit")
    assert (done.status, done.err) == (0, "")
    header, line, row, note = done.out.splitlines()
    assert header.startswith(HEADER)
    assert set(line) == {"-", " "}
    assert row.startswith("profit  MAE     v1        v2          80    2024-11-16 … 2025-02-03 (80)")
    assert row.endswith("99.9 %       90 %    promoted")
    assert aliases() == {"champion": 2}
    tags = MlflowClient().get_model_version("profit", "2").tags
    assert f"{float(tags['promotion_champion_score']):.5g}" in row
    assert f"{float(tags['promotion_challenger_score']):.5g}" in row
    assert "profit: only 80 dates: if good and bad periods last for weeks" in note
    again = promote(two_versions, tmp_path, "--targets", "profit")
    assert (again.status, again.err) == (0, "")
    assert again.out == "profit: no challenger to promote, champion is v2\n"
    assert MlflowClient().get_model_version("profit", "2").tags == tags


def test_dry_run_moves_nothing_and_writes_json(two_versions: TwoVersions, tmp_path: Path) -> None:
    done = promote(two_versions, tmp_path, "--targets", "profit", "--dry-run", "--output-dir", "out")
    assert decision(done) == "would be promoted"
    assert aliases() == {"champion": 1, "challenger": 2}
    for version in "12":
        tags = MlflowClient().get_model_version("profit", version).tags
        assert not [tag for tag in tags if tag.startswith(("promo", "judged"))]
    record = json.loads((tmp_path / "out" / "promotions" / "profit_v2_against_v1.json").read_text(encoding="utf-8"))
    assert (record["decision"], record["n_dates"]) == ("would be promoted", 80)
    assert record["confidence"] > 0.99
    assert record["comparison"]["challenger_uri"] == "models:/profit/2"


def test_worse_challenger_stays_challenger(two_versions: TwoVersions, tmp_path: Path) -> None:
    exchange_roles()
    done = promote(two_versions, tmp_path, "--targets", "profit", "--min-probability", "0")
    assert decision(done) == "kept: the challenger is not better"
    (record,) = judged(1).values()
    assert judged(1) == judged(2)
    assert (record["first"], record["last"], record["dates"], record["rows"]) == ("2024-11-16", "2025-02-03", 80, 80)
    assert (record["champion"], record["challenger"], record["metric"], record["passed"]) == (2, 1, "mae", False)
    assert record["low"] < record["difference"] == record["challenger_score"] - record["champion_score"]
    assert record["confidence"] < 0.01
    assert record["min_probability"] == 0
    assert aliases() == {"champion": 2, "challenger": 1}


def test_better_score_alone_is_not_enough(two_versions: TwoVersions, tmp_path: Path) -> None:
    """The strong model is closer by a cent on slightly more than half of the days: better, but not significantly."""
    weak, strong = two_versions.weak, two_versions.strong
    low, high = np.sort([tiny.booster.predict(tiny.matrix) for tiny in (weak, strong)], axis=0)
    strong_is_high = strong.booster.predict(strong.matrix) == high
    is_closer = np.random.default_rng(1).random(400) < 0.55
    truth = (low + high) / 2 + np.where(is_closer == strong_is_high, 0.005, -0.005)
    two_versions = replace(two_versions, weak=replace(weak, frame=weak.frame.assign(profit=truth)))
    options = ("--targets", "profit", "--min-probability")
    kept = promote(two_versions, tmp_path, *options, "1")
    assert decision(kept) == "kept: better with less than 100 % confidence"
    assert aliases() == {"champion": 1, "challenger": 2}
    before = judged(1)
    assert decision(promote(two_versions, tmp_path, *options, "0.5")) == "promoted"
    assert aliases() == {"champion": 2}
    assert judged(1) == judged(2)
    assert judged(1).keys() == before.keys(), "the same comparison is the same contest, whatever it needs"
    for records, passed, probability in ((before, False, 1), (judged(1), True, 0.5)):
        (record,) = records.values()
        assert (record["passed"], record["min_probability"], record["contest"]) == (passed, probability, 1)


def test_the_same_comparison_again_is_the_same_record(two_versions: TwoVersions, tmp_path: Path) -> None:
    exchange_roles()
    for n_rows in (400, 400, 399):
        promote(two_versions, tmp_path, "--targets", "profit", n_rows=n_rows)
    assert sorted(record["last"] for record in judged(1).values()) == ["2025-02-02", "2025-02-03"]
    assert judged(1) == judged(2)


def test_too_few_dates_to_be_sure(two_versions: TwoVersions, tmp_path: Path) -> None:
    """The champion stays, unless no confidence is required: then the better score alone decides."""
    options = ("--targets", "profit", "--test-fraction", "0.025", "--min-probability")
    kept = promote(two_versions, tmp_path, *options, "0.8")
    assert decision(kept) == "kept: too few dates to be sure"
    assert kept.out.splitlines()[3] == "profit: only 10 dates: an interval needs 12"
    (record,) = judged(1).values()
    assert (record["confidence"], record["low"], record["dates"], record["passed"]) == (None, None, 10, False)
    assert decision(promote(two_versions, tmp_path, *options, "0")) == "promoted"


def test_an_interrupted_promotion_is_completed(two_versions: TwoVersions, tmp_path: Path) -> None:
    MlflowClient().set_registered_model_alias("profit", "champion", "2")
    dry = promote(two_versions, tmp_path, "--targets", "profit", "--dry-run")
    assert (dry.status, aliases()) == (0, {"champion": 2, "challenger": 2})
    done = promote(two_versions, tmp_path, "--targets", "profit")
    assert (done.status, aliases()) == (0, {"champion": 2})
    assert done.out.splitlines()[0] == "profit: an interrupted promotion is completed"


def test_rows_that_a_model_was_trained_on_are_not_compared(two_versions: TwoVersions, tmp_path: Path) -> None:
    done = promote(two_versions, tmp_path, "--targets", "profit", n_rows=319)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: no row of table.parquet is new to the models: models:/profit/2 was trained up to 2024-11-14, the table "
        "ends at 2024-11-14: give --data with more than 1 date(s) from 2024-11-15 on\n"
    )
    assert aliases() == {"champion": 1, "challenger": 2}


def test_all_targets_are_compared_before_any_alias_is_moved(two_versions: TwoVersions, tmp_path: Path) -> None:
    client = MlflowClient()
    client.create_registered_model("gone")
    for alias in ("champion", "challenger"):
        version = client.create_model_version("gone", str(client.get_model_version("profit", "1").source))
        client.set_registered_model_alias("gone", alias, version.version)
    done = promote(two_versions, tmp_path, "--targets", "all")
    assert (done.status, done.out) == (2, "")
    assert "column 'gone' (the target) is missing" in done.err
    assert aliases() == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize("named", [[], ["--targets", "all"], ["--targets="]])
def test_without_targets_all_registered_models_are_compared(
    two_versions: TwoVersions, tmp_path: Path, named: list[str]
) -> None:
    done = promote(two_versions, tmp_path, *named, "--dry-run")
    assert done.status == 0, done.err
    assert "would be promoted" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "gone"], "model 'gone' has no version: train and register it first"),
        (["--targets", "nobody"], "target 'nobody' is unknown"),
        (
            ["--targets", "profit", "--test-fraction", "0"],
            "--test-fraction 0.0 is out of range: use more than 0, up to 1",
        ),
        (["--targets", "profit", "--purge-days", "-1"], "--purge-days -1 is negative"),
        (["--targets", "profit", "--min-probability", "1.5"], "--min-probability 1.5 is out of range: use 0 to 1"),
        (["--mode", "yes"], "--mode 'yes' is unknown: use on, dry-run, off"),
    ],
)
def test_user_errors_are_one_line(two_versions: TwoVersions, tmp_path: Path, options: list[str], message: str) -> None:
    done = promote(two_versions, tmp_path, *options)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_no_champion(two_versions: TwoVersions, tmp_path: Path) -> None:
    MlflowClient().delete_registered_model_alias("profit", "champion")
    done = promote(two_versions, tmp_path, "--targets", "profit")
    assert done.status == 2
    assert "model 'profit' has no champion" in done.err


def test_empty_registry(mlflow_store: str, tmp_path: Path) -> None:
    pd.DataFrame({"date": ["2024-01-01"]}).to_parquet(tmp_path / "table.parquet")
    done = run_here(main, ["--data", "table.parquet"], tmp_path)
    assert done.status == 2
    assert done.err.startswith("error: none of net_profit, gross_profit, ")


def test_the_test_fraction_may_be_one_but_not_zero() -> None:
    assert PromotionSettings(DataSettings(), test_fraction=1).test_fraction == 1
    for bad in (0.0, -0.1, 1.1):
        with pytest.raises(ConfigError, match="--test-fraction"):
            PromotionSettings(DataSettings(), test_fraction=bad)


@pytest.mark.parametrize(
    ("options", "message", "champion"),
    [
        (["--mode", "on"], "promoted", 2),
        (["--mode", "dry-run"], "would be promoted", 1),
        (["--mode", "on", "--dry-run"], "would be promoted", 1),
    ],
)
def test_the_mode_decides_whether_aliases_move(
    two_versions: TwoVersions, tmp_path: Path, options: list[str], message: str, champion: int
) -> None:
    assert decision(promote(two_versions, tmp_path, "--targets", "profit", *options)) == message
    assert aliases()["champion"] == champion


def test_off_does_nothing(two_versions: TwoVersions, tmp_path: Path) -> None:
    done = promote(two_versions, tmp_path, "--targets", "profit", "--mode", "off", "--test-fraction", "0")
    assert (done.status, done.out, done.err) == (0, "nothing is promoted: --mode is off\n", "")
    assert aliases() == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--targets", "all"], 0, ""),
        (["--mode", "yes"], 2, "--mode 'yes' is unknown"),
        (["--test-fraction", "0"], 2, "--test-fraction 0.0 is out of range"),
        (["--targets", "nobody"], 2, "target 'nobody' is unknown"),
        (["--config", "gone.yaml"], 2, "gone.yaml"),
    ],
)
def test_options_are_validated_without_a_model_or_a_table(
    tmp_path: Path, options: list[str], status: int, message: str
) -> None:
    """A nightly job checks its options before the search: it creates no store and reads no table."""
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = run_here(main, ["--check", "--data", "gone.parquet", *options], tmp_path, away)
    assert (done.status, done.out) == (status, "")
    assert message in done.err and done.err.count("\n") == (1 if status else 0)
    assert not list(tmp_path.iterdir())
