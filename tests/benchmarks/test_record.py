import json
import statistics
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record import (
    bench_parser,
    cpu_limit,
    interleave,
    machine_facts,
    median,
    memory_limit,
    print_table,
    ratio_of_medians,
    write_result,
)


@pytest.mark.slow
def test_a_result_is_written_with_the_machine_that_it_belongs_to(tmp_path: Path) -> None:
    result = {"ratio": np.float64(1.5), "runs": (1, 2), "lost": float("nan"), "table": Path("x"), "inner": {1: True}}
    path = write_result("speed", result, tmp_path / "new")
    assert path == tmp_path / "new" / "speed.json"
    record = json.loads(path.read_text())
    assert record["name"] == "speed"
    assert datetime.fromisoformat(record["when"]).utcoffset() is not None
    assert record["machine"] == machine_facts() | {"load_1_minute": record["machine"]["load_1_minute"]}
    assert record["result"] == {"ratio": 1.5, "runs": [1, 2], "lost": None, "table": "x", "inner": {"1": True}}


@pytest.mark.slow
def test_results_lie_in_artefacts_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_result("speed", {}).resolve() == tmp_path / "artefacts" / "benchmarks" / "speed.json"


@pytest.mark.slow
def test_facts_name_what_a_measurement_depends_on() -> None:
    facts = machine_facts()
    assert facts["cores"]["affinity"] >= 1
    assert facts["memory_bytes"]["total"] > 0
    assert {"lightgbm", "optuna", "numpy"} <= facts["versions"].keys()


@given(st.integers(1, 5), st.integers(1, 7))
def test_contenders_take_turns(n: int, rounds: int) -> None:
    calls: list[str] = []

    def contender(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    names = [f"c{i}" for i in range(n)]
    measured = interleave({name: partial(contender, name) for name in names}, rounds)
    by_round = [calls[i * n : (i + 1) * n] for i in range(rounds)]
    assert len(calls) == n * rounds
    assert all(sorted(item) == names for item in by_round)
    assert [item[0] for item in by_round] == [names[i % n] for i in range(rounds)]
    # What it measured is kept under its own name, in the order of the rounds.
    assert all(measured[name] == [i + 1 for i, called in enumerate(calls) if called == name] for name in names)


@given(st.lists(st.floats(0.1, 100), min_size=1), st.lists(st.floats(0.1, 100), min_size=1))
def test_ratio_is_that_of_the_medians(values: list[float], reference: list[float]) -> None:
    assert ratio_of_medians(values, reference) == statistics.median(values) / statistics.median(reference)


def test_a_ratio_to_nothing_is_no_number() -> None:
    assert np.isnan(ratio_of_medians([1.0], []))
    assert np.isnan(ratio_of_medians([1.0], [0.0]))
    assert np.isnan(median([]))


def test_a_table_has_a_column_for_whatever_any_row_knows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"side": "pure", "s": 0.123456}, {"side": "ours", "ratio": 12345.6}])
    assert capsys.readouterr().out.splitlines() == [
        "side       s  ratio",
        "pure  0.1235      -",
        "ours       -  12346",
    ]


@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        ({"cpu.max": "150000 100000", "memory.max": "1048576"}, 1.5, 1048576),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        (
            {
                "cpu/cpu.cfs_quota_us": "200000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "4096",
            },
            2.0,
            4096,
        ),
        (
            {
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
            None,
        ),
        ({}, None, None),
    ],
    ids=["v2", "v2 without limit", "v1", "v1 without limit", "no cgroup"],
)
def test_limits_of_the_cgroup(tmp_path: Path, files: dict[str, str], cpus: float | None, memory: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cpu_limit(tmp_path) == cpus
    assert memory_limit(tmp_path) == memory


def test_help_shows_defaults() -> None:
    parser = bench_parser("speed", "How fast.")
    parser.add_argument("--rounds", type=int, default=7, help="measurements")
    assert "measurements (default: 7)" in " ".join(parser.format_help().split())
    assert parser.parse_args(["--quick"]).quick
