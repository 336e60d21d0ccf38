"""An output of `predict` that logs what it writes."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.serving.prediction_log.collect import Keys, Labels, LogError, PredictionLog
from src.serving.prediction_part import Part, PredictionOutput
from src.serving.requested_models import RequestedModel
from src.suggest import one_line
from src.tracking.registry.served_model import PREDICTION

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class LoggedOutput:
    """Writes to an output, then to a log. A log that cannot be written is reported and ends nothing.

    Args:
        output: gets every block first.
        prediction_log: gets the blocks that are written; blocks that were there already are not logged again.
        models: their aliases become the role.
        keys: names of the account and date columns of the predictions.
    """

    def __init__(
        self, output: PredictionOutput, prediction_log: PredictionLog, models: Sequence[RequestedModel], keys: Keys
    ) -> None:
        self._output, self._log, self._keys = output, prediction_log, keys
        self._roles = {(model.name, model.version): model.alias for model in models}
        self._targets = [model.target for model in models]
        self.resumes = output.resumes
        self._lost = 0

    def n_rows_of(self, part: Part) -> int | None:
        """As in `PredictionOutput`."""
        return self._output.n_rows_of(part)

    def write(self, part: Part, frame: "pd.DataFrame") -> None:
        """As in `PredictionOutput`."""
        self._output.write(part, frame)
        targets = frame["target"] if "target" in frame else self._targets[0]
        labels = frame[["model", "version"]].assign(target=targets)
        for (model, version, target), rows in frame.groupby([labels["model"], labels["version"], labels["target"]]):
            of_rows = Labels(str(target), str(model), str(version), self._roles[str(model), str(version)])
            self._log.add(rows, self._keys, rows[PREDICTION].to_numpy(), of_rows)
        try:
            self._log.flush(now=True)
        except LogError as error:  # a full disk, a database that is down
            if not self._lost:
                log.warning("predictions could not be logged, only written to --output: %s", one_line(error, 400))
            self._lost += error.lost

    def finish(self) -> None:
        """As in `PredictionOutput`."""
        self._output.finish()
        if self._lost:
            log.warning("%d predictions are not in the log", self._lost)

    def close(self) -> None:
        """As in `PredictionOutput`."""
        self._output.close()
