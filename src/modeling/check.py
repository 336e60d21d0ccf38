"""Checks a table before anything is trained on it: can it be trusted?

    python -m src.modeling.check --data table.parquet --config table.yaml
    python -m src.modeling.check --data table.parquet --feature-function my_features:make

Prints one table of findings. Exit status 0, or 3 where something is suspicious.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from src.cli import checked_seed, chosen_targets, command_parser, data_settings, run_command
from src.config import DataSettings, TableConfig
from src.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from src.data.table import Dataset
    from src.table_check.feature_function import RawTable
    from src.table_check.findings import Finding

SUSPICIOUS = 3


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser("check", "Checks dates, accounts, changes over time and leaks of a table.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, 3 where something is suspicious."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _command(args), args.verbose)


def _command(args: argparse.Namespace) -> int:
    data = data_settings(args)
    targets = chosen_targets(args.targets, data.table.targets)
    named = targets if targets != list(data.table.targets) else []
    seed = checked_seed(args.seed)
    if args.json is not None:
        _check_output(args.json)
    findings, source = _findings(data, named, args.feature_function, seed)
    return _report(findings, source, args.json)


def _findings(
    data: DataSettings, targets: Sequence[str], function_name: str | None, seed: int
) -> tuple[list["Finding"], str]:
    """All findings, and the description of the table."""
    from src.data.sources.dispatch import describe_source, read_table
    from src.table_check.check_table import check_table
    from src.table_check.feature_function import check_function, load_function

    function = None if function_name is None else load_function(function_name)
    source = describe_source(data.source, data.query)
    frame = read_table(data.source, data.query)
    datasets = _datasets(frame, data.table, targets, source)
    of_function = [] if function is None else check_function(function, _raw(frame, data.table, datasets), seed)
    return [*check_table(datasets, seed), *of_function], source


def _datasets(frame: "pd.DataFrame", table: TableConfig, targets: Sequence[str], source: str) -> list["Dataset"]:
    """The table once per target; without named targets, per target that it has."""
    from src.data.table import load_dataset

    names = {str(name) for name in frame.columns}
    chosen = targets or [target for target in table.targets if target in names] or list(table.targets)[:1]
    datasets: list[Dataset] = []
    for target in chosen:
        data = load_dataset(frame, table, target, source)
        if datasets and _same_rows(data, datasets[0]):  # the same features: kept in memory once
            data = replace(data, features=datasets[0].features)
        datasets.append(data)
    return datasets


def _same_rows(data: "Dataset", other: "Dataset") -> bool:
    assert data.positions is not None and other.positions is not None
    return len(data.y) == len(other.y) and bool((data.positions == other.positions).all())


def _raw(frame: "pd.DataFrame", table: TableConfig, datasets: Sequence["Dataset"]) -> "RawTable":
    from src.table_check.feature_function import RawTable

    if datasets[0].dates is None or table.date is None:
        raise ConfigError("--feature-function needs a table with dates: name the column with date: in --config")
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    account = None if datasets[0].accounts is None else table.account
    outcomes = tuple(name for name in dict.fromkeys([*table.targets, *table.known_after]) if name in frame.columns)
    return RawTable(frame, table.date, account, outcomes)


def _report(findings: Sequence["Finding"], source: str, path: Path | None) -> int:
    from src.disk import write_atomically
    from src.table_check.findings import verdict
    from src.table_check.report import as_json, as_text
    from src.tracking.check_record import log_check

    record, text = as_json(findings, source), as_text(findings, source)
    sys.stdout.write(text + "\n")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    log_check(record, text, os.environ)
    return SUSPICIOUS if verdict(findings) == "suspicious" else 0


def _check_output(path: Path) -> None:
    from src.disk import check_folder

    if path.is_dir():
        raise ConfigError(f"--json {path} is a folder: give the path of a file")
    check_folder("--json", path.parent)


if __name__ == "__main__":
    sys.exit(main())
