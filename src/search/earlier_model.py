"""What a search has to know of a registered model to begin with its parameters."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EarlierModel:
    """A version of a registered model.

    Attributes:
        uri: `models:/<target>/<version>`.
        study_name: the study that it came from.
        metric: what that study was judged by.
        params: hyperparameters of its best trial.
        search_until: the last day that the study saw; None for a table without dates.
        data_digest: of the study's table.
        test_fraction, split_seed: which rows of a table without dates were held out. These three are None where an
            earlier version of this project, which did not write them, registered the model.
    """

    uri: str
    study_name: str
    metric: str
    params: dict[str, Any]
    search_until: str | None
    data_digest: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
