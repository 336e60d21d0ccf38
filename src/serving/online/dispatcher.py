"""The ASGI application: sends each request to the version that answers for its target, and answers for the server."""

import asyncio
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import unquote

from src.serving.online.afterwards import Afterwards, Answered
from src.serving.online.follower import Slot
from src.serving.online.http import (
    Answer,
    Disconnected,
    Receive,
    Scope,
    Send,
    TooLarge,
    error_answer,
    header,
    is_allowed,
    json_answer,
    read_body,
    send_answer,
)
from src.serving.online.metrics import ServingMetrics
from src.serving.online.version import Scored, ServedVersion, score
from src.suggest import listing, one_line

log = logging.getLogger(__name__)

INVOCATIONS = "invocations"
OPEN_PATHS = ("/ping", "/health", "/ready", "/metrics")
"""Answered without a token: probes and scrapers have none."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        max_bytes: of a request's body.
        max_rows: of a request.
        tokens: accepted bearer tokens; none means that everybody is allowed.
    """

    max_bytes: int
    max_rows: int
    tokens: tuple[bytes, ...] = ()


@dataclass
class _Seen:
    """What is known of a request when it has been answered."""

    target: str = ""
    version: ServedVersion | None = None
    scored: Scored | None = None


class Dispatcher:
    """The application.

    Args:
        slots: the version that answers, by target.
        limits: of a request.
        metrics: of the server.
        afterwards: gets every answered request.
    """

    def __init__(
        self, slots: Mapping[str, Slot], limits: Limits, metrics: ServingMetrics, afterwards: Afterwards
    ) -> None:
        self._slots = slots
        self._limits = limits
        self._metrics = metrics
        self._afterwards = afterwards
        # More threads than CPUs would only wait for each other.
        self._threads = ThreadPoolExecutor((os.cpu_count() or 1) + 1, "predict")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started, seen = perf_counter(), _Seen()
        try:
            answer = await self._answer(scope, receive, seen)
        except Disconnected:  # nobody is left to answer
            return
        except Exception as error:  # boundary: a request never ends without an answer
            log.exception("a request failed: %s", one_line(error))
            answer = error_answer(500, "the server failed; its log says why")
        headers = {} if seen.version is None else seen.version.headers
        await send_answer(send, answer, headers)
        if scope["path"] not in OPEN_PATHS:
            self._metrics.count(seen.target, seen.version, answer.status, perf_counter() - started)
        self._hand_over(seen)

    def _hand_over(self, seen: _Seen) -> None:
        scored, version = seen.scored, seen.version
        if scored is None or version is None or scored.predictions is None:
            return
        self._metrics.rows.labels(version.target, str(version.number)).inc(scored.rows)
        if scored.frame is not None:
            self._afterwards.put(Answered(version, scored.frame, scored.predictions, scored.params))

    async def _answer(self, scope: Scope, receive: Receive, seen: _Seen) -> Answer:
        path, method = scope["path"], scope["method"]
        target = self._target_of(path)
        if path not in OPEN_PATHS and not is_allowed(scope, self._limits.tokens):
            reason = "the bearer token is missing or wrong: send Authorization: Bearer TOKEN"
            return error_answer(401, reason, **{"WWW-Authenticate": "Bearer"})
        if target is not None:
            if method != "POST":
                return error_answer(405, f"{path} takes POST, not {method}", Allow="POST")
            return await self._score(target, scope, receive, seen)
        if path in (*OPEN_PATHS, "/version"):
            return (
                self._about(path) if method in ("GET", "HEAD") else error_answer(405, f"{path} takes GET", Allow="GET")
            )
        known = listing(f"/{name}/{INVOCATIONS}" for name in self._slots)
        return error_answer(404, f"path {one_line(path, 100)!r} is unknown: the targets are at {known}")

    def _target_of(self, path: str) -> str | None:
        """The target whose predictions the path asks for."""
        *first, last = path.removeprefix("/").split("/")
        if last != INVOCATIONS or len(first) > 1:
            return None
        if not first:
            return next(iter(self._slots)) if len(self._slots) == 1 else None
        return next((name for name in (first[0], unquote(first[0])) if name in self._slots), None)

    async def _score(self, target: str, scope: Scope, receive: Receive, seen: _Seen) -> Answer:
        slot = self._slots[target]
        seen.target, seen.version = target, slot.current
        try:
            body = await read_body(scope, receive, self._limits.max_bytes)
        except TooLarge:  # the expected end of such a request
            limit = self._limits.max_bytes / MEGABYTE
            return error_answer(
                413, f"the request is larger than the {limit:g} MB of --max-request-mb: send fewer rows"
            )
        version = seen.version = slot.current  # a body may take long; from here on one version answers
        if version is None:
            return error_answer(503, f"the model {target!r} is not loaded yet: try again", **{"Retry-After": "5"})
        work = (version, body, header(scope, "content-type"), self._limits.max_rows)
        seen.scored = await asyncio.get_running_loop().run_in_executor(self._threads, score, *work)
        return seen.scored.answer

    def _about(self, path: str) -> Answer:
        loaded = {name: slot.current for name, slot in self._slots.items() if slot.current is not None}
        if path == "/metrics":
            return self._metrics.text(loaded.values())
        if path == "/version":
            return json_answer({name: _describe(version) for name, version in loaded.items()})
        if path == "/ready" and len(loaded) < len(self._slots):
            missing = listing(name for name in self._slots if name not in loaded)
            return error_answer(503, f"not loaded yet: {missing}")
        return Answer(200, b"\n")


def _describe(version: ServedVersion) -> dict[str, str | int | None]:
    return {
        "version": version.number,
        "study": version.study,
        "trained_at": version.metadata.get("trained_at"),
        "loaded_at": version.loaded_at.isoformat(timespec="seconds"),
    }
