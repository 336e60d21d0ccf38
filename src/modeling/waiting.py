"""Waits for a shared study: until its total is reached (`--mode wait`), or until create has prepared it for a run.

It only reads. It may start before the study, its tables and the database exist.
"""

import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.cli import chosen_targets
from src.config import IDLE_SECONDS, RunSettings
from src.errors import ConfigError, StoreError
from src.modeling.command_line import CommandLine
from src.secrets import mask_url, scrub
from src.study.retry_policy import is_transient
from src.study.store_location import connect_args, store_url
from src.study.study_settings import RUN_ATTR, failure_of, seconds_left, study_document

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
LOG_SECONDS = 15.0
"""Shortest time between two progress lines; `make fanout` shows them."""
REPEAT_SECONDS = 60.0
"""Longest time between two lines, also when nothing changes."""
RATE_SECONDS = 300.0
GRACE_SECONDS = 120.0
"""Wait after a study's timeout for its running trials: long enough for dead workers to be detected."""
_ATTRIBUTES = sqlalchemy.text(
    "SELECT s.study_id, a.key, a.value_json FROM studies s "
    "LEFT JOIN study_user_attributes a ON a.study_id = s.study_id WHERE s.study_name = :name"
)
_STATES = sqlalchemy.text("SELECT state, count(*) FROM trials WHERE study_id = :id GROUP BY state")
_BEST = sqlalchemy.text(
    "SELECT d.direction, min(v.value), max(v.value) FROM trials t "
    "JOIN study_directions d ON d.study_id = t.study_id JOIN trial_values v ON v.trial_id = t.trial_id "
    "WHERE t.study_id = :id AND t.state = 'COMPLETE' AND v.value_type = 'FINITE' AND NOT EXISTS ("  # infeasible
    "SELECT 1 FROM trial_system_attributes a WHERE a.trial_id = t.trial_id AND a.key LIKE 'constraints:%' "
    "AND a.value_json NOT LIKE '-%' AND a.value_json <> '0.0') GROUP BY d.direction"
)
_HEARTBEAT = sqlalchemy.text(
    "SELECT max(h.heartbeat) FROM trial_heartbeats h JOIN trials t ON t.trial_id = h.trial_id WHERE t.study_id = :id"
)


