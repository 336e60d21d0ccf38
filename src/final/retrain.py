"""Trains a registered model again from its metadata and its table, with an identical result.

The metadata holds all LightGBM parameters of every fit, their weights, the column names, the split and its seed. With
the library versions of the metadata, the model text is identical byte for byte, because both trainings call
`final_model.train_fits`. A model that was trained on a GPU needs one again and may differ in the last digits.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from src.config import SplitSettings
from src.config_file import FileTableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import DataError
from src.final.final_model import Fit, TrainedModel, train_fits
from src.search.derived_features import DerivedFeatures, add_derived_features
from src.search.device import GPU, opencl_device
from src.study.study_settings import from_json


def retrain(metadata: Mapping[str, Any], frame: pd.DataFrame) -> TrainedModel:
    """Trains a registered model again.

    Args:
        metadata: the metadata from the model's JSON file, or from inside the model.
        frame: (n_rows, n_columns) the whole table of the training, including the hold-out.

    Raises:
        DataError: the table differs, or the metadata comes from an older version of this project.
        ConfigError: the model was trained on a GPU, and no OpenCL device is found.
    """
    missing = [name for name in ("fits", "table") if name not in metadata]
    if missing:
        raise DataError(
            f"the metadata lacks {' and '.join(map(repr, missing))}, which earlier versions did not store: "
            f"train {metadata.get('target')!r} and register it again"
        )
    data = load_dataset(frame, from_json(FileTableConfig, metadata["table"]), metadata["target"])
    if data.digest != metadata["data_digest"]:
        raise DataError(
            f"the table has the digest {data.digest}, but the model was trained on {metadata['data']} with digest "
            f"{metadata['data_digest']}: give the table of the training"
        )
    if "derived_features" in metadata:
        data = add_derived_features(data, DerivedFeatures.from_json(metadata["derived_features"]))
    split = from_json(SplitSettings, metadata["split"])
    fits = [Fit(fit["params"], fit["weight"]) for fit in metadata["fits"]]
    if fits[0].params.get("device_type") == GPU:
        opencl_device()
    return train_fits(fits, data, make_split_rows(data, split))
