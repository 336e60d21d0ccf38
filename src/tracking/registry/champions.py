"""The champions of targets, loaded for prediction."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.errors import UserError
from src.tracking.connection.session import TrackingSession
from src.tracking.connection.tracking_check import refuse_denied_access
from src.tracking.registry.model_versions import is_registered
from src.tracking.registry.served_model import load_served, pinned_uri, served_metadata
from src.tracking.registry.served_rows import check_columns, predict_rows

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True, eq=False)
class Champion:
    """A registered model: its target and its version as `models:/<target>/<version>`."""

    target: str
    uri: str
    model: "PyFuncModel"

    @property
    def metadata(self) -> dict[str, Any]:
        """The training metadata; empty for a model of another project."""
        return served_metadata(self.model)

    def predict(self, frame: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predicts rows of a table; see `predict_rows`.

        Raises:
            DataError: the table lacks columns of the model, or the rows do not fit it.
        """
        check_columns(self.model, list(frame.columns))
        return predict_rows(self.model, frame, rows)


def load_champions(targets: Sequence[str], skip_missing: bool) -> list[Champion]:
    """Loads the model behind the alias `champion` of each target.

    Args:
        targets: registered names.
        skip_missing: leave out targets without a registered model.

    Raises:
        UserError: a target has no champion, or none of them has a model.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    refuse_denied_access(os.environ)
    _ = TrackingSession().client  # creates a missing store, and limits the wait for a dead server
    chosen = [target for target in targets if not skip_missing or is_registered(target)]
    if not chosen:
        raise UserError(f"none of {', '.join(targets)} has a registered model: train and register one first")
    uris = {target: pinned_uri(f"models:/{target}@champion") for target in chosen}
    return [Champion(target, uri, load_served(uri)) for target, uri in uris.items()]
