"""Quality in a given time: this project and its peers with the same rows, cores and total seconds, on unseen rows.

    python -m benchmarks.quality --tables diamonds,storm_wind --seeds 3 --seconds 60 --cores 2

The seconds cover everything: loading libraries, search, final fit; for this project registry and report too. For each
table and seed, the contenders run one after the other in separate processes, in a rotating order. Every run is written
to `quality.runs.jsonl` when it ends; `--resume` continues from there, and `--again ours` repeats the runs of one
contender. Tables that rules were chosen on are reported apart from those for confirmation.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import our_command, peers
from benchmarks.problem import make_problem, write_problem
from benchmarks.ranking import Loss, Run, gain, losses, mean_ranks, median_scores, ranks
from benchmarks.record import bench_parser, print_table, write_result
from benchmarks.runs import Record, describe, read_journal, run_contender, write_journal
from benchmarks.tables import is_confirmation, load_table, registry
from src.config import MIN_TOTAL_SECONDS
from src.errors import ConfigError
from src.suggest import did_you_mean

QUICK = {"tables": "storm_wind,crash_death", "seeds": 1, "seconds": MIN_TOTAL_SECONDS}


@dataclass(frozen=True)
class Plan:
    """The runs to do."""

    tables: tuple[str, ...]
    contenders: tuple[str, ...]
    seeds: int
    seconds: float
    cores: int

    def cells(self) -> Iterator[tuple[str, int, list[str]]]:
        """Table, seed and the contenders in order; every cell starts with the next contender."""
        cells = [(table, seed) for seed in range(1, self.seeds + 1) for table in self.tables]
        for number, (table, seed) in enumerate(cells):
            first = number % len(self.contenders)
            yield table, seed, [*self.contenders[first:], *self.contenders[:first]]

    def keys(self) -> set[tuple[str, int, str, float, int]]:
        """The keys of all runs of this plan."""
        return {(t, s, c, self.seconds, self.cores) for t, s, contenders in self.cells() for c in contenders}


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of the options."""
    parser = bench_parser("quality", (__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", default=",".join(registry()), help="comma-separated")
    parser.add_argument(
        "--contenders", default=",".join([our_command.NAME, *peers.PEERS]), help="and ours+option=value"
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this one")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of each run, final fit included")
    parser.add_argument("--cores", type=int, default=2, help="cores per contender")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are already recorded")
    parser.add_argument("--again", default="", help="comma-separated contenders whose recorded runs are repeated")
    return parser


def make_plan(args: argparse.Namespace) -> Plan:
    """The plan of parsed options.

    Raises:
        ConfigError: an unknown table or contender, a number out of range, a package that is not installed.
    """
    if args.quick:
        vars(args).update(QUICK)
    plan = Plan(_words(args.tables), _words(args.contenders), args.seeds, args.seconds, args.cores)
    for option, words, known in (
        ("tables", plan.tables, [*registry()]),
        ("contenders", plan.contenders, [*peers.PEERS]),
    ):
        for word in words:
            if word not in known and not (option == "contenders" and our_command.is_ours(word)):
                raise ConfigError(f"--{option} {word!r} is unknown{did_you_mean(word, known)}: use {', '.join(known)}")
    least = {"seeds": (plan.seeds, 1), "seconds": (plan.seconds, MIN_TOTAL_SECONDS), "cores": (plan.cores, 1)}
    for option, (value, minimum) in least.items():
        if value < minimum:
            raise ConfigError(f"--{option} {value:g} is too few: use {minimum:g} or more")
    for name in plan.contenders:
        package = peers.NEEDED.get(name)
        if package and find_spec(package) is None:
            raise ConfigError(f"the package {package!r} is not installed: run `make bench`, or leave {name!r} out")
    return plan


def pin(cores: int) -> None:
    """Restricts this process, and so every contender, to this number of cores.

    Raises:
        ConfigError: there are fewer cores.
    """
    if not hasattr(os, "sched_setaffinity"):  # not Linux: every contender still gets its number of threads
        return
    free = sorted(os.sched_getaffinity(0))
    if cores > len(free):
        raise ConfigError(f"--cores {cores} is more than this process may use: use {len(free)} or fewer")
    os.sched_setaffinity(0, free[:cores])


def run_plan(plan: Plan, journal: Path, again: Sequence[str] = ()) -> None:
    """Does the runs that are not recorded yet or whose contender is in `again`, and records each run when it ends."""
    planned = plan.keys()
    records = [r for r in read_journal(journal) if r.key not in planned or r.contender not in again]
    done = {record.key for record in records}
    for name, seed, contenders in plan.cells():
        waiting = [c for c in contenders if (name, seed, c, plan.seconds, plan.cores) not in done]
        if not waiting:
            continue
        table = load_table(name)
        problem, search, test = make_problem(table, seed, plan.seconds, plan.cores)
        with tempfile.TemporaryDirectory(prefix="quality-") as folder:
            write_problem(Path(folder), problem, search, test)
            for contender in waiting:
                records.append(run_contender(name, contender, problem, Path(folder), test))
                write_journal(journal, records)
                sys.stdout.write(describe(records[-1]) + "\n")
                sys.stdout.flush()


def summarise(plan: Plan, records: Sequence[Record], results: Path) -> None:
    """Prints medians, ranks, gains and losses of the plan's runs, and writes the JSON."""
    wanted = plan.keys()
    kept = [record for record in records if record.key in wanted]
    uses = {"for confirmation": True, "that rules were chosen on": False}
    found = {
        title: _summary_of(plan, [record for record in kept if is_confirmation(record.table) is use], title)
        for title, use in uses.items()
    }
    seconds = {name: [record.total_seconds for record in kept if record.contender == name] for name in plan.contenders}
    _show(
        "total seconds",
        [{"contender": name, "median": median(each), "longest": max(each)} for name, each in seconds.items() if each],
    )
    result = {"plan": asdict(plan), "runs": [asdict(record) for record in kept], "tables": found}
    write_result("quality", result, results)


def _summary_of(plan: Plan, records: Sequence[Record], title: str) -> dict[str, Any]:
    """Prints and returns the summary of the tables of one use; empty without runs."""
    if not records:
        return {}
    runs = [record.run for record in records]
    medians, rank_of, means = median_scores(runs), ranks(runs), _mean_ranks_of_variants(plan, runs)
    variants = [name for name in plan.contenders if our_command.is_ours(name)]
    lost = [loss for name in variants for loss in losses(runs, name, _rivals(plan))]
    gains = {name: [g for rival in _rivals(plan) if (g := gain(runs, name, rival))] for name in variants}
    metric = {record.table: record.metric for record in records}
    sys.stdout.write(f"\ntables {title}: {', '.join(metric)}\n")
    _show("median test score", [{"table": t, "metric": metric[t], **scores} for t, scores in medians.items()])
    _show("rank", [{"table": t, "seed": s, **_in_order(plan, found)} for (t, s), found in rank_of.items()])
    for field, found in means.items():
        _show(f"mean rank, {field}", [{"contender": name, "mean rank": value} for name, value in found.items()])
    for name, of_rivals in gains.items():
        rows = [{"rival": g.rival, "gain": f"{g.mean:.2f} %", "standard error": f"{g.standard_error:.2f} %"}
                for g in of_rivals]  # fmt: skip
        _show(f"error that {name} saves, mean over {len(metric)} tables", rows)
    _show(f"losses: {len(lost)}", [_loss_row(loss) for loss in lost])
    return {
        "median_scores": medians,
        "ranks": [{"table": t, "seed": s, "ranks": found} for (t, s), found in rank_of.items()],
        "mean_ranks": means,
        "gains": {name: [asdict(each) for each in of_rivals] for name, of_rivals in gains.items()},
        "losses": [asdict(loss) for loss in lost],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if done, 2 after a user error, 130 if interrupted; finished runs are always recorded."""
    args = build_parser().parse_args(argv)
    try:
        plan = make_plan(args)
        pin(plan.cores)
        args.results.mkdir(parents=True, exist_ok=True)
        journal = args.results / "quality.runs.jsonl"
        if journal.exists() and not args.resume:
            journal.replace(journal.with_suffix(".before.jsonl"))
        status = 0
        try:
            run_plan(plan, journal, _words(args.again))
        except KeyboardInterrupt:
            sys.stdout.write("interrupted: continue with the same command and --resume\n")
            status = 130
        summarise(plan, read_journal(journal), args.results)
        return status
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _rivals(plan: Plan) -> list[str]:
    return [name for name in plan.contenders if not our_command.is_ours(name)]


def _mean_ranks_of_variants(plan: Plan, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Mean ranks of all contenders; with several variants of ours, also of each variant and the peers only."""
    variants = [name for name in plan.contenders if our_command.is_ours(name)]
    fields = {"all": set(plan.contenders)}
    if len(variants) > 1:
        fields |= {f"{name} and the peers": {name, *_rivals(plan)} for name in variants}
    return {field: mean_ranks([run for run in runs if run.contender in names]) for field, names in fields.items()}


def _show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    sys.stdout.write(f"\n{title}\n")
    if rows:
        print_table(rows)


def _in_order(plan: Plan, found: dict[str, float]) -> dict[str, float]:
    return {name: found[name] for name in plan.contenders if name in found}


def _loss_row(loss: Loss) -> dict[str, Any]:
    margin = None if loss.percent is None else f"{loss.percent:.2f} %"
    return {
        "table": loss.table, "seed": loss.seed, "contender": loss.contender, "score": loss.score,
        "winner": loss.winner, "winning score": loss.winning_score, "behind by": margin,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
