"""A stand-in for the boundary to a cluster: a program that renders with the real kubectl and plays back the rest."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.manifests import need_kubectl

PROGRAM = """#!{python} -IS
import json, os, sys
words = sys.argv[1:]
if words[0] == "kustomize":
    os.execv({real!r}, ["kubectl", *words])
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([words, sys.stdin.read() if words[-1] == "-" or "-" in words else ""]) + chr(10))
with open({answers!r}) as file:
    answers = json.load(file)
for answer in answers:
    if answer["to"] in " ".join(words):
        said = answer["says"].pop(0) if len(answer["says"]) > 1 else answer["says"][0]
        with open({answers!r}, "w") as file:
            json.dump(answers, file)
        if isinstance(said, str) and not answer["plain"]:
            sys.exit(said)
        if said is not None:
            print(said if answer["plain"] else json.dumps(said))
        break
"""


@dataclass(frozen=True)
class Call:
    """One call of the program."""

    words: tuple[str, ...]
    stdin: str

    @property
    def text(self) -> str:
        return " ".join(self.words)


class FakeCluster:
    """Answers calls by their words; says nothing to those that it knows no answer to."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "kubectl"
        self._calls, self._answers = folder / "calls", folder / "answers"
        self._known: list[dict[str, Any]] = []
        self._answers.write_text("[]", encoding="utf-8")
        text = PROGRAM.format(
            python=sys.executable, real=need_kubectl(), calls=str(self._calls), answers=str(self._answers)
        )
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o755)

    def answers(self, to: str, *says: Any, plain: bool = False) -> None:
        """Says these one after the other, the last for ever, to calls with these words.

        A text is an error, unless `plain`.
        """
        self._known.append({"to": to, "says": list(says), "plain": plain})
        self._answers.write_text(json.dumps(self._known), encoding="utf-8")

    @property
    def calls(self) -> list[Call]:
        if not self._calls.exists():
            return []
        lines = self._calls.read_text(encoding="utf-8").splitlines()
        return [Call(tuple(words), stdin) for words, stdin in map(json.loads, lines)]


def job(component: str, run: str, condition: str | None = None, reason: str = "", **status: int) -> dict[str, Any]:
    """A Job as the API shows it."""
    met = [{"type": condition, "status": "True", "reason": reason, "message": "why"}] if condition else []
    return {
        "metadata": {
            "name": f"{component}-{run}",
            "labels": {"app.kubernetes.io/component": component, "daily-profit/run": run},
        },
        "spec": {"completions": 3 if component == "worker" else 1},
        "status": {"conditions": met, **status},
    }
