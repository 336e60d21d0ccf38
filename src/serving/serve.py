"""Online inference: serves registered models over HTTP and follows their aliases.

python -m src.serving.serve --targets net_profit is_profitable --port 5001

`POST /<target>/invocations` takes MLflow's scoring protocol (JSON, CSV, Parquet); with one target `/invocations` too.
One process serves with threads; for more throughput start several behind a load balancer.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.cli import command_parser, run_command, settings_of
from src.config import TableConfig
from src.errors import TrackingError
from src.names import ALL_TARGETS, check_target_name
from src.search.stop_flag import exit_on_sigterm
from src.serve_settings import ServeSettings
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    from src.serving.online.follower import Slot


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "serve", "Serves registered models over HTTP in MLflow's protocol, and follows their aliases."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _command(args), args.verbose, milestones=True)


def _command(args: argparse.Namespace) -> int:
    check_tracking_uri(os.environ)
    settings = settings_of(ServeSettings, args)
    table = TableConfig()
    if args.config is not None:
        from src.config_file import load_table_config

        table = load_table_config(args.config)
    targets = _targets(args.targets, table)
    with exit_on_sigterm():
        _serve(settings, table, targets)
    return 0


def _targets(words: Sequence[str], table: TableConfig) -> list[str]:
    """The registered names; `all` means the targets of the table."""
    if list(words) == [ALL_TARGETS]:
        return list(table.targets)
    for word in words:
        check_target_name(word)
    return list(dict.fromkeys(words))


def _serve(settings: ServeSettings, table: TableConfig, targets: Sequence[str]) -> None:
    from src.serving.online.afterwards import Afterwards
    from src.serving.online.dispatcher import MEGABYTE, Dispatcher, Limits
    from src.serving.online.follower import Follower, Slot
    from src.serving.online.http import read_tokens
    from src.serving.online.metrics import ServingMetrics
    from src.serving.online.server import Server, listen
    from src.serving.prediction_log.sinks import open_log

    slots = {name: Slot(name, settings.alias) for name in targets}
    shadows = {name: Slot(name, settings.shadow, optional=True) for name in targets if settings.shadow}
    limits = Limits(int(settings.max_request_mb * MEGABYTE), settings.max_rows, read_tokens(settings.token_file))
    keys = (table.account, table.date)
    prediction_log = open_log(settings.log_predictions, settings.log_table, keys)
    _check_names(list(slots.values()))
    metrics = ServingMetrics()
    afterwards = Afterwards(metrics, shadows, prediction_log, keys)
    follower = Follower([*slots.values(), *shadows.values()], metrics, settings.poll_seconds)
    with listen(settings.host, settings.port) as listener:
        server = Server(Dispatcher(slots, limits, metrics, afterwards))
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        sys.stdout.write(f"serving {', '.join(targets)} on http://{host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        afterwards.start()
        follower.start()
        try:
            server.run_until_stopped(listener)
        finally:
            follower.close()
            afterwards.close()


def _check_names(slots: "Sequence[Slot]") -> None:
    """Refuses a name or an alias that the registry lacks; if MLflow does not answer, the follower goes on asking.

    Raises:
        UserError: there is no such name or alias.
        ConfigError: access to MLflow is denied.
    """
    from src.serving.online.follower import resolve
    from src.tracking.connection.session import TrackingSession
    from src.tracking.connection.tracking_check import refuse_denied_access

    refuse_denied_access(os.environ)
    try:
        _ = TrackingSession().client  # creates a missing store, and limits the wait for a dead server
        for slot in slots:
            resolve(slot)
    except TrackingError:  # the follower logs it once and tries again
        return


if __name__ == "__main__":
    sys.exit(main())
