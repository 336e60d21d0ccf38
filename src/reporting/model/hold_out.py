"""The rows that a final model is tested on, and its predictions for them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import Metric
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.evaluation.baselines import best_baseline, naive_forecasts
from src.evaluation.scoring import Floats, score
from src.final.final_model import FinalModel


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Test rows or a subset; all arrays are (n_rows,).

    Attributes:
        metric: of the target.
        y: realised target.
        prediction: the model's.
        baseline: forecasts of the naive baseline that is best on all test rows.
        dates, accounts: None if the table has none.
        net_profit: NaN if unknown; None if the table has no net profit.
    """

    metric: Metric
    y: Floats
    prediction: Floats
    baseline: Floats
    dates: NDArray[np.datetime64] | None = None
    accounts: NDArray[np.object_] | None = None
    net_profit: Floats | None = None

    @cached_property
    def n_days(self) -> int | None:
        """Number of distinct dates; None without dates."""
        return None if self.dates is None else len(np.unique(self.dates))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "HoldOut":
        """The rows at these positions, or where the mask is true."""
        arrays = ("y", "prediction", "baseline", "dates", "accounts", "net_profit")
        taken: dict[str, Any] = {name: known[rows] for name in arrays if (known := getattr(self, name)) is not None}
        return replace(self, **taken)

    def predictions(self) -> pd.DataFrame:
        """One row per test row: account, date, y, prediction; values that the table does not have are missing."""
        n = len(self.y)
        accounts = np.full(n, None, dtype=object) if self.accounts is None else self.accounts
        dates = np.full(n, "NaT", dtype="datetime64[D]") if self.dates is None else self.dates
        columns = {"account": pd.Series(accounts, dtype="str"), "date": dates.astype("datetime64[ms]")}
        return pd.DataFrame(columns | {"y": self.y, "prediction": self.prediction})


def predict_hold_out(model: FinalModel, data: Dataset, rows: SplitRows) -> tuple[HoldOut, str]:
    """The test rows with the model's predictions, and the name of the best naive baseline.

    Raises:
        ValueError: there is no hold-out.
    """
    if len(rows.test) == 0:
        raise ValueError("there are no test rows to predict: call this only if the table has a test period")
    test, metric = rows.test, data.config.metric
    forecasts = naive_forecasts(data, rows.search, test)
    name, _ = best_baseline(metric, {key: score(metric, data.y[test], values) for key, values in forecasts.items()})
    return HoldOut(
        metric=metric,
        y=data.y[test],
        prediction=model.predict_test(data, rows),
        baseline=forecasts[name],
        dates=None if data.dates is None else data.dates[test],
        accounts=None if data.accounts is None else data.accounts[test],
        net_profit=None if data.net_profit is None else data.net_profit[test],
    ), name
