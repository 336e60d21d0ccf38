"""Every option of every command, once: its name, kind, default, help, and the commands that take it.

The parsers are built from this table (`src.cli.command_parser`). `make options` writes every other place that names
options: the entry points of MLproject, the lists of the Makefile, and the settings and arguments of the pods, which
`k8s/containers.py` describes. `make check` refuses files that differ from the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from src.config import (
    CV_MODES,
    IDLE_SECONDS,
    PREDICTION_ENDINGS,
    PREDICTIONS,
    PRUNERS,
    SAMPLERS,
    PromotionSettings,
    RunSettings,
    SearchSettings,
    SplitSettings,
)

SEARCH_MODES = {
    "parallel": "the whole flow, trials in processes",
    "distributed": "one worker's trials of a shared study, until it has its total",
    "create": "make a shared study and run nothing",
    "wait": "until a study has its total, --timeout seconds at most",
}
PROMOTE_MODES = {
    "on": "move the aliases of the better challengers",
    "dry-run": "is --dry-run",
    "off": "do nothing",
}


@dataclass(frozen=True)
class Command:
    """What an entry point of MLproject or a pod runs: a module, with options whose values never vary.

    Attributes:
        module: has `build_parser` and `main`; several commands may be modes of one module.
        fixed: values of options that make this command out of the module.
        entry_point: MLproject has it.
    """

    module: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    entry_point: bool = True


_PARALLEL = "src.modeling.optuna_parallel_optimization"
COMMANDS: Mapping[str, Command] = {
    "tune": Command("src.modeling.train_with_optuna"),
    "parallel": Command(_PARALLEL, {"mode": "parallel"}),
    "worker": Command(_PARALLEL, {"mode": "distributed"}),
    "create": Command(_PARALLEL, {"mode": "create"}, entry_point=False),
    "wait": Command(_PARALLEL, {"mode": "wait"}, entry_point=False),
    "report": Command("src.modeling.optuna_visualization"),
    "promote": Command("src.tracking.promote"),
    "predict": Command("src.serving.predict"),
}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: without its dashes.
        kind: of its value: int, float, str, Path, bool for a switch, list for words, separated by commas too.
        default: of this kind, or None.
        help: one line of `--help`, and the comment of its setting in Kubernetes.
        group: its heading in `--help`.
        commands: that take it, names in COMMANDS.
        metavar: stands for the value in `--help`; the name in capitals when empty.
        parameter: its name in MLproject; made of its name when empty.
        in_pods: a setting gives it its value in Kubernetes. False where the machine decides it (its store, its
            processors, its folders), or where another option says the same.
        overrides: attributes that differ for a command, by the command's name.
    """

    name: str
    kind: type
    default: Any
    help: str
    group: str
    commands: tuple[str, ...]
    metavar: str = ""
    parameter: str = ""
    in_pods: bool = True
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metavar", self.metavar or self.name.upper())
        object.__setattr__(self, "parameter", self.parameter or self.name.replace("-", "_"))

    def of(self, command: str) -> "Option":
        """The option as one command has it."""
        return replace(self, **self.overrides.get(command, {}))

    @property
    def variable(self) -> str:
        """Its name on make's command line and among the settings in Kubernetes."""
        return self.parameter.upper()

    @property
    def default_text(self) -> str:
        """The default as a command line gives it; empty without one."""
        if self.kind is bool:
            return str(self.default).lower()
        if self.kind is list:
            return ",".join(self.default)
        return "" if self.default is None else str(self.default)


def _listed(modes: Mapping[str, str]) -> str:
    return "; ".join(f"{mode}: {what}" for mode, what in modes.items())


TUNING = ("tune", "parallel", "worker", "create")
ON_TABLES = (*TUNING, "promote", "predict")
SHARED = ("worker", "create", "wait")
"""Commands of a study that many machines share."""
STORED = (*TUNING, "wait", "report")
_AUTOMATIC = {"default": None, "help": "processes that run trials; all CPUs, or 1 if distributed"}

