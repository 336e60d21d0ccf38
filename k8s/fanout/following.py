"""Watches a run's three Jobs to their end, and says each change and the progress of the study once.

The study is in a database that only pods reach. Its progress stands in the log of the finish, whose first step waits
for the study: reading a log takes no right that who starts a run lacks, no program in the pod and no open port.
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
"""A cluster that does not answer for a minute is no reason yet to lose sight of a run of hours."""
LAST_LINES = "40"
FIRST_STEP = "wait"
"""The finish's init container."""
PROGRESS = re.compile(r"study (.+: \d+ of .+ trials are finished.*)$", re.MULTILINE)


def follow(kubectl: Kubectl, namespace: str, run: str) -> str:
    """Returns when the run's finish is done, with the end of its log.

    Raises:
        ConfigError: a pod said that its settings or its data are wrong.
        RunError: a Job failed otherwise, the run is gone, or the cluster does not answer any more.
    """
    said: dict[str, str] = {}
    lost = 0
    while True:
        try:
            states = read_jobs(kubectl, namespace, run)
            lost = 0
        except RunError as error:
            lost += 1
            if lost > LOST_POLLS:
                raise RunError(f"{error}; the run goes on without being watched") from error
            time.sleep(POLL_SECONDS)
            continue
        if not states:
            raise RunError(f"run {run} is gone: somebody has taken its Jobs away")
        for state in states:
            _say(said, state.component, state.key, state.line)
        _say(said, "trials", progress := read_progress(kubectl, namespace, states), progress)
        raise_if_lost(kubectl, namespace, states)
        finish = _finish_of(states)
        if finish is not None and finish.complete:
            return _log_of(kubectl, namespace, finish)
        time.sleep(POLL_SECONDS)


def _say(said: dict[str, str], what: str, key: str, line: str) -> None:
    if line and said.get(what) != key:
        said[what] = key
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {what:<7} {line}\n")
        sys.stdout.flush()


def read_progress(kubectl: Kubectl, namespace: str, states: list[JobState]) -> str:
    """`<study>: 12 of 24 trials are finished, 3 run, best …`, or an empty text while nobody says it."""
    finish = _finish_of(states)
    waiting = [] if finish is None else [pod.name for pod in finish.active if pod.first_step]
    if not waiting:
        return ""
    try:
        log = kubectl.text("-n", namespace, "logs", waiting[-1], "-c", FIRST_STEP, "--tail", LAST_LINES)
    except RunError:  # the container has ended or the node is busy: the next look tells
        return ""
    told = PROGRESS.findall(log)
    return one_line(told[-1]) if told else ""


def raise_if_lost(kubectl: Kubectl, namespace: str, states: list[JobState]) -> None:
    """Ends with the status of the first Job whose failure is the run's, and shows the end of its log.

    Raises:
        ConfigError: a pod said that its settings or its data are wrong.
        RunError: it failed otherwise.
    """
    for state in states:
        if state.is_lost:
            _raise(state, _log_of(kubectl, namespace, state))


def _raise(state: JobState, log: str) -> NoReturn:
    sys.stdout.write(log)
    lines = [line for line in log.splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("error: ") if lines else state.failed
    kind = ConfigError if state.is_mistake else RunError
    raise kind(
        f"job {state.name} failed ({state.reason}): {one_line(last)}; make fanout-down STUDY_NAME={state.run} "
        f"takes the run away and leaves its study, which the corrected command goes on with"
    )


def _finish_of(states: list[JobState]) -> JobState | None:
    return next((state for state in states if state.component == "finish"), None)


def _log_of(kubectl: Kubectl, namespace: str, job: JobState) -> str:
    """The last lines of the pod by which the Job is done or has failed; empty where no pod is left."""
    if job.complete:
        logs = [(pod.name, "finish") for pod in job.pods if pod.phase == "Succeeded"]
    else:
        logs = [(pod.name, pod.ended[0]) for pod in job.pods if pod.ended is not None]
    if not logs:
        return ""
    try:
        return kubectl.text("-n", namespace, "logs", logs[-1][0], "-c", logs[-1][1], "--tail", LAST_LINES)
    except RunError as error:  # the pod went away with its node; what the Job says of it is all there is
        return f"its log cannot be read: {error}\n"
