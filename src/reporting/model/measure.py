"""Computes the numbers of a final model's chapters and its predictions for the test rows; no drawing."""

import numpy as np
import pandas as pd

from src.config import NET_PROFIT
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.final.final_model import FinalModel
from src.reporting.model.bins import bin_means, measure_profit
from src.reporting.model.curves import rank_curves
from src.reporting.model.features import measure_features
from src.reporting.model.groups import AccountSizes, score_accounts, score_periods
from src.reporting.model.hold_out import HoldOut, predict_hold_out
from src.reporting.model.numbers import ModelNumbers
from src.reporting.model.table_parts import split_spans, table_parts


def measure_model(
    model: FinalModel, data: Dataset, rows: SplitRows, seed: int
) -> tuple[ModelNumbers, pd.DataFrame | None]:
    """Computes all numbers of the model's chapters, in a few seconds at most.

    Args:
        model: trained on the search rows.
        data: the whole table.
        rows: search and test rows.
        seed: for drawing the rows whose predictions are explained.

    Returns:
        The numbers; and (n_test_rows, 4) account, date, y, prediction, or None without a hold-out.
    """
    features, effects, explained = measure_features(model, data, rows, seed)
    tested, baseline = predict_hold_out(model, data, rows) if len(rows.test) else (None, None)
    is_binary = data.config.task == "binary"
    numbers = ModelNumbers(
        target=data.target,
        task=data.config.task,
        metric=data.config.metric,
        best_baseline=baseline,
        months=score_periods(tested) if tested else None,
        accounts=score_accounts(tested, _account_sizes(data, rows)) if tested else None,
        deciles=bin_means(tested, tested.y) if tested else (),
        curves=rank_curves(tested.y, tested.prediction) if tested and is_binary else None,
        money=measure_profit(tested) if tested else None,
        has_net_profit=data.net_profit is not None,
        features=features,
        explained=explained,
        explained_part="test" if tested else "search",
        effects=effects,
        parts=table_parts(data, rows),
        accounts_total=None if data.accounts is None else len(set(data.accounts)),
        spans=split_spans(data, rows),
    )
    return numbers, _predictions(tested)


def _predictions(tested: HoldOut | None) -> pd.DataFrame | None:
    return None if tested is None else tested.predictions()


def _account_sizes(data: Dataset, rows: SplitRows) -> AccountSizes:
    """By the account's absolute net profit per day, or by the target if the table has no net profit."""
    accounts = np.empty(0, dtype=object) if data.accounts is None else data.accounts[rows.search]
    if not len(accounts):
        return AccountSizes(accounts, np.empty(0), data.target)
    if data.net_profit is not None:
        return AccountSizes(accounts, data.net_profit[rows.search], f"|{NET_PROFIT}|")
    what = data.target if data.config.task == "binary" else f"|{data.target}|"
    return AccountSizes(accounts, data.y[rows.search], what)
