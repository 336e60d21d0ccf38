"""Waits until the services of an overlay are ready, and prints within seconds why a service is not."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from k8s.fanout.jobs import create_errors
from k8s.fanout.kubectl import Kubectl
from k8s.fanout.pods import pod_problems, pod_state
from src.errors import RunError
from src.suggest import one_line

READY_SECONDS = 300.0
LOOK_SECONDS = 5.0


def wait_for_services(kubectl: Kubectl, namespace: str, services: Sequence[Mapping[str, Any]]) -> None:
    """Returns when every StatefulSet and Deployment is ready.

    Raises:
        RunError: a service was not ready after five minutes; the message has the reason.
    """
    for document in services:
        if document["kind"] in ("StatefulSet", "Deployment"):
            _wait_for(kubectl, namespace, document)


def _wait_for(kubectl: Kubectl, namespace: str, service: Mapping[str, Any]) -> None:
    name = f"{service['kind'].lower()}/{service['metadata']['name']}"
    _print(f"waiting for {name}")
    deadline, printed = time.monotonic() + READY_SECONDS, ""
    while True:
        began = time.monotonic()
        try:
            kubectl.text("-n", namespace, "rollout", "status", name, f"--timeout={LOOK_SECONDS:g}s")
            return
        except RunError as error:  # not ready yet, or a temporary failure of the cluster
            what, why = _service_problem(kubectl, namespace, service)
            if time.monotonic() >= deadline:
                raise RunError(
                    f"{name} was not ready after {READY_SECONDS:g} seconds ({why or one_line(error)}): "
                    f"see make fanout-status, and kubectl -n {namespace} describe {name}"
                ) from error
        if what != printed:
            printed = what
            _print(f"  {why}")
        time.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _service_problem(kubectl: Kubectl, namespace: str, service: Mapping[str, Any]) -> tuple[str, str]:
    """Why a service is not ready, without and with Kubernetes' message; both are empty while it starts normally."""
    labels = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"]["matchLabels"].items())
    try:
        items = kubectl.items("-n", namespace, "get", "pods", "-l", labels)
    except RunError:  # the next poll tries again
        return "", ""
    problems = [(what, why) for what, why in pod_problems([pod_state(pod) for pod in items]) if why]
    if not items:  # a Deployment's event is about its ReplicaSet, whose name has its prefix
        name = service["metadata"]["name"]
        errors = create_errors(kubectl, namespace)
        problems = [("not created, FailedCreate", why) for _, whose, why in errors if whose.startswith(name)]
    return "; ".join(what for what, _ in problems[-1:]), "; ".join(f"{what}: {why}" for what, why in problems[-1:])
