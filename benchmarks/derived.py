"""Test score of models with derived features, beside other features of the same past.

    python -m benchmarks.derived --panels police,pizza --seeds 3 --trials 12

All contenders get the same rows, split, number of trials and ensemble. Only their features differ:

- `derived`: those that the product chooses;
- `all`: all candidates, without a choice;
- `lags 1 to 5`: the target of the account's last five rows, as a plain script has it;
- `hand-made`: the sample's own columns of the account's past, where a panel has them.

Every run is written to `derived.runs.jsonl` when it ends; `--resume` continues from there. Nothing is sent to MLflow.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.panels import PANELS, Panel, limit_rows
from benchmarks.record import bench_parser, print_table, write_result
from src.config import DataSettings, Metric, RunSettings, SearchSettings, SplitSettings
from src.data.split_rows import make_split_rows
from src.data.table import Dataset, load_dataset
from src.disk import write_atomically
from src.errors import ConfigError
from src.evaluation.scoring import skill
from src.search.derived_features import add_derived_features, all_candidates
from src.search.search_task import SearchTask
from src.suggest import did_you_mean

DERIVED, ALL, LAGS, HAND_MADE = "derived", "all", "lags 1 to 5", "hand-made"
N_LAGS = 5
MAX_ROWS = 30_000
QUICK = {"panels": "sample_is_profitable", "seeds": 1, "trials": 2, "rows": 3_000}
Makers = Mapping[str, Callable[[], Panel]]


@dataclass(frozen=True)
class Plan:
    """The runs to do: `seeds` runs of each contender on each panel, with `rows` rows at most."""

    panels: tuple[str, ...]
    seeds: int
    trials: int
    rows: int


@dataclass(frozen=True)
class Record:
    """The record of one run.

    Attributes:
        panel, seed, contender, trials, rows: identify the run; `rows` is the limit.
        metric: of the target.
        score: of the final model on the test rows.
        baseline: of the best naive forecast on the test rows.
        features: number of features.
        choice: name of the set that the product chose; empty for the other contenders.
        seconds: wall time.
    """

    panel: str
    seed: int
    contender: str
    trials: int
    rows: int
    metric: Metric
    score: float
    baseline: float
    features: int
    choice: str
    seconds: float

    @property
    def key(self) -> tuple[str, int, str, int, int]:
        """Equal keys are the same run."""
        return self.panel, self.seed, self.contender, self.trials, self.rows


def contenders_of(panel: Panel) -> list[str]:
    """The contenders on a panel."""
    return [DERIVED, ALL, LAGS, *([HAND_MADE] if panel.hand_made else [])]


def make_data(panel: Panel, contender: str, rows: int) -> Dataset:
    """The table of a contender, with the same rows for all of them."""
    frame, config = limit_rows(panel.frame, rows), panel.config
    if contender in (DERIVED, ALL):
        data = load_dataset(frame, replace(config, features="derived"), panel.target)
        # Without its history, the candidates are the table's own features, so that the product chooses none.
        return data if contender == DERIVED else replace(add_derived_features(data, all_candidates(data)), history=None)
    use = panel.hand_made
    if contender == LAGS:
        past = frame.groupby("account_id")[panel.target]
        lags = {f"lag_{k}": past.shift(k) for k in range(1, N_LAGS + 1)}
        frame, use = frame.assign(**lags), tuple(lags)
    return load_dataset(frame, replace(config, features="own", use=use, known_after=(), groups=()), panel.target)


def run(panel: Panel, contender: str, seed: int, plan: Plan) -> Record:
    """Searches, fits and tests one model, as the command does it in one process, without MLflow and report."""
    from src.final.ensemble import fit_final_model
    from src.final.final_model import score_hold_out
    from src.modeling.open_study import open_study
    from src.search.search_task import make_task_objective
    from src.search.stop_flag import StopFlag
    from src.search.trial_loop import WorkerContext, run_trials
    from src.study.studies import best_trial

    began = time.monotonic()
    data = make_data(panel, contender, plan.rows)
    with tempfile.TemporaryDirectory(prefix="derived-") as folder:
        search = SearchSettings(plan.trials, seed=seed, storage_dir=Path(folder))
        settings = RunSettings(DataSettings(table=panel.config), SplitSettings(seed=seed), search, Path(folder), False)
        opened = open_study(SearchTask(data, make_split_rows(data, settings.split), settings))
        task, stop_flag = opened.task, StopFlag()
        context = WorkerContext(opened.manager.storage, plan.trials, stop_flag)
        run_trials(opened.study, make_task_objective(task, opened.study, stop_flag), context)
        model = fit_final_model(task, opened.study, best_trial(opened.study))
    found = score_hold_out(model, task.data, task.rows)
    choice = "" if task.derived is None else (task.derived.choice or {})["set"]
    score, baseline = found["test_score"], found["baselines"][found["best_baseline"]]
    return Record(
        panel.name, seed, contender, plan.trials, plan.rows, panel.metric, score, baseline,
        task.data.features.shape[1], choice, time.monotonic() - began,
    )  # fmt: skip


def run_plan(plan: Plan, makers: Makers, journal: Path) -> None:
    """Does the runs that are not recorded yet, and records each run when it ends."""
    records = read_journal(journal)
    done = {record.key for record in records}
    for seed in range(1, plan.seeds + 1):
        for name in plan.panels:
            panel = makers[name]()
            for contender in contenders_of(panel):
                if (name, seed, contender, plan.trials, plan.rows) in done:
                    continue
                same = _with_all_features(panel, contender, seed, plan, records)
                records.append(same or run(panel, contender, seed, plan))
                write_atomically(journal, "".join(json.dumps(asdict(record)) + "\n" for record in records))
                sys.stdout.write(describe(records[-1]) + "\n")
                sys.stdout.flush()


def _with_all_features(panel: Panel, contender: str, seed: int, plan: Plan, records: Sequence[Record]) -> Record | None:
    """The run of `derived` as that of `all`, if it chose all candidates: the same features give the same model."""
    key = (panel.name, seed, DERIVED, plan.trials, plan.rows)
    ours = next((record for record in records if record.key == key), None)
    if contender != ALL or ours is None or ours.choice != ALL:
        return None
    if ours.features != make_data(panel, ALL, plan.rows).features.shape[1]:  # without the position in the year
        return None
    return replace(ours, contender=ALL, choice="")


def read_journal(journal: Path) -> list[Record]:
    """The runs recorded so far."""
    if not journal.exists():
        return []
    return [Record(**json.loads(line)) for line in journal.read_text(encoding="utf-8").splitlines()]


def describe(record: Record) -> str:
    """One run as a line of text."""
    return (
        f"{record.panel:<21} seed {record.seed}  {record.contender:<12} {record.metric} {record.score:<9.5g} "
        f"{record.features:>4} features {record.choice:<17} {record.seconds:6.1f} s"
    )


def scores_table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Per panel: mean test scores with standard errors, and the gains of `derived`.

    A gain is the share of the other's error that `derived` saves; for AUC, the share of what is missing to 1. Gains are
    paired: one per seed. They have no standard error with one seed.
    """
    return [_scores_row(panel, scores, records) for panel, scores in _by_panel(records)]


