"""The model's page in words: what it says is what was measured, on tables of every shape, drawn both ways."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from src.config import SplitSettings, TableConfig
from src.reporting.document.blocks import Chapter, Document, Figure, Grid, Paragraph, Table, TableBlock
from src.reporting.document.words import format_number
from src.reporting.html.page import page_html
from src.reporting.model import wording as say
from src.reporting.model.chapters import model_chapters
from src.reporting.model.measure import measure_model
from src.reporting.model.numbers import Choice, Feature, ModelNumbers
from src.reporting.pdf.pages import write_pdf
from tests.reporting.trained import NO_KEYS, Trained, train, trained
from tests.small_table import small_table

KEYS = ["money", "fit", "stability", "features", "data"]


@cache
def numbers_of(one: Trained) -> ModelNumbers:
    return measure_model(one.model, one.data, one.rows, 7)[0]


@cache
def of_shape(shape: str) -> ModelNumbers:
    return numbers_of(SHAPES[shape]())


def figures(chapter: Chapter) -> Iterator[Figure]:
    for block in chapter.blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Grid):
            yield from block.figures


def texts(chapter: Chapter) -> str:
    return " ".join(block.text for block in chapter.blocks if isinstance(block, Paragraph))


def tables(chapter: Chapter) -> list[Table]:
    return [block.table for block in chapter.blocks if isinstance(block, TableBlock)]


SHAPES = {
    "regression": lambda: trained("net_profit"),
    "binary": lambda: trained("is_profitable"),
    "rmse": lambda: trained("num_trades"),
    "no hold-out": lambda: train(split=SplitSettings(test_fraction=0)),
    "no keys": lambda: train("is_profitable", table=NO_KEYS),
    "no keys, regression": lambda: train(table=NO_KEYS),
    "no accounts": lambda: train(
        frame=small_table(60, 1), table=TableConfig(account=None, drop=("account_id",)),
    ),
    "no money": lambda: train("is_profitable", small_table().drop(columns="net_profit")),
    "folds": lambda: train(split=SplitSettings(use_cv=True, n_folds=3)),
    "tiny": lambda: train("is_profitable", small_table(8, 3), rounds=3),
    "constant": lambda: train(rounds=0),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_table_has_all_chapters(shape: str) -> None:
    chapters = model_chapters(of_shape(shape), {})
    assert [chapter.key for chapter in chapters] == KEYS
    keys = [figure.key for chapter in chapters for figure in figures(chapter)]
    assert len(keys) == len(set(keys))
    for chapter in chapters:
        assert chapter.blocks
        assert "None" not in texts(chapter) and "nan" not in texts(chapter)
        assert all(figure.caption for figure in figures(chapter)), "a figure says what it shows"
    assert page_html(Document("t", "s", chapters))


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["regression", "binary", "no hold-out", "no keys", "tiny"])
def test_the_same_chapters_go_into_a_pdf(shape: str, tmp_path: Path) -> None:
    write_pdf(Document("t", "s", model_chapters(of_shape(shape), {})), tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_a_short_test_period_is_said_beside_its_intervals() -> None:
    """And those of a long one, or without dates, are relied on."""
    numbers = of_shape("regression")
    longer = tuple(replace(part, days=250) if part.name == "test" else part for part in numbers.parts)
    for chapter in model_chapters(numbers, {})[:3]:
        assert "The test period has 12 dates. If good and bad periods last for weeks, intervals" in texts(chapter)
    for other in (replace(numbers, parts=longer), of_shape("no keys")):
        assert not [chapter.key for chapter in model_chapters(other, {}) if "The test period has" in texts(chapter)]


def test_without_a_hold_out_it_is_said_and_nothing_is_drawn_of_it() -> None:
    money, fit, stability, features, data = model_chapters(of_shape("no hold-out"), {})
    for chapter in (money, fit, stability):
        assert texts(chapter) == say.NO_TEST
        assert not list(figures(chapter))
    assert "drawn training rows" in list(figures(features))[1].caption
    assert [figure.key for figure in figures(data)] == ["split", "missing"]


def test_the_verdict_on_money_says_what_was_measured() -> None:
    numbers = numbers_of(trained())
    assert numbers.money is not None
    said = say.profit_verdict(numbers, numbers.money)
    top, low = numbers.money.bins[-1], numbers.money.bins[0]
    assert said.startswith(f"The 96 test account-days of 12 days earned {format_number(numbers.money.per_row)} each")
    assert f"({top.rows / 96:.0%} of rows) earned {format_number(top.realised)}".replace("%", " %") in said
    assert f"({low.rows / 96:.0%} of rows) {format_number(low.realised)}".replace("%", " %") in said
    assert "does not include zero" in said, "the small table can be predicted"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1.0, 5.0, "includes zero: it may be chance"), (1.0, 5.0, "does not include zero"),
     (None, None, "too few days for an interval")],
)  # fmt: skip
def test_a_gain_is_only_as_sure_as_its_interval(low: float | None, high: float | None, said: str) -> None:
    numbers = numbers_of(trained())
    assert numbers.money is not None
    choices = tuple(
        Choice(k, 10 * k, 1.0, 2.0, None, None, 3.0, low if k < 10 else None, high if k < 10 else None)
        for k in range(1, 11)
    )
    found = say.profit_verdict(numbers, replace(numbers.money, choices=choices))
    assert "Taking only the highest 30 % of predictions" in found
    assert said in found
    short = say.profit_in_short(replace(numbers.money, choices=choices))
    assert short.startswith("Net profit on the test days: taking only the highest 30 %")
    assert said in short
    assert not say.profit_in_short(replace(numbers.money, choices=choices[-1:]))


def test_a_table_without_net_profit_says_so() -> None:
    money = model_chapters(of_shape("no money"), {})[0]
    assert "no numeric column net_profit" in texts(money)


def test_the_same_table_is_not_shown_twice() -> None:
    by_target = {target: model_chapters(numbers_of(trained(target)), {})[1] for target in ("net_profit", "num_trades")}
    assert (len(tables(by_target["net_profit"])), len(tables(by_target["num_trades"]))) == (0, 1)
    assert say.SAME_TABLE in texts(by_target["net_profit"])


def test_higher_predictions_without_higher_values_are_told() -> None:
    numbers = numbers_of(trained())
    upside_down = replace(numbers, deciles=numbers.deciles[::-1])
    assert "Higher predictions did not have higher realised values." in say.fit_sentence(upside_down)
    assert "did not" not in say.fit_sentence(numbers)


def test_the_count_of_better_groups_is_right() -> None:
    numbers = numbers_of(trained())
    assert numbers.accounts is not None
    better = sum((group.skill or 0) > 0 for group in numbers.accounts.scores)
    sure = [group.skill_low for group in numbers.accounts.scores if group.skill_low is not None]
    above = sum(low > 0 for low in sure)
    said = say.groups_sentence(numbers.accounts)
    assert said.startswith(f"By account: the model is better than the baseline in {better} of 8.")
    assert f"is above zero in {above} of {len(sure)}" in said


def test_half_of_the_gain_is_counted() -> None:
    features = [Feature("a", 0.4, 1, 0, 0), Feature("b", 0.3, 2, 0, 0), Feature("c", 0.3, 3, 0, 0)]
    numbers = replace(numbers_of(trained()), features=tuple(features))
    assert "3 of 3 features. The first 2 features make half" in say.features_sentence(numbers, features)
    assert "One feature makes half" in say.features_sentence(numbers, [replace(features[0], gain=0.6), *features[1:]])


def test_an_ensembles_gain_is_told_apart() -> None:
    numbers = numbers_of(trained())
    captions = [next(figures(model_chapters(numbers, each)[3])).caption for each in ({}, {"members": [{"trial": 1}]})]
    assert "unweighted" not in captions[0]
    assert "unweighted" in captions[1]


def test_json_gives_the_same_page() -> None:
    numbers = numbers_of(trained("is_profitable"))
    again = ModelNumbers.from_json(json.dumps(numbers.to_json()))
    assert page_html(Document("t", "s", model_chapters(again, {}))) == page_html(
        Document("t", "s", model_chapters(numbers, {}))
    )


def test_every_number_in_tables_is_finite() -> None:
    for shape in ("regression", "binary", "tiny"):
        for chapter in model_chapters(of_shape(shape), {}):
            for table in tables(chapter):
                assert all(len(row) == len(table.columns) for row in table.rows)
                assert all(math.isfinite(cell) for row in table.rows for cell in row if isinstance(cell, float))
