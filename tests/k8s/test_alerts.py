"""The optional alerts on scheduled Jobs: their labels exist, and Prometheus' own tool tests them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.manifests import OVERLAYS, TEAM, named, of_kind, overlay, rendered

ALERTS = "examples/team/alerts"
FAILED, NO_SUCCESS, ALARM = "DailyProfitNightFailed", "DailyProfitNoNightSucceeded", "DailyProfitMonitorAlarm"
METRICS = {
    "kube_cronjob_created",
    "kube_cronjob_spec_suspend",
    "kube_cronjob_status_last_successful_time",
    "kube_job_failed",
    "kube_job_owner",
    "kube_job_status_start_time",
}
"""Of kube-state-metrics, stable all of them but the last success, which is experimental."""


def rule() -> Any:
    (found,) = of_kind(rendered(ALERTS), "PrometheusRule")
    return found


def expressions() -> list[str]:
    return [item["expr"] for group in rule()["spec"]["groups"] for item in group["rules"]]


def test_no_overlay_needs_the_operator() -> None:
    for name in (*OVERLAYS, TEAM):
        assert not of_kind(overlay(name), "PrometheusRule", "ServiceMonitor")


def test_the_expressions_are_about_the_teams_namespace_and_the_cronjob_that_is_there() -> None:
    found = rule()
    assert (found["apiVersion"], found["metadata"]["namespace"]) == ("monitoring.coreos.com/v1", "research")
    assert found["metadata"]["labels"]["release"] == "monitoring"
    text = "\n".join(expressions())
    assert len(expressions()) == 3
    assert all(re.findall(r'namespace="([^"]*)"', item) == ["research"] for item in expressions())
    for name in set(re.findall(r'(?:cronjob|owner_name)="([^"]*)"', text)):
        assert named(overlay(TEAM), "CronJob", name)
    assert set(re.findall(r"\bkube_\w+", text)) == METRICS


JOB = 'namespace="research", job_name="nightly-{}"'
OWNED = 'owner_kind="CronJob", owner_name="nightly"'
CRON = 'namespace="research", cronjob="nightly"'
MONITOR = 'namespace="research", cronjob="monitor"'


def series(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": values}


def job(number: int, start_hour: int, failed_from: int, owner: str = OWNED, condition: str = "true") -> list[Any]:
    """A night that has failed from an hour on, for ever."""
    labels = JOB.format(number)
    return [
        series("kube_job_owner", f"{labels}, {owner}", f"{'_ ' * start_hour}1x100"),
        series("kube_job_status_start_time", labels, f"{'_ ' * start_hour}{3600 * start_hour}x100"),
        series("kube_job_failed", f'{labels}, condition="{condition}"', f"{'_ ' * failed_from}1x100"),
    ]


def cron(suspended: int = 0, success: str = "") -> list[Any]:
    """Made in the hour 0; the hours of its last success, one for each hour from there on."""
    found = [
        series("kube_cronjob_created", CRON, "0x100"),
        series("kube_cronjob_spec_suspend", CRON, f"{suspended}x100"),
    ]
    return found + ([series("kube_cronjob_status_last_successful_time", CRON, success)] if success else [])


def firing(hour: int, alert: str, *jobs: int) -> dict[str, Any]:
    """Which alerts fire at the hour: those of jobs, or that of the CronJob."""
    own = [{"namespace": "research", "job_name": f"nightly-{number}", "condition": "true"} for number in jobs]
    found = own if alert != NO_SUCCESS else [{"namespace": "research", "cronjob": "nightly"}] * len(jobs)
    return {
        "eval_time": f"{hour}h",
        "alertname": alert,
        "exp_alerts": [{"exp_labels": labels | {"severity": "warning"}} for labels in found],
    }


CASES = {
    "a night fails, and a later one succeeds": (
        [*cron(success=f"{'_ ' * 2}7200x27 {3600 * 30}x70"), *job(1, start_hour=24, failed_from=25)],
        [
            firing(24, FAILED),
            firing(26, FAILED, 1),
            firing(29, FAILED, 1),
            firing(31, FAILED),
            firing(27, NO_SUCCESS),
            firing(29, NO_SUCCESS, 1),
            firing(31, NO_SUCCESS),
        ],
    ),
    "none ever succeeds": (
        [*cron(), *job(1, start_hour=1, failed_from=2), *job(2, start_hour=25, failed_from=26)],
        [firing(3, FAILED, 1), firing(27, FAILED, 1, 2), firing(25, NO_SUCCESS), firing(27, NO_SUCCESS, 1)],
    ),
    "monitoring rings twice, and is quiet later": (
        [
            series("kube_cronjob_status_last_successful_time", MONITOR, f"{'_ ' * 5}{3600 * 5}x100"),
            *job(1, start_hour=1, failed_from=2, owner='owner_kind="CronJob", owner_name="monitor"'),
            *job(2, start_hour=3, failed_from=4, owner='owner_kind="CronJob", owner_name="monitor"'),
        ],
        [firing(1, ALARM), firing(3, ALARM, 1), firing(4, ALARM, 1, 2), firing(6, ALARM), firing(4, FAILED)],
    ),
    "it is suspended": ([*cron(suspended=1)], [firing(50, NO_SUCCESS)]),
    "other jobs fail, or nothing has": (
        [
            *cron(success="0x100"),
            *job(1, start_hour=1, failed_from=2, owner='owner_kind="CronJob", owner_name="backup"'),
            *job(2, start_hour=1, failed_from=2, condition="false"),
            *[item | {"series": item["series"].replace("research", "elsewhere")} for item in job(3, 1, 2)],
        ],
        [firing(5, FAILED), firing(20, NO_SUCCESS)],
    ),
}


def test_prometheus_own_tool_finds_them_right(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed, so that nothing works the expressions out")
    described = rule()["spec"]
    for group in described["groups"]:
        for item in group["rules"]:  # what an alert says is not what is tried here
            del item["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    tests = [
        {"name": name, "interval": "1h", "input_series": inputs, "alert_rule_test": expected}
        for name, (inputs, expected) in CASES.items()
    ]
    asked = {"rule_files": ["rules.yaml"], "evaluation_interval": "1h", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    for words in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
