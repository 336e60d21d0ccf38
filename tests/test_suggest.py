from hypothesis import given
from hypothesis import strategies as st

from src.suggest import did_you_mean, listing, one_line


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
