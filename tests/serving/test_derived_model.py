"""A registered model with derived features: its own copy of the code gives the bits of the training."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from src.config import TableConfig, TargetConfig
from tests.bare_table import PEERS, bare_table, with_peers
from tests.derived_model import Trained, trained
from tests.features.random_tables import random_values

KEYS = ["account", "day"]


@dataclass(frozen=True)
class Case:
    """A random table (account, day, desk, pnl, fees, z), and one of its days that has a past."""

    table: pd.DataFrame
    config: TableConfig
    day: pd.Timestamp
    rng: np.random.Generator


@st.composite
def cases(draw: Any) -> Case:
    """Gaps, new accounts, missing and equal values; members change their desk, some have none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_accounts, n_days = draw(st.integers(4, 7)), draw(st.sampled_from([9, 30, 90]))
    n = n_accounts * n_days
    table = pd.DataFrame(
        {
            "account": np.repeat([f"a{number}" for number in range(n_accounts)], n_days),
            "day": np.tile(pd.bdate_range("2024-01-01", periods=n_days), n_accounts),
            "desk": rng.choice(np.array(["u", "v", None], object), n, p=[0.5, 0.4, 0.1]),
            "pnl": random_values(rng, draw(st.sampled_from(["normal", "heavy", "few"])), n),
            "fees": random_values(rng, draw(st.sampled_from(["normal", "heavy", "few", "equal"])), n),
            "z": rng.normal(size=n),
        }
    )
    for name in ("pnl", "fees", "z"):
        table.loc[rng.random(n) < draw(st.sampled_from([0.0, 0.1, 0.4])), name] = np.nan
    first = rng.integers(0, n_days - 6, n_accounts) * (rng.random(n_accounts) < 0.4)
    first[:2] = 0
    started = np.tile(np.arange(n_days), n_accounts) >= np.repeat(first, n_days)
    kept = table[started & ((rng.random(n) < draw(st.sampled_from([0.7, 1.0]))) | (table["account"] < "a2"))]
    config = TableConfig(
        "account",
        "day",
        drop=() if (mode := draw(st.sampled_from(["derived", "both"]))) == "both" else ("z",),
        targets={"pnl": TargetConfig("regression", "mae")},
        features=mode,
        known_after=("fees",),
        groups=("desk",),
    )
    days = np.unique(kept["day"].to_numpy())
    return Case(kept.sample(frac=1, random_state=1), config, pd.Timestamp(rng.choice(days[1:])), rng)


def asked_at(case: Case) -> pd.DataFrame:
    """Some rows of the day as they are asked: without what is known when it is over."""
    asked = case.table[case.table["day"] == case.day]
    asked = asked.iloc[: int(case.rng.integers(1, len(asked) + 1))].copy()
    asked["pnl"] = np.nan
    asked.loc[case.rng.random(len(asked)) < 0.5, "fees"] = np.nan
    return asked


def cut(case: Case, n_rows: int) -> pd.DataFrame:
    """The past as far as a model needs it: the last rows of each account, and the last dates."""
    past = case.table[case.table["day"] < case.day].sort_values("day")
    last_days = sorted(past["day"].unique())[-n_rows:]
    last_rows = past.groupby("account").tail(n_rows).index
    return past[past.index.isin(last_rows) | past["day"].isin(last_days)]


def requests(case: Case, asked: pd.DataFrame, n_rows: int) -> dict[str, pd.DataFrame]:
    """Tables that differ in what must not matter, each with the rows asked."""
    past = case.table[case.table["day"] < case.day]
    later = case.table[case.table["day"] > case.day].copy()
    shuffled = case.rng.permutation(len(later))
    later[["pnl", "fees"]] = later[["pnl", "fees"]].to_numpy()[shuffled]
    others = case.table[(case.table["day"] == case.day) & ~case.table.index.isin(asked.index)]
    made = {
        "the past alone": [past, asked],
        "other rows of the day": [past, asked, others],
        "a shuffled future": [past, others, asked, later],
        "a cut past": [cut(case, n_rows), asked],
    }
    return {name: pd.concat(parts).sample(frac=1, random_state=2) for name, parts in made.items()}


