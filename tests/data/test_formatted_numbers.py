import pytest

from src.data.formatted_numbers import decide_decimal_mark, looks_like_date, looks_like_number


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["1,234.5"], "."),
        (["1.234,5"], ","),
        (["3.25", "1,234"], "."),
        (["3,25", "1.234"], ","),
        (["1,234,567", "1,234"], "."),
        (["1.234.567"], ","),
        (["0,125"], ","),
        (["1234.567"], "."),
        (["1 234,567"], ","),
        (["$5.50", "(1,234)"], "."),
        (["12", "-7", "n/a"], None),
        ([], None),
    ],
)
def test_one_clear_text_decides(texts: list[str], mark: str | None) -> None:
    assert decide_decimal_mark(texts) == mark
    assert decide_decimal_mark(reversed(texts)) == mark


@pytest.mark.parametrize("texts", [["1,234"], ["1.234", "12"], ["$12,345", "7"]])
def test_ambiguous_marks_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="may have a decimal mark or a thousands separator"):
        decide_decimal_mark(texts)


def test_contradictions_are_quoted() -> None:
    with pytest.raises(ValueError, match=r"'1\.5' has a decimal point, '2,5' a decimal comma"):
        decide_decimal_mark(["1.5", "2,5"])


def test_what_looks_like_a_date_and_what_like_a_number() -> None:
    dates = [
        "2024-01-31",
        "2024-01-31T09:30:00+02:00",
        "31.12.2024",
        "1/2/24",
        "31 Jan 2024",
        "Jan 5, 2024",
        "2024/1/5",
    ]
    assert all(looks_like_date(text) for text in dates)
    assert not any(looks_like_number(text) for text in dates)
    others = ["09:30", "1.2.34", "Q1-2024", "momentum", "ESZ24", "3M", "A-1"]
    assert not any(looks_like_date(text) or looks_like_number(text) for text in others)
    assert all(looks_like_number(text) for text in ["12", "1,234.50", "1.234,50", "3%", "($5)", "1 234", "NOK 5"])
