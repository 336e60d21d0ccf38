"""The compose file: hardened containers, an order by health, no usable password, and commands that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.options import SEARCH_MODES
from tests.command_lines import commands_in, options_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
EXAMPLE = (ROOT / "docker" / ".env.example").read_text(encoding="utf-8")
TUNING = ("create", "worker", "wait", "finish")
ON_REQUEST = ("monitor", "promote", "serving")


def used_variables() -> dict[str, str]:
    """Each variable with what follows its name: `:?message`, `:-default` or nothing."""
    return dict(re.findall(r"\$\{(\w+)([^}]*)\}", TEXT))


@pytest.mark.parametrize("name", SERVICES)
class TestService:
    def test_is_hardened(self, name: str) -> None:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "mem_limit" in service
        assert any(place.startswith("/tmp") for place in service["tmpfs"])
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()

    def test_waits_only_for_what_can_tell(self, name: str) -> None:
        for other, how in SERVICES[name].get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                image = ROOT / "docker" / f"{other}.Dockerfile"
                assert "healthcheck" in SERVICES[other] or "\nHEALTHCHECK " in image.read_text(encoding="utf-8")
            else:
                assert how["condition"] == "service_completed_successfully"
                assert other in TUNING, f"{other} never ends"

    def test_is_open_to_this_machine_only(self, name: str) -> None:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))

    def test_is_in_networks_that_are_declared(self, name: str) -> None:
        assert set(SERVICES[name]["networks"]) <= COMPOSE["networks"].keys()


def test_every_option_exists_in_the_command_it_is_given_to() -> None:
    commands = commands_in(TEXT)
    assert len(commands) == len((*TUNING, *ON_REQUEST))
    for command in commands:
        assert command.options <= options_of(command.module)


def test_what_needs_a_model_does_not_start_with_the_search() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == set(ON_REQUEST)


def test_who_monitors_and_promotes_reads_the_table_of_the_search() -> None:
    for name in ("monitor", "promote"):
        given = [word for word in SERVICES["create"]["command"] if word.startswith(("--targets=", "--data="))]
        assert SERVICES[name]["command"][1:] == given


def test_modes_are_those_of_the_command() -> None:
    named = {word.removeprefix("--mode=") for c in commands_in(TEXT) for word in c.words if word.startswith("--mode=")}
    assert named == {"create", "distributed", "wait"}
    assert named <= set(SEARCH_MODES)


def test_only_mlflow_reaches_the_s3_store_and_has_its_keys() -> None:
    assert [name for name, service in SERVICES.items() if "objects" in service["networks"]] == ["s3", "mlflow"]
    keys = [name for name, service in SERVICES.items() if "AWS_SECRET_ACCESS_KEY" in service["environment"]]
    assert keys == ["s3", "mlflow"]


def test_a_missing_password_is_told_with_its_remedy() -> None:
    secrets = {name: rest for name, rest in used_variables().items() if re.search(r"PASSWORD|KEY", name)}
    assert len(secrets) == 5
    assert set(secrets.values()) == {":?set it in docker/.env, see docker/.env.example"}
    others = {name: rest for name, rest in used_variables().items() if name not in secrets}
    assert all(rest.startswith(":-") for rest in others.values()), "what is no secret has a default"


def test_no_password_stands_in_a_url_or_a_command() -> None:
    assert not re.search(r"://[^/\s@]*:[^/\s@]*@", TEXT)
    for service in SERVICES.values():
        assert "PASSWORD" not in " ".join(map(str, service.get("command", [])))


def test_example_names_every_variable_and_gives_no_secret() -> None:
    named = dict(re.findall(r"^(?:# )?(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert named.keys() == used_variables().keys()
    assert {value for name, value in named.items() if re.search(r"PASSWORD|KEY", name)} == {""}


def test_defaults_are_those_of_the_example() -> None:
    named = dict(re.findall(r"^(\w+)=(.+)$", EXAMPLE, re.MULTILINE))
    assert {name: f":-{value}" for name, value in named.items()}.items() <= used_variables().items()


def test_volumes_are_declared() -> None:
    sources = {str(v).split(":")[0] for service in SERVICES.values() for v in service.get("volumes", [])}
    assert {source for source in sources if source[0] not in "./$"} | {"tables"} == COMPOSE["volumes"].keys()


def test_mounted_files_are_there() -> None:
    """The engine would create a folder for a missing file."""
    mounted = [str(v).split(":")[0] for service in SERVICES.values() for v in service.get("volumes", [])]
    files = [ROOT / "docker" / path for path in mounted if path.startswith(".")]
    assert len(files) == 2 and all(file.is_file() for file in files)
