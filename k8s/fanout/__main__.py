"""Runs on a Kubernetes cluster: started, shown and taken away.

    python -m k8s.fanout up TARGET=net_profit WORKERS=8 N_TRIALS=400 OVERLAY=local
    python -m k8s.fanout status [STUDY_NAME=net_profit_20240101_120000]
    python -m k8s.fanout down STUDY_NAME=net_profit_20240101_120000

`make fanout`, `make fanout-status` and `make fanout-down` are these three.
"""

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8s.fanout.addresses import LOCAL_PORT, Mlflow, mlflow_of
from k8s.fanout.following import follow, raise_if_lost, read_progress
from k8s.fanout.jobs import read_jobs
from k8s.fanout.kubectl import Kubectl
from k8s.fanout.options import SETTINGS, TOKEN, Place, Run, given, is_on, place_of, run_name, run_of
from k8s.fanout.readiness import wait_for_services
from k8s.fanout.rendering import (
    RUN_LABEL,
    SECRET,
    Documents,
    asked_of_secret,
    documents,
    namespace_of,
    new_secret,
    render,
    run_files,
    run_layer,
    text_of,
)
from src.cli import run_command
from src.errors import ConfigError, Interrupted, RunError
from src.suggest import listing

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
    values = given(words, [*(name for name in SETTINGS if name != TOKEN), "WORKERS", *WHERE, "DRY_RUN"])
    place, run, dry = place_of(values), run_of(values), is_on("DRY_RUN", values)
    kubectl = Kubectl(place.kubectl)
    services = render(kubectl, place.overlay / "services")
    plain = documents(services)
    namespace = namespace_of(plain)
    text = render(kubectl, place.overlay / "run", run_layer(run), run_files(run, namespace))
    if dry:
        sys.stdout.write(f"# A Secret {SECRET} that is not there yet is made beside these.\n{services}---\n{text}")
        return 0
    has_namespace = _check_cluster(kubectl, namespace, run)
    secret = _missing_secret(kubectl, place, namespace, plain + documents(text))
    if not has_namespace:
        _make_namespace(kubectl, namespace, plain)
    if secret is not None:  # never `apply`: a Secret that somebody made meanwhile stays as it is
        kubectl.text("create", "-f", "-", stdin=text_of([secret]))
    kubectl.text("apply", "-f", "-", stdin=text_of(found for found in plain if found["kind"] != "Namespace"))
    wait_for_services(kubectl, namespace, plain)
    kubectl.text("apply", "-f", "-", stdin=text)
    mlflow = mlflow_of(plain)
    forward = mlflow.forward(" ".join(place.kubectl), namespace)
    _say_where(run, mlflow, forward)
    try:
        log = follow(kubectl, namespace, run.name)
    except KeyboardInterrupt:
        raise Interrupted(f"the run goes on: see make fanout-status STUDY_NAME={run.study}") from None
    sys.stdout.write(mlflow.for_a_browser(log))
    if forward is not None:
        sys.stdout.write(f"these addresses answer while this command runs: {forward}\n")
    return 0


def status(words: Sequence[str]) -> int:
    """Shows one run, or all that belongs to the product; ends with the status of a run that has failed.

    Raises:
        ConfigError: there is no such run, or a pod said that its settings or its data are wrong.
        RunError: a Job failed otherwise.
    """
    values = given(words, ["STUDY_NAME", *WHERE])
    kubectl, namespace, _ = _cluster(values)
    study = values.get("STUDY_NAME")
    run = None if not study else _chosen_run(kubectl, namespace, study)
    if run is not None:
        kubectl.show("-n", namespace, "get", "jobs,pods", "-l", f"{RUN_LABEL}={run}")
    else:
        kubectl.show("-n", namespace, "get", ALL_KINDS, "-l", PART, "-L", RUN_LABEL)
    states = read_jobs(kubectl, namespace, run)
    for state in states:
        sys.stdout.write(f"{state.name}: {state.line}\n")
    for each in sorted({state.run for state in states}):
        progress = read_progress(kubectl, namespace, [state for state in states if state.run == each])
        sys.stdout.write(f"{progress}\n" if progress else "")
    if run is not None and not states:
        sys.stdout.write(f"the Jobs of run {run} were cleared away: make fanout-down STUDY_NAME={run} takes the rest\n")
    raise_if_lost(kubectl, namespace, states)
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
    sys.stdout.write(kubectl.text("delete", "--ignore-not-found", "-f", "-", stdin=text_of(items)))
    # Also what an earlier version of the manifests has left (the names of generated ConfigMaps change), nights that
    # were begun by hand, and migrations.
    left = "jobs,configmaps,serviceaccounts" + (",persistentvolumeclaims,secrets" if volumes else "")
    kubectl.show("-n", namespace, "delete", left, "-l", PART)
    return 0


