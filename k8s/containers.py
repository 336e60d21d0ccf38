"""The commands of the containers of runs, scheduled Jobs and servers, and the settings with their options' values.

Every option that a pod can use has a setting of the same name: a key of a ConfigMap. Most of it comes from the table in
`src/options.py`; only the parts specific to Kubernetes are here. `make options` writes the data of the ConfigMaps and
the arguments of the containers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from src.config import IDLE_SECONDS
from src.option_lookup import arguments, options_of
from src.option_types import Option

_REFERENCE = re.compile(r"\$\((\w+)\)")
DEFAULTS = {"WAIT_SECONDS": "86400", "IDLE_SECONDS": str(IDLE_SECONDS), "ONLY_ON_ALARM": "false", "PROMOTE": "off"}
"""Defaults of the settings that are not options."""
MEANINGS = {
    "DATA": "s3://bucket/key or postgresql://user@host/database; empty for the sample table",
    "CONFIG": "/config/table.yaml, if the ConfigMap `table` has such a file",
    "TOKEN_FILE": "/secrets/tokens, if the Secret `serving-tokens` has the key `tokens`: one bearer token per line",
    "LOG_PREDICTIONS": "folder of a volume that gets every prediction, in Parquet files",
    "STUDY_NAME": "with several targets, the study of each target is STUDY_NAME_<target>",
    "RUN_TOKEN": "identifies one `make fanout`; if set, workers and finish wait for create",
    "WAIT_SECONDS": "how long the finish waits for the workers",
    "IDLE_SECONDS": "how long to wait without any active worker; increase it if pods queue for nodes",
    "ONLY_ON_ALARM": "true: a night monitors the champions first, and searches only if an alarm rings",
    "PROMOTE": "off; dry-run: print what would be promoted; on: promote the better challengers",
}
"""Comments of settings that differ from the option's help."""


@dataclass(frozen=True)
class Container:
    """A container that runs a command of this project.

    Attributes:
        file: manifest of its Job or Deployment.
        name: of the container.
        command: a name in `src.options.COMMANDS`.
        fixed: values of options, by the option's name, that replace the settings of the same name.
    """

    file: str
    name: str
    command: str
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Its arguments: the module, then options."""
        values = {option.name: f"$({option.variable})" for option in options_of(self.command) if option.in_pods}
        return arguments(self.command, {**values, **self.fixed})


@dataclass(frozen=True)
class Setting:
    """A key of a ConfigMap, its value, and its comment."""

    key: str
    value: str
    comment: str


@dataclass(frozen=True)
class Settings:
    """A ConfigMap of settings.

    Attributes:
        file: manifest of the ConfigMap.
        containers: containers that use these settings; the first one with an option decides its default.
        values: values that differ from the defaults, by key.
        from_job: keys that the pods get from their Job.
        in_scripts: keys that the containers' shell scripts use, in addition to the options.
    """

    file: str
    containers: tuple[Container, ...]
    values: Mapping[str, str]
    from_job: tuple[str, ...] = ()
    in_scripts: tuple[str, ...] = ()

    @property
    def items(self) -> list[Setting]:
        """The settings that the containers use: options in the order of their table, then the others."""
        words = [word for container in self.containers for word in container.words]
        used = {key for word in words for key in _REFERENCE.findall(word)} | {*self.in_scripts}
        options = {
            option.variable: option for option in options_of(*(container.command for container in self.containers))
        }
        return [self._item(key, options.get(key)) for key in [*options, *DEFAULTS] if key in used - {*self.from_job}]

    def _item(self, key: str, option: Option | None) -> Setting:
        default, comment = (option.default_text, option.help) if option else (DEFAULTS[key], "")
        return Setting(key, self.values.get(key, default), MEANINGS.get(key, comment))


_IDLE = {"idle-timeout": "$(IDLE_SECONDS)"}
_FINISH = {"timeout": "0.001", "output-dir": "artefacts"}
"""The search is over; one pod must not run the remaining trials, so it gets almost no time."""
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
        Container(_NIGHT, "monitor", "monitor"),
        Container("k8s/components/monitor/cron-job.yaml", "monitor", "monitor"),
        Container("k8s/components/promote/cron-job.yaml", "promote", "promote"),
    ),
    {"N_TRIALS": "200"},
    from_job=("STUDY_NAME", "RUN_TOKEN"),
    in_scripts=("ONLY_ON_ALARM",),
)
SERVING = Settings(
    "k8s/components/serving/settings.yaml",
    (Container("k8s/components/serving/deployment.yaml", "serving", "serve", {"host": "0.0.0.0", "port": "8080"}),),
    {"TARGET": "is_profitable"},
)
ALL_SETTINGS = (RUN, NIGHT, SERVING)