OPTIONS: tuple[Option, ...] = (
    Option("mode", str, "parallel", _listed(SEARCH_MODES), "how", ("parallel", *SHARED)),
    Option("mode", str, "on", _listed(PROMOTE_MODES), "how", ("promote",), in_pods=False),
    Option(
        "check", bool, False, "look at the options only: is each of them possible", "how", ("promote",), in_pods=False
    ),
    Option(
        "targets", list, ["all"], "names, comma-separated too, or all", "what", (*TUNING, "wait", "promote"),
        metavar="TARGET", parameter="target",
    ),
    Option("target", str, None, "predict with this target's champion", "what", ("predict",)),
    Option(
        "model", str, None, "predict with models:/NAME@ALIAS, models:/NAME/3, runs:/…, a folder", "what", ("predict",)
    ),
    Option("data", str, None, "Parquet file or folder, CSV, s3://…, SQL URL; the sample if absent", "what", ON_TABLES),
    Option("query", str, None, "SELECT statement, with a SQL URL", "what", ON_TABLES),
    Option("config", Path, None, "YAML file naming columns, features and targets", "what", (*ON_TABLES, "wait")),
    Option(
        "ensemble", list, [], "several: each target's newest study; or names of studies, or TARGET=STUDY", "what",
        ("report",), metavar="TARGET",
    ),
    Option("n-trials", int, SearchSettings.n_trials, "the study's total", "search", TUNING),
    Option(
        "timeout", float, SearchSettings.timeout, "seconds for the search of one target", "search", (*TUNING, "wait")
    ),
    Option(
        "max-workers", int, SearchSettings.max_workers, "processes that run trials", "search", TUNING, in_pods=False,
        overrides={command: _AUTOMATIC for command in TUNING if command != "tune"},
    ),
    Option(
        "sampler", str, SearchSettings.sampler, f"who proposes parameters: {', '.join(SAMPLERS)}", "search", TUNING
    ),
    Option(
        "pruner", str, SearchSettings.pruner, f"who stops bad trials early: {', '.join(PRUNERS)}", "search", TUNING
    ),
    Option(
        "ensemble-size", int, RunSettings.ensemble_size,
        "trials, at most, that the final model is made of; 1 is no ensemble", "search", TUNING,
    ),
    Option("seed", int, SearchSettings.seed, "of split, search and LightGBM", "search", TUNING),
    Option(  # `cv` says it too, and in a pod there is one setting for it
        "use-cv", bool, SplitSettings.use_cv, "walk forward over expanding windows", "evaluation", TUNING,
        in_pods=False,
    ),
    Option(
        "cv", str, CV_MODES[0], f"{', '.join(CV_MODES)}: on is --use-cv, auto takes 3 windows where it can",
        "evaluation", TUNING,
    ),
    Option("n-folds", int, SplitSettings.n_folds, "windows, with --use-cv", "evaluation", TUNING),
    Option(
        "purge-days", int, SplitSettings.purge_days, "dates left out between training and whatever is judged",
        "evaluation", (*TUNING, "promote"),
    ),
    Option(
        "test-fraction", float, SplitSettings.test_fraction, "of the dates, the last; 0 keeps no hold-out",
        "evaluation", (*TUNING, "promote"), overrides={"promote": {"help": "of the dates, the last; 1 takes all"}},
    ),
    Option(
        "valid-fraction", float, SplitSettings.valid_fraction, "of the dates that are left, the last", "evaluation",
        TUNING,
    ),
    Option(
        "min-probability", float, PromotionSettings.min_probability, "confidence that the challenger must reach",
        "evaluation", ("promote",),
    ),
    Option(
        "dry-run", bool, PromotionSettings.dry_run, "show the decision and move nothing", "evaluation", ("promote",),
        in_pods=False,
    ),
    Option(
        "storage-url", str, None, "postgresql://… or sqlite:///…, else OPTUNA_POSTGRES_*, else:", "where", STORED,
        in_pods=False,
    ),
    Option(
        "storage-dir", Path, SearchSettings.storage_dir, "folder of the embedded store", "where", STORED, in_pods=False
    ),
    Option(
        "study-name", str, SearchSettings.study_name, "goes on with this study, or names a new one", "where", STORED,
        overrides={"report": {"help": "the study; the newest when none is named"}},
    ),
    Option(
        "output-dir", Path, RunSettings.output_dir, "folder of models and reports", "where",
        (*TUNING, "report", "promote"), in_pods=False,
        overrides={"promote": {"default": None, "help": "write each decision as JSON into its folder promotions, too"}},
    ),
    Option("output", Path, PREDICTIONS, f"where to, as {', '.join(PREDICTION_ENDINGS)}", "where", ("predict",)),
    Option("no-register", bool, False, "leave the model registry alone", "where", ("tune", "parallel", "worker")),
    Option("verbose", bool, False, "log what happens, with tracebacks", "where", tuple(COMMANDS)),
    Option(
        "worker-id", str, None, "names a distributed worker in its log; else JOB_COMPLETION_INDEX, or host and process",
        "a shared study", ("worker",), in_pods=False,
    ),
    Option(
        "run-token", str, None,
        "of create, workers and wait that start at once: create writes it on the study, and the others wait for it",
        "a shared study", SHARED,
    ),
    Option(
        "create", bool, False, "a worker first does what --mode create does: for a run without a create of its own",
        "a shared study", ("worker",), in_pods=False,
    ),
    Option(
        "idle-timeout", float, None,
        f"seconds without a sign of a worker that are waited; {IDLE_SECONDS} with --run-token, else for ever",
        "a shared study", ("worker", "wait"),
    ),
)  # fmt: skip


def options_of(*commands: str) -> list[Option]:
    """The options that commands take, as the first of them that takes it has each, in the order of the table.

    Those whose value a command fixes are among them.
    """
    takers = [(option, [name for name in commands if name in option.commands]) for option in OPTIONS]
    return [option.of(names[0]) for option, names in takers if names]


def parser_options(command: str) -> list[Option]:
    """The options of a command's module: those of all commands that share its parser."""
    return options_of(*(name for name, other in COMMANDS.items() if other.module == COMMANDS[command].module))


def arguments(command: str, values: Mapping[str, str]) -> list[str]:
    """The words after `python -m` that run a command.

    Args:
        command: its name.
        values: of options, such as `{n_trials}` or `$(N_TRIALS)`, by the option's name; the others are left out.

    Raises:
        KeyError: the command does not take one of them.
    """
    said = {**values, **COMMANDS[command].fixed}
    words = [f"--{option.name}={said.pop(option.name)}" for option in options_of(command) if option.name in said]
    if said:
        raise KeyError(f"{command} takes no {', '.join(said)}")
    return [COMMANDS[command].module, *words]
