"""The nightly search: one Job whose pods run their containers in order, and what the settings make of them.

Also the CronJobs `monitor` and `promote`, which use the same settings.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.modeling.monitor import ALARM
from tests.k8s.manifests import OVERLAYS, TEAM, command_line, container, environment, named, overlay, parser_of, pod

NIGHTLY, MONITOR, PROMOTE = "CronJob/nightly", "CronJob/monitor", "CronJob/promote"
OF_THE_TABLE = ("data", "query", "config", "test_fraction", "purge_days")


def job(name: str) -> Any:
    return named(overlay(name), "CronJob", "nightly")["spec"]["jobTemplate"]["spec"]


@pytest.mark.parametrize("name", [*OVERLAYS, TEAM])
def test_the_containers_run_in_their_order(name: str) -> None:
    """Also where an overlay changes some of them: a strategic merge patch would put those before the others."""
    spec = pod(overlay(name), NIGHTLY).spec
    assert [item["name"] for item in spec["initContainers"]] == ["check", "monitor", "work", "finish"]
    assert [item["name"] for item in spec["containers"]] == ["promote"]


@pytest.mark.parametrize("name", OVERLAYS)
class TestNightly:
    def test_study_and_run_are_named_after_the_nights_job(self, name: str) -> None:
        """Which is new every night and the same in all of its pods, also in those that replace lost ones."""
        labels = {"STUDY_NAME": "job-name", "RUN_TOKEN": "controller-uid"}
        for step in ("work", "finish"):
            holder = container(overlay(name), NIGHTLY, step)
            for variable, label in labels.items():
                (found,) = [item for item in holder["env"] if item["name"] == variable]
                path = f"metadata.labels['batch.kubernetes.io/{label}']"
                assert found["valueFrom"] == {"fieldRef": {"fieldPath": path}}
            assert "--study-name=$(STUDY_NAME)" in holder["args"]

    def test_workers_do_not_wait_and_share_one_timeout(self, name: str) -> None:
        """Without the token a pod that replaces a lost one had the whole timeout again."""
        module, words = command_line(overlay(name), container(overlay(name), NIGHTLY, "work"))
        args = parser_of(module).parse_args(words)
        assert (args.mode, args.create, args.run_token) == ("distributed", True, "<RUN_TOKEN>")

    def test_one_pod_finishes_and_its_success_is_the_nights(self, name: str) -> None:
        assert job(name)["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
        for step in ("finish", "promote"):
            assert container(overlay(name), NIGHTLY, step)["args"][0].startswith('[ "$JOB_COMPLETION_INDEX" = 0 ] ')


def called(tmp_path: Path, step: str, settings: Mapping[str, str], ends_with: int = 0) -> tuple[int, list[str]]:
    """Runs a container's script as the kubelet would, with a `python` that prints its arguments.

    Args:
        tmp_path: takes the place of the pod's folder /work.
        step: the container.
        settings: values that differ from the ConfigMap's.
        ends_with: exit status of `python`.
    """
    (tmp_path / "python").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {ends_with}\n', encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    objects = overlay("local")
    holder = container(objects, NIGHTLY, step)
    script, name, *_ = holder["args"]
    variables = environment(objects, holder) | dict(settings)
    patched = {**holder, "env": [{"name": key, "value": value} for key, value in variables.items()]}
    module, words = command_line(objects, {key: value for key, value in patched.items() if key != "envFrom"})
    env = variables | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert holder["command"] == ["tini", "--", "sh", "-c"]
    script = script.replace("/work/", f"{tmp_path}/")
    done = subprocess.run(["sh", "-c", script, name, module, *words], env=env, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("index", ["0", "3"])
@pytest.mark.parametrize("step", ["check", "promote"])
@pytest.mark.parametrize("value", ["off", "dry-run", "on", "yes", ""])
def test_the_setting_reaches_the_command(tmp_path: Path, value: str, step: str, index: str) -> None:
    """Every pod looks at it before the search, so that none begins with a wrong one; one pod promotes."""
    status, arguments = called(tmp_path, step, {"PROMOTE": value, "JOB_COMPLETION_INDEX": index})
    assert status == 0
    if not value or (step == "promote" and index != "0"):
        assert arguments == []
        return
    assert arguments[:2] == ["-m", "src.tracking.promote"]
    args = parser_of("src.tracking.promote").parse_args(arguments[2:])
    assert (args.mode, args.dry_run, args.check) == (value, False, step == "check")


@pytest.mark.parametrize(("status", "goes_on"), [(0, False), (3, True)])
def test_a_night_that_waits_for_an_alarm_searches_only_then(tmp_path: Path, status: int, goes_on: bool) -> None:
    """The pod with index 0 monitors; what it finds decides whether its next containers do anything."""
    pod_0 = {"ONLY_ON_ALARM": "true", "JOB_COMPLETION_INDEX": "0", "PROMOTE": "on"}
    ended, arguments = called(tmp_path, "monitor", pod_0, status)
    assert (ended, arguments[:2]) == (0, ["-m", "src.modeling.monitor"])
    for step in ("work", "finish", "promote"):
        ended, arguments = called(tmp_path, step, pod_0)
        assert ended == 0
        assert bool(arguments) is goes_on, step


@pytest.mark.parametrize("status", [1, 2])
def test_monitoring_that_fails_is_neither_an_alarm_nor_the_end_of_alarms(tmp_path: Path, status: int) -> None:
    pod_0 = {"ONLY_ON_ALARM": "true", "JOB_COMPLETION_INDEX": "0"}
    assert called(tmp_path, "monitor", pod_0, status)[0] == status
    assert called(tmp_path, "work", pod_0)[1]


def test_the_other_pods_wait_for_the_study_of_the_pod_that_monitors(tmp_path: Path) -> None:
    for index, creates in (("0", True), ("3", False)):
        settings = {"ONLY_ON_ALARM": "true", "JOB_COMPLETION_INDEX": index, "RUN_TOKEN": "a"}
        if index != "0":
            assert called(tmp_path, "monitor", settings, 1) == (0, [])
        _, arguments = called(tmp_path, "work", settings)
        args = parser_of(arguments[1]).parse_args(arguments[2:])
        assert (args.create, args.run_token) == (creates, "a")


@pytest.mark.parametrize("value", ["false", ""])
def test_other_nights_do_not_monitor_and_every_pod_can_create_the_study(tmp_path: Path, value: str) -> None:
    settings = {"ONLY_ON_ALARM": value, "JOB_COMPLETION_INDEX": "3"}
    assert called(tmp_path, "monitor", settings, 1) == (0, [])
    _, arguments = called(tmp_path, "work", settings)
    assert parser_of(arguments[1]).parse_args(arguments[2:]).create is True


def test_a_mistyped_switch_is_a_user_error(tmp_path: Path) -> None:
    assert called(tmp_path, "monitor", {"ONLY_ON_ALARM": "yes", "JOB_COMPLETION_INDEX": "0"}) == (2, [])


def test_it_is_off_by_default() -> None:
    for name in (*OVERLAYS, TEAM):
        data = named(overlay(name), "ConfigMap", "nightly")["data"]
        assert (data["PROMOTE"], data["ONLY_ON_ALARM"]) == ("off", "false")


@pytest.mark.parametrize("name", [*OVERLAYS, TEAM])
def test_who_promotes_reads_the_nights_table(name: str) -> None:
    objects = overlay(name)
    holders = [container(objects, NIGHTLY, step) for step in ("finish", "check", "promote")]
    holders.append(container(objects, PROMOTE, "promote"))
    found = []
    for holder in holders:
        module, words = command_line(objects, holder)
        args = vars(parser_of(module).parse_args(words))
        found.append({key: args[key] for key in ("targets", *OF_THE_TABLE)})
    assert found == [found[0]] * 4
    assert all(f"--{key.replace('_', '-')}=" in " ".join(holders[-1]["args"]) for key in OF_THE_TABLE)


@pytest.mark.parametrize("name", [*OVERLAYS, TEAM])
def test_who_monitors_reads_the_nights_table(name: str) -> None:
    objects = overlay(name)
    night, alone = container(objects, NIGHTLY, "monitor"), container(objects, MONITOR, "monitor")
    assert command_line(objects, night) == command_line(objects, alone)
    module, words = command_line(objects, alone)
    monitored = parser_of(module).parse_args(words)
    module, words = command_line(objects, container(objects, NIGHTLY, "finish"))
    searched = parser_of(module).parse_args(words)
    assert (monitored.targets, monitored.data) == (searched.targets, searched.data)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_alarm_of_the_monitor_fails_its_job_at_once(name: str) -> None:
    """That is what alerts can see: a second pod would find the same."""
    found = named(overlay(name), "CronJob", "monitor")["spec"]
    assert not found.get("suspend")
    rules = found["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    (failing,) = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert failing == {"containerName": "monitor", "operator": "In", "values": [2, ALARM]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_promotion_by_hand_never_runs_by_itself_and_moves_the_aliases(name: str) -> None:
    objects = overlay(name)
    assert named(objects, "CronJob", "promote")["spec"]["suspend"] is True
    module, words = command_line(objects, container(objects, PROMOTE, "promote"))
    args = parser_of(module).parse_args(words)
    assert (args.mode, args.dry_run, args.check) == ("on", False, False)
