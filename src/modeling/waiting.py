"""`--mode wait`: until a study has its total. Nothing is made, taken over or written; Optuna is not even loaded.

Meant for what runs before the finish: it may start before the study, before its tables and before the database.
"""

import json
import logging
import os
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.cli import chosen_targets
from src.config import RunSettings
from src.errors import ConfigError, StoreError
from src.modeling.asked import Asked
from src.modeling.patience import is_passing
from src.modeling.recipe import RECIPE_ATTR, TOTAL, seconds_left
from src.modeling.store_location import connect_args, store_url
from src.secrets import mask_url, scrub

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
SAY_SECONDS = 60.0
GRACE_SECONDS = 120.0
"""After a study's own timeout: as long as its last trials may still be told to be dead, and no longer."""

_ATTRIBUTES = sqlalchemy.text(
    "SELECT s.study_id, a.key, a.value_json FROM studies s "
    "LEFT JOIN study_user_attributes a ON a.study_id = s.study_id WHERE s.study_name = :name"
)
_STATES = sqlalchemy.text("SELECT state, count(*) FROM trials WHERE study_id = :id GROUP BY state")


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        finished: complete and pruned trials.
        running: trials that somebody runs, or ran when he died.
        total: what it is to have; None while that is not noted.
        time_left: seconds of its own timeout, negative when it is over; None without one.
    """

    finished: int
    running: int
    total: int | None
    time_left: float | None = None

    @property
    def over(self) -> bool:
        """Whether no more trials are to come."""
        if self.total is not None and self.finished >= self.total:
            return True
        out_of_time = self.time_left is not None and self.time_left <= 0
        return out_of_time and (self.running == 0 or (self.time_left or 0.0) < -GRACE_SECONDS)

    def __str__(self) -> str:
        return f"{self.finished} of {self.total or 'an unknown number of'} trials are finished, {self.running} run"


def wait_for_studies(asked: Asked) -> None:
    """Waits until every named study has its total, or its own time is up.

    Raises:
        ConfigError: no name is given, or the store refuses.
        StoreError: `--timeout` seconds have passed.
    """
    settings = asked.settings()
    url = store_url(settings.search.storage_url, settings.search.storage_dir, os.environ)
    deadline = None if settings.search.timeout is None else time.monotonic() + settings.search.timeout
    for name in _names(asked, settings):
        _wait_for(url, name, deadline)


def _names(asked: Asked, settings: RunSettings) -> list[str]:
    name = settings.search.study_name
    if name is None:
        raise ConfigError("--mode wait does not know for what: give --study-name")
    if asked.names_one_study:
        return [name]
    return [f"{name}_{target}" for target in chosen_targets(asked.args.targets, settings.data.table.targets)]


def _wait_for(url: URL, name: str, deadline: float | None) -> None:
    said = ""
    next_word = 0.0
    while True:
        seen = read_progress(url, name)
        if isinstance(seen, Progress) and seen.over:
            log.info("study %s is over: %s", name, seen)
            return
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            raise StoreError(f"study {name!r} was waited for in vain: {seen}; give it more workers, or --timeout")
        if now >= next_word or (str(seen) != said and not isinstance(seen, Progress)):
            log.info("waiting for study %s: %s", name, seen)
            said, next_word = str(seen), now + SAY_SECONDS
        time.sleep(POLL_SECONDS if deadline is None else min(POLL_SECONDS, max(0.0, deadline - now)))


def read_progress(url: URL, name: str) -> Progress | str:
    """How far the study is, or why that cannot be told yet: no server, no database, no table, no study.

    Raises:
        ConfigError: the server refuses, for a reason that no time mends.
    """
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        return "there is no store yet"
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=connect_args(url))
    try:
        with engine.connect() as connection:
            return _read(connection, name)
    except SQLAlchemyError as error:
        return _not_yet(url, error)


def _read(connection: sqlalchemy.Connection, name: str) -> Progress | str:
    rows = connection.execute(_ATTRIBUTES, {"name": name}).all()
    if not rows:
        return "it does not exist yet"
    attributes: dict[str, Any] = {key: json.loads(text) for _, key, text in rows if key is not None}
    states = {state: int(count) for state, count in connection.execute(_STATES, {"id": rows[0][0]})}
    recipe = attributes.get(RECIPE_ATTR, {})
    left = seconds_left(attributes, recipe.get("timeout"), at_least=None)
    finished = states.get("COMPLETE", 0) + states.get("PRUNED", 0)
    return Progress(finished, states.get("RUNNING", 0), recipe.get(TOTAL), left)


def _not_yet(url: URL, error: SQLAlchemyError) -> str:
    plain = url.render_as_string(hide_password=False)
    words = (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]
    no_table = isinstance(error, ProgrammingError | OperationalError) and (
        "no such table" in words or getattr(error.orig, "pgcode", None) == "42P01"
    )
    no_database = "FATAL:" in words and f'database "{url.database}" does not exist' in words
    if no_table or no_database or is_passing(error):
        return f"the store is not ready: {scrub(words, plain)}"
    raise ConfigError(
        f"the store {mask_url(plain)} cannot be read: {scrub(words, plain)}; "
        f"check host, port, user, password and database"
    ) from error
