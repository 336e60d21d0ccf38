"""Watches a run's three Jobs to their end and says each change once."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8s.fanout.kubectl import Kubectl
from k8s.fanout.rendering import RUN_LABEL
from src.errors import ConfigError, RunError

POLL_SECONDS = 3.0
LOST_POLLS = 20
"""A cluster that does not answer for a minute is no reason yet to lose sight of a run of hours."""
LAST_LINES = "40"


@dataclass(frozen=True)
class JobState:
    """A Job as its status tells it."""

    name: str
    component: str
    wanted: int
    active: int
    succeeded: int
    failed: str | None
    reason: str
    complete: bool

    @property
    def line(self) -> str:
        """The state in words."""
        if self.complete:
            return "done"
        if self.failed is not None:
            return f"failed ({self.reason}): {self.failed}"
        if self.wanted > 1:
            return f"{self.active} of {self.wanted} at work, {self.succeeded} done"
        return "at work" if self.active else "not begun"


def job_state(job: Mapping[str, Any]) -> JobState:
    """Reads a Job object."""
    status = job.get("status") or {}
    met = {each["type"]: each for each in status.get("conditions") or [] if each["status"] == "True"}
    failed = met.get("Failed")
    return JobState(
        name=job["metadata"]["name"],
        component=job["metadata"]["labels"]["app.kubernetes.io/component"],
        wanted=job["spec"].get("completions", 1),
        active=status.get("active", 0),
        succeeded=status.get("succeeded", 0),
        failed=None if failed is None else failed.get("message", ""),
        reason="" if failed is None else failed.get("reason", ""),
        complete="Complete" in met,
    )


def follow(kubectl: Kubectl, namespace: str, run: str) -> None:
    """Returns when the run's finish is done.

    Raises:
        ConfigError: a pod said that its settings or its data are wrong.
        RunError: a Job failed otherwise, the run is gone, or the cluster does not answer any more.
    """
    said: dict[str, str] = {}
    lost = 0
    while True:
        try:
            found = kubectl.json("-n", namespace, "get", "jobs", "-l", f"{RUN_LABEL}={run}")["items"]
            lost = 0
        except RunError as error:
            lost += 1
            if lost > LOST_POLLS:
                raise RunError(f"{error}; the run goes on without being watched") from error
            time.sleep(POLL_SECONDS)
            continue
        if not found:
            raise RunError(f"run {run} is gone: somebody has taken its Jobs away")
        states = [job_state(job) for job in found]
        for state in states:
            if said.get(state.name) != state.line:
                said[state.name] = state.line
                sys.stdout.write(f"{time.strftime('%H:%M:%S')} {state.component:<7} {state.line}\n")
        sys.stdout.flush()
        if _is_over(kubectl, namespace, states):
            return
        time.sleep(POLL_SECONDS)


def _is_over(kubectl: Kubectl, namespace: str, states: list[JobState]) -> bool:
    for state in states:
        # Some workers given up on for good, others done: the study has its total, and the finish goes on.
        if state.failed is not None and state.reason != "FailedIndexes":
            _show_logs(kubectl, namespace, state.name)
            kind = ConfigError if state.reason == "PodFailurePolicy" else RunError
            raise kind(f"job {state.name} failed ({state.reason}): its last lines stand above")
    finish = [state for state in states if state.component == "finish"]
    if not finish or not finish[0].complete:
        return False
    _show_logs(kubectl, namespace, finish[0].name)
    return True


def _show_logs(kubectl: Kubectl, namespace: str, job: str) -> None:
    label = f"batch.kubernetes.io/job-name={job}"
    kubectl.show("-n", namespace, "logs", "-l", label, "--all-containers", "--tail", LAST_LINES, "--ignore-errors")
