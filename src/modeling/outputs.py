"""What lies in `artefacts/` afterwards: the model as text, counted up, and its metadata."""

import glob
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from src.disk import names_file

VERSIONED = ("lightgbm", "mlflow", "numpy", "optuna", "pandas", "scikit-learn")


def write_model_text(text: str, output_dir: Path, target: str) -> Path:
    """Writes `models/lgb_<target>_optuna_v<N>.txt`; the same model is not written a second time under a new number.

    Args:
        text: LightGBM's own format.
        output_dir: the `artefacts` folder.
        target: names the file.

    Returns:
        The file that holds this model.
    """
    folder = output_dir / "models"
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"lgb_{glob.escape(target)}_optuna_v*.txt"
    newest = max((_number(path, target) for path in folder.glob(pattern)), default=0)
    path = _model_path(folder, target, newest)
    if newest and path.read_text(encoding="utf-8") == text:
        return path
    while True:
        newest += 1
        path = _model_path(folder, target, newest)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:  # another process took the number a moment earlier
            continue
        try:
            write_atomically(path, text)
        except BaseException:  # an empty file would pass for a model
            path.unlink()
            raise
        return path


def write_metadata(metadata: dict[str, Any], output_dir: Path, target: str) -> Path:
    """Writes `models/lgb_<target>_optuna_metadata.json`, of the target's newest model."""
    path = output_dir / "models" / f"lgb_{target}_optuna_metadata.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(metadata, indent=2, allow_nan=False) + "\n")
    return path


def write_atomically(path: Path, content: str | bytes) -> None:
    """The whole content or, after a kill or on a full disk, what was there before.

    Raises:
        OSError: the file cannot be written; its `filename` is the path.
    """
    with names_file(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # mkstemp's files are private, results are not
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def library_versions() -> dict[str, str]:
    """Exact versions of Python and of the libraries that a result depends on."""
    return {"python": python_version()} | {name: version(name) for name in VERSIONED}


def _model_path(folder: Path, target: str, number: int) -> Path:
    return folder / f"lgb_{target}_optuna_v{number}.txt"


def _number(path: Path, target: str) -> int:
    text = path.stem.removeprefix(f"lgb_{target}_optuna_v")
    return int(text) if text.isdecimal() else 0
