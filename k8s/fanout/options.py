"""What is asked for by words such as `WORKERS=8`, checked by the product's own parser before a pod is."""

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
from src.options import options_of
from src.secrets import mask_url
from src.suggest import did_you_mean, one_line

OVERLAYS = Path(__file__).resolve().parents[1] / "overlays"
SETTINGS: Mapping[str, str] = {each.key: each.value for each in RUN.items}
"""Keys of the base's ConfigMap `settings`, with their defaults."""
SECONDS = ("WAIT_SECONDS", "IDLE_SECONDS")
TOKEN = "RUN_TOKEN"
LONGEST_NAME = 48
"""A Job's name and an index must fit into the 63 characters of a host name."""
PARTS = ("services", "run")
"""Folders of an overlay: what stays between runs, and one run."""
POD_SOURCES = ("s3://", "postgresql://", "postgresql+psycopg2://")
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Place:
    """Where a command works.

    Attributes:
        overlay: folder with `services` and `run` in it.
        kubectl: the program and its first arguments.
    """

    overlay: Path
    kubectl: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One fan-out.

    Attributes:
        study: name of the study.
        workers: pods that run trials.
        settings: what differs from the base's settings, by key.
        table: text of the `--config` file, if one was given.
    """

    study: str
    workers: int
    settings: Mapping[str, str]
    table: str | None

    @property
    def name(self) -> str:
        """What the run's objects are called by."""
        return run_name(self.study)


def given(words: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The values of `NAME=value` words.

    Raises:
        ConfigError: a word is none, or its name means nothing here.
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ConfigError(
                f"{one_line(name, 60)} is unknown here{did_you_mean(name, known)}: use {', '.join(known)}"
            )
        values[name] = value
    return values


def place_of(values: Mapping[str, str]) -> Place:
    """Overlay and program.

    Raises:
        ConfigError: there is no such overlay.
    """
    overlay = values.get("OVERLAY", "local")
    folder = Path(overlay).expanduser() if "/" in overlay else OVERLAYS / overlay
    if not _is_overlay(folder):
        known = sorted(folder.parent.name for folder in OVERLAYS.glob("*/run"))
        raise ConfigError(
            f"OVERLAY={one_line(overlay, 150)} is unknown{did_you_mean(overlay, known)}: use {' or '.join(known)}, or "
            f"the path of a folder with {' and '.join(PARTS)} in it, as k8s/examples/team has them"
        )
    return Place(folder, tuple(shlex.split(values.get("KUBECTL", "kubectl"))))


def _is_overlay(folder: Path) -> bool:
    try:
        return all((folder / part / "kustomization.yaml").is_file() for part in PARTS)
    except OSError:  # a name that is too long, a folder that is closed to this user
        return False


def run_of(values: Mapping[str, str], now: datetime | None = None) -> Run:
    """The run that the values describe.

    Args:
        values: by name in capitals: WORKERS, and keys of the base's settings.
        now: gives a run without a STUDY_NAME its name; the present when None.

    Raises:
        ConfigError: a value is none that the product takes, or means nothing to a pod.
        SystemExit: a value that the product's parser refuses, with status 2 and one line.
    """
    workers = values.get("WORKERS", "4")
    if not workers.isdecimal() or int(workers) < 1:
        raise ConfigError(f"WORKERS={workers} is no number of workers: use 1 or more")
    settings = {name: value for name, value in values.items() if name in SETTINGS}
    targets, table = _checked(settings)
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d_%H%M%S")
    target = settings.get("TARGET", SETTINGS["TARGET"])
    study = settings.get("STUDY_NAME") or f"{'targets' if ',' in target else target}_{stamp}"
    run_name(study)
    for name in [study] if len(targets) == 1 else [f"{study}_{target}" for target in targets]:
        check_study_name(name)
    settings["STUDY_NAME"] = study
    settings[TOKEN] = f"{stamp}-{secrets.token_hex(4)}"  # another one each time, also for the same study
    return Run(study, int(workers), settings, table)


def run_name(study: str) -> str:
    """A study's name as Kubernetes takes names: small letters, digits and hyphens.

    Raises:
        ConfigError: nothing is left of it, or too much.
    """
    name = re.sub(r"[^a-z0-9]+", "-", study.lower()).strip("-")
    if not name or len(name) > LONGEST_NAME:
        shown = one_line(study, 60)
        raise ConfigError(f"STUDY_NAME={shown} names no run: use letters and digits, {LONGEST_NAME} at most")
    return name


def is_on(name: str, values: Mapping[str, str]) -> bool:
    """A switch such as DRY_RUN=1.

    Raises:
        ConfigError: the value is neither yes nor no.
    """
    value = values.get(name, "").lower()
    if value not in TRUE + FALSE:
        raise ConfigError(f"{name}={value} is neither yes nor no: use 1, or leave it out")
    return value in TRUE


def _checked(settings: dict[str, str]) -> tuple[list[str], str | None]:
    """Refuses what the product would refuse in every pod; gives targets and table file's text, and names its place."""
    table = settings.get("CONFIG")
    known = [option for option in options_of("tune") if option.variable in settings]
    args = build_parser().parse_args([f"--{option.name}={settings[option.variable]}" for option in known])
    targets = chosen_targets(args.targets, run_settings(args).data.table.targets)
    for name in SECONDS:
        seconds = settings.get(name, "1")
        if not seconds.isdecimal() or int(seconds) < 1:
            raise ConfigError(f"{name}={seconds} is no time: use whole seconds above 0")
    data = settings.get("DATA", "")
    if mask_url(data) != data:
        raise ConfigError(
            f"DATA={mask_url(data)} holds a password: leave it out, and give it to the Secret's DATA_PGPASSWORD"
        )
    if data and not data.startswith(POD_SOURCES):
        raise ConfigError(f"DATA={data} lies on this machine, where no pod can read it: use s3://… or postgresql://…")
    if not table:
        return targets, None
    settings["CONFIG"] = "/config/table.yaml"
    return targets, Path(table).read_text(encoding="utf-8")
