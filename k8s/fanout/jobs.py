"""What the Jobs of runs say, together with their pods and with the events that tell of pods which could not be made."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8s.fanout.kubectl import Kubectl
from k8s.fanout.pods import PodState, hindered, pod_state
from k8s.fanout.rendering import RUN_LABEL
from src.errors import RunError
from src.suggest import one_line

ORDER = ("create", "worker", "finish")
"""Components of a run; where several have failed, the first is why the others did."""
EXIT_CODE = re.compile(r"exit code (\d+)")
REFUSED = re.compile(r'^Error creating: pods? "[^"]*" is forbidden: ')
MISTAKE = 2


@dataclass(frozen=True)
class JobState:
    """A Job as its status and its pods tell it.

    Attributes:
        name: of the Job.
        run: that it belongs to.
        component: create, worker or finish.
        wanted: pods that have to succeed.
        succeeded: pods that did.
        tries: pods that failed and were replaced, or will be.
        reason: why it has failed or does nothing, in Kubernetes' word; empty if neither is so.
        failed: Kubernetes' sentence for the failure; None if there is none.
        complete: it is done.
        pods: all that are still there, the oldest first.
        refused: why the API server made no pod of it, if it said so.
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
        """Pods that have not ended."""
        return [pod for pod in self.pods if not pod.over]

    @property
    def missing(self) -> int:
        """Pods that there should be and are not."""
        if self.complete or self.failed is not None:
            return 0
        done = max(self.succeeded, sum(pod.phase == "Succeeded" for pod in self.pods))
        return max(0, self.wanted - done - len(self.active))

    @property
    def is_lost(self) -> bool:
        """Whether it failed so that the run cannot go on: some workers given up for good do not end a run."""
        return self.failed is not None and self.reason != "FailedIndexes"

    @property
    def is_mistake(self) -> bool:
        """Whether a pod has said that the user's input is wrong."""
        code = EXIT_CODE.search(self.failed or "")
        return self.reason == "PodFailurePolicy" and (code is None or int(code[1]) == MISTAKE)

    @property
    def key(self) -> str:
        """The state without Kubernetes' sentences, in which numbers change all the time."""
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
        uncreated = [(f"{self.missing} not made, FailedCreate", self.refused)] if self.refused else []
        hindrances = [*hindered(self.active), *uncreated]
        tries = [(f"{self.tries} failed tries", "")] if self.tries else []
        at_work = sum(pod.ready for pod in self.active)
        if self.wanted > 1:
            return [(f"{at_work} of {self.wanted} at work, {self.succeeded} done", ""), *hindrances, *tries]
        if at_work:
            return [("at work", ""), *tries]
        if any(pod.first_step for pod in self.active):
            return [("waits for the trials", ""), *tries]
        if any(pod.ending and pod.ended is None for pod in self.pods):
            return [("ending", ""), *tries]
        return [*(hindrances or [("not begun", "")]), *tries]


def read_jobs(kubectl: Kubectl, namespace: str, run: str | None = None) -> list[JobState]:
    """The Jobs of one run or of all, in the order of the flow.

    Raises:
        RunError: the cluster does not answer.
    """
    label = RUN_LABEL if run is None else f"{RUN_LABEL}={run}"
    items = kubectl.items("-n", namespace, "get", "jobs,pods", "-l", label)
    pods = sorted((pod_state(each) for each in items if each["kind"] == "Pod"), key=lambda pod: pod.created)
    jobs = [each for each in items if each["kind"] == "Job"]
    states = [job_state(job, pods) for job in jobs]
    if any(state.missing for state in states):
        refused = {uid: why for uid, _, why in refusals(kubectl, namespace)}
        states = [
            job_state(job, pods, refused.get(job["metadata"]["uid"], "") if state.missing else "")
            for job, state in zip(jobs, states, strict=True)
        ]
    return sorted(states, key=lambda state: (ORDER.index(state.component), state.name))


def job_state(job: Mapping[str, Any], pods: Sequence[PodState] = (), refused: str = "") -> JobState:
    """Reads a Job object."""
    status, metadata = job.get("status") or {}, job["metadata"]
    met = {each["type"]: each for each in status.get("conditions") or [] if each["status"] == "True"}
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


def refusals(kubectl: Kubectl, namespace: str) -> list[tuple[str, str, str]]:
    """(uid, name, why) of the objects whose pods could not be made, the newest last; nothing else tells of a quota."""
    try:
        events = kubectl.items("-n", namespace, "get", "events", "--field-selector", "reason=FailedCreate")
    except RunError:  # who may not read events sees how many pods are missing, and not why
        return []
    events = sorted(events, key=lambda event: event.get("lastTimestamp") or "")
    about = [(event["involvedObject"], one_line(REFUSED.sub("", event["message"]), 200)) for event in events]
    return [(whose["uid"], whose["name"], why) for whose, why in about]
