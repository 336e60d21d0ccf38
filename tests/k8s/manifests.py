"""The manifests as a cluster gets them: rendered by kustomize, with their pods, containers and environments."""

import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from k8s.fanout.rendering import documents

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("local", "production")
TEAM = "team"
"""The example of a team's own values over an overlay."""
VARIABLE = re.compile(r"\$\(([A-Za-z_]\w*)\)")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod template and what it belongs to."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    claims: frozenset[str] = frozenset()

    @property
    def containers(self) -> list[Any]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def need_kubectl() -> str:
    """The program's path; skips the test on a machine without it."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed, so that nothing renders the manifests")
    return program


@cache
def rendered(folder: str) -> tuple[Object, ...]:
    """The objects of a folder of `k8s`."""
    command = [need_kubectl(), "kustomize", str(ROOT / "k8s" / folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(documents(text))


def overlay(name: str) -> tuple[Object, ...]:
    """All objects of an overlay, with those of its optional folders."""
    if name == TEAM:
        parts = ("services", "run", "migrate", "serving")
        return tuple(found for part in parts for found in rendered(f"examples/{TEAM}/{part}"))
    extras = [f"overlays/{name}/{part}" for part in ("nightly", "serving")]
    present = [folder for folder in extras if (ROOT / "k8s" / folder).is_dir()]
    return tuple(found for folder in (f"overlays/{name}", *present) for found in rendered(folder))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    (found,) = [item for item in of_kind(objects, kind) if item["metadata"]["name"] == name]
    return found


def pods(objects: tuple[Object, ...]) -> Iterator[Pod]:
    """Every pod template."""
    for found in of_kind(objects, "Job", "CronJob", "StatefulSet", "Deployment", "Pod"):
        spec = found["spec"]["jobTemplate"]["spec"] if found["kind"] == "CronJob" else found["spec"]
        template = spec["template"]
        claims = frozenset(claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", []))
        owner = f"{found['kind']}/{found['metadata']['name']}"
        yield Pod(owner, template["metadata"]["labels"], template["spec"], claims)


def pod(objects: tuple[Object, ...], owner: str) -> Pod:
    (found,) = [item for item in pods(objects) if item.owner == owner]
    return found


def container(objects: tuple[Object, ...], owner: str, name: str) -> Any:
    (found,) = [item for item in pod(objects, owner).containers if item["name"] == name]
    return found


def environment(objects: tuple[Object, ...], holder: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment as the kubelet makes it; what only a cluster knows stands there as `<its name>`."""
    found: dict[str, str] = {}
    for source in holder.get("envFrom", []):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for item in holder.get("env", []):
        found[item["name"]] = expanded(item["value"], found) if "value" in item else f"<{item['name']}>"
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` replaced as the kubelet does; an unknown name stays as it is."""
    return VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def command_line(objects: tuple[Object, ...], holder: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The module that a container of the project's images runs, and its arguments with the settings put in."""
    words = holder["args"]
    if "command" in holder:  # of `sh -c`: the script, its name, and then what the script calls
        words = words[2:]
    variables = environment(objects, holder)
    return words[0], [expanded(word, variables) for word in words[1:]]


def project_containers(objects: tuple[Object, ...], *images: str) -> Iterator[tuple[str, Any]]:
    """Containers that run a command of this project, with their owner's name.

    Args:
        objects: of an overlay.
        images: names of the images to look at; all that run commands when empty.
    """
    for item in pods(objects):
        for holder in item.containers:
            if any(f"/{image}:" in holder["image"] for image in images or ("tuner", "serving")):
                yield f"{item.owner}/{holder['name']}", holder


def parser_of(module: str) -> Any:
    return importlib.import_module(module).build_parser()
