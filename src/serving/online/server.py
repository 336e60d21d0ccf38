"""Runs the application under uvicorn until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from time import monotonic

import uvicorn

from src.errors import ConfigError, Interrupted
from src.serving.online.dispatcher import Dispatcher

BACKLOG = 2048
IDLE_SECONDS = 5
"""A connection without a request for this long is closed."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free port.

    Raises:
        ConfigError: the port is in use, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:  # in use, a privileged port, an unknown host; a port above 65535
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--host {host} --port {port} cannot be used: {reason}; give another one") from error


class Server(uvicorn.Server):
    """Ends on SIGTERM and Ctrl-C when the running requests have been answered; a second Ctrl-C ends it at once."""

    def __init__(self, app: Dispatcher) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False, http="h11",
            timeout_keep_alive=IDLE_SECONDS,
        )  # fmt: skip
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in uvicorn, but the signals are not raised again: `run_until_stopped` reports them."""
        if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As in uvicorn, but an open connection is closed with its next answer, or when it is idle.

        uvicorn closes connections between two requests at once. Their clients may be sending a request just then, and
        cannot know whether it was lost.
        """
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        deadline = monotonic() + IDLE_SECONDS
        while self.server_state.connections and not self.force_exit and monotonic() < deadline:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    def run_until_stopped(self, listener: socket.socket) -> None:
        """Serves.

        Raises:
            Interrupted: a signal ended it; the running requests were answered.
        """
        self.run(sockets=[listener])
        if self._captured_signals:
            error = Interrupted("stopped: the running requests were answered")
            error.signal = self._captured_signals[0]
            raise error