@dataclass(frozen=True)
class StudyProgress:
    """Progress of a study.

    Attributes:
        finished: complete and pruned trials.
        running: trials in state RUNNING, also those of dead workers.
        total: the requested number of trials; None while it is not stored yet.
        time_left: seconds until the study's timeout, negative after it; None without a timeout.
        best: the best value of a feasible trial so far.
        heartbeat: the latest heartbeat of any worker.
    """

    finished: int
    running: int
    total: int | None
    time_left: float | None = None
    best: float | None = None
    heartbeat: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether no more trials will be run."""
        if self.total is not None and self.finished >= self.total:
            return True
        out_of_time = self.time_left is not None and self.time_left <= 0
        return out_of_time and (self.running == 0 or (self.time_left or 0.0) < -GRACE_SECONDS)

    @property
    def activity(self) -> tuple[object, ...]:
        """Values that change while workers run trials."""
        return self.finished, self.running, self.heartbeat

    def __str__(self) -> str:
        best = "" if self.best is None else f", best {self.best:.5g}"
        total = self.total or "an unknown number of"
        return f"{self.finished} of {total} trials are finished, {self.running} run{best}"


@dataclass(frozen=True)
class NotReady:
    """Why the progress of a study cannot be read yet.

    Attributes:
        reason: the reason as text.
        store_unavailable: whether the store does not answer.
    """

    reason: str
    store_unavailable: bool = False

    def __str__(self) -> str:
        return self.reason


def wait_for_studies(command_line: CommandLine) -> None:
    """Waits until every named study reaches its total or its timeout.

    Raises:
        ConfigError: no name is given, the store refuses, or a user error stopped the run.
        StoreError: `--timeout` seconds have passed, or `--idle-timeout` seconds without activity of a worker.
    """
    watch = _StudyWatch(command_line, command_line.settings().search.timeout)
    for name in watch.names:
        log.info("study %s has ended: %s", name, watch.wait_until(name, lambda progress: progress.is_over))


def wait_for_run(command_line: CommandLine) -> None:
    """Waits until create has prepared every study of the run that `--run-token` names; a worker does this first.

    Raises:
        ConfigError: no name is given, the store refuses, create failed with a user error, or create never ended.
        StoreError: timed out waiting for the store.
    """
    watch = _StudyWatch(command_line, None)
    for name in watch.names:
        watch.wait_until(name, lambda progress: True)


def study_names(command_line: CommandLine, settings: RunSettings) -> list[str]:
    """Names of the studies that `--study-name` means, one for each target.

    Raises:
        ConfigError: no name is given, or a target is unknown.
    """
    name = settings.search.study_name
    if name is None:
        raise ConfigError(f"--mode {command_line.args.mode} needs the name of a study: give --study-name")
    if command_line.names_whole_study:
        return [name]
    return [f"{name}_{target}" for target in chosen_targets(command_line.args.targets, settings.data.table.targets)]


class _StudyWatch:
    """Polls the studies of a command until a condition is met, or a limit has passed.

    Args:
        command_line: the command.
        timeout: seconds for all studies together; None is no limit.
    """

    def __init__(self, command_line: CommandLine, timeout: float | None) -> None:
        settings = command_line.settings()
        self.names = study_names(command_line, settings)
        self._url = store_url(settings.search.storage_url, settings.search.storage_dir, os.environ)
        self._token: str | None = command_line.args.run_token
        self._idle = _idle_limit(command_line)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._active_at = time.monotonic()
        self._activity: dict[str, tuple[object, ...]] = {}
        self._logged, self._logged_at = "", float("-inf")
        self._counts: deque[tuple[float, int]] = deque()

    def wait_until(self, name: str, condition: Callable[[StudyProgress], bool]) -> StudyProgress:
        """Waits for one study and returns its last progress.

        Raises:
            ConfigError, StoreError: see `wait_for_studies`.
        """
        self._counts.clear()
        while True:
            progress = {study: read_progress(self._url, study, self._token) for study in self.names}
            current = progress[name]
            if isinstance(current, StudyProgress) and condition(current):
                return current
            self._record_activity(progress)
            self._raise_if_timed_out(name, current)
            self._log_progress(name, current)
            left = POLL_SECONDS if self._deadline is None else self._deadline - time.monotonic()
            time.sleep(min(POLL_SECONDS, max(0.0, left)))

    def _record_activity(self, progress: dict[str, StudyProgress | NotReady]) -> None:
        activity = {name: study.activity for name, study in progress.items() if isinstance(study, StudyProgress)}
        if any(self._activity.get(name) != values for name, values in activity.items()):
            self._active_at = time.monotonic()
        self._activity |= activity

    def _raise_if_timed_out(self, name: str, progress: StudyProgress | NotReady) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise StoreError(
                f"timed out waiting for study {name!r}: {progress}; add workers, or give a longer --timeout"
            )
        if self._idle is None or now - self._active_at < self._idle:
            return
        if isinstance(progress, StudyProgress) or progress.store_unavailable:
            raise StoreError(
                f"no worker was active on study {name!r} for {self._idle:g} s: {progress}; the same command resumes "
                f"it; a longer --idle-timeout (IDLE_SECONDS of make fanout) waits longer"
            )
        raise ConfigError(
            f"timed out waiting for study {name!r} for {self._idle:g} s: {progress}; see in its log why --mode create "
            f"did not end, or wait longer with --idle-timeout (IDLE_SECONDS of make fanout)"
        )

    def _log_progress(self, name: str, progress: StudyProgress | NotReady) -> None:
        now = time.monotonic()
        line = f"waiting for study {name}: {progress}"
        if isinstance(progress, StudyProgress):
            line += self._rate(now, progress.finished)
        since = now - self._logged_at
        # An obstacle is logged at once; progress at most every LOG_SECONDS, to keep the log short.
        if since >= REPEAT_SECONDS or (
            line != self._logged and (since >= LOG_SECONDS or isinstance(progress, NotReady))
        ):
            log.info("%s", line)
            self._logged, self._logged_at = line, now

    def _rate(self, now: float, finished: int) -> str:
        """Trials per minute over the last five minutes, as observed by this process."""
        counts = self._counts
        counts.append((now, finished))
        while now - counts[0][0] > RATE_SECONDS:
            counts.popleft()
        seconds, more = now - counts[0][0], finished - counts[0][1]
        return f", {60 * more / seconds:.3g} trials per minute" if more > 0 and seconds > 0 else ""


def _idle_limit(command_line: CommandLine) -> float | None:
    given: float | None = command_line.args.idle_timeout
    if given is not None and given <= 0:
        raise ConfigError(f"--idle-timeout {given:g} is not a time: use seconds above 0")
    return given if given is not None or command_line.args.run_token is None else IDLE_SECONDS


def read_progress(url: URL, name: str, token: str | None = None) -> StudyProgress | NotReady:
    """The study's progress, or why it cannot be read yet: no server, no database, no table, no study.

    Args:
        url: the store's URL.
        name: the study's name.
        token: the token of the run that the study must be prepared for.

    Raises:
        ConfigError: the server refuses for a permanent reason, or the run has failed.
    """
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        return NotReady("there is no store yet")
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=connect_args(url))
    try:
        with engine.connect() as connection:
            return _read(connection, name, token)
    except SQLAlchemyError as error:
        return _not_ready(url, error)


def _read(connection: sqlalchemy.Connection, name: str, token: str | None) -> StudyProgress | NotReady:
    rows = connection.execute(_ATTRIBUTES, {"name": name}).all()
    if not rows:
        return NotReady("it does not exist yet")
    attributes: dict[str, Any] = {key: json.loads(text) for _, key, text in rows if key is not None}
    failure = failure_of(attributes, token)
    if failure is not None:
        raise ConfigError(f"the run of study {name!r} cannot continue, because {failure}")
    if token is not None and attributes.get(RUN_ATTR) != token:
        return NotReady(f"create has not prepared it yet for run {token}")
    study = {"id": rows[0][0]}
    states = {state: int(count) for state, count in connection.execute(_STATES, study)}
    search = (study_document(attributes) or {}).get("search", {})
    left = seconds_left(attributes, search.get("timeout"), at_least=None)
    finished = states.get("COMPLETE", 0) + states.get("PRUNED", 0)
    best = next(
        (high if direction == "MAXIMIZE" else low for direction, low, high in connection.execute(_BEST, study)), None
    )
    heartbeat = connection.execute(_HEARTBEAT, study).scalar()
    return StudyProgress(
        finished, states.get("RUNNING", 0), search.get("n_trials"), left, best, heartbeat and str(heartbeat)
    )


def _not_ready(url: URL, error: SQLAlchemyError) -> NotReady:
    plain = url.render_as_string(hide_password=False)
    message = (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]
    no_table = isinstance(error, ProgrammingError | OperationalError) and (
        "no such table" in message or getattr(error.orig, "pgcode", None) == "42P01"
    )
    no_database = "FATAL:" in message and f'database "{url.database}" does not exist' in message
    if no_table or no_database or is_transient(error):
        return NotReady(
            f"the store is not ready: {scrub(message, plain)}", store_unavailable=not (no_table or no_database)
        )
    raise ConfigError(
        f"the store {mask_url(plain)} cannot be read: {scrub(message, plain)}; "
        f"check host, port, user, password and database"
    ) from error
