"""The properties of a registered model that a new search needs to start with its parameters."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EarlierModel:
    """A version of a registered model.

    Attributes:
        uri: `models:/<target>/<version>`.
        study_name: the study of the model.
        metric: of that study.
        params: hyperparameters of its best trial.
        search_until: last date of the study's search rows; None for a table without dates.
        data_digest: of the study's table.
        test_fraction, split_seed: determine the hold-out of a table without dates. These and the digest are None if an
            earlier version of this project registered the model.
    """

    uri: str
    study_name: str
    metric: str
    params: dict[str, Any]
    search_until: str | None
    data_digest: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
