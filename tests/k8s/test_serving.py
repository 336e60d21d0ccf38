"""The component that serves registered models: its settings, its probes, and pods that are replaced without a gap."""

import asyncio
from typing import Any

import pytest

from k8s.containers import SERVING
from src.option_lookup import options_of
from src.serve_settings import ServeSettings
from src.serving.online.afterwards import Afterwards
from src.serving.online.dispatcher import Dispatcher, Limits
from src.serving.online.follower import Slot
from src.serving.online.metrics import ServingMetrics
from tests.k8s.manifests import (
    OVERLAYS,
    TEAM,
    VARIABLE,
    command_line,
    container,
    environment,
    named,
    overlay,
    parser_of,
    pod,
    rendered,
)

SERVER = "Deployment/serving"
PROBES = ("startup", "readiness", "liveness")
EVERYWHERE = [*OVERLAYS, TEAM]


def server(name: str) -> Any:
    return container(overlay(name), SERVER, "serving")


def spec(name: str, kind: str) -> Any:
    return named(overlay(name), kind, "serving")["spec"]


def status_of(path: str) -> int:
    """What a server that has loaded no model yet, and needs a token, answers to a probe or a scraper."""
    slots, metrics = {"net_profit": Slot("net_profit", "champion")}, ServingMetrics()
    app = Dispatcher(slots, Limits(1000, 10, (b"token",)), metrics, Afterwards(metrics, {}, None))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "path": path, "method": "GET", "headers": []}, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("name", EVERYWHERE)
class TestServing:
    def test_probes_ask_paths_that_the_server_has(self, name: str) -> None:
        """Alive while it waits for MLflow, which a restart would not bring back; ready when the models are loaded."""
        paths = {kind: server(name)[f"{kind}Probe"]["httpGet"]["path"] for kind in PROBES}
        assert {kind: status_of(path) for kind, path in paths.items()} == {
            "startup": 200,
            "readiness": 503,
            "liveness": 200,
        }

    def test_it_listens_where_the_service_sends(self, name: str) -> None:
        module, words = command_line(overlay(name), server(name))
        args = parser_of(module).parse_args(words)
        (port,) = server(name)["ports"]
        assert (args.host, args.port) == ("0.0.0.0", port["containerPort"])
        (given,) = spec(name, "Service")["ports"]
        assert given["targetPort"] == port["name"]

    def test_every_setting_is_an_option_and_the_other_way_round(self, name: str) -> None:
        options = {option.variable for option in options_of("serve") if option.in_pods}
        used = {match for word in server(name)["args"] for match in VARIABLE.findall(word)}
        assert named(overlay(name), "ConfigMap", "serving")["data"].keys() == used == options - {"HOST", "PORT"}

    def test_its_environment_has_no_passwords_and_no_names_of_other_stores(self, name: str) -> None:
        found = environment(overlay(name), server(name))
        settings = named(overlay(name), "ConfigMap", "serving")["data"]
        assert found.keys() - settings.keys() == {"MLFLOW_TRACKING_URI"}
        (variable,) = server(name)["env"]
        source = variable["valueFrom"]["configMapKeyRef"]
        assert source["key"] in named(overlay(name), "ConfigMap", source["name"])["data"]

    def test_a_pod_goes_only_when_its_replacement_is_ready_and_nobody_sends_to_it(self, name: str) -> None:
        deployment = spec(name, "Deployment")
        assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert deployment["template"]["metadata"]["labels"].items() >= deployment["selector"]["matchLabels"].items()
        wait = server(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        readiness = server(name)["readinessProbe"]
        assert wait >= 5
        # After the hook: the running requests, five seconds for open connections, ten for the log of predictions.
        assert pod(overlay(name), SERVER).spec["terminationGracePeriodSeconds"] >= wait + 5 + 10 + 30
        assert readiness["periodSeconds"] <= 2, "a rollout waits for it"

    def test_its_number_is_the_autoscalers_and_a_drain_leaves_one(self, name: str) -> None:
        deployment, scaler, budget = (
            spec(name, kind) for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")
        )
        assert "replicas" not in deployment, "each `kubectl apply` would set it"
        reference = scaler["scaleTargetRef"]
        assert (reference["kind"], reference["name"]) == ("Deployment", "serving")
        assert scaler["maxReplicas"] >= scaler["minReplicas"] == 2
        (metric,) = scaler["metrics"]
        assert metric["resource"]["name"] in server(name)["resources"]["requests"], "a share of the request"
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == deployment["selector"]

    def test_it_has_an_identity_of_its_own_without_a_token(self, name: str) -> None:
        assert pod(overlay(name), SERVER).spec["serviceAccountName"] == "serving"
        assert pod(overlay(name), SERVER).spec["automountServiceAccountToken"] is False
        assert named(overlay(name), "ServiceAccount", "serving")["automountServiceAccountToken"] is False

    def test_tokens_are_where_the_setting_says(self, name: str) -> None:
        (comment,) = [item.comment for item in SERVING.items if item.key == "TOKEN_FILE"]
        (volume,) = [item["secret"] for item in pod(overlay(name), SERVER).spec["volumes"] if "secret" in item]
        (mount,) = [item for item in server(name)["volumeMounts"] if item["name"] == "tokens"]
        assert f"{mount['mountPath']}/tokens" in comment and f"`{volume['secretName']}`" in comment
        assert volume["optional"] is True and mount["readOnly"] is True


def test_settings_default_to_the_commands_defaults() -> None:
    _, words = command_line(overlay("local"), server("local"))
    parser = parser_of("src.serving.serve")
    given = {"targets": ["is_profitable"], "host": "0.0.0.0", "port": 8080}
    assert vars(parser.parse_args(words)) == vars(parser.parse_args([])) | given
    assert ServeSettings().host == "127.0.0.1", "other machines only reach a server that is told so"


def test_the_monitor_of_prometheus_finds_the_service_and_its_metrics() -> None:
    monitor = named(rendered("examples/team/alerts"), "ServiceMonitor", "serving")
    service = named(overlay(TEAM), "Service", "serving")
    assert service["metadata"]["labels"].items() >= monitor["spec"]["selector"]["matchLabels"].items()
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["metadata"]["labels"]["release"] == "monitoring"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert status_of(endpoint["path"]) == 200
