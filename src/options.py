"""The single definition of all options: name, type, default, help text, and the commands that take them.

`src/option_types.py` says what a row means, `src/option_lookup.py` looks rows up. The parsers are built from this table
(`src.cli.command_parser`). `make options` writes all other places that list options: the entry points of MLproject, the
lists of the Makefile, and the settings and arguments of the pods, which `k8s/containers.py` describes. `make check`
refuses files that differ from the table.
"""

from collections.abc import Mapping
from pathlib import Path

from src.config import (
    CV_MODES,
    DEVICES,
    FEATURE_MODES,
    IDLE_SECONDS,
    LOG_TABLE,
    PREDICTION_ENDINGS,
    PREDICTIONS,
    PRUNERS,
    SAMPLERS,
    PromotionSettings,
    RunSettings,
    SearchSettings,
    SplitSettings,
)
from src.model_settings import QUANTITIES, SELECTIONS, SPACES, ModelSettings
from src.option_types import Command, Option
from src.serve_settings import ServeSettings

SEARCH_MODES = {
    "parallel": "search in several processes, then final model and report",
    "distributed": "one worker of a shared study, until the study has its total",
    "create": "create a shared study and run no trial",
    "wait": "wait until a study has its total, at most --timeout seconds",
}
PROMOTE_MODES = {
    "on": "move the alias champion to better challengers",
    "dry-run": "same as --dry-run",
    "off": "do nothing",
}

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
    "check": Command("src.modeling.check"),
    "serve": Command("src.serving.serve"),
    "lineage": Command("src.tracking.lineage"),
    "monitor": Command("src.modeling.monitor"),
}


def _listed(modes: Mapping[str, str]) -> str:
    return "; ".join(f"{mode}: {description}" for mode, description in modes.items())


TUNING = ("tune", "parallel", "worker", "create")
ON_TABLES = (*TUNING, "promote", "predict", "check", "monitor")
SHARED = ("worker", "create", "wait")
"""Commands of a study that many machines share."""
STORED = (*TUNING, "wait", "report")
_AUTOMATIC = {"default": None, "help": "processes that run trials; default: all CPUs, or 1 if distributed"}

