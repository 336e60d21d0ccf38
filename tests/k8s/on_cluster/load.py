"""Sends requests to a server until a file exists, and prints what became of them as one JSON line.

    python load.py HOST:PORT FILE BODY

Runs in a pod, so it uses the standard library only. Half of the threads keep their connection, as a proxy does; the
others open one for each request. No request is repeated.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

THREADS = 8
PAUSE_SECONDS = 0.02
HEADERS = {"Content-Type": "application/json"}


class Load:
    """The requests of all threads."""

    def __init__(self, host: str, stop: Path, body: bytes) -> None:
        self._host, self._stop, self._body = host, stop, body
        self._lock = threading.Lock()
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []

    def send(self, keeps: bool) -> None:
        """One thread."""
        client = http.client.HTTPConnection(self._host, timeout=60)
        while not self._stop.exists():
            try:
                client.request("POST", "/invocations", self._body, HEADERS)
                answer = client.getresponse()
                content = answer.read()
                self._count(answer, content)
            except (OSError, http.client.HTTPException) as error:  # the request is lost: that is what is counted
                client.close()
                with self._lock:
                    self.failures.append(f"{'kept' if keeps else 'new'} connection: {type(error).__name__}: {error}")
            if not keeps:
                client.close()
            time.sleep(PAUSE_SECONDS)
        client.close()

    def _count(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        with self._lock:
            if answer.status == 200 and "predictions" in json.loads(content):
                self.versions[answer.headers["X-Model-Version"]] += 1
            else:
                self.failures.append(f"status {answer.status}: {content[:200]!r}")


def main(host: str, stop: str, body: str) -> None:
    """Sends until the file `stop` exists."""
    load = Load(host, Path(stop), body.encode())
    threads = [threading.Thread(target=load.send, args=(number % 2 == 0,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"versions": load.versions, "failures": load.failures}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
