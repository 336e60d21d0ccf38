"""The network policies, worked out: exactly the connections that the product needs are open."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.k8s.manifests import OVERLAYS, Object, of_kind, overlay, pods, rendered

Labels = Mapping[str, str]
PORTS = (53, 443, 5000, 5432, 8080, 8333, 9333)


@dataclass(frozen=True)
class Place:
    """A pod by its labels, in the overlay's namespace or in another one with these labels; or an address."""

    labels: Labels = field(default_factory=dict)
    namespace: Labels | None = None
    address: str | None = None


CLIENT = {"daily-profit/client": "serving"}
INSIDE = {"a stranger": Place({"app.kubernetes.io/name": "stranger"}), "a client": Place(CLIENT)}
OUTSIDE = {
    "dns": Place({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
    "a client's namespace": Place({"app.kubernetes.io/name": "front"}, CLIENT),
    "prometheus": Place({"app.kubernetes.io/name": "prometheus"}, {"kubernetes.io/metadata.name": "monitoring"}),
    "another namespace": Place(CLIENT, {"kubernetes.io/metadata.name": "default"}),
    "the database's network": Place(address="192.0.2.10"),
    "the metadata service": Place(address="169.254.169.254"),
    "the internet": Place(address="8.8.8.8"),
}


def chosen(selector: Mapping[str, Any], labels: Labels) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def meets(peer: Mapping[str, Any], place: Place) -> bool:
    """Whether an entry of `from` or `to` is about the place."""
    if "ipBlock" in peer or place.address is not None:
        if "ipBlock" not in peer or place.address is None:
            return False
        address, block = ipaddress.ip_address(place.address), peer["ipBlock"]
        holes = [ipaddress.ip_network(hole) for hole in block.get("except", [])]
        return address in ipaddress.ip_network(block["cidr"]) and not any(address in hole for hole in holes)
    if "namespaceSelector" in peer:
        if place.namespace is None or not chosen(peer["namespaceSelector"], place.namespace):
            return False
    elif place.namespace is not None:
        return False
    return chosen(peer.get("podSelector", {}), place.labels)


def open_to(objects: tuple[Object, ...], way: str, own: Place, peer: Place, port: int) -> bool:
    """Whether `own` may send to (egress) or receive from (ingress) the peer on the port.

    A pod of another namespace, or an address, has no policy here.
    """
    if own.namespace is not None or own.address is not None:
        return True
    for policy in of_kind(objects, "NetworkPolicy"):
        if chosen(policy["spec"]["podSelector"], own.labels):
            for rule in policy["spec"].get(way, []):
                near = rule["to" if way == "egress" else "from"]
                if port in [p["port"] for p in rule["ports"]] and any(meets(item, peer) for item in near):
                    return True
    return False


def parts(objects: tuple[Object, ...]) -> dict[str, Place]:
    """One pod for each part: all of the tuner's Jobs count as one."""
    return {item.labels["app.kubernetes.io/name"]: Place(item.labels) for item in pods(objects)}


def connections(objects: tuple[Object, ...]) -> Iterator[tuple[str, str, int]]:
    """All that are open between pods of the namespace, from them to elsewhere, and from elsewhere to them."""
    inside = parts(objects) | INSIDE
    every = inside | OUTSIDE
    for source, target in [(a, b) for a in every for b in every if a in inside or b in inside]:
        for port in PORTS:
            out = open_to(objects, "egress", every[source], every[target], port)
            if out and open_to(objects, "ingress", every[target], every[source], port):
                yield source, target, port


SERVING = {
    ("serving", "mlflow", 5000),
    ("a client", "serving", 8080),
    ("a client's namespace", "serving", 8080),
}
EXPECTED = {
    "local": {
        *SERVING,
        ("daily-profit", "postgres", 5432),
        ("daily-profit", "mlflow", 5000),
        ("mlflow", "postgres", 5432),
        ("mlflow", "s3", 8333),
        *((name, "dns", 53) for name in ("daily-profit", "mlflow", "postgres", "s3", "serving", *INSIDE)),
    },
    "production": {
        *SERVING,
        ("daily-profit", "mlflow", 5000),
        *((name, "the database's network", 5432) for name in ("daily-profit", "mlflow")),
        # The placeholder of the database's network is a public one.
        *(
            (name, there, 443)
            for name in ("daily-profit", "mlflow")
            for there in ("the database's network", "the internet")
        ),
        *((name, "dns", 53) for name in ("daily-profit", "mlflow", "serving", *INSIDE)),
    },
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_exactly_what_the_product_needs_is_open(name: str) -> None:
    assert set(connections(overlay(name))) == EXPECTED[name]


def test_the_component_for_prometheus_lets_it_scrape_the_servers_only() -> None:
    added = of_kind(rendered("examples/team/alerts"), "NetworkPolicy")
    assert added
    more = set(connections((*overlay("local"), *added))) - EXPECTED["local"]
    assert more == {("prometheus", "serving", 8080)}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_servers_are_reached_by_nobody_without_their_own_policy(name: str) -> None:
    """The optional folder brings both directions, so that the services alone open nothing for it but MLflow."""
    without = tuple(found for found in overlay(name) if not found["metadata"]["name"].startswith("serving"))
    assert ("daily-profit", "mlflow", 5000) in set(connections(without))
    pair = Place(parts(overlay(name))["serving"].labels), Place(CLIENT)
    assert not open_to(without, "ingress", *pair, 8080) and not open_to(without, "egress", *pair[::-1], 8080)


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_without_a_policy_of_its_own_can_do_nothing(name: str) -> None:
    (deny,) = [p for p in of_kind(overlay(name), "NetworkPolicy") if p["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_all_jobs_are_let_through_alike(name: str) -> None:
    tuner = [item for item in pods(overlay(name)) if "Job/" in item.owner]
    assert {item.labels["app.kubernetes.io/name"] for item in tuner} == {"daily-profit"}
    assert len(tuner) >= 3
