"""The state of a run's Jobs, from the Jobs, their pods, and the events of pods that could not be created."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8s.fanout.kubectl import Kubectl
from k8s.fanout.pods import PodState, pod_problems, pod_state
from k8s.fanout.rendering import RUN_LABEL
from src.errors import RunError
from src.suggest import one_line

ORDER = ("create", "worker", "finish")
"""Components of a run; if several have failed, the first one caused the other failures."""
EXIT_CODE = re.compile(r"exit code (\d+)")
CREATE_ERROR = re.compile(r'^Error creating: pods? "[^"]*" is forbidden: ')
USER_ERROR = 2


@dataclass(frozen=True)
class JobState:
    """The state of a Job, from its status and its pods.

    Attributes:
        name: of the Job.
        run: the run that it belongs to.
        component: create, worker or finish.
        wanted: number of pods that have to succeed.
        succeeded: number of pods that succeeded.
        tries: number of pods that failed and were or will be replaced.
        reason: Kubernetes' reason why it has failed or is suspended; otherwise empty.
        failed: Kubernetes' message on the failure; None if it has not failed.
        complete: whether it is done.
        pods: the existing pods, the oldest first.
        refused: the API server's message if it could not create a pod; otherwise empty.
    """

    name: str
    run: str
    component: str
    wanted: int
    succeeded: int
    tries: int
    reason: str
    failed: str | None
    complete: bool
    pods: tuple[PodState, ...] = ()
    refused: str = ""

    @property
    def active(self) -> list[PodState]:
        """Pods that have not finished."""
        return [pod for pod in self.pods if not pod.over]

    @property
    def missing(self) -> int:
        """Number of pods that should exist but do not."""
        if self.complete or self.failed is not None:
            return 0
        done = max(self.succeeded, sum(pod.phase == "Succeeded" for pod in self.pods))
        return max(0, self.wanted - done - len(self.active))

    @property
    def is_fatal(self) -> bool:
        """Whether its failure fails the run; a run continues if only some workers have failed for good."""
        return self.failed is not None and self.reason != "FailedIndexes"

    @property
    def is_user_error(self) -> bool:
        """Whether a pod reported wrong user input."""
        code = EXIT_CODE.search(self.failed or "")
        return self.reason == "PodFailurePolicy" and (code is None or int(code[1]) == USER_ERROR)

    @property
    def key(self) -> str:
        """The state without Kubernetes' messages, in which numbers change all the time."""
        return "; ".join(what for what, _ in self._parts())

    @property
    def line(self) -> str:
        """The state in words."""
        return "; ".join(f"{what} ({why})" if why else what for what, why in self._parts())

    def _parts(self) -> list[tuple[str, str]]:
        if self.complete:
            return [("done", "")]
        if self.failed is not None:
            return [(f"failed, {self.reason}", self.failed)]
        if self.reason:
            return [("suspended", "")]
        uncreated = [(f"{self.missing} not created, FailedCreate", self.refused)] if self.refused else []
        problems = [*pod_problems(self.active), *uncreated]
        tries = [(f"{self.tries} failed attempts", "")] if self.tries else []
        n_running = sum(pod.ready for pod in self.active)
        if self.wanted > 1:
            return [(f"{n_running} of {self.wanted} running, {self.succeeded} done", ""), *problems, *tries]
        if n_running:
            return [("running", ""), *tries]
        if any(pod.in_init_container for pod in self.active):
            return [("waiting for the trials", ""), *tries]
        if any(pod.ending and pod.ended is None for pod in self.pods):
            return [("ending", ""), *tries]
        return [*(problems or [("not started", "")]), *tries]


def read_jobs(kubectl: Kubectl, namespace: str, run: str | None = None) -> list[JobState]:
    """The Jobs of one run or of all runs: create, worker, finish.

    Raises:
        RunError: the cluster does not answer.
    """
    label = RUN_LABEL if run is None else f"{RUN_LABEL}={run}"
    items = kubectl.items("-n", namespace, "get", "jobs,pods", "-l", label)
    pods = sorted((pod_state(item) for item in items if item["kind"] == "Pod"), key=lambda pod: pod.created)
    jobs = [item for item in items if item["kind"] == "Job"]
    states = [job_state(job, pods) for job in jobs]
    if any(state.missing for state in states):
        refused = {uid: why for uid, _, why in create_errors(kubectl, namespace)}
        states = [
            job_state(job, pods, refused.get(job["metadata"]["uid"], "") if state.missing else "")
            for job, state in zip(jobs, states, strict=True)
        ]
    return sorted(states, key=lambda state: (ORDER.index(state.component), state.name))


def job_state(job: Mapping[str, Any], pods: Sequence[PodState] = (), refused: str = "") -> JobState:
    """Reads a Job object."""
    status, metadata = job.get("status") or {}, job["metadata"]
    met = {
        condition["type"]: condition for condition in status.get("conditions") or [] if condition["status"] == "True"
    }
    failed = met.get("Failed")
    suspended = met.get("Suspended")
    return JobState(
        name=metadata["name"],
        run=metadata["labels"][RUN_LABEL],
        component=metadata["labels"]["app.kubernetes.io/component"],
        wanted=job["spec"].get("completions", 1),
        succeeded=status.get("succeeded", 0),
        tries=status.get("failed", 0),
        reason=(failed or suspended or {}).get("reason", ""),
        failed=None if failed is None else failed.get("message", ""),
        complete="Complete" in met,
        pods=tuple(pod for pod in pods if pod.job == metadata["name"]),
        refused=refused,
    )


def create_errors(kubectl: Kubectl, namespace: str) -> list[tuple[str, str, str]]:
    """(uid, name, message) of objects whose pods could not be created, the newest last; only events report a quota."""
    try:
        events = kubectl.items("-n", namespace, "get", "events", "--field-selector", "reason=FailedCreate")
    except RunError:  # without permission to read events, only the number of missing pods is known
        return []
    events = sorted(events, key=lambda event: event.get("lastTimestamp") or "")
    about = [(event["involvedObject"], one_line(CREATE_ERROR.sub("", event["message"]), 200)) for event in events]
    return [(whose["uid"], whose["name"], why) for whose, why in about]
