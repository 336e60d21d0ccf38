"""A real browser without a window, driven through its own pipe (the Chrome DevTools protocol): no driver, no port.

https://chromedevtools.github.io/devtools-protocol/ names the commands and events.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
LAUNCHER = """
import fcntl, os, sys
there, back = (fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3])
os.dup2(there, 3)
os.dup2(back, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the ends of the pipe where the browser looks for them, however they are numbered here."""
PATIENCE = 60.0
Message = dict[str, Any]


def find_browser() -> str | None:
    """The program of a browser that speaks the protocol, where there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser whose network is off; what its console says is kept in `complaints`."""

    def __init__(self, program: str) -> None:
        """Starts the program; both of its ends of the pipe are, by agreement, its file descriptors 3 and 4."""
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self.to = os.pipe()
        self.from_, theirs_out = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"]
        launcher = [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out), *command]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(launcher, pass_fds=(theirs_in, theirs_out), stdout=quiet, stderr=quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        self.numbers = itertools.count(1)
        self.rest = b""
        self.session = ""
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _attach(self) -> None:
        self.send("Target.setDiscoverTargets", discover=True)
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        os.close(self.to)
        os.close(self.from_)
        self.profile.cleanup()

    def send(self, method: str, **params: Any) -> Message:
        """Sends a command and waits for its answer."""
        number = next(self.numbers)
        message: Message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda said: said.get("id") == number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Message = answer["result"]
        return result

    def _wait(self, wanted: Callable[[Message], bool]) -> Message:
        until = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self.rest:
                ready, _, _ = select.select([self.from_], [], [], max(0.0, until - time.monotonic()))
                assert ready, f"the browser said nothing for {PATIENCE:g} seconds"
                more = os.read(self.from_, 1 << 20)
                assert more, f"the browser ended with status {self.process.wait(timeout=PATIENCE)}"
                self.rest += more
            line, _, self.rest = self.rest.partition(b"\0")
            said: Message = json.loads(line)
            self._note(said)
            if wanted(said):
                return said

    def _note(self, said: Message) -> None:
        params = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif said.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif said.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["args"]))

    def open(self, path: Path, width: int, height: int = 900) -> None:
        """Shows a file in a window of this size, a phone's where it is narrow, and waits until it is loaded."""
        size: Message = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Emulation.setTouchEmulationEnabled", enabled=width < 600)
        self.complaints.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self._wait(lambda said: said.get("method") == "Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; of a promise, what it promised."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, path: Path, dark: bool = False) -> None:
        """The whole page as a PNG."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def printed(self, path: Path) -> None:
        """The page as the browser prints it."""
        answer = self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))
