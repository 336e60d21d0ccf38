"""The leak probe on 40 tables without a leak and on 20 tables with leaks of every kind."""

import numpy as np
import pytest

from benchmarks.leaky_tables import CLEAN, LEAKS, clean_table, datasets_of
from src.config import TableConfig
from src.data.sample.sample_table import sample_table
from src.data.table import load_dataset
from src.table_check.leaks import find_leaks

KINDS = list(CLEAN)


def named(frame_datasets: list) -> set[str]:  # type: ignore[type-arg]
    return {finding.subject for finding in find_leaks(frame_datasets, seed=0) if finding.severity == "suspicious"}


def test_tables_without_a_leak_are_not_suspected() -> None:
    rings = {}
    for i in range(39):
        found = named(datasets_of(clean_table(KINDS[i % len(KINDS)], seed=i)))
        if found:
            rings[i] = found
    assert len(rings) <= 1, rings


def test_the_plan_of_the_sample_table_is_not_suspected_for_any_target() -> None:
    table, frame = TableConfig(), sample_table()
    datasets = [load_dataset(frame, table, target) for target in table.targets]
    findings = find_leaks(datasets, seed=42)
    assert not [finding for finding in findings if finding.severity == "suspicious"]
    assert {"signal", "planned_position"} <= {finding.subject for finding in findings}  # strong, and said so


@pytest.fixture(scope="module")
def named_in_leaky_tables() -> list[set[str]]:
    found = []
    for i in range(20):
        frame = clean_table(KINDS[i % len(KINDS)], seed=100 + i)
        planted = {name: leak(frame, np.random.default_rng([i, len(name)])) for name, leak in LEAKS.items()}
        found.append(named(datasets_of(frame.assign(**planted))))
    return found


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_named(leak: str, named_in_leaky_tables: list[set[str]]) -> None:
    assert sum(leak in names for names in named_in_leaky_tables) >= 19


def test_beside_leaks_nothing_else_is_named(named_in_leaky_tables: list[set[str]]) -> None:
    assert [names - set(LEAKS) for names in named_in_leaky_tables].count(set()) >= 19
