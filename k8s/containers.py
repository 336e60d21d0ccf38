"""Which command each container of a run and of a night calls, and the settings that give its options their values.

An option that a pod can use has a setting of its name: a key of a ConfigMap. The table of `src/options.py` therefore
says nearly everything, and what is special to Kubernetes is here. `make options` writes the data of the ConfigMaps and
the arguments of the containers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from src.config import IDLE_SECONDS
from src.options import Option, arguments, options_of

_REFERENCE = re.compile(r"\$\((\w+)\)")
DEFAULTS = {"WAIT_SECONDS": "86400", "IDLE_SECONDS": str(IDLE_SECONDS), "PROMOTE": "off"}
"""Of the settings that are not named like an option."""
MEANINGS = {
    "DATA": "s3://bucket/key or postgresql://user@host/database; the sample table when empty",
    "CONFIG": "/config/table.yaml where the ConfigMap `table` holds such a file",
    "STUDY_NAME": "with several targets, that of each is STUDY_NAME_<target>",
    "RUN_TOKEN": "of one `make fanout`; with one, workers and finish wait for create",
    "WAIT_SECONDS": "how long the finish waits for the workers",
    "IDLE_SECONDS": "how long one waits without a sign of a worker; more where pods queue for machines",
    "PROMOTE": "dry-run: say what would be promoted; on: promote the challengers that are better",
}
"""Comments beside settings, where they are not the option's help."""


@dataclass(frozen=True)
class Container:
    """A container that runs a command of the product.

    Attributes:
        file: of its Job.
        name: of the container.
        command: a name in `src.options.COMMANDS`.
        fixed: values of options in place of the setting of their name, by the option's name.
    """

    file: str
    name: str
    command: str
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Its arguments: a module, then options."""
        values = {option.name: f"$({option.variable})" for option in options_of(self.command) if option.in_pods}
        return arguments(self.command, {**values, **self.fixed})


@dataclass(frozen=True)
class Setting:
    """A key of a ConfigMap, its value, and the comment beside it."""

    key: str
    value: str
    comment: str


@dataclass(frozen=True)
class Settings:
    """A ConfigMap of settings.

    Attributes:
        file: of the ConfigMap.
        containers: that take their settings from it; the first that takes an option gives a setting its default.
        values: that differ from the defaults, by key.
        from_job: keys that its pods have from their Job.
    """

    file: str
    containers: tuple[Container, ...]
    values: Mapping[str, str]
    from_job: tuple[str, ...] = ()

    @property
    def items(self) -> list[Setting]:
        """What the containers ask for, in the order of the table of options; last what is not named like an option."""
        asked = {key for each in self.containers for word in each.words for key in _REFERENCE.findall(word)}
        options = {option.variable: option for option in options_of(*(each.command for each in self.containers))}
        return [self._item(key, options.get(key)) for key in [*options, *DEFAULTS] if key in asked - {*self.from_job}]

    def _item(self, key: str, option: Option | None) -> Setting:
        default, comment = (option.default_text, option.help) if option else (DEFAULTS[key], "")
        return Setting(key, self.values.get(key, default), MEANINGS.get(key, comment))


_IDLE = {"idle-timeout": "$(IDLE_SECONDS)"}
_FINISH = {"timeout": "0.001", "output-dir": "artefacts"}
"""The search is over. What it did not reach in its time is not for one pod to do, hence next to no time."""
_NIGHT = "k8s/components/nightly/cron-job.yaml"
_AS_SET = {"mode": "$(PROMOTE)"}

RUN = Settings(
    "k8s/base/settings.yaml",
    (
        Container("k8s/base/create.yaml", "create", "create"),
        Container("k8s/base/work.yaml", "work", "worker", _IDLE),
        Container("k8s/base/finish.yaml", "wait", "wait", {"timeout": "$(WAIT_SECONDS)", **_IDLE}),
        Container("k8s/base/finish.yaml", "finish", "tune", _FINISH),
    ),
    {"TARGET": "is_profitable", "STUDY_NAME": "daily_profit"},
)
NIGHT = Settings(
    "k8s/components/nightly/settings.yaml",
    (
        Container(_NIGHT, "work", "worker", {"create": "true", **_IDLE}),
        Container(_NIGHT, "finish", "tune", _FINISH),
        Container(_NIGHT, "check", "promote", {"check": "true", **_AS_SET}),
        Container(_NIGHT, "promote", "promote", _AS_SET),
        Container("k8s/components/nightly/promote.yaml", "promote", "promote"),
    ),
    {"N_TRIALS": "200"},
    from_job=("STUDY_NAME", "RUN_TOKEN"),
)
