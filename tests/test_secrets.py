from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.secrets import mask_url, scrub

# Signs at which one reader or another cuts a URL, and some that must be percent-encoded.
PASSWORDS = st.text(st.sampled_from("abXY019@:/?#&=%+ é'\"\\"), min_size=1, max_size=12)
RAW = st.sampled_from([lambda text: text, lambda text: quote(text, safe=""), quote_plus])


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:secret@host:5432/db", "postgresql://u:***@host:5432/db"),
        ("postgresql+psycopg2://u:p@s/w:d?@host/db", "postgresql+psycopg2://u:***@host/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@corp:secret@host/db", "postgresql://me@corp:***@host/db"),
        ("postgresql:///db?host=/run&user=u&password=secret", "postgresql:///db?host=/run&user=u&password=***"),
        ("postgresql://host/db?pass%77ord=secret&sslmode=off", "postgresql://host/db?pass%77ord=***&sslmode=off"),
        ("postgresql://host:5432/db?password=se@cret", "postgresql://host:***"),
        ("postgresql://u:@host/db", "postgresql://u:@host/db"),
        ("postgresql://u@host:5432/db", "postgresql://u@host:5432/db"),
        ("sqlite:///folder/with:colon@sign.db", "sqlite:///folder/with:colon@sign.db"),
        ("s3://bucket/key=1/part.parquet", "s3://bucket/key=1/part.parquet"),
        ("tables/day.parquet", "tables/day.parquet"),
        ("", ""),
    ],
)
def test_known_urls(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@given(PASSWORDS, RAW)
def test_no_password_survives_after_the_user(password: str, encode: object) -> None:
    assert callable(encode)
    url = f"postgresql://user:{encode(password)}@host.example:5432/db?sslmode=off"
    assert mask_url(url) in (
        "postgresql://user:***@host.example:5432/db?sslmode=off",
        # A raw password that itself holds "?password=" is masked to the end of that parameter.
        "postgresql://user:***",
    )


@given(PASSWORDS, st.sampled_from(["password", "passwd", "sslpassword", "PASSWORD", "pass%77ord", "pwd"]))
def test_no_password_survives_as_a_parameter(password: str, name: str) -> None:
    for encoded in (quote(password, safe=""), quote_plus(password)):
        url = f"postgresql://host.example/db?user=u&{name}={encoded}&sslmode=off"
        assert mask_url(url) == f"postgresql://host.example/db?user=u&{name}=***&sslmode=off"


@given(st.text(max_size=60))
def test_masking_is_idempotent(text: str) -> None:
    masked = mask_url(text)
    assert mask_url(masked) == masked


@given(st.text(st.sampled_from("QZ7@:/% é'"), min_size=3, max_size=12), RAW, PASSWORDS)
def test_scrub_finds_the_password_in_any_spelling(password: str, encode: object, noise: str) -> None:
    assert callable(encode)
    url = f"postgresql://user:{encode(password)}@host/db"
    spellings = (password, quote(password, safe=""), quote_plus(password), repr(password)[1:-1], url)
    text = scrub(" | ".join(["failed", *spellings, noise]), url)
    assert not {"Q", "Z", "7"} & set(text)


def test_scrub_hides_the_part_that_a_driver_takes_for_the_host() -> None:
    url = "postgresql://u:first@second@host/db"
    assert scrub('could not translate host name "second@host"', url) == 'could not translate host name "***@host"'


def test_scrub_hides_passwords_of_other_urls_and_keeps_the_rest() -> None:
    text = 'role "u" of postgresql://u:other@elsewhere/db: see https://sqlalche.me/e/20/e3q8'
    assert (
        scrub(text, "postgresql://u:secret@host/db")
        == 'role "u" of postgresql://u:***@elsewhere/db: see https://sqlalche.me/e/20/e3q8'
    )
