"""The cluster that `kubectl` points to: the product's commands on it, and what its databases and MLflow then hold."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

from k8s.fanout.options import run_name
from k8s.fanout.rendering import RUN_LABEL
from tests.k8s.manifests import ROOT

NAMESPACE = "daily-profit"
LONGEST_RUN = 1500.0
RUN_KINDS = "jobs,pods,configmaps,serviceaccounts,poddisruptionbudgets"
FINISHED = ("COMPLETE", "PRUNED")
Found = TypeVar("Found")
FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Said:
    """What a command ended with and what it wrote, both streams together."""

    status: int
    text: str


class Started:
    """A running command; its output goes to a file, so that it can be read meanwhile."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self._log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(list(words), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)

    @property
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self, seconds: float = LONGEST_RUN) -> Said:
        """Waits for it.

        Raises:
            subprocess.TimeoutExpired: it goes on longer.
        """
        return Said(self.process.wait(seconds), self.text)

    def says(self, pattern: str, seconds: float) -> str:
        """The first line with the pattern."""

        def line() -> str | None:
            return next((line for line in self.text.splitlines() if re.search(pattern, line)), None)

        return until(line, seconds, f"{pattern!r} in what it says", lambda: self.text[-3000:])


@dataclass(frozen=True)
class RealCluster:
    """The cluster of the present context.

    Attributes:
        folder: for the output of commands.
        namespace: where the product is.
        overlay: name or path.
        user: who the commands are run as; None is the context's own user.
    """

    folder: Path
    namespace: str = NAMESPACE
    overlay: str = "local"
    user: str | None = None

    @property
    def program(self) -> list[str]:
        return ["kubectl", *([] if self.user is None else [f"--as={self.user}"])]

    def kubectl(self, *words: str, stdin: str = "", status: int | None = 0) -> str:
        """Output of kubectl in the namespace.

        Args:
            words: of the command.
            stdin: of the command.
            status: that it has to end with; None takes any.
        """
        command = [*self.program, "-n", self.namespace, *words]
        ended = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
        assert status is None or ended.returncode == status, f"{words}: {ended.returncode}\n{ended.stderr[-2000:]}"
        return ended.stdout + (ended.stderr if status != 0 else "")

    def items(self, kinds: str, label: str = "") -> list[Any]:
        """Objects of some kinds."""
        chosen = ["-l", label] if label else []
        found: list[Any] = json.loads(self.kubectl("get", kinds, *chosen, "-o", "json"))["items"]
        return found

    def start(self, command: str, **values: object) -> Started:
        """`python -m k8s.fanout COMMAND NAME=value …`, as `make fanout` runs it."""
        where = {"OVERLAY": self.overlay, "KUBECTL": " ".join(self.program)}
        words = [f"{name}={value}" for name, value in (where | values).items()]
        log = self.folder / f"{time.time_ns()}-{command}.log"
        return Started([sys.executable, "-u", "-m", "k8s.fanout", command, *words], log)

    def fanout(self, command: str, **values: object) -> Said:
        """The same, to its end."""
        return self.start(command, **values).end()

    def run(self, study: str, **values: object) -> str:
        """A run that has to succeed; returns what it said."""
        done = self.fanout("up", STUDY_NAME=study, **values)
        assert done.status == 0, done.text
        return done.text

    def clear(self, study: str) -> None:
        """Deletes the run's objects, so that its study can be extended."""
        done = self.fanout("down", STUDY_NAME=study)
        assert done.status == 0, done.text

    def left_of(self, study: str) -> list[str]:
        """What is in the cluster of a run."""
        words = ("get", RUN_KINDS, "-l", f"{RUN_LABEL}={run_name(study)}", "-o", "name")
        return self.kubectl(*words).split()

    def workers(self, study: str) -> list[str]:
        """Names of the worker pods that are ready."""
        labels = f"{RUN_LABEL}={run_name(study)},app.kubernetes.io/component=worker"
        return [
            pod["metadata"]["name"]
            for pod in self.items("pods", labels)
            if any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
        ]

    def sql(self, query: str, stdin: str = "") -> list[list[str]]:
        """Rows of Optuna's database; empty while Postgres is unavailable."""
        shell = 'PGPASSWORD="$OPTUNA_POSTGRES_PASSWORD" psql -h 127.0.0.1 -U optuna -d optuna -At -F "|" -c "$0"'
        words = ("exec", "-i", "postgres-0", "--", "bash", "-c", shell, query)
        text = self.kubectl(*words, stdin=stdin, status=None)
        return [line.split("|") for line in text.splitlines() if "|" in line]

    def trials(self, study: str) -> Counter[str]:
        """Trials by their state."""
        joined = "trials t join studies s on s.study_id = t.study_id"
        rows = self.sql(f"select state, count(*) from {joined} where study_name = '{study}' group by state")
        return Counter({state: int(count) for state, count in rows})

    def finished(self, study: str) -> int:
        """Complete and pruned trials."""
        found = self.trials(study)
        return sum(found[state] for state in FINISHED)

    @contextmanager
    def mlflow(self) -> Iterator["Mlflow"]:
        """MLflow's REST API through a port-forward."""
        command = [*self.program, "-n", self.namespace, "port-forward", "service/mlflow", ":5000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                match = FORWARDED.search(line)
                assert match is not None, line
                yield Mlflow(f"http://127.0.0.1:{match[1]}/api/2.0/mlflow")
            finally:
                process.terminate()


@dataclass(frozen=True)
class Mlflow:
    """MLflow's REST API."""

    url: str

    def post(self, path: str, **body: object) -> Any:
        request = Request(f"{self.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        with urlopen(f"{self.url}/{path}", timeout=60) as answer:
            return json.load(answer)

    def versions(self, target: str, study: str) -> list[Mapping[str, Any]]:
        """Versions of a registered model that a study made, the oldest first."""
        found = self.get(f"model-versions/search?filter=name%3D%27{target}%27").get("model_versions", [])
        tagged = [version for version in found if {"key": "study_name", "value": study} in version.get("tags", [])]
        return sorted(tagged, key=lambda version: int(version["version"]))

    def _experiments(self) -> list[str]:
        return [item["experiment_id"] for item in self.post("experiments/search", max_results=100)["experiments"]]

    def outcome(self, study: str) -> str | None:
        """The tag of a study's parent run that says what became of it."""
        wanted = f"attributes.run_name = '{study}'"
        (run,) = self.post("runs/search", experiment_ids=self._experiments(), filter=wanted)["runs"]
        return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}.get("daily_profit.outcome")

    def trial_numbers(self, study: str) -> Counter[int]:
        """How many child runs each trial of a study has, without those that failed."""
        experiments = self._experiments()
        numbers: Counter[int] = Counter()
        token = ""
        while True:
            found = self.post(
                "runs/search",
                experiment_ids=experiments,
                filter=f"tags.`optuna.study_name` = '{study}'",
                max_results=1000,
                page_token=token,
            )
            for run in found.get("runs", []):
                tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
                if tags.get("optuna.state") in FINISHED:
                    numbers[int(tags["optuna.trial_number"])] += 1
            token = found.get("next_page_token", "")
            if not token:
                return numbers


def until(look: Callable[[], Found | None], seconds: float, what: str, more: Callable[[], str] = lambda: "") -> Found:
    """The first answer that is neither None nor false.

    Raises:
        TimeoutError: there is none in that time.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} in {seconds:g} seconds\n{more()}")
        time.sleep(1.0)
    return found


def overlay_in(namespace: str, folder: Path, changes: str = "") -> str:
    """The overlay `local` in another namespace, in a folder of its own; returns its path.

    Args:
        namespace: of all objects.
        folder: is made.
        changes: lines of the run's kustomization, such as `images:`.
    """
    for part in ("services", "run"):
        (folder / part).mkdir(parents=True)
        base = os.path.relpath(ROOT / "k8s" / "overlays" / "local" / part, (folder / part).resolve())
        lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", f"namespace: {namespace}"]
        lines += ["resources:", f"  - {base}", "sortOptions:", "  order: fifo", *([changes] if part == "run" else [])]
        (folder / part / "kustomization.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)
