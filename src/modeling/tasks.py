"""From targets, settings and a table to searches: the one place where tasks are made, whatever command wants them.

What is heavy is imported where it is used, so that `--help` and a mistyped option answer at once.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from src.config import DataSettings, RunSettings
from src.names import check_target_name

if TYPE_CHECKING:
    import pandas as pd

    from src.search.search_task import SearchTask

log = logging.getLogger(__name__)


def make_tasks(
    targets: Sequence[str],
    settings: RunSettings,
    data: "pd.DataFrame | str | Path | None" = None,
    writes_results: bool = False,
    needs_mlflow: bool = True,
) -> list["SearchTask"]:
    """Each target's search, after everything was checked that can be before one begins; the only maker of tasks.

    Args:
        targets: their names.
        settings: of all of them.
        data: a table, or where it lies; as `settings` says when None.
        writes_results: whether final models and reports follow.
        needs_mlflow: whether an MLflow that will never take the runs is an error, or only told.

    Raises:
        UserError: a name, a place, the table or the split cannot be used, or MLflow will never take the runs.
    """
    from src.data.auto_folds import choose_folds
    from src.data.split_rows import make_split_rows
    from src.data.table import load_dataset
    from src.modeling.preflight import check_locations
    from src.search.search_task import SearchTask
    from src.tracking.connection.tracking_check import TrackingCheck

    several = len(targets) > 1
    of_targets = {target: settings_of_target(settings, target, several) for target in targets}
    for target in targets:
        check_target_name(target)
    check_locations(settings, writes_results)
    mlflow = TrackingCheck(os.environ, needs_mlflow)
    frame, source = read_data(data, settings.data)
    tasks = []
    said: set[str] = set()
    for target, its in of_targets.items():
        dataset = load_dataset(frame, settings.data.table, target, source)
        for warning in dataset.warnings:
            if warning not in said:
                log.warning("%s", warning)
        said.update(dataset.warnings)
        its = replace(its, split=choose_folds(dataset, its), cv_auto=False)
        tasks.append(SearchTask(dataset, make_split_rows(dataset, its.split), its, shares_outer_run=several))
    mlflow.join()
    return tasks


def settings_of_target(settings: RunSettings, target: str, several: bool) -> RunSettings:
    """One target's settings: with several targets, `--study-name NAME` names the studies NAME_<target>."""
    name = settings.search.study_name
    if name is None or not several:
        return settings
    return replace(settings, search=replace(settings.search, study_name=f"{name}_{target}"))


def read_data(data: "pd.DataFrame | str | Path | None", settings: DataSettings) -> tuple["pd.DataFrame", str]:
    """A table that is given, or lies somewhere, or is the sample; and where it comes from, in words.

    Raises:
        UserError: the table cannot be read.
    """
    import pandas as pd

    from src.data.sources.dispatch import describe_source, read_table

    if isinstance(data, pd.DataFrame):
        return data, "data frame"
    source = settings.source if data is None else str(data)
    return read_table(source, settings.query), describe_source(source, settings.query)
