"""Runs on a Kubernetes cluster: started, shown and taken away.

    python -m k8s.fanout up TARGET=net_profit WORKERS=8 N_TRIALS=400 OVERLAY=local
    python -m k8s.fanout status [STUDY_NAME=net_profit_20240101_120000]
    python -m k8s.fanout down STUDY_NAME=net_profit_20240101_120000

`make fanout`, `make fanout-status` and `make fanout-down` are these three.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from k8s.fanout.following import follow
from k8s.fanout.kubectl import Kubectl
from k8s.fanout.options import SETTINGS, Place, Run, given, is_on, place_of, run_name, run_of
from k8s.fanout.rendering import (
    RUN_LABEL,
    SECRET,
    Documents,
    asked_of_secret,
    documents,
    namespace_of,
    render,
    run_layer,
    services_layer,
)
from src.cli import run_command
from src.errors import ConfigError, Interrupted, RunError
from src.suggest import listing

READY_SECONDS = 300
WHERE = ("OVERLAY", "KUBECTL")
RUN_KINDS = "jobs,configmaps,serviceaccounts,poddisruptionbudgets"
ALL_KINDS = "statefulsets,deployments,cronjobs,jobs,pods"
PART = "app.kubernetes.io/part-of=daily-profit"


def up(words: Sequence[str]) -> int:
    """Renders and applies a run, and follows it to its end.

    Raises:
        UserError: a value is wrong, or there is no cluster.
        RunError: the run failed.
    """
    values = given(words, [*SETTINGS, "WORKERS", *WHERE, "DRY_RUN"])
    place, run, dry = place_of(values), run_of(values), is_on("DRY_RUN", values)
    kubectl = Kubectl(place.kubectl)
    plain = documents(render(kubectl, place.overlay / "services"))
    namespace = namespace_of(plain)
    text = render(kubectl, place.overlay / "run", run_layer(run, namespace))
    if dry:
        services = render(kubectl, place.overlay / "services", services_layer(plain, {}))
        sys.stdout.write(f"{services}---\n{text}")
        return 0
    _check_cluster(kubectl, namespace, run)
    kept = _secret_of(kubectl, namespace)
    _check_secret(place, namespace, plain + documents(text), kept)
    kubectl.text("apply", "-f", "-", stdin=render(kubectl, place.overlay / "services", services_layer(plain, kept)))
    _wait_for(kubectl, namespace, plain)
    kubectl.text("apply", "-f", "-", stdin=text)
    _say_where(place, namespace, run)
    try:
        follow(kubectl, namespace, run.name)
    except KeyboardInterrupt:
        raise Interrupted(f"the run goes on: see make fanout-status STUDY_NAME={run.study}") from None
    return 0


def status(words: Sequence[str]) -> int:
    """Shows one run, or all that belongs to the product."""
    values = given(words, ["STUDY_NAME", *WHERE])
    kubectl, namespace, _ = _cluster(values)
    study = values.get("STUDY_NAME")
    if study:
        kubectl.show("-n", namespace, "get", "jobs,pods", "-l", f"{RUN_LABEL}={run_name(study)}")
    else:
        kubectl.show("-n", namespace, "get", ALL_KINDS, "-l", PART, "-L", RUN_LABEL)
    return 0


def down(words: Sequence[str]) -> int:
    """Takes a run away; its study and its MLflow runs stay. With ALL=1 the services go too, without their volumes.

    Raises:
        ConfigError: it is not clear which run is meant.
    """
    values = given(words, ["STUDY_NAME", *WHERE, "ALL", "VOLUMES"])
    everything, volumes = is_on("ALL", values), is_on("VOLUMES", values)
    if volumes and not everything:
        raise ConfigError("VOLUMES=1 takes away what all runs have left: say ALL=1 too")
    if everything and values.get("STUDY_NAME"):
        raise ConfigError("STUDY_NAME and ALL=1 contradict each other: give one of them")
    kubectl, namespace, services = _cluster(values)
    if not everything:
        label = f"{RUN_LABEL}={_chosen_run(kubectl, namespace, values.get('STUDY_NAME'))}"
        kubectl.show("-n", namespace, "delete", RUN_KINDS, "-l", label)
        return 0
    kubectl.show("-n", namespace, "delete", RUN_KINDS, "-l", RUN_LABEL)
    # A volume is of no use without the passwords that its databases were made with, so they go and stay together.
    kept = {"Namespace"} if volumes else {"Namespace", "Secret"}
    items = [found for found in services if found["kind"] not in kept]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    sys.stdout.write(kubectl.text("delete", "--ignore-not-found", "-f", "-", stdin=listed))
    if volumes:
        kubectl.show("-n", namespace, "delete", "persistentvolumeclaims", "-l", PART)
    return 0


def _cluster(values: Mapping[str, str]) -> tuple[Kubectl, str, Documents]:
    place = place_of(values)
    kubectl = Kubectl(place.kubectl)
    services = documents(render(kubectl, place.overlay / "services"))
    namespace = namespace_of(services)
    kubectl.reach(namespace)
    return kubectl, namespace, services


def _check_cluster(kubectl: Kubectl, namespace: str, run: Run) -> None:
    kubectl.reach(namespace)
    if kubectl.text("-n", namespace, "get", "jobs", "-l", f"{RUN_LABEL}={run.name}", "-o", "name").strip():
        raise ConfigError(
            f"STUDY_NAME={run.study} is a run of this cluster already: make fanout-down STUDY_NAME={run.study} "
            f"makes room for it, and its study stays"
        )


def _secret_of(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    found = kubectl.json("-n", namespace, "get", "secret", SECRET, "--ignore-not-found")
    return {} if found is None else dict(found.get("data") or {})


def _check_secret(place: Place, namespace: str, objects: Documents, kept: Mapping[str, str]) -> None:
    missing = sorted(key for key in asked_of_secret(objects) if not base64.b64decode(kept.get(key, "")))
    if missing:
        raise ConfigError(
            f"Secret {SECRET} of namespace {namespace} lacks {listing(missing)}: "
            f"make it as overlays/{place.overlay.name}/services/kustomization.yaml says"
        )


def _wait_for(kubectl: Kubectl, namespace: str, services: Documents) -> None:
    for found in services:
        if found["kind"] in ("StatefulSet", "Deployment"):
            name = f"{found['kind'].lower()}/{found['metadata']['name']}"
            sys.stdout.write(f"waiting for {name}\n")
            sys.stdout.flush()
            try:
                kubectl.text("-n", namespace, "rollout", "status", name, f"--timeout={READY_SECONDS}s")
            except RunError as error:
                said = f"{name} did not get ready in {READY_SECONDS} seconds ({error})"
                raise RunError(f"{said}: see make fanout-status, and kubectl -n {namespace} describe {name}") from error


def _say_where(place: Place, namespace: str, run: Run) -> None:
    kubectl, study = " ".join(place.kubectl), f"STUDY_NAME={run.study}"
    n_trials = run.settings.get("N_TRIALS", SETTINGS["N_TRIALS"])
    sys.stdout.write(
        f"run {run.name}: {run.workers} workers, {n_trials} trials in all\n"
        f"  MLflow:     {kubectl} -n {namespace} port-forward service/mlflow 5000:5000, then http://localhost:5000\n"
        f"  state:      make fanout-status {study}\n"
        f"  take away:  make fanout-down {study}\n"
    )


def _chosen_run(kubectl: Kubectl, namespace: str, study: str | None) -> str:
    found = kubectl.json("-n", namespace, "get", "jobs", "-l", RUN_LABEL)
    names = sorted({str(job["metadata"]["labels"][RUN_LABEL]) for job in found["items"]})
    wanted = [name for name in names if study is None or name == run_name(study)]
    if len(wanted) != 1:
        there = f"use STUDY_NAME={' or '.join(names[:5])}" if names else "there is no run in this cluster"
        raise ConfigError(f"{f'STUDY_NAME={study} is no run' if study else 'it is not clear which run'}: {there}")
    return wanted[0]


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {"up": up, "status": status, "down": down}


def main(argv: Sequence[str]) -> int:
    """Runs one command; returns its exit status."""
    name, *words = [*argv, ""][: len(argv) or 1]

    def command() -> int:
        if name not in COMMANDS:
            raise ConfigError(f"{name!r} is no command: use {', '.join(COMMANDS)}")
        return COMMANDS[name](words)

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
