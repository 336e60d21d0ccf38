from pathlib import Path

import pytest

from src.errors import ConfigError
from src.study.store_location import store_url

HERE = Path("studies")


def test_a_url_comes_first_then_the_variables_then_the_folder(tmp_path: Path) -> None:
    variables = {"OPTUNA_POSTGRES_USER": "u", "OPTUNA_POSTGRES_HOST": "h"}
    assert store_url("sqlite:///x.db", tmp_path, variables).database == "x.db"
    assert store_url(None, tmp_path, variables).host == "h"
    assert store_url(None, tmp_path, {}).database == str(tmp_path / "studies.db")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_postgres_means_the_installed_driver(scheme: str) -> None:
    url = store_url(f"{scheme}://user:pass@host:5433/optuna", HERE, {})
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql+psycopg2", "host", 5433, "optuna")
    assert url.password == "pass"


def test_postgres_by_variables() -> None:
    given = {"USER": "u", "PASSWORD": "p@ss/word", "HOST": "db", "PORT": "6000", "DB": "studies"}
    url = store_url(None, HERE, {f"OPTUNA_POSTGRES_{name}": value for name, value in given.items()})
    assert (url.username, url.password, url.host, url.port, url.database) == ("u", "p@ss/word", "db", 6000, "studies")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not a URL"),
        ("postgresql://user:secret@host:port/db", "is not a URL"),
        ("postgresql://user:secret@host", "names no database"),
        ("mysql://user:secret@host/db", "not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        store_url(text, HERE, {})
    assert "secret" not in str(raised.value)


def test_half_a_set_of_variables_is_an_error_not_a_silent_default() -> None:
    with pytest.raises(ConfigError, match="OPTUNA_POSTGRES_USER and OPTUNA_POSTGRES_HOST"):
        store_url(None, HERE, {"OPTUNA_POSTGRES_PASSWORD": "p"})
    with pytest.raises(ConfigError, match="'five' is not a port"):
        given = {"USER": "u", "HOST": "h", "PORT": "five"}
        store_url(None, HERE, {f"OPTUNA_POSTGRES_{name}": value for name, value in given.items()})


def test_an_empty_password_is_a_mistake() -> None:
    given = {"OPTUNA_POSTGRES_USER": "u", "OPTUNA_POSTGRES_HOST": "h"}
    assert store_url(None, HERE, given).password is None
    with pytest.raises(ConfigError, match="OPTUNA_POSTGRES_PASSWORD is empty"):
        store_url(None, HERE, given | {"OPTUNA_POSTGRES_PASSWORD": ""})
