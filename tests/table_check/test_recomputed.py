from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.leaky_tables import clean_table, datasets_of
from src.table_check.recomputed import equal_mean, recomputed_means

FRAME = clean_table("noise", seed=1)
DATA = datasets_of(FRAME)[0]
MEANS = recomputed_means(DATA)


def by_desk_and_day(shift: int) -> Any:
    daily = FRAME.groupby(["date", "desk"])["y"].agg(["sum", "count"]).unstack(fill_value=0).cumsum().shift(shift)
    means = (daily["sum"] / daily["count"]).stack()
    return means.reindex(pd.MultiIndex.from_arrays([FRAME["date"], FRAME["desk"]]))


DESK = FRAME.groupby("desk")["y"]
PLANTED = {
    "over all rows of its desk": DESK.transform("mean"),
    "over all other rows of its desk": (DESK.transform("sum") - FRAME["y"]) / (DESK.transform("count") - 1),
    "over the rows of its desk up to and including the day": by_desk_and_day(0),
    "over all other rows of the table": (FRAME["y"].sum() - FRAME["y"]) / (len(FRAME) - 1),
}


@pytest.mark.parametrize("which", PLANTED)
def test_a_mean_with_the_day_or_later_ones_is_recognised(which: str) -> None:
    assert equal_mean(PLANTED[which].to_numpy()[DATA.positions], MEANS) == which


def test_a_mean_of_earlier_days_is_not() -> None:
    assert equal_mean(by_desk_and_day(1).to_numpy()[DATA.positions], MEANS) is None
    for name in ("mean_so_far", "lag_1", "noise", "fixed"):
        assert equal_mean(DATA.features[name].to_numpy(np.float64), MEANS) is None
