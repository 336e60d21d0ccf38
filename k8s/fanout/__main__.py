"""Starts, shows and deletes runs on a Kubernetes cluster.

    python -m k8s.fanout up TARGET=net_profit WORKERS=8 N_TRIALS=400 OVERLAY=local
    python -m k8s.fanout status [STUDY_NAME=net_profit_20240101_120000]
    python -m k8s.fanout down STUDY_NAME=net_profit_20240101_120000

`make fanout`, `make fanout-status` and `make fanout-down` call these three.
"""

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8s.fanout.addresses import LOCAL_PORT, Mlflow, mlflow_server
from k8s.fanout.following import follow, raise_if_failed, read_progress
from k8s.fanout.jobs import read_jobs
from k8s.fanout.kubectl import Kubectl
from k8s.fanout.options import SETTINGS, TOKEN, Place, Run, given, is_on, place_of, run_name, run_of
from k8s.fanout.readiness import wait_for_services
from k8s.fanout.rendering import (
    RUN_LABEL,
    SECRET,
    Documents,
    documents,
    namespace_of,
    new_secret,
    render,
    required_secret_keys,
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
    """Renders and applies a run, and follows it until it has finished.

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
        sys.stdout.write(f"# If Secret {SECRET} does not exist, it is created too.\n{services}---\n{text}")
        return 0
    has_namespace = _check_cluster(kubectl, namespace, run)
    secret = _missing_secret(kubectl, place, namespace, plain + documents(text))
    if not has_namespace:
        _make_namespace(kubectl, namespace, plain)
    if secret is not None:  # not `apply`: a Secret created by another user meanwhile must not change
        kubectl.text("create", "-f", "-", stdin=text_of([secret]))
    kubectl.text("apply", "-f", "-", stdin=text_of(document for document in plain if document["kind"] != "Namespace"))
    wait_for_services(kubectl, namespace, plain)
    kubectl.text("apply", "-f", "-", stdin=text)
    mlflow = mlflow_server(plain)
    forward = mlflow.forward(" ".join(place.kubectl), namespace)
    _print_run(run, mlflow, forward)
    try:
        log = follow(kubectl, namespace, run.name)
    except KeyboardInterrupt:
        raise Interrupted(f"the run continues: see make fanout-status STUDY_NAME={run.study}") from None
    sys.stdout.write(mlflow.with_local_address(log))
    if forward is not None:
        sys.stdout.write(f"these addresses work while this command runs: {forward}\n")
    return 0


def status(words: Sequence[str]) -> int:
    """Shows one run, or all objects of this project; fails if the run has failed.

    Raises:
        ConfigError: there is no such run, or a pod reported wrong settings or data.
        RunError: a Job failed for another reason.
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
    for name in sorted({state.run for state in states}):
        progress = read_progress(kubectl, namespace, [state for state in states if state.run == name])
        sys.stdout.write(f"{progress}\n" if progress else "")
    if run is not None and not states:
        sys.stdout.write(f"the Jobs of run {run} were deleted: make fanout-down STUDY_NAME={run} deletes the rest\n")
    raise_if_failed(kubectl, namespace, states)
    return 0


def down(words: Sequence[str]) -> int:
    """Deletes a run, not its study and its MLflow runs. ALL=1 deletes the services too, VOLUMES=1 also their volumes.

    Raises:
        ConfigError: no run or several runs match.
    """
    values = given(words, ["STUDY_NAME", *WHERE, "ALL", "VOLUMES"])
    everything, volumes = is_on("ALL", values), is_on("VOLUMES", values)
    if volumes and not everything:
        raise ConfigError("VOLUMES=1 deletes the results of all runs: add ALL=1")
    if everything and values.get("STUDY_NAME"):
        raise ConfigError("STUDY_NAME and ALL=1 cannot be combined: use one of the two")
    kubectl, namespace, services = _cluster(values)
    if not everything:
        label = f"{RUN_LABEL}={_chosen_run(kubectl, namespace, values.get('STUDY_NAME'))}"
        kubectl.show("-n", namespace, "delete", RUN_KINDS, "-l", label)
        return 0
    kubectl.show("-n", namespace, "delete", RUN_KINDS, "-l", RUN_LABEL)
    # A volume is useless without the passwords of its databases, so both are deleted or kept together.
    kept = {"Namespace"} if volumes else {"Namespace", "Secret"}
    items = [document for document in services if document["kind"] not in kept]
    sys.stdout.write(kubectl.text("delete", "--ignore-not-found", "-f", "-", stdin=text_of(items)))
    # Also objects of earlier versions of the manifests (names of generated ConfigMaps change), nights started by hand,
    # and migrations.
    left = "jobs,configmaps,serviceaccounts" + (",persistentvolumeclaims,secrets" if volumes else "")
    kubectl.show("-n", namespace, "delete", left, "-l", PART)
    return 0


def _cluster(values: Mapping[str, str]) -> tuple[Kubectl, str, Documents]:
    place = place_of(values)
    kubectl = Kubectl(place.kubectl)
    folders = [place.overlay / part for part in ("services", "nightly", "serving")]
    services = [document for folder in folders if folder.is_dir() for document in documents(render(kubectl, folder))]
    namespace = namespace_of(services)
    kubectl.reach(namespace)
    return kubectl, namespace, services


def _check_cluster(kubectl: Kubectl, namespace: str, run: Run) -> bool:
    has_namespace = kubectl.reach(namespace)
    if kubectl.text("-n", namespace, "get", "jobs", "-l", f"{RUN_LABEL}={run.name}", "-o", "name").strip():
        raise ConfigError(
            f"STUDY_NAME={run.study} is already a run in this cluster: delete it with make fanout-down "
            f"STUDY_NAME={run.study}, which keeps its study"
        )
    return has_namespace


def _make_namespace(kubectl: Kubectl, namespace: str, services: Documents) -> None:
    spaces = [document for document in services if document["kind"] == "Namespace"]
    try:
        kubectl.text("apply", "-f", "-", stdin=text_of(spaces))
    except RunError as error:
        raise RunError(f"{error}: ask a cluster administrator to create namespace {namespace}") from error


def _missing_secret(kubectl: Kubectl, place: Place, namespace: str, objects: Documents) -> dict[str, Any] | None:
    """The Secret to create, or None if the cluster has one with all keys."""
    existing = kubectl.json("-n", namespace, "get", "secret", SECRET, "--ignore-not-found")
    made = new_secret(objects, namespace) if existing is None else None
    if made is None:
        kept = (existing or {}).get("data") or {}
        missing = sorted(key for key in required_secret_keys(objects) if not base64.b64decode(kept.get(key, "")))
        if missing:
            raise ConfigError(
                f"Secret {SECRET} of namespace {namespace} lacks {listing(missing)}: "
                f"create it as described in {place.overlay / 'services' / 'kustomization.yaml'}"
            )
    elif kubectl.text("-n", namespace, "get", "persistentvolumeclaims", "-l", PART, "-o", "name").strip():
        raise ConfigError(
            f"Secret {SECRET} of namespace {namespace} does not exist, but volumes that need its passwords do: "
            f"create it again with these passwords, or delete the volumes with make fanout-down ALL=1 VOLUMES=1"
        )
    return made


def _print_run(run: Run, mlflow: Mlflow, forward: str | None) -> None:
    study = f"STUDY_NAME={run.study}"
    n_trials = run.settings.get("N_TRIALS", SETTINGS["N_TRIALS"])
    address = mlflow.address if forward is None else f"{forward}, then http://localhost:{LOCAL_PORT}"
    sys.stdout.write(
        f"run {run.name}: {run.workers} workers, {n_trials} trials in total\n"
        f"  MLflow:  {address}\n"
        f"  status:  make fanout-status {study}\n"
        f"  delete:  make fanout-down {study}\n"
    )


def _chosen_run(kubectl: Kubectl, namespace: str, study: str | None) -> str:
    """The run of a study, or the only run; it may have lost its Jobs, which are deleted some time after they end."""
    items = kubectl.items("-n", namespace, "get", RUN_KINDS, "-l", RUN_LABEL)
    names = sorted({str(item["metadata"]["labels"][RUN_LABEL]) for item in items})
    wanted = [name for name in names if study is None or name == run_name(study)]
    if len(wanted) != 1:
        remedy = f"use STUDY_NAME={' or '.join(names[:5])}" if names else "this cluster has no run"
        raise ConfigError(f"{f'STUDY_NAME={study} is not a run' if study else 'STUDY_NAME is missing'}: {remedy}")
    return wanted[0]


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {"up": up, "status": status, "down": down}


def main(argv: Sequence[str]) -> int:
    """Runs one command; returns its exit status."""
    name, *words = [*argv, ""][: len(argv) or 1]

    def command() -> int:
        if name not in COMMANDS:
            raise ConfigError(f"{name!r} is not a command: use {', '.join(COMMANDS)}")
        return COMMANDS[name](words)

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
