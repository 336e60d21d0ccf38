"""Validation predictions of the best trials, kept beside the study for the ensemble.

A cache and nothing more: a worker on another machine, a full disk or a kill leaves holes, and what is missing when the
search ends is trained again, to the same bits. A file's name holds the trial's number and its exact value, so that the
best can be told apart without asking the store, and a file of another attempt of the same trial is never taken.
"""

import contextlib
import logging
import os
import re
from pathlib import Path

import numpy as np

from src.config import SearchSettings, Task
from src.disk import explain

log = logging.getLogger(__name__)

MAX_KEPT = 20
"""The best trials by value, and the ensemble's candidates: what ranks below has no say in a good ensemble, more of them
make the selection slower and luckier, and where nothing is kept, on another machine, all of them are trained again."""
_NAME = re.compile(r"(\d+)_(-?[\d.]+(?:e[+-]\d+)?)\.npy")
MAX_LOGIT = 35.0
"""Beyond it the probability is 1 in 64 bits, and its raw score cannot be told any more."""


def predictions_dir(settings: SearchSettings) -> Path:
    """Where the predictions of all studies lie, a folder each."""
    return settings.storage_dir / "predictions"


def raw_scores(task: Task, predictions: np.ndarray) -> np.ndarray:
    """What LightGBM hands over while it trains, as the sum of leaves that it came from: (n_rows,) 32-bit floats."""
    if task != "binary":
        return predictions.astype(np.float32)
    with np.errstate(divide="ignore"):  # a probability of exactly 0 or 1
        logit = np.log(predictions) - np.log1p(-predictions)
    raw: np.ndarray = np.clip(logit, -MAX_LOGIT, MAX_LOGIT).astype(np.float32)
    return raw


class PredictionStore:
    """The files of one study.

    Args:
        folder: of this study; made with the first file.
        maximize: whether a higher value is better.
    """

    def __init__(self, folder: Path, maximize: bool) -> None:
        self.folder = folder
        self.maximize = maximize

    def keep(self, number: int, value: float, scores: np.ndarray, pinned: bool = False) -> None:
        """Keeps (n_rows,) raw scores of a complete trial, and of all trials the best only, beside those pinned.

        Several processes may do so at once: each file is there whole or not at all, and one that two of them remove is
        gone either way. A disk that cannot be written costs the cache, never the trial.
        """
        path = self._path(number, value, pinned)
        part = path.with_name(f".{number}.{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as file:
                np.save(file, scores.astype(np.float32, copy=False), allow_pickle=False)
            os.replace(part, path)
            for worse in self._ranked()[MAX_KEPT:]:
                worse.unlink(missing_ok=True)
        except OSError as error:  # the disk
            with contextlib.suppress(OSError):  # half a file on a full disk leaves less for what matters
                part.unlink()
            log.warning(
                "the validation predictions of trial %d cannot be kept, the trial is trained again if the ensemble "
                "needs it: %s", number, explain(error, "the search goes on"),
            )  # fmt: skip

    def load(self, number: int, value: float, n_rows: int) -> np.ndarray | None:
        """(n_rows,) raw scores of a trial with this value; None where there is no such file, or not a whole one."""
        path = self._path(number, value, pinned=True)
        try:
            with open(path if path.exists() else self._path(number, value), "rb") as file:
                scores: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # the disk; a file cut short by a power cut
            log.debug("predictions of trial %d cannot be read: %s", number, error)
            return None
        usable = scores.shape == (n_rows,) and scores.dtype == np.float32 and bool(np.isfinite(scores).all())
        return scores if usable else None

    def _path(self, number: int, value: float, pinned: bool = False) -> Path:
        return self.folder / f"{number}_{float(value)!r}{'.pinned' if pinned else ''}.npy"

    def _ranked(self) -> list[Path]:
        """The files, those of the best trials first; of equal ones the earlier trial first."""
        found = []
        for path in self.folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                value = float(match[2])
                found.append((-value if self.maximize else value, int(match[1]), path))
        return [path for _, _, path in sorted(found)]
