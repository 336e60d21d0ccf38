from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError, StoreError
from src.suggest import LONGEST_MESSAGE, did_you_mean, listing, number, one_line, shorten


def test_a_long_list_is_cut() -> None:
    assert listing(range(3)) == "0, 1, 2"
    assert listing(range(100)).endswith("18, 19 and 80 more")


def test_the_closest_name_is_offered_whatever_its_case() -> None:
    assert did_you_mean("net_proft", ["gross_profit", "net_profit"]) == " (did you mean 'net_profit'?)"
    assert did_you_mean("DATE", ["Date", "account"]) == " (did you mean 'Date'?)"
    assert did_you_mean("zebra", ["net_profit"]) == ""


@given(st.text())
def test_any_text_becomes_one_short_line(text: str) -> None:
    line = one_line(text, limit=20)
    assert len(line) <= 20
    assert len(line.splitlines()) <= 1


@given(st.lists(st.text(max_size=300), min_size=1, max_size=50))
def test_any_list_is_short_and_says_how_many_there_are(names: list[str]) -> None:
    line = listing(names)
    assert len(line) <= 240
    assert len(line.splitlines()) <= 1


@given(st.text(max_size=2000))
def test_any_message_is_one_line_and_short(text: str) -> None:
    for line in (shorten(text), str(ConfigError(text)), str(StoreError(text))):
        assert len(line) <= LONGEST_MESSAGE
        assert len(line.splitlines()) <= 1


def test_a_long_message_keeps_the_value_at_its_beginning_and_the_remedy_at_its_end() -> None:
    line = shorten("--data 'x' is wrong: " + "words " * 200 + ": write it so")
    assert line.startswith("--data 'x' is wrong: words")
    assert line.endswith("words : write it so")
    assert " … " in line
    assert shorten("two  spaces\n and lines\n") == "two  spaces and lines"


def test_numbers_have_five_digits() -> None:
    assert [number(value) for value in (None, 0.0, 123456.7, 0.000123456)] == ["-", "0", "1.2346e+05", "0.00012346"]
