"""Watches a run's three Jobs until they end, and prints changes of their state and the progress of the study.

Only pods can reach the study's database. The progress comes from the log of the finish, whose init container waits for
the study: reading a log needs no further permissions, no program in the pod and no open port.
"""

import re
import sys
import time
from typing import NoReturn

from k8s.fanout.jobs import JobState, read_jobs
from k8s.fanout.kubectl import Kubectl
from src.errors import ConfigError, RunError
from src.suggest import one_line

POLL_SECONDS = 3.0
LOST_POLLS = 20
"""Failed polls before giving up: a run of hours is still watched after the cluster did not answer for a minute."""
LAST_LINES = "40"
INIT_CONTAINER = "wait"
"""The finish's init container."""
PROGRESS = re.compile(r"study (.+: \d+ of .+ trials are finished.*)$", re.MULTILINE)


def follow(kubectl: Kubectl, namespace: str, run: str) -> str:
    """Returns the end of the finish's log when the run is done.

    Raises:
        ConfigError: a pod reported wrong settings or data.
        RunError: a Job failed for another reason, the run was deleted, or the cluster stopped answering.
    """
    printed: dict[str, str] = {}
    lost = 0
    while True:
        try:
            states = read_jobs(kubectl, namespace, run)
            lost = 0
        except RunError as error:
            lost += 1
            if lost > LOST_POLLS:
                raise RunError(f"{error}; the run continues, but is not watched any more") from error
            time.sleep(POLL_SECONDS)
            continue
        if not states:
            raise RunError(f"run {run} was deleted: its Jobs do not exist any more")
        for state in states:
            _print_change(printed, state.component, state.key, state.line)
        _print_change(printed, "trials", progress := read_progress(kubectl, namespace, states), progress)
        raise_if_failed(kubectl, namespace, states)
        finish = _finish_of(states)
        if finish is not None and finish.complete:
            return _log_of(kubectl, namespace, finish)
        time.sleep(POLL_SECONDS)


def _print_change(printed: dict[str, str], what: str, key: str, line: str) -> None:
    if line and printed.get(what) != key:
        printed[what] = key
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {what:<7} {line}\n")
        sys.stdout.flush()


def read_progress(kubectl: Kubectl, namespace: str, states: list[JobState]) -> str:
    """`<study>: 12 of 24 trials are finished, 3 run, best …`, or an empty text if unknown."""
    finish = _finish_of(states)
    waiting = [] if finish is None else [pod.name for pod in finish.active if pod.in_init_container]
    if not waiting:
        return ""
    try:
        log = kubectl.text("-n", namespace, "logs", waiting[-1], "-c", INIT_CONTAINER, "--tail", LAST_LINES)
    except RunError:  # the container has ended or the node is busy: the next poll tries again
        return ""
    lines = PROGRESS.findall(log)
    return one_line(lines[-1]) if lines else ""


def raise_if_failed(kubectl: Kubectl, namespace: str, states: list[JobState]) -> None:
    """Raises the error of the first Job whose failure fails the run, and prints the end of its log.

    Raises:
        ConfigError: a pod reported wrong settings or data.
        RunError: it failed for another reason.
    """
    for state in states:
        if state.is_fatal:
            _raise(state, _log_of(kubectl, namespace, state))


def _raise(state: JobState, log: str) -> NoReturn:
    sys.stdout.write(log)
    lines = [line for line in log.splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("error: ") if lines else state.failed
    kind = ConfigError if state.is_user_error else RunError
    raise kind(
        f"job {state.name} failed ({state.reason}): {one_line(last)}; make fanout-down STUDY_NAME={state.run} "
        f"deletes the run but keeps its study, which the corrected command resumes"
    )


def _finish_of(states: list[JobState]) -> JobState | None:
    return next((state for state in states if state.component == "finish"), None)


def _log_of(kubectl: Kubectl, namespace: str, job: JobState) -> str:
    """The last log lines of the pod that completed or failed the Job; empty if no pod is left."""
    if job.complete:
        logs = [(pod.name, "finish") for pod in job.pods if pod.phase == "Succeeded"]
    else:
        logs = [(pod.name, pod.ended[0]) for pod in job.pods if pod.ended is not None]
    if not logs:
        return ""
    try:
        return kubectl.text("-n", namespace, "logs", logs[-1][0], "-c", logs[-1][1], "--tail", LAST_LINES)
    except RunError as error:  # the pod was lost with its node
        return f"its log cannot be read: {error}\n"
