"""What the status of a pod says: whether it is at work, what keeps it from that, and what it ended with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.suggest import one_line

STARTING = ("ContainerCreating", "PodInitializing")
"""Reasons of a container that waits although nothing hinders it."""
SAME = {"ImagePullBackOff": "ErrImagePull"}
"""The kubelet says the one and the other by turns."""


@dataclass(frozen=True)
class Hindrance:
    """Why a pod is not at work.

    Attributes:
        reason: Kubernetes' word, such as Unschedulable or ErrImageNeverPull; empty while it only starts.
        message: Kubernetes' sentence.
    """

    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class PodState:
    """A pod as its status tells it.

    Attributes:
        name: of the pod.
        job: that it belongs to; empty for a pod of a service.
        created: as Kubernetes writes times.
        phase: Pending, Running, Succeeded, Failed or Unknown.
        ready: all of its containers are at work.
        first_step: one of its init containers is at work.
        ending: all of its containers have ended, or the pod has succeeded; the Job need not know it yet.
        hindrance: why nothing of this is so.
        ended: the container that failed, and its exit status.
    """

    name: str
    job: str
    created: str
    phase: str
    ready: bool
    first_step: bool
    ending: bool
    hindrance: Hindrance | None
    ended: tuple[str, int] | None

    @property
    def over(self) -> bool:
        """Whether its containers have ended for good."""
        return self.phase in ("Succeeded", "Failed")


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """Reads a Pod object."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    phase = status.get("phase", "Pending")
    ready = conditions.get("Ready", {}).get("status") == "True"
    first_step = any("running" in (each.get("state") or {}) for each in status.get("initContainerStatuses") or [])
    last = status.get("containerStatuses") or []
    ending = phase == "Succeeded" or (bool(last) and all("terminated" in (each.get("state") or {}) for each in last))
    idle = phase in ("Pending", "Running") and not (ready or first_step or ending)
    return PodState(
        name=metadata["name"],
        job=metadata.get("labels", {}).get("batch.kubernetes.io/job-name", ""),
        created=metadata.get("creationTimestamp") or "",
        phase=phase,
        ready=ready,
        first_step=first_step,
        ending=ending,
        hindrance=_hindrance(conditions.get("PodScheduled", {}), containers) if idle else None,
        ended=_ended(containers),
    )


def hindered(pods: Sequence[PodState]) -> list[tuple[str, str]]:
    """(what, why) of the pods that are not at work, such as ("2 pending, Unschedulable", "Insufficient cpu")."""
    found: dict[str, list[str]] = {}
    for pod in pods:
        if pod.hindrance is not None:
            found.setdefault(pod.hindrance.reason, []).append(pod.hindrance.message)
    return [
        (f"{len(said)} pending, {reason}" if reason else f"{len(said)} starting", one_line(said[0], 200))
        for reason, said in sorted(found.items())
    ]


def _hindrance(scheduled: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> Hindrance:
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in STARTING:
            return Hindrance(SAME.get(reason, reason), waiting.get("message") or each.get("image", ""))
    if scheduled.get("status") == "False":
        return Hindrance(scheduled.get("reason", ""), scheduled.get("message", ""))
    return Hindrance()


def _ended(containers: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    for each in containers:
        code = ((each.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        if code:
            return each["name"], code
    return None
