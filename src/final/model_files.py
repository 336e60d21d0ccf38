"""Writes the model files in `artefacts/`: the numbered model text and its metadata."""

import contextlib
import fcntl
import glob
import json
import os
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from src.disk import names_file, write_atomically, write_temporary

LIBRARIES = ("lightgbm", "mlflow", "numpy", "optuna", "pandas", "scikit-learn")


def write_model_text(text: str, output_dir: Path, target: str) -> Path:
    """Writes `models/lgb_<target>_optuna_v<N>.txt`, unless the newest file already holds the same model.

    A file gets its name when it is complete, so that a kill leaves no partial model. Empty files, which earlier
    versions left after a kill, are ignored, and their numbers are used again.

    Args:
        text: model text in LightGBM's format.
        output_dir: the `artefacts` folder.
        target: the target, a part of the file name.

    Returns:
        The file that holds this model.
    """
    folder = output_dir / "models"
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder.glob(f"lgb_{glob.escape(target)}_optuna_v*.txt")
    number = max((_number(path, target) for path in paths if path.stat().st_size > 0), default=0)
    path = _model_path(folder, target, number)
    if number and path.read_text(encoding="utf-8") == text:
        return path
    with names_file(path):
        complete = write_temporary(path, text)
    try:
        while True:
            number += 1
            path = _model_path(folder, target, number)
            if _claim_name(complete, path):
                return path
    finally:
        complete.unlink(missing_ok=True)


def _claim_name(complete: Path, path: Path) -> bool:
    """Gives a complete file its name; False if another model has the name already."""
    try:
        os.link(complete, path)
    except OSError:  # the name is taken, or the file system has no hard links
        return _replace_if_empty(complete, path)
    return True


def _replace_if_empty(complete: Path, path: Path) -> bool:
    """Gives a complete file the name of one that is empty or absent, in one process at a time."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: a race between processes remains possible
            fcntl.flock(folder, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_size > 0:
            return False
        os.replace(complete, path)
    finally:
        os.close(folder)
    return True


def write_metadata(metadata: dict[str, Any], output_dir: Path, target: str) -> Path:
    """Writes `models/lgb_<target>_optuna_metadata.json` of the target's newest model."""
    path = output_dir / "models" / f"lgb_{target}_optuna_metadata.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(metadata, indent=2, allow_nan=False) + "\n")
    return path


def library_versions() -> dict[str, str]:
    """Exact versions of Python and of the libraries that a result depends on."""
    return {"python": python_version()} | {name: version(name) for name in LIBRARIES}


def _model_path(folder: Path, target: str, number: int) -> Path:
    return folder / f"lgb_{target}_optuna_v{number}.txt"


def _number(path: Path, target: str) -> int:
    text = path.stem.removeprefix(f"lgb_{target}_optuna_v")
    return int(text) if text.isdecimal() else 0
