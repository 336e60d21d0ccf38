"""Waits until the services of an overlay are ready, and says within seconds what keeps one of them from that."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from k8s.fanout.jobs import refusals
from k8s.fanout.kubectl import Kubectl
from k8s.fanout.pods import hindered, pod_state
from src.errors import RunError
from src.suggest import one_line

READY_SECONDS = 300.0
LOOK_SECONDS = 5.0


def wait_for_services(kubectl: Kubectl, namespace: str, services: Sequence[Mapping[str, Any]]) -> None:
    """Returns when every StatefulSet and Deployment is ready.

    Raises:
        RunError: one of them did not get ready in five minutes; the message says what hinders it.
    """
    for found in services:
        if found["kind"] in ("StatefulSet", "Deployment"):
            _wait_for(kubectl, namespace, found)


def _wait_for(kubectl: Kubectl, namespace: str, service: Mapping[str, Any]) -> None:
    name = f"{service['kind'].lower()}/{service['metadata']['name']}"
    _say(f"waiting for {name}")
    deadline, said = time.monotonic() + READY_SECONDS, ""
    while True:
        began = time.monotonic()
        try:
            kubectl.text("-n", namespace, "rollout", "status", name, f"--timeout={LOOK_SECONDS:g}s")
            return
        except RunError as error:  # not ready yet, or the cluster did not answer once
            what, why = _hindrances(kubectl, namespace, service)
            if time.monotonic() >= deadline:
                raise RunError(
                    f"{name} did not get ready in {READY_SECONDS:g} seconds ({why or one_line(error)}): "
                    f"see make fanout-status, and kubectl -n {namespace} describe {name}"
                ) from error
        if what != said:
            said = what
            _say(f"  {why}")
        time.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _hindrances(kubectl: Kubectl, namespace: str, service: Mapping[str, Any]) -> tuple[str, str]:
    """What keeps a service from being ready, without and with Kubernetes' sentences; both empty while it starts."""
    labels = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"]["matchLabels"].items())
    try:
        items = kubectl.items("-n", namespace, "get", "pods", "-l", labels)
    except RunError:  # the next look tells
        return "", ""
    found = [(what, why) for what, why in hindered([pod_state(pod) for pod in items]) if why]
    if not items:  # of a Deployment it is the ReplicaSet of its name that is refused
        name = service["metadata"]["name"]
        found = [
            ("not made, FailedCreate", why) for _, whose, why in refusals(kubectl, namespace) if whose.startswith(name)
        ]
    return "; ".join(what for what, _ in found[-1:]), "; ".join(f"{what}: {why}" for what, why in found[-1:])
