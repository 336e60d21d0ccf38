"""What dart needs beside LightGBM: a start that no round can drop, and an end before a round that spoils it.

LightGBM puts the constant that training starts from (the median, for the absolute error) into the first tree. gbdt
never looks at that tree again; dart drops it like any other. With the absolute error the residuals without it all have
the same sign where the target is far from zero: no leaf can be split, and such a round spoils the model for good (issue
5405 of LightGBM). On the diamonds table five of six random dart trials ended so, after 2 to 5 rounds at 865 to 2,750,
where gbdt comes to 263. There the constant stays outside the trees while a model is trained, as XGBoost's `base_score`
does, and comes into the first tree when the training is over. The same trials then go on: after 250 rounds three are
at 269 to 594, and the two with a learning rate of 0.012 at 2,180 and 2,476, still on their way.

The squared error and the log loss can split without the constant: their dart is LightGBM's own, to the bit.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np

_making = threading.Lock()


def make_booster(params: dict[str, Any], train: lgb.Dataset, valid: Sequence[lgb.Dataset] = ()) -> lgb.Booster:
    """A booster without a tree; one of dart for the absolute error starts from the median of its training rows.

    LightGBM takes such a start from the Dataset. Datasets are shared, also by threads: they bear it only while the
    booster is made.

    Args:
        params: LightGBM's, with `boosting_type` and `objective`.
        train: constructed, with a target.
        valid: constructed; predictions of these rows have the start in them.
    """
    starts_outside, datasets = _starts_outside(params), (train, *valid)
    with _making:
        try:
            if starts_outside:
                start = _median(train)
                for dataset in datasets:
                    dataset.set_init_score(np.full(dataset.num_data(), start))
            booster = lgb.Booster(params, train)
            for dataset in valid:
                booster.add_valid(dataset, "valid")
        finally:
            if starts_outside:
                for dataset in datasets:
                    dataset.set_field("init_score", None).init_score = None
    return booster


def add_start_to_first_tree(booster: lgb.Booster, train: lgb.Dataset) -> lgb.Booster:
    """Adds the start of a trained booster to its first tree where it stood outside: the model predicts by itself."""
    if _starts_outside(booster.params):
        start = _median(train)
        n_leaves = booster.dump_model(num_iteration=1)["tree_info"][0]["num_leaves"]
        for leaf in range(n_leaves):
            booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + start)
    return booster


def train_round_and_check(booster: lgb.Booster) -> bool:
    """Trains one more round; whether that spoiled a dart booster, which is of no use then unless it was the first one.

    Where no leaf can be split, LightGBM (4.7) returns from a round of dart before the trees that it dropped are back:
    they stay in the model with their signs turned, and every prediction is off by twice what they say (LightGBM issue
    5405). Other boosters are whole after such a round, and a later one may find a split again.
    """
    finished = booster.update()
    return bool(finished) and is_dart(booster.params)


def is_dart(params: Mapping[str, Any]) -> bool:
    """Whether parameters, of a trial or of LightGBM, are those of dart."""
    return params.get("boosting_type") == "dart"


def _starts_outside(params: Mapping[str, Any]) -> bool:
    return is_dart(params) and params["objective"] == "regression_l1"


def _median(train: lgb.Dataset) -> float:
    return float(np.median(np.asarray(train.get_label(), dtype=np.float64)))
