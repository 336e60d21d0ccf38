"""The population stability index: how far two histograms lie apart.

It is the symmetric Kullback-Leibler divergence of both (N. Siddiqi, "Credit risk scorecards", 2006, who calls less than
0.1 stable and more than 0.25 a shift).
"""

import numpy as np
from numpy.typing import NDArray

from src.evaluation.scoring import Floats

SMALLEST_SHARE = 1e-4
"""The share of an empty bin, so that the index stays finite."""


def quantile_cuts(values: Floats, n_bins: int) -> Floats:
    """Inner edges of bins with equal numbers of rows, ascending, fewer if values repeat.

    Args:
        values: (n_rows,); missing ones (NaN) are left out.
        n_bins: number of bins.
    """
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins)) if known.size else known


def bin_codes(values: Floats, cuts: Floats) -> NDArray[np.int64]:
    """The bin of each value, (n_rows,): 0 to `len(cuts)`, and `len(cuts) + 1` for a missing value."""
    codes = np.searchsorted(cuts, values, side="left")
    return np.where(np.isnan(values), len(cuts) + 1, codes).astype(np.int64)


def stability_index(before: Floats, after: Floats) -> Floats:
    """The index of two histograms.

    Args:
        before: (..., n_bins) number of rows in each bin, at least one row.
        after: the same of the later rows.

    Returns:
        (...,) from 0 on.
    """
    old, new = (np.maximum(counts / counts.sum(axis=-1, keepdims=True), SMALLEST_SHARE) for counts in (before, after))
    index: Floats = np.sum((new - old) * np.log(new / old), axis=-1)
    return index
