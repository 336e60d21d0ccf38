"""Parses words such as `WORKERS=8`, and checks them with the parsers of `src` before a pod is created."""

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from k8s.containers import RUN
from src.cli import chosen_targets, run_settings
from src.errors import ConfigError
from src.modeling.train_with_optuna import build_parser
from src.names import check_study_name
from src.option_lookup import options_of
from src.secrets import mask_url
from src.suggest import did_you_mean, one_line

OVERLAYS = Path(__file__).resolve().parents[1] / "overlays"
SETTINGS: Mapping[str, str] = {setting.key: setting.value for setting in RUN.items}
"""Keys of the base's ConfigMap `settings`, with their defaults."""
SECONDS = ("WAIT_SECONDS", "IDLE_SECONDS")
TOKEN = "RUN_TOKEN"
LONGEST_NAME = 48
"""A Job's name with an index must fit into the 63 characters of a host name."""
PARTS = ("services", "run")
"""Folders of an overlay: the permanent services, and one run."""
POD_SOURCES = ("s3://", "postgresql://", "postgresql+psycopg2://")
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Place:
    """The overlay and the cluster of a command.

    Attributes:
        overlay: folder with `services` and `run` in it.
        kubectl: the program with its first arguments.
    """

    overlay: Path
    kubectl: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        study: name of the study.
        workers: number of pods that run trials.
        settings: values that differ from the base's settings, by key.
        table: text of the `--config` file; None without one.
    """

    study: str
    workers: int
    settings: Mapping[str, str]
    table: str | None

    @property
    def name(self) -> str:
        """The suffix of the names of the run's objects."""
        return run_name(self.study)


def given(words: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The values of `NAME=value` words.

    Raises:
        ConfigError: a word is not of this form, or its name is unknown.
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ConfigError(f"{one_line(name, 60)} is unknown{did_you_mean(name, known)}: use {', '.join(known)}")
        values[name] = value
    return values


def place_of(values: Mapping[str, str]) -> Place:
    """The overlay and the program of a command.

    Raises:
        ConfigError: there is no such overlay.
    """
    overlay = values.get("OVERLAY", "local")
    folder = Path(overlay).expanduser() if "/" in overlay else OVERLAYS / overlay
    if not _is_overlay(folder):
        known = sorted(folder.parent.name for folder in OVERLAYS.glob("*/run"))
        raise ConfigError(
            f"OVERLAY={one_line(overlay, 150)} is unknown{did_you_mean(overlay, known)}: use {' or '.join(known)}, or "
            f"the path of a folder that contains {' and '.join(PARTS)}, such as k8s/examples/team"
        )
    return Place(folder, tuple(shlex.split(values.get("KUBECTL", "kubectl"))))


def _is_overlay(folder: Path) -> bool:
    try:
        return all((folder / part / "kustomization.yaml").is_file() for part in PARTS)
    except OSError:  # a name that is too long, a folder without read permission
        return False


def run_of(values: Mapping[str, str], now: datetime | None = None) -> Run:
    """The run that the values describe.

    Args:
        values: by name in capitals: WORKERS, and keys of the base's settings.
        now: the time in the name of a run without a STUDY_NAME; None for the current time.

    Raises:
        ConfigError: a value is invalid, or cannot be used in a pod.
        SystemExit: the command's parser rejects a value, with status 2 and a one-line message.
    """
    workers = values.get("WORKERS", "4")
    if not workers.isdecimal() or int(workers) < 1:
        raise ConfigError(f"WORKERS={workers} is not a number of workers: use 1 or more")
    settings = {name: value for name, value in values.items() if name in SETTINGS}
    targets, table = _checked(settings)
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d_%H%M%S")
    target = settings.get("TARGET", SETTINGS["TARGET"])
    study = settings.get("STUDY_NAME") or f"{'targets' if ',' in target else target}_{stamp}"
    run_name(study)
    for name in [study] if len(targets) == 1 else [f"{study}_{target}" for target in targets]:
        check_study_name(name)
    settings["STUDY_NAME"] = study
    settings[TOKEN] = f"{stamp}-{secrets.token_hex(4)}"  # a new token for every run, even of the same study
    return Run(study, int(workers), settings, table)


def run_name(study: str) -> str:
    """A study's name converted to a Kubernetes name: lower-case letters, digits and hyphens.

    Raises:
        ConfigError: the converted name is empty or too long.
    """
    name = re.sub(r"[^a-z0-9]+", "-", study.lower()).strip("-")
    if not name or len(name) > LONGEST_NAME:
        shown = one_line(study, 60)
        raise ConfigError(f"STUDY_NAME={shown} cannot name a run: use letters and digits, {LONGEST_NAME} at most")
    return name


def is_on(name: str, values: Mapping[str, str]) -> bool:
    """The value of a switch such as DRY_RUN=1.

    Raises:
        ConfigError: the value is neither yes nor no.
    """
    value = values.get(name, "").lower()
    if value not in TRUE + FALSE:
        raise ConfigError(f"{name}={value} is neither yes nor no: use 1, or omit it")
    return value in TRUE


def _checked(settings: dict[str, str]) -> tuple[list[str], str | None]:
    """Checks settings as every pod would, sets the `--config` path in pods; returns targets and the file's text."""
    table = settings.get("CONFIG")
    known = [option for option in options_of("tune") if option.variable in settings]
    args = build_parser().parse_args([f"--{option.name}={settings[option.variable]}" for option in known])
    targets = chosen_targets(args.targets, run_settings(args).data.table.targets)
    for name in SECONDS:
        seconds = settings.get(name, "1")
        if not seconds.isdecimal() or int(seconds) < 1:
            raise ConfigError(f"{name}={seconds} is not a time: use whole seconds above 0")
    data = settings.get("DATA", "")
    if mask_url(data) != data:
        raise ConfigError(
            f"DATA={mask_url(data)} contains a password: remove it, and set DATA_PGPASSWORD in the Secret"
        )
    if data and not data.startswith(POD_SOURCES):
        raise ConfigError(f"DATA={data} is a local path that pods cannot read: use s3://… or postgresql://…")
    if not table:
        return targets, None
    settings["CONFIG"] = "/config/table.yaml"
    return targets, Path(table).read_text(encoding="utf-8")
