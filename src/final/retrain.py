"""A registered model, trained again from its metadata and its table, to the bit.

The metadata holds LightGBM's parameters of each fit in full, their weights, the names in the table, the split and its
seed. With the library versions that the metadata names, LightGBM's text is the same byte for byte: training and
training again are one function, `final_model.train_fits`.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from src.config import SplitSettings
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import DataError
from src.final.final_model import Fit, TrainedModel, train_fits
from src.study.study_options import table_from_json


def retrain(metadata: Mapping[str, Any], frame: pd.DataFrame) -> TrainedModel:
    """Trains a registered model again.

    Args:
        metadata: as saved beside the model and inside it.
        frame: (n_rows, n_columns) the whole table that it was trained from, the hold-out included.

    Raises:
        DataError: the table is another one, or the metadata is of an older version of this project.
    """
    missing = [name for name in ("fits", "table") if name not in metadata]
    if missing:
        raise DataError(
            f"the metadata lacks {' and '.join(map(repr, missing))}, which earlier versions did not keep: "
            f"train {metadata.get('target')!r} and register it again"
        )
    data = load_dataset(frame, table_from_json(metadata["table"]), metadata["target"])
    if data.digest != metadata["data_digest"]:
        raise DataError(
            f"the table has the digest {data.digest}, the model was trained from {metadata['data']} with "
            f"{metadata['data_digest']}: give the table that it was trained from"
        )
    split = SplitSettings(**{each.name: metadata["split"][each.name] for each in fields(SplitSettings)})
    fits = [Fit(each["params"], each["weight"]) for each in metadata["fits"]]
    return train_fits(fits, data, make_split_rows(data, split))
