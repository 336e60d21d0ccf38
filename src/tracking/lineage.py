"""Shows where a registered model comes from: version, run, study, trials, data, commit.

    python -m src.tracking.lineage models:/net_profit@champion
    python -m src.tracking.lineage net_profit_20240101_120000 --json -

A run id or a study name leads to its registered versions. What a store that cannot be reached would have said is one
line at the end; the rest is shown.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import command_parser, run_command
from src.errors import ConfigError
from src.suggest import number, text_table
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    from src.tracking.lineage_records import Lineage

HEADER = ("what", "name", "details")


def lineage_text(found: "Lineage") -> str:
    """A table of what belongs together, then the notes."""
    return "\n".join([*text_table(HEADER, _rows(found)), *found.notes])


def _rows(found: "Lineage") -> Iterator[tuple[str, str, str]]:
    for version in found.versions:
        yield "version", version["uri"], _joined(*version["aliases"], f"registered {version['registered_at']}")
        if version["decision_run"]:
            yield "decision", version["decision_run"], "the latest decision of promote on this version"
    if run := found.run:
        if not found.versions:
            yield "version", "-", "none is registered"
        deleted = "deleted" if run["is_deleted"] else None
        who = f"by {run['user']}" if run["user"] else None
        experiment = f"experiment {run['experiment']}"
        yield "run", run["run_id"], _joined(run["name"], experiment, run["status"], run["outcome"], who, deleted)
    if study := found.study:
        states = [f"{count} {state}" for state, count in sorted(study["trials"].items())]
        yield "study", study["name"], _joined(*states, f"{study['direction']}, in {study['store']}")
    for trial in found.trials:
        run_id = f"run {trial['run_id']}" if trial.get("run_id") else None
        yield (
            "trial",
            str(trial["number"]),
            _joined(f"weight {number(trial['weight'])}", f"validation score {number(trial['value'])}", run_id),
        )
    if found.data:
        yield "data", str(found.data["digest"] or "-"), _data(found.data)
    if found.code:
        yield "commit", found.code.get("commit") or "not recorded", _code(found.code)


def _data(data: dict[str, Any]) -> str:
    dates = data.get("training_dates")
    rows = data.get("training_rows")
    return _joined(
        data["source"],
        None if rows is None else f"{rows:,} training rows",
        f"{dates[0]} … {dates[-1]}" if dates else None,
    )


def _code(code: dict[str, Any]) -> str:
    libraries = [f"{name} {version}" for name, version in (code.get("libraries") or {}).items()]
    return _joined(code.get("module"), f"host {code['host']}" if code.get("host") else None, *libraries)


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = command_parser("lineage", "Shows where a registered model comes from, and what a run or a study led to.")
    parser.add_argument("subject", nargs="?", metavar="SUBJECT", help="same as --of")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, which is 0 also if a store could not be reached."""
    args = build_parser().parse_args(argv)

    def command() -> int:
        from src.disk import write_atomically

        subject = args.subject or args.of
        if not subject or (args.subject and args.of):
            raise ConfigError("give one of models:/<name>@champion, models:/<name>/<version>, a run id or a study name")
        check_tracking_uri(os.environ)
        from src.tracking.connection.tracking_check import refuse_denied_access
        from src.tracking.lineage_records import trace

        refuse_denied_access(os.environ)
        found = trace(subject, args.storage_url, args.storage_dir)
        text = json.dumps(asdict(found), indent=2) + "\n"
        if args.json is not None and args.json != "-":
            write_atomically(Path(args.json), text)
        sys.stdout.write(text if args.json == "-" else lineage_text(found) + "\n")
        return 0

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
