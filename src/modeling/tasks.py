"""Creates the search tasks of every command from targets, settings and a table.

Heavy packages are imported where they are used, so that `--help` and a mistyped option answer at once.
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

    from src.data.table import Dataset
    from src.search.search_task import SearchTask

log = logging.getLogger(__name__)


def make_tasks(
    targets: Sequence[str],
    settings: RunSettings,
    data: "pd.DataFrame | str | Path | None" = None,
    writes_results: bool = False,
    needs_mlflow: bool = True,
) -> list["SearchTask"]:
    """Each target's search task; checks all input before the first search begins.

    Args:
        targets: names of the target columns.
        settings: settings for all targets.
        data: a table, or its location; the location in `settings` when None.
        writes_results: whether final models and reports are written as well.
        needs_mlflow: whether an MLflow that can never accept the runs is an error; otherwise it is a warning.

    Raises:
        UserError: a name, a location, the table or the split cannot be used, or MLflow can never accept the runs.
    """
    from src.data.auto_folds import choose_folds
    from src.data.split_rows import make_split_rows
    from src.data.table import load_dataset
    from src.modeling.preflight import check_locations
    from src.search.derived_features import all_candidates
    from src.search.search_task import SearchTask, check_model_settings, with_monotone_features
    from src.tracking.connection.tracking_check import TrackingCheck

    several = len(targets) > 1
    settings_by_target = {target: settings_of_target(settings, target, several) for target in targets}
    for target in targets:
        check_target_name(target)
    check_locations(settings, writes_results)
    mlflow = TrackingCheck(os.environ, needs_mlflow)
    frame, source = read_data(data, settings.data)
    tasks = []
    logged: set[str] = set()
    for target, target_settings in settings_by_target.items():
        dataset = load_dataset(frame, settings.data.table, target, source)
        _log_new_warnings(dataset, logged)
        # A mistake must not leave an empty study behind, so the candidates are made here too.
        derived = () if dataset.history is None else [each.name for each in all_candidates(dataset).features]
        dataset = with_monotone_features(dataset, settings.model.monotone, derived)
        split = choose_folds(dataset, target_settings, len(targets))
        target_settings = replace(target_settings, split=split, cv_auto=False)
        rows = make_split_rows(dataset, target_settings.split)
        tasks.append(SearchTask(dataset, rows, target_settings, shares_outer_run=several))
        check_model_settings(tasks[-1])
    mlflow.join()
    return tasks


def _log_new_warnings(dataset: "Dataset", logged: set[str]) -> None:
    for warning in dataset.warnings:
        if warning not in logged:
            log.warning("%s", warning)
    logged.update(dataset.warnings)


def settings_of_target(settings: RunSettings, target: str, several: bool) -> RunSettings:
    """One target's settings: with several targets, `--study-name NAME` names the studies NAME_<target>."""
    name = settings.search.study_name
    if name is None or not several:
        return settings
    return replace(settings, search=replace(settings.search, study_name=f"{name}_{target}"))


def read_data(data: "pd.DataFrame | str | Path | None", settings: DataSettings) -> tuple["pd.DataFrame", str]:
    """The given table, or the table read from its location, or the sample; and a description of its source.

    Raises:
        UserError: the table cannot be read.
    """
    import pandas as pd

    from src.data.sources.dispatch import describe_source, read_table

    if isinstance(data, pd.DataFrame):
        return data, "data frame"
    source = settings.source if data is None else str(data)
    return read_table(source, settings.query), describe_source(source, settings.query)