@settings(max_examples=30)
@given(cases())
def test_served_rows_have_the_bits_of_the_training(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = trained(case.table, case.config, "pnl", Path(folder))
    expected = model.booster.predict(model.matrix, num_threads=1)
    asked = asked_at(case)
    for name, request in requests(case, asked, model.served.metadata["history_rows"]).items():
        answered = model.answers(request)
        assert list(answered.columns) == [*KEYS, "prediction"]
        assert np.array_equal(answered.index, request.index[request["pnl"].isna()]), name
        answers = answered.loc[asked.index]
        places = model.rows(answers)
        known = places >= 0  # rows without a target were not in the training
        assert np.array_equal(answers["prediction"][known], expected[places[known]]), name
        matrix = pd.DataFrame(model.served.encode(request), request.index).loc[asked.index].to_numpy()
        np.testing.assert_array_equal(matrix[known], model.matrix[places[known]], name)


@settings(max_examples=10)
@given(cases())
def test_the_whole_table_has_the_bits_of_the_training(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = trained(case.table, case.config, "pnl", Path(folder))
    answered = model.answers(case.table, answer_all=True)
    assert len(answered) == len(case.table)
    places = model.rows(answered)
    expected = model.booster.predict(model.matrix, num_threads=1)
    assert np.array_equal(answered["prediction"][places >= 0], expected[places[places >= 0]])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(FRAME, PEERS, "net_profit", tmp_path_factory.mktemp("derived"))


FRAME = with_peers(bare_table(40, 6))
LAST = FRAME["date"].max()


def asking(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(net_profit=frame["net_profit"].where(frame["date"] < LAST))


def test_formats_of_a_request_do_not_matter(model: Trained) -> None:
    request = asking(FRAME)
    expected = model.booster.predict(model.matrix[model.rows(FRAME.tail(6))], num_threads=1)
    texts = request.assign(date=request["date"].dt.strftime("%Y-%m-%d"))
    as_json = pd.DataFrame(json.loads(texts.to_json(orient="records")))
    others = {
        "plain": request,
        "JSON": as_json,
        "objects": texts.astype(object).where(texts.notna(), None),
        "integers": request.assign(date=request["date"].dt.strftime("%Y%m%d").astype(int)),
        "zone": request.assign(date=request["date"].dt.tz_localize("Asia/Tokyo")),
        "categories": texts.astype({"account_id": "category", "desk": "category", "date": "category"}),
        "further columns": request.assign(more=1, market_net_profit_mean_1="text"),
    }
    for name, frame in others.items():
        answered = model.answers(frame)
        assert np.array_equal(answered["prediction"], expected), name
        assert answered["account_id"].astype(str).tolist() == FRAME["account_id"].tail(6).tolist(), name


def test_an_account_without_a_past_is_answered(model: Trained, caplog: pytest.LogCaptureFixture) -> None:
    new = pd.DataFrame({"account_id": ["new"], "date": [LAST], "net_profit": [np.nan]}).assign(desk="u", volume=np.nan)
    answered = model.answers(pd.concat([asking(FRAME), new], ignore_index=True))
    assert answered["account_id"].tolist()[-1] == "new"
    assert answered["prediction"].notna().all()
    assert "7 of 7 rows to predict have fewer than 60 earlier rows of their account (at least 0)" in caplog.text
    alone = model.answers(new)
    assert len(alone) == 1


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (FRAME, "no row is to be predicted: all 240 rows have a 'net_profit'; leave it empty in the rows to predict"),
        (FRAME.head(0), "no row is to be predicted"),
        (FRAME.drop(columns=["volume", "desk"]), "2 of the model's 5 columns are missing: volume, desk; the table has"),
        (asking(FRAME).assign(date="soon"), "the rows do not fit the model: column 'date' (the date): 'soon' in row 1"),
        (asking(FRAME).assign(net_profit="x"), "column 'net_profit' holds 240 values that are not numbers, the first"),
        (asking(FRAME).assign(volume=-np.inf), "column 'volume' holds 240 infinite values, the first in row 1"),
        (pd.concat([FRAME, asking(FRAME)]), "account 'A00' has two rows of 2024-01-01"),
        (asking(FRAME).assign(account_id=1.5), "column 'account_id' (the account): '1.5' in row 1 is not an account"),
    ],
)
def test_requests_that_cannot_be_answered(model: Trained, frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(MlflowException) as caught:
        model.answers(frame)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_table_has_no_answers(model: Trained) -> None:
    assert len(model.answers(FRAME.head(0), answer_all=True)) == 0


def test_two_models_in_one_process_keep_their_own_code(model: Trained, tmp_path: Path) -> None:
    other = trained(FRAME, PEERS, "net_profit", tmp_path)
    assert other.served.raw_rows is not model.served.raw_rows
    request = asking(FRAME)
    first, second = (each.answers(request)["prediction"] for each in (model, other))
    assert np.array_equal(first, second)
