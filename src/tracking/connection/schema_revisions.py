"""Which revisions of its database's schema the installed MLflow knows, without its seconds of import."""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REVISION = re.compile(r"^down_revision\s*=\s*[\"'](\w+)", re.MULTILINE)


@cache
def known_revisions() -> dict[str, str]:
    """The revisions of the schema that the installed MLflow knows, each with the one before it.

    Alembic names a migration's file `<revision>_<title>.py`. Nothing is imported.
    """
    spec = find_spec("mlflow")
    folder = Path(os.path.dirname(spec.origin or "") if spec else "", "store", "db_migrations", "versions")
    found = {}
    for path in folder.glob("*_*.py"):
        before = _REVISION.search(path.read_text(encoding="utf-8"))
        found[path.name.partition("_")[0]] = before[1] if before else ""
    found.pop("", None)  # __init__.py
    return found


def newest_revisions() -> set[str]:
    """The revision of a database that the installed MLflow opens; one, unless two branches of it end apart."""
    return known_revisions().keys() - set(known_revisions().values())
