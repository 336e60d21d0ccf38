"""A fake cluster: a program that renders with the real kubectl and returns prepared answers otherwise."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k8s.fanout.__main__ import main
from tests.k8s.manifests import need_kubectl

PROGRAM = """#!{python} -IS
import json, os, subprocess, sys
words = sys.argv[1:]
if words[0] == "kustomize":
    os.execv({real!r}, ["kubectl", *words])
stdin = sys.stdin.read() if "-" in words else ""
if stdin:  # the real program reads the objects too; this command of it asks no cluster
    offline = [{real!r}, "label", "--local", "-f", "-", "read=yes", "-o", "name"]
    subprocess.run(offline, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([words, stdin]) + chr(10))
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


STUDY, RUN = "Net_Profit_7", "net-profit-7"
WATCHED = f"get jobs,pods -l daily-profit/run={RUN} -o json"
"""The call that polls a run."""


@dataclass(frozen=True)
class Call:
    """One call of the program."""

    words: tuple[str, ...]
    stdin: str

    @property
    def text(self) -> str:
        return " ".join(self.words)


class FakeCluster:
    """Answers calls by their words; the output is empty for calls without a prepared answer."""

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


def call(cluster: FakeCluster, command: str, *words: str) -> int:
    """Runs a command of `k8s.fanout` against it; returns the exit status."""
    return main([command, f"KUBECTL={cluster.program}", *words])


def job(component: str, run: str, condition: str | None = None, reason: str = "", **status: Any) -> dict[str, Any]:
    """A Job as the API shows it."""
    message = status.pop("message", "why")
    met = [{"type": condition, "status": "True", "reason": reason, "message": message}] if condition else []
    return {
        "kind": "Job",
        "metadata": {
            "name": f"{component}-{run}",
            "uid": f"uid of {component}",
            "labels": {"app.kubernetes.io/component": component, "daily-profit/run": run},
        },
        "spec": {"completions": 3 if component == "worker" else 1},
        "status": {"conditions": met, **status},
    }


def pod(job: str, number: int = 0, phase: str = "Running", unscheduled: str = "", **state: Any) -> dict[str, Any]:
    """A Pod of a Job as the API shows it.

    Args:
        job: name of the Job.
        number: makes it another one.
        phase: of the pod; Running is ready.
        unscheduled: why no node takes it.
        **state: of containers by their names, as `wait={"running": {}}`.
    """
    conditions = [{"type": "Ready", "status": str(phase == "Running")}]
    if unscheduled:
        conditions.append(
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unscheduled}
        )
    statuses = [{"name": name, "image": "tuner:1", "state": item} for name, item in state.items()]
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{job}-{number}",
            "labels": {"batch.kubernetes.io/job-name": job},
            "creationTimestamp": f"2024-01-01T00:00:{number:02}Z",
        },
        "status": {
            "phase": phase,
            "conditions": conditions,
            "initContainerStatuses": [item for item in statuses if item["name"] == "wait"],
            "containerStatuses": [item for item in statuses if item["name"] != "wait"],
        },
    }
