"""Random tables of accounts and dates, and their derived features by account and date."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from src.features.catalogue import Feature, candidates
from src.features.derive import derive
from src.features.panel import Panel, make_panel

COLUMNS = ["x", "y"]
CANDIDATES = candidates(COLUMNS, ["desk"], calendar=True)
SESSIONS = np.arange(np.datetime64("2023-12-20"), np.datetime64("2024-05-20"))
SESSIONS = SESSIONS[np.is_busday(SESSIONS, holidays=["2023-12-25", "2024-01-01", "2024-01-15", "2024-03-29"])]


@dataclass(frozen=True)
class Case:
    """A table (account, date, desk, x, y) and one of its dates."""

    table: pd.DataFrame
    date: pd.Timestamp
    rng: np.random.Generator


@st.composite
def cases(draw: Any) -> Case:
    """Gaps, new accounts, missing values, equal values, one row; members change their desk, some have none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_accounts, n_dates = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 3, 8, 30, 150]))
    kind = draw(st.sampled_from(["normal", "heavy", "few", "equal"]))
    table = pd.DataFrame(
        {
            "account": np.repeat([f"a{i}" for i in range(n_accounts)], n_dates),
            "date": np.tile(pd.date_range("2024-01-01", periods=n_dates), n_accounts),
            "desk": rng.choice(np.array(["u", "v", None], object), n_accounts * n_dates, p=[0.5, 0.4, 0.1]),
        }
    )
    for column in COLUMNS:
        table[column] = random_values(rng, kind, len(table))
        table.loc[rng.random(len(table)) < draw(st.sampled_from([0.0, 0.1, 0.9])), column] = np.nan
    first = rng.integers(0, n_dates, n_accounts) * (rng.random(n_accounts) < 0.5)
    started = np.tile(np.arange(n_dates), n_accounts) >= np.repeat(first, n_dates)
    table = table[started & (rng.random(len(table)) < draw(st.sampled_from([0.3, 0.95, 1.0])))]
    if table.empty:
        table = pd.DataFrame(
            {"account": ["a"], "date": [pd.Timestamp("2024-01-01")], "desk": ["u"], "x": 1.0, "y": 0.0}
        )
    return Case(table.reset_index(drop=True), rng.choice(table["date"].unique()), rng)


def random_values(rng: np.random.Generator, kind: str, size: int) -> np.ndarray:
    """Values of one kind, 0 and -0.0 among them."""
    values = {
        "normal": rng.normal(size=size),
        "heavy": rng.normal(size=size) * 10.0 ** rng.integers(-6, 9, size),
        "few": rng.choice([-1.0, -0.0, 0.0, 1.0], size),
        "equal": np.full(size, 0.375),
    }
    return values[kind]


def panel_of(table: pd.DataFrame) -> tuple[Panel, np.ndarray]:
    dates = table["date"].to_numpy().astype("datetime64[D]")
    desks = pd.factorize(table["desk"], sort=True)[0].astype(np.int64)
    columns = {name: table[name].to_numpy(dtype=np.float64) for name in COLUMNS}
    return make_panel(table["account"].to_numpy(dtype=object), dates, columns, {"desk": desks})


def features_of(table: pd.DataFrame, features: Sequence[Feature] = CANDIDATES, threads: int | None = 1) -> pd.DataFrame:
    """The features by account and date."""
    panel, order = panel_of(table)
    keys = pd.MultiIndex.from_frame(table[["account", "date"]].iloc[order])
    return pd.DataFrame(derive(panel, features, SESSIONS, threads), keys, [feature.name for feature in features])
