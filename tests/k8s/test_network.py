"""The network policies, worked out: exactly the connections that the product needs are open."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.k8s.manifests import OVERLAYS, Object, of_kind, overlay, pods

Labels = Mapping[str, str]
PORTS = (53, 443, 5000, 5432, 8080, 8333, 9333)
PLACES = {
    "dns": {"k8s-app": "kube-dns"},
    "a stranger": {"app.kubernetes.io/name": "stranger"},
}
ADDRESSES = {
    "the database's network": "192.0.2.10",
    "the metadata service": "169.254.169.254",
    "the internet": "8.8.8.8",
}


def chosen(selector: Mapping[str, Any], labels: Labels) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def meets(peer: Mapping[str, Any], labels: Labels | None, address: str | None) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if address is None or ipaddress.ip_address(address) not in ipaddress.ip_network(block["cidr"]):
            return False
        return not any(ipaddress.ip_address(address) in ipaddress.ip_network(hole) for hole in block.get("except", []))
    if labels is None:
        return False
    elsewhere = "k8s-app" in labels
    return ("namespaceSelector" in peer) == elsewhere and chosen(peer.get("podSelector", {}), labels)


def open_to(objects: tuple[Object, ...], way: str, own: Labels, peer: Labels | str, port: int) -> bool:
    """Whether some policy lets `own` send to (egress) or receive from (ingress) the peer on the port."""
    labels, address = (None, peer) if isinstance(peer, str) else (peer, None)
    for policy in of_kind(objects, "NetworkPolicy"):
        if chosen(policy["spec"]["podSelector"], own):
            for rule in policy["spec"].get(way, []):
                near = rule["to" if way == "egress" else "from"]
                if port in [p["port"] for p in rule["ports"]] and any(meets(item, labels, address) for item in near):
                    return True
    return False


def parts(objects: tuple[Object, ...]) -> dict[str, Labels]:
    """One pod's labels for each part: all of the tuner's Jobs count as one."""
    return {item.labels["app.kubernetes.io/name"]: item.labels for item in pods(objects)}


def connections(objects: tuple[Object, ...]) -> Iterator[tuple[str, str, int]]:
    """All that are open between pods of the namespace, and from them to elsewhere."""
    inside = parts(objects)
    for source, own in inside.items():
        for port in PORTS:
            for target, other in (inside | {"a stranger": PLACES["a stranger"]}).items():
                out, into = open_to(objects, "egress", own, other, port), open_to(objects, "ingress", other, own, port)
                if out and into:
                    yield source, target, port
            for target, address in ADDRESSES.items():
                if open_to(objects, "egress", own, address, port):
                    yield source, target, port
            if open_to(objects, "egress", own, PLACES["dns"], port):
                yield source, "dns", port


EXPECTED = {
    "local": {
        ("daily-profit", "postgres", 5432),
        ("daily-profit", "mlflow", 5000),
        ("mlflow", "postgres", 5432),
        ("mlflow", "s3", 8333),
        *((name, "dns", 53) for name in ("daily-profit", "mlflow", "postgres", "s3")),
    },
    "production": {
        ("daily-profit", "mlflow", 5000),
        *((name, "the database's network", 5432) for name in ("daily-profit", "mlflow")),
        # The placeholder of the database's network is a public one.
        *(
            (name, there, 443)
            for name in ("daily-profit", "mlflow")
            for there in ("the database's network", "the internet")
        ),
        *((name, "dns", 53) for name in ("daily-profit", "mlflow")),
    },
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_exactly_what_the_product_needs_is_open(name: str) -> None:
    assert set(connections(overlay(name))) == EXPECTED[name]


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_without_a_policy_of_its_own_can_do_nothing(name: str) -> None:
    (deny,) = [p for p in of_kind(overlay(name), "NetworkPolicy") if p["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_all_jobs_are_let_through_alike(name: str) -> None:
    tuner = [item for item in pods(overlay(name)) if "Job/" in item.owner]
    assert {item.labels["app.kubernetes.io/name"] for item in tuner} == {"daily-profit"}
    assert len(tuner) >= 3
