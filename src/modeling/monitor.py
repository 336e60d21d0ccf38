"""Compares newer rows with the training rows of the champion: drift, predictions, score.

    python -m src.modeling.monitor --targets net_profit --data new.parquet --reference-data table.parquet

Prints a table per target, writes a report page and an MLflow run. Exit status 0, or 3 where an alarm rings. Thresholds
come from blocks of the training period, so that a run without drift rings with the chance `--false-alarm-rate`.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import chosen_targets, command_parser, data_settings, run_command
from src.config import DataSettings
from src.errors import ConfigError, DataError
from src.secrets import mask_url
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    from src.monitoring.measure import Limits
    from src.monitoring.read_periods import KeyedTable
    from src.monitoring.result import Monitored
    from src.tracking.registry.champions import Champion

log = logging.getLogger(__name__)

ALARM = 3


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser("monitor", "Compares newer rows with the training rows of the champion.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, 3 where an alarm rings."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _command(args), args.verbose)


def _command(args: argparse.Namespace) -> int:
    check_tracking_uri(os.environ)
    data = data_settings(args)
    limits = _limits(args)
    from src.tracking.registry.champions import load_champions

    named = ",".join(args.targets).strip() not in ("", "all")
    champions = load_champions(chosen_targets(args.targets, data.table.targets), skip_missing=not named)
    new, reference = _tables(data, args.reference_data)
    results = [_monitor(champion, new, reference, data, limits) for champion in champions]
    if args.predictions is not None:
        results = [_with_logged(result, new, data, (args.predictions, args.log_table)) for result in results]
    for result in results:
        _report(result, args.output_dir)
    if args.json is not None:
        _write_json(results, args.json)
    return ALARM if any(result.alarms for result in results) else 0


def _limits(args: argparse.Namespace) -> "Limits":
    """The checked options, before anything is read."""
    from src.disk import check_folder
    from src.monitoring.measure import Limits

    check_folder("--output-dir", args.output_dir / "reports")
    if args.json is not None:
        if args.json.is_dir():
            raise ConfigError(f"--json {args.json} is a folder: give the path of a file")
        check_folder("--json", args.json.parent)
    return Limits(args.false_alarm_rate, args.window)


def _tables(data: DataSettings, reference: str | None) -> tuple["KeyedTable", "KeyedTable"]:
    """The table with the new rows, and the one with the training rows, which may be the same."""
    from src.data.sources.dispatch import describe_source, read_table
    from src.monitoring.read_periods import keyed_table

    source = describe_source(data.source, data.query)
    new = keyed_table(read_table(data.source, data.query), data.table.date, source)
    if reference is None:
        return new, new
    old = keyed_table(read_table(reference, None), data.table.date, describe_source(reference, None))
    return new, old


def _monitor(
    champion: "Champion", new: "KeyedTable", reference: "KeyedTable", data: DataSettings, limits: "Limits"
) -> "Monitored":
    import numpy as np

    from src.monitoring.measure import measure
    from src.monitoring.read_periods import choose_rows, read_periods

    metadata = champion.metadata
    chosen = choose_rows(reference, new, metadata, champion.uri)
    pairs = ((reference, chosen.reference), (new, chosen.new))
    predictions = np.concatenate([champion.predict(table.frame, rows) for table, rows in pairs])
    periods = read_periods(reference, new, chosen, metadata, data.table.account)
    labels = _labels(new, chosen.new, champion.target, data)
    return measure(champion.uri, metadata, periods, predictions, labels, limits)


def _with_logged(result: "Monitored", new: "KeyedTable", data: DataSettings, log_of: tuple[str, str]) -> "Monitored":
    """Adds the scores of logged predictions on the new rows."""
    import numpy as np

    from src.data.keys import parse_accounts
    from src.data.sources.blocks import open_table
    from src.data.sources.dispatch import SQL_SCHEMES, scheme_of
    from src.monitoring.answered import Answered, Outcomes, read_log, score_log

    source, table = log_of
    rows = np.flatnonzero(new.days >= np.datetime64(result.new.first))
    labels = _labels(new, rows, result.target, data)
    if labels is None:
        note = f"logged predictions are not scored: {new.source} has no column {result.target!r}, the target"
        return replace(result, answered=Answered(data.table.targets[result.target].metric, (), (), (note,)))
    known = ~np.isnan(labels[1])
    rows, account = rows[known], data.table.account
    has_accounts = account is not None and account in new.frame
    accounts = parse_accounts(new.frame[account].iloc[rows], rows) if has_accounts else None
    outcomes = Outcomes(labels[0], accounts, new.days[rows], labels[1][known])
    names = data.table if has_accounts else replace(data.table, account=None)
    query = f"SELECT * FROM {_quoted(table)}" if scheme_of(source) in SQL_SCHEMES else None
    try:
        with open_table(source, query) as blocks:
            log_rows = read_log(blocks, result.target, names, mask_url(source))
    except DataError as error:  # its message names --data and --query
        raise DataError(f"--predictions {mask_url(source)} cannot be read: {error}") from error
    return replace(result, answered=score_log(log_rows, outcomes))


def _quoted(table: str) -> str:
    """A table's name in a SELECT, `schema.table` with a schema."""
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in table.rsplit(".", 1))


def _labels(new: "KeyedTable", rows: Any, target: str, data: DataSettings) -> Any:
    """The metric and the target of the new rows, NaN where it is missing; None if the table does not have it."""
    from src.data.target import read_target

    if target not in new.frame.columns:
        return None
    return data.table.targets[target].metric, read_target(new.frame[target].iloc[rows], target, data.table)


def _report(result: "Monitored", output_dir: Path) -> None:
    from src.monitoring.result import as_text
    from src.reporting.html.page import write_html
    from src.reporting.monitor_report import monitor_document
    from src.tracking.monitor_record import log_monitoring

    text = as_text(result)
    path = output_dir / "reports" / f"monitor-{result.target}-{result.new.last}" / "report.html"
    write_html(monitor_document(result), path)
    sys.stdout.write(f"{text}\nreport: {path}\n\n")
    log_monitoring(result, text, path, os.environ)


def _write_json(results: Sequence["Monitored"], path: Path) -> None:
    from src.disk import write_atomically
    from src.monitoring.result import as_json

    record = {"targets": [as_json(result) for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
