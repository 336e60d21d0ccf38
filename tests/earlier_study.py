"""The user attributes of a study that an earlier version of this project made, on `small_table()`, seed 43."""

from typing import Any

EARLIER_ATTRIBUTES: dict[str, Any] = {
    "recipe": {
        "target": "net_profit",
        "described": "/data/table.csv",
        "data": "/data/table.csv",
        "query": None,
        "table": {
            "account": "account_id",
            "date": "date",
            "use": None,
            "drop": ["noise"],
            "categories": ["style"],
            "numbers": {"signal": "."},
            "targets": {
                "net_profit": {"task": "regression", "metric": "rmse"},
                "is_profitable": {"task": "binary", "metric": "auc"},
            },
            "optional": ["date"],
        },
        "use_cv": True,
        "n_folds": 3,
        "purge_days": 2,
        "test_fraction": 0.2,
        "valid_fraction": 0.2,
        "seed": 43,
        "sampler": "auto",
        "pruner": "none",
        "ensemble_size": 3,
        "timeout": 90.0,
        "n_trials": 7,
    },
    "search_until": "2024-03-04",
    "starting_points": [],
    "settings": {
        "target": "net_profit",
        "task": "regression",
        "metric": "rmse",
        "objective": "lightgbm",
        "seed": 43,
        "data": "/data/table.csv",
        "data_digest": "fb1964b49f591829",
        "split": {"test_fraction": 0.2, "use_cv": True, "n_folds": 3, "purge_days": 2, "seed": 43},
    },
}
