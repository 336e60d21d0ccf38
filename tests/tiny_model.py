"""A small real model over every kind of column, trained on positions as the product's trainer does it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.tracking.registry.served_model import ModelCard

LEVELS = {"style": ["breakout", "momentum", "reversion"], "sector": ["bank", "tech"]}
# Not the frame's order, so that a model which relied on positions would be found out.
FEATURES = ["style", "ret", "held", "is_monday", "sector"]


@dataclass(frozen=True)
class TinyModel:
    """A booster, the frame it learned from (n_rows x 8 columns), that frame's matrix, and what is registered."""

    booster: lgb.Booster
    frame: pd.DataFrame
    matrix: NDArray[np.float64]
    card: ModelCard


def tiny_model(folder: Path, target: str = "pnl", rounds: int = 12, **metadata: Any) -> TinyModel:
    """Trains in milliseconds; more `rounds` make another and better model of the same frame."""
    frame = tiny_frame()
    matrix = by_hand(frame)
    parameters = {"objective": "regression", "num_threads": 1, "verbose": -1, "seed": 1, "min_data_in_leaf": 5}
    data = lgb.Dataset(matrix, frame[target_of(frame)].to_numpy(), categorical_feature=[0, 4], params={"verbose": -1})
    booster = lgb.train(parameters, data, rounds)
    text = folder / f"{target}_{rounds}.txt"
    booster.save_model(text)
    record = {"feature_names": FEATURES, "categorical_levels": LEVELS, "study_name": f"{target}_study"} | metadata
    return TinyModel(booster, frame, matrix, ModelCard(target, text, record, frame[FEATURES].tail(7)))


def tiny_frame(n_rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=n_rows),
            "sector": rng.choice(LEVELS["sector"], n_rows),
            "held": rng.integers(0, 60, n_rows),
            "is_monday": rng.random(n_rows) < 0.2,
            "ret": rng.normal(size=n_rows),
            "account_id": rng.choice(["A", "B"], n_rows),
            "style": rng.choice(LEVELS["style"], n_rows),
        }
    )
    frame.loc[5:20, "ret"] = np.nan
    frame.loc[15:40, "style"] = None
    noise = rng.normal(size=n_rows)
    frame["profit"] = frame["held"] * frame["is_monday"] + 5 * (frame["style"] == "momentum") + noise
    return frame


def target_of(frame: pd.DataFrame) -> str:
    return str(frame.columns[-1])


def by_hand(frame: pd.DataFrame) -> NDArray[np.float64]:
    """The model's matrix, one cell at a time: the oracle of every encoding."""
    return np.array([[_cell(name, value) for name, value in row.items()] for _, row in frame[FEATURES].iterrows()])


def _cell(name: Any, value: Any) -> float:
    if pd.isna(value):
        return float("nan")
    if name in LEVELS:
        return float(LEVELS[name].index(value)) if value in LEVELS[name] else float("nan")
    return float(value)