OPTIONS: tuple[Option, ...] = (
    Option("mode", str, "parallel", _listed(SEARCH_MODES), "mode", ("parallel", *SHARED)),
    Option("mode", str, "on", _listed(PROMOTE_MODES), "mode", ("promote",), in_pods=False),
    Option("check", bool, False, "check the options only, compare no models", "mode", ("promote",), in_pods=False),
    Option(
        "targets", list, ["all"], "target names, separated by spaces or commas, or all", "data",
        (*TUNING, "wait", "promote", "serve", "check", "monitor"), metavar="TARGET", parameter="target",
        overrides={"serve": {"help": "registered names, separated by spaces or commas, or all"}},
    ),
    Option(
        "of", str, None, "models:/NAME@ALIAS, models:/NAME/3, a run id or a study name", "data", ("lineage",),
        metavar="SUBJECT",
    ),
    Option(
        "target", list, [], "predict with the champions of these targets, separated by spaces or commas, or all",
        "data", ("predict",),
    ),
    Option(
        "model", str, None, "predict with models:/NAME@ALIAS, models:/NAME/3, runs:/… or a folder", "data",
        ("predict",),
    ),
    Option(
        "data", str, None, "Parquet file or folder, CSV file, s3://…, SQL URL, sample:bare; default: the sample table",
        "data", ON_TABLES,
    ),
    Option(
        "reference-data", str, None, "the training table, as --data takes it; default: the rows of --data up to the "
        "champion's last training date", "data", ("monitor",),
    ),
    Option("query", str, None, "SELECT statement, for a SQL URL", "data", ON_TABLES),
    Option(
        "config", Path, None, "YAML file that names columns, features and targets", "data",
        (*ON_TABLES, "wait", "serve"),
        overrides={"serve": {"help": "YAML file that names targets and, for the log, the account and date columns"}},
    ),
    Option(
        "features", str, None,
        f"{', '.join(FEATURE_MODES)}: columns of the table, features derived from past rows, or both; default: own if "
        "the table has feature columns", "data", TUNING,
    ),
    Option(
        "ensemble", list, [], "report on several studies: targets (their newest studies), study names, TARGET=STUDY",
        "data", ("report",), metavar="TARGET",
    ),
    Option(
        "feature-function", str, None,
        "module:function that makes features from a table: they are recomputed on shorter histories", "data",
        ("check",), in_pods=False,
    ),
    Option("n-trials", int, SearchSettings.n_trials, "total of finished trials of the study", "search", TUNING),
    Option(
        "timeout", float, SearchSettings.timeout, "seconds for the search of one target", "search", (*TUNING, "wait")
    ),
    Option(
        "total-timeout", float, SearchSettings.total_timeout,
        "seconds for the whole command: reading, searches, final models, reports", "search",
        ("tune", "parallel", "worker"), in_pods=False,
    ),
    Option(
        "max-workers", int, SearchSettings.max_workers, "processes that run trials", "search", TUNING, in_pods=False,
        overrides={command: _AUTOMATIC for command in TUNING if command != "tune"},
    ),
    Option(
        "device", str, SearchSettings.device, f"{', '.join(DEVICES)}: gpu trains by OpenCL, with at most 255 bins",
        "search", ("tune", "parallel", "worker"), in_pods=False,
    ),
    Option("sampler", str, SearchSettings.sampler, f"Optuna sampler: {', '.join(SAMPLERS)}", "search", TUNING),
    Option("pruner", str, SearchSettings.pruner, f"Optuna pruner: {', '.join(PRUNERS)}", "search", TUNING),
    Option(
        "ensemble-size", int, RunSettings.ensemble_size,
        "most trials in the final model; 1 is the best trial alone", "search", TUNING,
    ),
    Option(
        "constraint", list, [], f"limits of the registered model, such as trees<=500; of {', '.join(QUANTITIES)}",
        "search", TUNING, metavar="NAME<=NUMBER", repeatable=True,
    ),
    Option(
        "select", str, ModelSettings.select, f"{', '.join(SELECTIONS)}: choice along the Pareto front", "search", TUNING
    ),
    Option("space", str, SPACES[0], f"{', '.join(SPACES)}, or a YAML file that narrows one of them", "search", TUNING),
    Option(
        "monotone", list, [], "features with which predictions only rise (:1) or only fall (:-1)", "search", TUNING,
        metavar="FEATURE:SIGN", repeatable=True,
    ),
    Option(
        "seed", int, SearchSettings.seed, "seed of split, search and LightGBM", "search", (*TUNING, "check"),
        overrides={"check": {"help": "seed of sampled accounts and of --feature-function's cuts", "group": "mode"}},
    ),
    Option(  # not in pods: `cv` has the same meaning there
        "use-cv", bool, SplitSettings.use_cv, "walk-forward validation with expanding windows", "evaluation", TUNING,
        in_pods=False,
    ),
    Option(
        "cv", str, CV_MODES[0], f"{', '.join(CV_MODES)}: on is --use-cv, auto takes 3 folds if data and budget allow",
        "evaluation", TUNING,
    ),
    Option("n-folds", int, SplitSettings.n_folds, "folds of --use-cv", "evaluation", TUNING),
    Option(
        "purge-days", int, SplitSettings.purge_days, "dates left out between training rows and validation or test rows",
        "evaluation", (*TUNING, "promote"),
    ),
    Option(
        "test-fraction", float, SplitSettings.test_fraction, "share of the dates (the latest) held out as test rows",
        "evaluation", (*TUNING, "promote"),
        overrides={"promote": {"help": "share of the dates (the latest) to compare on; 1 takes all"}},
    ),
    Option(
        "valid-fraction", float, SplitSettings.valid_fraction,
        "share of the remaining dates (the latest) for validation", "evaluation", TUNING,
    ),
    Option(
        "min-probability", float, PromotionSettings.min_probability,
        "1 minus the chance that challengers that are no better are ever promoted on the same dates",
        "evaluation", ("promote",),
    ),
    Option(
        "false-alarm-rate", float, 0.05, "chance of an alarm in a run without drift, over everything together",
        "evaluation", ("monitor",),
    ),
    Option(
        "window", int, None, "newest dates whose drift is judged; default: all new dates, at most a 20th of the "
        "training dates", "evaluation", ("monitor",),
    ),
    Option(
        "dry-run", bool, PromotionSettings.dry_run, "show the decision, move no alias", "evaluation", ("promote",),
        in_pods=False,
    ),
    Option(
        "approve-by", str, PromotionSettings.approve_by, "user who has to confirm before the alias moves", "approval",
        ("promote",), in_pods=False, metavar="USER",
    ),
    Option("approve", bool, False, "confirm the promotion that waits for you", "approval", ("promote",), in_pods=False),
    Option(
        "rollback", bool, False, "make the former champion champion again", "champions", ("promote",), in_pods=False
    ),
    Option(
        "history", bool, False, "show who was champion, from when to when, and why", "champions", ("promote",),
        in_pods=False,
    ),
    Option(
        "json", str, None, "JSON file, or - for the terminal", "champions", ("promote", "lineage"), in_pods=False,
        overrides={
        "promote": {"help": "with --history: JSON file, or - for the terminal"}, "lineage": {"group": "mode"}, },
    ),
    Option(
        "storage-url", str, None, "postgresql://… or sqlite:///…; default: OPTUNA_POSTGRES_*, then --storage-dir",
        "output", (*STORED, "lineage"), in_pods=False,
    ),
    Option(
        "storage-dir", Path, SearchSettings.storage_dir, "folder of the SQLite store", "output", (*STORED, "lineage"),
        in_pods=False,
    ),
    Option(
        "study-name", str, SearchSettings.study_name, "study to resume, or name of a new one", "output", STORED,
        overrides={"report": {"help": "study to report on; default: the newest"}},
    ),
    Option(
        "output-dir", Path, RunSettings.output_dir, "folder of models and reports", "output",
        (*TUNING, "report", "promote", "monitor"), in_pods=False,
        overrides={"promote": {"default": None, "help": "folder for the decisions as JSON, in promotions/"}},
    ),
    Option(
        "from", str, None, "predict rows from this date on, such as 2024-01-31; default: all rows", "mode",
        ("predict",), metavar="DATE",
    ),
    Option(
        "next-day", bool, False, "predict one row per account for the next trading day; only models with derived "
        "features", "mode", ("predict",),
    ),
    Option(
        "output", str, PREDICTIONS,
        f"file ({', '.join(PREDICTION_ENDINGS)}), folder/ of Parquet parts, or SQL URL", "output", ("predict",),
    ),
    Option("table", str, "predictions", "table of --output, if that is a SQL URL", "output", ("predict",)),
    Option("block-rows", int, 100_000, "rows that are read, predicted and written at a time", "mode", ("predict",)),
    Option("alias", str, ServeSettings.alias, "alias of the versions that answer; it is followed", "data", ("serve",)),
    Option(
        "shadow", str, ServeSettings.shadow, "alias, such as challenger, whose versions predict every request after it "
        "was answered", "data", ("serve",), metavar="ALIAS",
    ),
    Option("host", str, ServeSettings.host, "address to listen on; 0.0.0.0 is every address", "mode", ("serve",)),
    Option("port", int, ServeSettings.port, "port to listen on; 0 is any free port", "mode", ("serve",)),
    Option(
        "poll-seconds", float, ServeSettings.poll_seconds, "seconds between two looks at the aliases", "mode",
        ("serve",),
    ),
    Option("max-request-mb", float, ServeSettings.max_request_mb, "largest request, in MB", "mode", ("serve",)),
    Option("max-rows", int, ServeSettings.max_rows, "most rows of a request", "mode", ("serve",)),
    Option(
        "token-file", Path, ServeSettings.token_file, "file with accepted bearer tokens, one per line; default: none "
        "is needed", "mode", ("serve",),
    ),
    Option(
        "log-predictions", str, ServeSettings.log_predictions, "folder of Parquet files, or SQL URL, that gets every "
        "prediction with its time", "output", ("serve", "predict"), metavar="LOG",
    ),
    Option(
        "predictions", str, None, "logged predictions (folder or SQL URL, as --log-predictions had it): they are "
        "scored where --data has the target", "data", ("monitor",), metavar="LOG", in_pods=False,
    ),
    Option(
        "log-table", str, LOG_TABLE, "table of the logged predictions, if they are in a SQL database", "output",
        ("serve", "predict", "monitor"), in_pods=False, overrides={"monitor": {"group": "data"}},
    ),
    Option("json", Path, None, "file for the findings as JSON", "output", ("check", "monitor"), in_pods=False),
    Option("no-register", bool, False, "do not register the model", "output", ("tune", "parallel", "worker")),
    Option("verbose", bool, False, "log at DEBUG, with tracebacks", "output", tuple(COMMANDS)),
    Option(
        "worker-id", str, None, "worker name in the log; default: JOB_COMPLETION_INDEX, or host and process",
        "a shared study", ("worker",), in_pods=False,
    ),
    Option(
        "run-token", str, None,
        "same token for create, workers and wait of a run: create writes it on the study, the others wait for it",
        "a shared study", SHARED,
    ),
    Option(
        "create", bool, False, "create the study first, as --mode create does; for a run without that step",
        "a shared study", ("worker",), in_pods=False,
    ),
    Option(
        "idle-timeout", float, None,
        f"longest wait in seconds without worker activity; default: {IDLE_SECONDS} with --run-token, else no limit",
        "a shared study", ("worker", "wait"),
    ),
)  # fmt: skip
