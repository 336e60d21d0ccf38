"""The database schema revisions of the installed MLflow, without importing it, which takes seconds."""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REVISION = re.compile(r"^down_revision\s*=\s*[\"'](\w+)", re.MULTILINE)


@cache
def known_revisions() -> dict[str, str]:
    """The schema revisions that the installed MLflow knows, mapped to the revision before.

    Alembic names a migration's file `<revision>_<title>.py`.
    """
    spec = find_spec("mlflow")
    folder = Path(os.path.dirname(spec.origin or "") if spec else "", "store", "db_migrations", "versions")
    previous = {}
    for path in folder.glob("*_*.py"):
        before = _REVISION.search(path.read_text(encoding="utf-8"))
        previous[path.name.partition("_")[0]] = before[1] if before else ""
    previous.pop("", None)  # __init__.py
    return previous


def newest_revisions() -> set[str]:
    """The schema revision that the installed MLflow requires; several if migration branches are not merged."""
    return known_revisions().keys() - set(known_revisions().values())
