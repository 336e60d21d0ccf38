"""The panels, the features of each contender, and the tables of the results."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import derived
from benchmarks.panels import HAND_MADE, Panel, limit_rows, neighbourhood_stops, pizzas_sold, sample, state_births
from src.config import TableConfig, TargetConfig
from src.disk import write_atomically
from src.errors import ConfigError


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "account_id": np.repeat([f"a{i}" for i in range(6)], 80),
            "date": np.tile(pd.date_range("2020-01-01", periods=80), 6),
            "y": rng.normal(size=480),
            "volume": rng.normal(size=480),
            "desk": np.repeat(["x", "y"], 240),
            "own": rng.normal(size=480),
        }
    )
    config = TableConfig(targets={"y": TargetConfig("regression", "mae")}, known_after=("volume",), groups=("desk",))
    return Panel("made", frame, "y", config, ("own",))


def record(contender: str, seed: int, score: float) -> derived.Record:
    return derived.Record("p", seed, contender, 12, 100, "mae", score, baseline=10.0, features=5, choice="", seconds=1)


def test_contenders_have_the_same_rows_and_different_features(panel: Panel) -> None:
    data = {name: derived.make_data(panel, name, 480) for name in derived.contenders_of(panel)}
    assert [*data] == ["derived", "all", "lags 1 to 5", "hand-made"]
    for other in data.values():
        np.testing.assert_array_equal(other.y, data["derived"].y)
        np.testing.assert_array_equal(other.accounts, data["derived"].accounts)
    assert data["derived"].history is not None and data["derived"].features.empty
    everything = data["all"].features
    assert data["all"].history is None and {"volume", "own", "desk"}.isdisjoint(everything.columns)
    assert any("volume" in name for name in everything.columns) and any("desk" in name for name in everything.columns)
    assert list(data["hand-made"].features.columns) == ["own"]
    lags = data["lags 1 to 5"]
    assert list(lags.features.columns) == [f"lag_{k}" for k in range(1, 6)]
    of_account = lags.accounts == "a3"
    assert lags.features["lag_2"][of_account].tolist()[2:] == lags.y[of_account].tolist()[:-2]
    assert lags.features["lag_2"][of_account].isna().sum() == 2


def test_long_panels_keep_whole_accounts_then_their_latest_dates() -> None:
    dates = pd.date_range("2020-01-01", periods=10)
    frame = pd.DataFrame({"account_id": np.repeat([f"a{i}" for i in range(50)], 10), "date": np.tile(dates, 50)})
    many = limit_rows(frame, 300)
    assert many["account_id"].nunique() == 30 and (many["account_id"].value_counts() == 10).all()
    long = limit_rows(frame, 39)
    assert long["account_id"].nunique() == 8 and sorted(long["date"].unique()) == list(dates[-4:])
    pd.testing.assert_frame_equal(limit_rows(frame, 39), long)
    assert limit_rows(frame, 500) is frame


def test_days_without_an_entry_count_zero() -> None:
    days = [f"2017-01-0{day}T05:30:00Z" for day in (1, 1, 3)] * 100
    log = pd.DataFrame({"date": days, "neighborhood": "n", "policePrecinct": 2, "problem": "traffic"})
    log = log.assign(personSearch=None, vehicleSearch="YES")
    stops = neighbourhood_stops(pd.concat([log, log.iloc[:5].assign(neighborhood="rare")]))
    assert stops["account_id"].tolist() == ["n"] * 3 and stops["stops"].tolist() == [200, 0, 100]
    assert stops["vehicle_searches"].tolist() == [200, 0, 100] and stops["person_searches"].sum() == 0
    sold = pd.DataFrame(
        {"id": ["1", "1", "2"], "date": ["2015-01-01", "2015-01-01", "2015-01-03"], "name": ["a", "a", "b"]}
    ).assign(type=["x", "x", "y"])
    pizzas = pizzas_sold(sold)
    assert pizzas["units"].tolist() == [2, 0, 0, 1] and pizzas["n_orders"].tolist() == [1, 0, 0, 1]
    assert pizzas["shop_orders"].tolist() == [1, 1, 1, 1] and pizzas["pizza_type"].tolist() == ["x", "x", "y", "y"]
    births = pd.DataFrame({"state": "TX", "date": ["1970-01-01", "1970-01-01", "1970-01-02"], "births": [1, 2, 0]})
    assert state_births(births)[["region", "births"]].to_numpy().tolist() == [["south", 3]]


def test_the_sample_brings_its_hand_made_features() -> None:
    panel = sample("num_trades")
    data = derived.make_data(panel, derived.HAND_MADE, 1_000)
    assert tuple(data.features.columns) == HAND_MADE and panel.metric == "rmse"


def test_gains_are_paired_by_seed() -> None:
    records = [
        *(record("derived", seed, score) for seed, score in ((1, 8.0), (2, 6.0))),
        *(record("lags 1 to 5", seed, score) for seed, score in ((1, 10.0), (2, 8.0))),
        *(record("hand-made", seed, 6.0) for seed in (1, 2)),
    ]
    (row,) = derived.scores_table(records)
    assert row["derived"] == "7 ± 1" and row["lags 1 to 5"] == "9 ± 1" and row["best naive"] == 10
    assert row["gain over lags 1 to 5"] == "22.5 ± 2.5 %" and row["gain over all"] == "-"
    (share,) = derived.shares_table(records)
    assert share["derived"] == "75 ± 25 %" and share["all"] == "-"


@pytest.mark.slow
def test_a_run_is_recorded_and_not_done_again(panel: Panel, tmp_path: Path) -> None:
    plan, journal = derived.Plan(("made",), seeds=1, trials=1, rows=480), tmp_path / "runs.jsonl"
    derived.run_plan(plan, {"made": lambda: panel}, journal)
    written = derived.read_journal(journal)
    assert [(run.contender, run.choice != "") for run in written] == [
        ("derived", True), ("all", False), ("lags 1 to 5", False), ("hand-made", False)
    ]  # fmt: skip
    assert written[0].features <= written[1].features and all(run.score > 0 for run in written)
    derived.run_plan(plan, {"made": lambda: panel}, journal)
    assert derived.read_journal(journal) == written
    chose_all = replace(written[0], choice="all", features=written[1].features, score=123.0)
    write_atomically(journal, "".join(json.dumps(asdict(run)) + "\n" for run in (chose_all, *written[2:])))
    derived.run_plan(plan, {"made": lambda: panel}, journal)
    assert derived.read_journal(journal)[-1] == replace(chose_all, contender="all", choice="")
    derived.summarise(plan, [*written, record("all", 1, 1.0)], tmp_path)
    result = json.loads((tmp_path / "derived.json").read_text(encoding="utf-8"))["result"]
    assert [row["panel"] for row in result["scores"]] == ["made"] and len(result["runs"]) == 4


def test_mistakes_are_one_line() -> None:
    for words, said in (
        (["--panels", "pizzas"], r"^--panels 'pizzas' is unknown.*pizza"),
        (["--seeds", "0"], "too few"),
    ):
        with pytest.raises(ConfigError, match=said):
            derived.make_plan(derived.build_parser().parse_args(words))
