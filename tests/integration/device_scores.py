"""Prints the scores of the same trials on both devices, as JSON: {kind: {device: score}}.

python -m tests.integration.device_scores FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FixedTrial

from src.config import SplitSettings, TableConfig, TargetConfig
from src.model_settings import SpaceSettings
from src.search.binned_folds import BinnedFolds
from src.search.objective import ObjectiveSettings, make_objective
from src.search.search_task import with_monotone_features
from tests.search_tasks import make_task
from tests.small_table import small_table

SEED_SPACE: dict[str, Any] = {
    "max_depth": 6, "num_leaves": 24, "learning_rate": 0.1, "feature_fraction": 0.8, "min_child_samples": 20,
    "lambda_l1": 1e-3, "lambda_l2": 1e-3, "min_gain_to_split": 0.0, "max_bin": 512,
}  # fmt: skip
BAGGING = {"bagging_fraction": 0.7, "bagging_freq": 2}
DART = {"drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.3}
WIDE = {"extra_trees": True, "path_smooth": 1.0, "cat_smooth": 10.0, "cat_l2": 10.0, "max_cat_to_onehot": 2}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gbdt": ("mae", {"boosting_type": "gbdt"} | SEED_SPACE | BAGGING),
    "flags": ("rmse", {"boosting_type": "gbdt"} | SEED_SPACE | BAGGING),
    "few bins": ("mae", {"boosting_type": "gbdt"} | SEED_SPACE | BAGGING | {"max_bin": 32}),
    "dart": ("mae", {"boosting_type": "dart"} | SEED_SPACE | BAGGING | DART),
    "goss": ("auc", {"boosting_type": "goss"} | SEED_SPACE),
    "monotone": ("rmse", {"boosting_type": "gbdt"} | SEED_SPACE | BAGGING),
    "wide": (
        "rmse",
        {"boosting_type": "gbdt"} | SEED_SPACE | BAGGING | WIDE | {"min_data_per_group": 20, "max_bin": 224},
    ),
}
TARGETS = {"mae": "net_profit", "rmse": "num_trades", "auc": "is_profitable"}
DEVICES = ("cpu", "gpu")


def with_flags(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds features that LightGBM would bundle, to more than 256 bins: flags, and a volume with 250 values."""
    number = np.arange(len(frame)) % 20
    volume = np.where(number < 9, np.random.default_rng(1).integers(1, 250, len(frame)), 0.0)
    flags = {f"flag_{at}": (number != 9 + at).astype(float) for at in range(6)}
    return frame.assign(volume=volume, **flags)


def scores(kind: str, folder: Path) -> dict[str, float]:
    """The score of a kind of trial on each device, on three folds."""
    metric, params = KINDS[kind]
    target = TARGETS[metric]
    table = TableConfig(targets={target: TargetConfig("binary" if metric == "auc" else "regression", metric)})  # type: ignore[arg-type]
    frame = with_flags(small_table(120, 60)) if kind == "flags" else small_table(120, 20)
    frame = frame.drop(columns=[name for name in TARGETS.values() if name != target])
    frame = frame.drop(columns=["gross_profit", "is_highly_profitable"])
    task = make_task(folder, target, frame=frame, table=table, split=SplitSettings(use_cv=True, n_folds=3))
    data = with_monotone_features(task.data, {"signal": 1} if kind == "monotone" else {})
    settings = ObjectiveSettings(space=SpaceSettings("wide" if kind == "wide" else "seed"), max_rounds=30)
    return {
        device: make_objective(BinnedFolds(data, task.rows.folds, device=device), settings)(FixedTrial(params))  # type: ignore[arg-type]
        for device in DEVICES
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps({kind: scores(kind, Path(sys.argv[1])) for kind in KINDS}))