def _scores_row(panel: str, scores: dict[str, dict[int, float]], records: Sequence[Record]) -> dict[str, Any]:
    of_panel = [record for record in records if record.panel == panel]
    metric = of_panel[0].metric
    row: dict[str, Any] = {"panel": panel, "metric": metric, "best naive": mean(r.baseline for r in of_panel)}
    row |= {contender: with_error(found.values()) for contender, found in scores.items()}
    for other in (LAGS, ALL):
        gains = [
            gain
            for seed in scores.get(DERIVED, {}).keys() & scores.get(other, {}).keys()
            if (gain := skill(metric, scores[DERIVED][seed], scores[other][seed])) is not None
        ]
        row[f"gain over {other}"] = with_error([100 * gain for gain in gains], unit=" %")
    return row


def shares_table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Per panel with hand-made features: the share of their skill over the best naive forecast that others reach."""
    rows = []
    for panel, scores in _by_panel(records):
        if HAND_MADE not in scores:
            continue
        found = {(r.contender, r.seed): skill(r.metric, r.score, r.baseline) for r in records if r.panel == panel}
        row: dict[str, Any] = {"panel": panel}
        for contender in (DERIVED, ALL, LAGS):
            pairs = [(found.get((contender, seed)), found[HAND_MADE, seed]) for seed in scores[HAND_MADE]]
            row[contender] = with_error([100 * ours / theirs for ours, theirs in pairs if ours and theirs], unit=" %")
        rows.append(row)
    return rows


def with_error(values: Any, unit: str = "") -> str:
    """Mean and standard error as text; "-" without values."""
    kept = list(values)
    if not kept:
        return "-"
    error = f" ± {stdev(kept) / len(kept) ** 0.5:.2g}" if len(kept) > 1 else ""
    return f"{mean(kept):.4g}{error}{unit}"


def _by_panel(records: Sequence[Record]) -> Iterator[tuple[str, dict[str, dict[int, float]]]]:
    """Scores by contender and seed."""
    for panel in dict.fromkeys(record.panel for record in records):
        scores: dict[str, dict[int, float]] = {}
        for record in records:
            if record.panel == panel:
                scores.setdefault(record.contender, {})[record.seed] = record.score
        yield panel, scores


def summarise(plan: Plan, records: Sequence[Record], results: Path) -> None:
    """Prints the tables of the plan's runs, and writes the JSON."""
    kept = [
        record
        for record in records
        if record.panel in plan.panels and (record.trials, record.rows) == (plan.trials, plan.rows)
        if record.seed <= plan.seeds
    ]
    scores, shares = scores_table(kept), shares_table(kept)
    sys.stdout.write("\ntest score, mean and standard error of the seeds\n")
    print_table(scores)
    if shares:
        sys.stdout.write("\nshare of the hand-made features' skill\n")
        print_table(shares)
    runs = [asdict(record) for record in kept]
    write_result("derived", {"plan": asdict(plan), "runs": runs, "scores": scores, "shares": shares}, results)


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of the options."""
    parser = bench_parser("derived", (__doc__ or "").partition("\n")[0])
    parser.add_argument("--panels", default=",".join(PANELS), help="comma-separated")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this one")
    parser.add_argument("--trials", type=int, default=12, help="trials of each search")
    parser.add_argument("--rows", type=int, default=MAX_ROWS, help="most rows of a panel")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are already recorded")
    return parser


def make_plan(args: argparse.Namespace) -> Plan:
    """The plan of parsed options.

    Raises:
        ConfigError: an unknown panel, or a number out of range.
    """
    if args.quick:
        vars(args).update(QUICK)
    panels = tuple(dict.fromkeys(word.strip() for word in args.panels.split(",") if word.strip()))
    for name in panels:
        if name not in PANELS:
            raise ConfigError(f"--panels {name!r} is unknown{did_you_mean(name, PANELS)}: use {', '.join(PANELS)}")
    plan = Plan(panels, args.seeds, args.trials, args.rows)
    for option, value in (("seeds", plan.seeds), ("trials", plan.trials), ("rows", plan.rows)):
        if value < 1:
            raise ConfigError(f"--{option} {value} is too few: use 1 or more")
    return plan


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if done, 2 after a user error, 130 if interrupted; finished runs are always recorded."""
    args = build_parser().parse_args(argv)
    try:
        plan = make_plan(args)
        args.results.mkdir(parents=True, exist_ok=True)
        journal = args.results / "derived.runs.jsonl"
        if journal.exists() and not args.resume:
            journal.replace(journal.with_suffix(".before.jsonl"))
        status = 0
        try:
            run_plan(plan, PANELS, journal)
        except KeyboardInterrupt:
            sys.stdout.write("interrupted: continue with the same command and --resume\n")
            status = 130
        summarise(plan, read_journal(journal), args.results)
        return status
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
