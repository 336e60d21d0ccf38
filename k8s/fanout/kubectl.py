"""Access to a cluster through the program `kubectl`; its failures become one-line errors."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from src.errors import ConfigError, RunError
from src.suggest import one_line

ANSWER_SECONDS = 15


class Kubectl:
    """Calls `kubectl`.

    Args:
        command: the program with its first arguments.

    Raises:
        ConfigError: there is no such program.
    """

    def __init__(self, command: Sequence[str]) -> None:
        if not command or shutil.which(command[0]) is None:
            name = " ".join(command)
            raise ConfigError(f"KUBECTL={name} was not found: install it, or set KUBECTL=/path/to/kubectl")
        self.command = tuple(command)

    def text(self, *args: str, stdin: str | None = None) -> str:
        """The output of one call.

        Raises:
            RunError: it failed; the message is the last line of its error output.
        """
        run = subprocess.run(
            [*self.command, *args], input=stdin, capture_output=True, check=False, encoding="utf-8", errors="replace"
        )
        if run.returncode:
            lines = [line for line in run.stderr.splitlines() if line.strip()] or [f"exit status {run.returncode}"]
            raise RunError(f"kubectl {' '.join(args[:3])} failed: {one_line(lines[-1])}")
        return run.stdout

    def json(self, *args: str) -> Any:
        """The output of one call with `-o json`, parsed; None if it is empty.

        Raises:
            RunError: the call failed.
        """
        text = self.text(*args, "-o", "json")
        return json.loads(text) if text.strip() else None

    def items(self, *args: str) -> list[Any]:
        """The objects that one call lists.

        Raises:
            RunError: the call failed.
        """
        return list((self.json(*args) or {}).get("items", []))

    def show(self, *args: str) -> None:
        """Lets a call print to the terminal, including its errors."""
        subprocess.run([*self.command, *args], check=False)

    def reach(self, namespace: str) -> bool:
        """Checks that a cluster answers; returns whether it has the namespace.

        Raises:
            ConfigError: no cluster answers.
        """
        wait = f"--request-timeout={ANSWER_SECONDS}s"
        try:
            return bool(self.text("get", "namespace", namespace, "--ignore-not-found", "-o", "name", wait).strip())
        except RunError as error:
            if "(Forbidden)" in str(error):  # a user without permission to read namespaces was given an existing one
                return True
            raise ConfigError(
                f"no cluster answers ({one_line(error)}): choose one with `kubectl config use-context`, "
                f"or print the manifests with DRY_RUN=1"
            ) from error
