"""A small real model of all derived features, as it is served, and what its training saw."""

import json
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModelContext
from numpy.typing import NDArray

from src.config import TableConfig
from src.data.encoding import encode, learn_levels
from src.data.table import Dataset, load_dataset
from src.search.derived_features import add_derived_features, all_candidates, describe_features
from src.serving.model_code import DailyProfitModel
from src.tracking.registry.served_model import ModelCard, _model_parts

PARAMS = {"objective": "regression", "num_threads": 1, "verbose": -1, "min_data_in_leaf": 2, "min_data_in_bin": 1}


@dataclass(frozen=True)
class Trained:
    """A model as it is served, and what its training saw."""

    served: DailyProfitModel
    data: Dataset
    matrix: NDArray[np.float64]
    booster: lgb.Booster

    def answers(self, frame: pd.DataFrame, **params: bool) -> pd.DataFrame:
        """What the served model answers."""
        answered = self.served.predict(PythonModelContext({}, {}), frame, params)
        assert isinstance(answered, pd.DataFrame)
        return answered

    def rows(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """Positions in the training of the rows of a table with the same keys."""
        assert self.data.dates is not None and self.data.accounts is not None
        places = pd.MultiIndex.from_arrays([self.data.accounts, self.data.dates])
        days = pd.to_datetime(frame[self.served.metadata["derived_features"]["history"]["date"]])
        account = frame[self.served.metadata["derived_features"]["history"]["account"]]
        return np.asarray(places.get_indexer(pd.MultiIndex.from_arrays([account, days])))


def trained(frame: pd.DataFrame, table: TableConfig, target: str, folder: Path) -> Trained:
    """Trains on all candidates in milliseconds."""
    data = load_dataset(frame, table, target)
    derived = all_candidates(data)
    data = add_derived_features(data, derived)
    levels = learn_levels(data.features, data.categorical, np.arange(len(data.y)))
    matrix = encode(data.features, levels)
    categorical = [place for place, name in enumerate(data.features) if name in levels]
    given = lgb.Dataset(matrix, data.y, categorical_feature=categorical, params=PARAMS)
    booster = lgb.train(PARAMS, given, 5)
    booster.save_model(folder / "trained.txt")
    metadata = describe_features(data, derived) | {
        "target": target,
        "feature_names": list(data.features),
        "categorical_levels": levels,
        "boolean_features": list(data.booleans),
        "decimal_marks": dict(data.decimal_marks),
    }
    parts = folder / "parts"
    parts.mkdir()
    card = ModelCard(target, folder / "trained.txt", json.loads(json.dumps(metadata)), frame)
    served = DailyProfitModel()
    served.load_context(PythonModelContext(_model_parts(parts, card)["artifacts"], {}))
    return Trained(served, data, matrix, booster)
