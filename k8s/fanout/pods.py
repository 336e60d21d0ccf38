"""The state of a pod from its status: whether it runs, why it does not, and its exit status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.suggest import one_line

STARTING = ("ContainerCreating", "PodInitializing")
"""Reasons of a waiting container that starts normally."""
SAME = {"ImagePullBackOff": "ErrImagePull"}
"""The kubelet alternates between these two reasons."""


@dataclass(frozen=True)
class PodProblem:
    """Why a pod does not run yet.

    Attributes:
        reason: Kubernetes' reason, such as Unschedulable or ErrImageNeverPull; empty while it starts normally.
        message: Kubernetes' message.
    """

    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class PodState:
    """The state of a pod, from its status.

    Attributes:
        name: of the pod.
        job: the Job that it belongs to; empty for a pod of a service.
        created: the time in Kubernetes' format.
        phase: Pending, Running, Succeeded, Failed or Unknown.
        ready: whether all of its containers are ready.
        in_init_container: whether one of its init containers runs.
        ending: whether all of its containers have ended or the pod has succeeded, even if the Job does not know it yet.
        problem: why none of the three is the case; otherwise None.
        ended: the container that failed, with its exit status.
    """

    name: str
    job: str
    created: str
    phase: str
    ready: bool
    in_init_container: bool
    ending: bool
    problem: PodProblem | None
    ended: tuple[str, int] | None

    @property
    def over(self) -> bool:
        """Whether it has finished."""
        return self.phase in ("Succeeded", "Failed")


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """Reads a Pod object."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    phase = status.get("phase", "Pending")
    ready = conditions.get("Ready", {}).get("status") == "True"
    in_init_container = any(
        "running" in (item.get("state") or {}) for item in status.get("initContainerStatuses") or []
    )
    last = status.get("containerStatuses") or []
    ending = phase == "Succeeded" or (bool(last) and all("terminated" in (item.get("state") or {}) for item in last))
    idle = phase in ("Pending", "Running") and not (ready or in_init_container or ending)
    return PodState(
        name=metadata["name"],
        job=metadata.get("labels", {}).get("batch.kubernetes.io/job-name", ""),
        created=metadata.get("creationTimestamp") or "",
        phase=phase,
        ready=ready,
        in_init_container=in_init_container,
        ending=ending,
        problem=_problem(conditions.get("PodScheduled", {}), containers) if idle else None,
        ended=_ended(containers),
    )


def pod_problems(pods: Sequence[PodState]) -> list[tuple[str, str]]:
    """(what, why) of the pods that do not run yet, such as ("2 pending, Unschedulable", "Insufficient cpu")."""
    messages: dict[str, list[str]] = {}
    for pod in pods:
        if pod.problem is not None:
            messages.setdefault(pod.problem.reason, []).append(pod.problem.message)
    return [
        (f"{len(texts)} pending, {reason}" if reason else f"{len(texts)} starting", one_line(texts[0], 200))
        for reason, texts in sorted(messages.items())
    ]


def _problem(scheduled: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> PodProblem:
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in STARTING:
            return PodProblem(SAME.get(reason, reason), waiting.get("message") or container.get("image", ""))
    if scheduled.get("status") == "False":
        return PodProblem(scheduled.get("reason", ""), scheduled.get("message", ""))
    return PodProblem()


def _ended(containers: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    for container in containers:
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        if code:
            return container["name"], code
    return None
