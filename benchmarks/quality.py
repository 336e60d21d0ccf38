"""Quality in a given time: this project and its peers with the same rows, cores and seconds, on unseen test rows.

    python -m benchmarks.quality --tables diamonds,storm_wind --seeds 3 --seconds 60 --cores 2

For each table and seed, the contenders run one after the other in separate processes, in a rotating order. Every run is
written to `quality.runs.jsonl` when it ends; `--resume` continues from there.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import our_command, peers
from benchmarks.problem import make_problem, write_problem
from benchmarks.ranking import Loss, Run, losses, mean_ranks, median_scores, ranks
from benchmarks.record import bench_parser, print_table, write_result
from benchmarks.runs import Record, describe, read_journal, run_contender, write_journal
from benchmarks.tables import load_table, registry
from src.errors import ConfigError
from src.suggest import did_you_mean

QUICK = {"tables": "storm_wind,crash_death", "seeds": 1, "seconds": 5.0}


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
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of each search")
    parser.add_argument("--cores", type=int, default=2, help="cores per contender")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are already recorded")
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
    for option, value in (("seeds", plan.seeds), ("seconds", plan.seconds), ("cores", plan.cores)):
        if value <= 0:
            raise ConfigError(f"--{option} {value:g} is too few: use 1 or more")
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


def run_plan(plan: Plan, journal: Path) -> None:
    """Does the runs that are not recorded yet, and records each run when it ends."""
    records = read_journal(journal)
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
    """Prints medians, ranks and losses of the plan's runs, and writes the JSON."""
    wanted = plan.keys()
    kept = [record for record in records if record.key in wanted]
    runs = [record.run for record in kept]
    medians, rank_of, means = median_scores(runs), ranks(runs), _mean_ranks_of_variants(plan, runs)
    lost = [loss for name in plan.contenders if our_command.is_ours(name) for loss in losses(runs, name, _rivals(plan))]
    metric = {record.table: record.metric for record in kept}
    _show("median test score", [{"table": t, "metric": metric[t], **scores} for t, scores in medians.items()])
    _show("rank", [{"table": t, "seed": s, **_in_order(plan, found)} for (t, s), found in rank_of.items()])
    for field, found in means.items():
        _show(f"mean rank, {field}", [{"contender": name, "mean rank": value} for name, value in found.items()])
    _show(f"losses: {len(lost)}", [_loss_row(loss) for loss in lost])
    result = {
        "plan": asdict(plan),
        "runs": [asdict(record) for record in kept],
        "median_scores": medians,
        "ranks": [{"table": t, "seed": s, "ranks": found} for (t, s), found in rank_of.items()],
        "mean_ranks": means,
        "losses": [asdict(loss) for loss in lost],
    }
    write_result("quality", result, results)


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
            run_plan(plan, journal)
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
