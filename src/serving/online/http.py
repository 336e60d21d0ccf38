"""The HTTP side of the server: answers, errors as JSON, the body of a request within its limit, bearer tokens."""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.suggest import shorten

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True)
class Answer:
    """Status, body and headers of a response."""

    status: int
    body: bytes
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class TooLarge(Exception):
    """The body has more bytes than allowed."""


class Disconnected(Exception):
    """The client has gone before the whole body arrived."""


def error_answer(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """An error in the form of MLflow's: a JSON object with `error_code` and `message`."""
    return json_answer(
        {"error_code": code or _CODES.get(status, "INTERNAL_ERROR"), "message": shorten(message)}, status, headers
    )


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON document."""
    return Answer(status, json.dumps(content).encode(), headers=headers or {})


def header(scope: Scope, name: str) -> str:
    """The value of a request's header; empty if there is none."""
    found = dict(scope["headers"]).get(name.encode(), b"")
    return bytes(found).decode("latin-1")


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """The whole body.

    The rest of a body that is too large is received and dropped, because many clients read no answer before they
    have sent all.

    Raises:
        TooLarge: it has more than `max_bytes`.
        Disconnected: the client has gone.
    """
    blocks, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        block, more = message.get("body", b""), message.get("more_body", False)
        size += len(block)
        if size <= max_bytes:
            blocks.append(block)
        else:
            blocks.clear()
    if size > max_bytes:
        raise TooLarge
    return b"".join(blocks)


async def send_answer(send: Send, answer: Answer, headers: Mapping[str, str]) -> None:
    """Sends an answer with further headers."""
    lines = {"Content-Type": answer.media, "Content-Length": str(len(answer.body)), **answer.headers, **headers}
    # A header is Latin-1; a target's name may be any text.
    raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body})


def read_tokens(path: Path | None) -> tuple[bytes, ...]:
    """The tokens of a file, one per line; any of them is accepted, so that they can be exchanged one by one.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    if path is None:
        return ()
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:  # no such file, no permission
        raise ConfigError(f"--token-file {path} cannot be read: {error.strerror}; give a readable file") from error
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise ConfigError(f"--token-file {path} holds no token: write one per line")
    return tokens


def is_allowed(scope: Scope, tokens: Sequence[bytes]) -> bool:
    """Whether a request has one of the tokens; without tokens every request is allowed.

    All tokens are compared in constant time, so that the time of an answer tells nothing about them.
    """
    if not tokens:
        return True
    scheme, _, given = header(scope, "authorization").partition(" ")
    sent = given.strip().encode("latin-1")
    matches = [hmac.compare_digest(sent, token) for token in tokens]
    return scheme.lower() == "bearer" and any(matches)