def _cluster(values: Mapping[str, str]) -> tuple[Kubectl, str, Documents]:
    place = place_of(values)
    kubectl = Kubectl(place.kubectl)
    folders = [place.overlay / part for part in ("services", "nightly")]
    services = [found for folder in folders if folder.is_dir() for found in documents(render(kubectl, folder))]
    namespace = namespace_of(services)
    kubectl.reach(namespace)
    return kubectl, namespace, services


def _check_cluster(kubectl: Kubectl, namespace: str, run: Run) -> bool:
    has_namespace = kubectl.reach(namespace)
    if kubectl.text("-n", namespace, "get", "jobs", "-l", f"{RUN_LABEL}={run.name}", "-o", "name").strip():
        raise ConfigError(
            f"STUDY_NAME={run.study} is a run of this cluster already: make fanout-down STUDY_NAME={run.study} "
            f"makes room for it, and its study stays"
        )
    return has_namespace


def _make_namespace(kubectl: Kubectl, namespace: str, services: Documents) -> None:
    spaces = [found for found in services if found["kind"] == "Namespace"]
    try:
        kubectl.text("apply", "-f", "-", stdin=text_of(spaces))
    except RunError as error:
        raise RunError(f"{error}: have namespace {namespace} made by those who may make it") from error


def _missing_secret(kubectl: Kubectl, place: Place, namespace: str, objects: Documents) -> dict[str, Any] | None:
    """The Secret to create, or None where the cluster has one that opens everything."""
    found = kubectl.json("-n", namespace, "get", "secret", SECRET, "--ignore-not-found")
    made = new_secret(objects, namespace) if found is None else None
    if made is None:
        kept = (found or {}).get("data") or {}
        missing = sorted(key for key in asked_of_secret(objects) if not base64.b64decode(kept.get(key, "")))
        if missing:
            raise ConfigError(
                f"Secret {SECRET} of namespace {namespace} lacks {listing(missing)}: "
                f"make it as {place.overlay / 'services' / 'kustomization.yaml'} says"
            )
    elif kubectl.text("-n", namespace, "get", "persistentvolumeclaims", "-l", PART, "-o", "name").strip():
        raise ConfigError(
            f"Secret {SECRET} of namespace {namespace} is gone, and with it the passwords of the volumes there: "
            f"make it again with those, or take the volumes away with make fanout-down ALL=1 VOLUMES=1"
        )
    return made


def _say_where(run: Run, mlflow: Mlflow, forward: str | None) -> None:
    study = f"STUDY_NAME={run.study}"
    n_trials = run.settings.get("N_TRIALS", SETTINGS["N_TRIALS"])
    address = mlflow.address if forward is None else f"{forward}, then http://localhost:{LOCAL_PORT}"
    sys.stdout.write(
        f"run {run.name}: {run.workers} workers, {n_trials} trials in all\n"
        f"  MLflow:     {address}\n"
        f"  state:      make fanout-status {study}\n"
        f"  take away:  make fanout-down {study}\n"
    )


def _chosen_run(kubectl: Kubectl, namespace: str, study: str | None) -> str:
    """The run of a study, or the only one; its Jobs are cleared away after a while, and the rest of it counts too."""
    found = kubectl.items("-n", namespace, "get", RUN_KINDS, "-l", RUN_LABEL)
    names = sorted({str(each["metadata"]["labels"][RUN_LABEL]) for each in found})
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
